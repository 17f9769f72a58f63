"""Killed at any moment, a merge is whole or not there, and the same command finishes it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.recipe import Recipe
from lens_ray.models.checkpoint import inspect_checkpoint
from tests.merging.folders import linear, same_bits, two, weights_of

#: Whatever changes what others see of the disk goes through these.
_CALLS = ("open", "pwrite", "ftruncate", "fsync", "rename", "unlink", "mkdir", "write")

_MOMENTS = 24


def _merge(recipe: Recipe, out: str, fatal: int | None, told: str | None = None) -> None:
    """Merge in a process that is killed before the call with this number."""
    made = 0

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal made
            if made == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            made += 1
            return real(*arguments, **named)

        return call

    for name in _CALLS:
        setattr(os, name, counted(name))
    apply_recipe(recipe, out, threads=2)
    if told is not None:
        Path(told).write_text(str(made))


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    """Processes that have imported torch already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["lens_ray.merging.apply", "lens_ray.merging.methods", "lens_ray.merging.verify.algebra"]
    )
    return context


def _run(forks: ForkServerContext, *arguments: Any) -> int | None:
    process = forks.Process(target=_merge, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path, forks: ForkServerContext) -> None:
    recipe = linear(two(tmp_path), [0.25, 0.75], shard_gb=8e-7)
    assert _run(forks, recipe, str(tmp_path / "whole"), None, str(tmp_path / "calls")) == 0
    calls = int((tmp_path / "calls").read_text())
    moments = sorted({calls * place // _MOMENTS for place in range(_MOMENTS)} | {calls - 1})
    assert len(moments) > 20
    wanted = inspect_checkpoint(str(tmp_path / "whole")).weights_digest
    named = 0
    for fatal in moments:
        out = tmp_path / f"out-{fatal}"
        code = _run(forks, recipe, str(out), fatal)
        # Other threads may make fewer calls this time: then nothing is killed.
        assert code in (0, -signal.SIGKILL)
        if out.exists():
            named += 1
            assert inspect_checkpoint(str(out)).weights_digest == wanted
        assert apply_recipe(recipe, out).weights_digest == wanted
        assert not out.with_name(f"{out.name}.partial").exists()
    assert named < len(moments) / 2  # most moments are before the name


def test_killed_before_the_name(tmp_path: Path, forks: ForkServerContext) -> None:
    recipe = linear(two(tmp_path), [0.25, 0.75])
    assert _run(forks, recipe, str(tmp_path / "out"), 12) == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out.partial").is_dir()
    apply_recipe(recipe, tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()
    whole = apply_recipe(recipe, tmp_path / "whole")
    assert inspect_checkpoint(str(tmp_path / "out")).weights_digest == whole.weights_digest
    found, wanted = weights_of(tmp_path / "out"), weights_of(tmp_path / "whole")
    assert all(same_bits(found[name], wanted[name]) for name in wanted)
