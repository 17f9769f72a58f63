"""Engines of the tests of this folder that start in its own process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest

#: What an engine's process has imported before it reads its first weight.
_IMPORTED = ["vllm.v1.engine.core", "vllm.v1.worker.cpu_worker", "vllm.v1.worker.cpu_model_runner"]


@pytest.fixture(scope="session", autouse=True)
def engines_from_one_import() -> Iterator[None]:
    """Fork engines from one process that has imported vLLM, and does nothing else.

    To import it takes 6 of the 9 s that an engine takes to start. Those of a job, in Ray's
    processes (test_vllm_jobs.py, tests/sweep), are started as a user's are.
    """
    from vllm.v1.engine import utils

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "get_mp_context", lambda: context)
        yield
