"""What both sides of bench_merge_mergekit are given: recipes, and processes that follow them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

Side = Literal["lens-ray", "mergekit"]
_SCRIPT = Path(__file__).with_name("merge_side.py")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Task:
    """A merge, before either side's words for it.

    Attributes:
        method: ``linear``, or ``ties``, whose base is the first parent.
        parents: Folders.
        weights: One a parent; of ``ties``, one a parent but the base.
        density: Of ``ties``.
    """

    method: Literal["linear", "ties"]
    parents: tuple[Path, ...]
    weights: tuple[float, ...]
    density: float = 0.5

    def recipe(self, side: Side) -> dict[str, Any]:
        """As the side's file has it."""
        return self._ours() if side == "lens-ray" else self._theirs()

    def _ours(self) -> dict[str, Any]:
        based = self.method == "ties"
        named = [
            {"name": f"p{number}", "path": str(path), "weight": weight}
            for number, (path, weight) in enumerate(
                zip(self.parents[based:], self.weights, strict=True)
            )
        ]
        recipe: dict[str, Any] = {"version": 1, "method": self.method, "parents": named}
        if based:
            base = {"name": "base", "path": str(self.parents[0])}
            recipe |= {"base": base, "density": self.density, "normalize": True}
        return recipe

    def _theirs(self) -> dict[str, Any]:
        based = self.method == "ties"
        extra = {"density": self.density} if based else {}
        models = [
            {"model": str(path), "parameters": {"weight": weight, **extra}}
            for path, weight in zip(self.parents[based:], self.weights, strict=True)
        ]
        recipe: dict[str, Any] = {
            "merge_method": self.method, "models": models, "dtype": "bfloat16",
            "parameters": {"normalize": based},
        }  # fmt: skip
        return recipe | ({"base_model": str(self.parents[0])} if based else {})


def call(side: Side, task: Task, out: Path, flags: Sequence[str] = ()) -> dict[str, Any]:
    """One call for ``merge_side.py``; writes the recipe beside ``out``."""
    file = out.with_suffix(f".{side}.yaml")
    file.write_text(yaml.safe_dump(task.recipe(side)), encoding="utf-8")
    words = {
        "lens-ray": ["merge", "apply", str(file), "--out", str(out), *flags],
        "mergekit": [str(file), str(out), "--quiet", *flags],
    }[side]
    return {"arguments": words, "out": str(out)}


def run(
    side: Side, calls: Sequence[Mapping[str, Any]], log: Path, mergekit_python: str
) -> list[dict[str, Any]]:
    """What each call took, all in one process of its own.

    Both sides have the threads that they take by themselves: ``OMP_NUM_THREADS`` is not set.

    Raises:
        SystemExit: The process did not end well.
    """
    python = sys.executable if side == "lens-ray" else mergekit_python
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    environment |= {"PYTHONPATH": str(_ROOT) if side == "lens-ray" else "", "HF_HUB_OFFLINE": "1"}
    with log.open("ab") as out:
        done = subprocess.run(
            [python, "-P", str(_SCRIPT), side], input=json.dumps(list(calls)).encode(),
            stdout=subprocess.PIPE, stderr=out, env=environment, check=False,
        )  # fmt: skip
    if done.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise SystemExit(f"{side} ended with {done.returncode}:\n{tail}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
