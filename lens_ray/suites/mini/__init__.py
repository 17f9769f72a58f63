"""The built-in suite `mini`: six abilities, eighteen subtasks, drawn from a seed."""

from __future__ import annotations

from lens_ray.suites.mini.build import (
    SIZES,
    SUBTASKS,
    build_mini,
    derived_seed,
    generate,
    subtask,
    train_stream,
)
from lens_ray.suites.mini.freeze import freeze_digests, frozen_digests
from lens_ray.suites.mini.item import Dealer, Item, Question, SubtaskSpec

__all__ = [
    "SIZES", "SUBTASKS", "Dealer", "Item", "Question", "SubtaskSpec", "build_mini",
    "derived_seed", "freeze_digests", "frozen_digests", "generate", "subtask", "train_stream",
]  # fmt: skip
