"""Checkpoints that cannot be merged are refused before any is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import CheckpointError
from lens_ray.merging.ingredients import Checkpoints, check_there
from lens_ray.merging.recipe import Parent
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

A, B = "builtin:minivlm-a/step-8700", "builtin:minivlm-a/step-9600"


def checkpoints(*paths: str, ancestor: str | None = None) -> Checkpoints:
    parents = tuple(Parent(name=f"p{place}", path=path) for place, path in enumerate(paths))
    return Checkpoints(parents, parents[-1].name, ancestor)


def test_those_of_one_run_may_be_merged() -> None:
    check_there(checkpoints(A, B))
    check_there(checkpoints(A, B, ancestor="builtin:minivlm-a/step-0500"))


def test_another_model_is_refused_and_named() -> None:
    with pytest.raises(CheckpointError, match=r"p0 and p1"):
        check_there(checkpoints(A, "builtin:minivlm-b/step-6950"))


def test_so_is_an_ancestor_of_another_model(tmp_path: Path) -> None:
    other = make_tiny_checkpoint(tmp_path / "other")
    with pytest.raises(CheckpointError, match="ancestor"):
        check_there(checkpoints(A, B, ancestor=other))


def test_and_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"p1: no checkpoint folder"):
        check_there(checkpoints(A, str(tmp_path / "none")))
