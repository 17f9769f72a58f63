"""How the engines of this folder's tests are started: those of this process, and those of a job."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lens_ray.testing.processes import descendants
from tests.chaos.harness import ROOT, kill
from tests.selection import is_wanted

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


@dataclass(frozen=True)
class KilledJob:
    """A job that was started (`tests.vllm.killed_job`), and where it writes."""

    process: subprocess.Popen[bytes]
    out: Path
    log: Path


@pytest.fixture(scope="session")
def killed_job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledJob]:
    folder = tmp_path_factory.mktemp("killed")
    out, log = folder / "out", folder / "log"
    with out.open("wb") as said, log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.vllm.killed_job", str(folder / "store")],
            cwd=ROOT,
            stdout=said,
            stderr=errors,
            start_new_session=True,
        )
    yield KilledJob(process, out, log)
    for pid in [*descendants(process.pid), process.pid]:
        kill(pid)
    process.wait()


@pytest.fixture(scope="session", autouse=True)
def killed_job_ahead(request: pytest.FixtureRequest) -> None:
    """Start it first, where it is asked for: mostly it waits for its three engines, one by one."""
    if is_wanted(request, "killed_job"):
        request.getfixturevalue("killed_job")
