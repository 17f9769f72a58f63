"""Grounds for the tiers: shipped checkpoints and their shipped answers, and rows made by hand."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.verify.probes import choose_probes
from lens_ray.merging.verify.tiers import BehaviourGround, FunctionGround, Ingredient
from lens_ray.models.resolve import builtin_root
from lens_ray.stats.marks import COLUMNS, marks_of
from lens_ray.store.schema import ROWS as SCHEMA
from lens_ray.suites.suite import Suite, load_suite

SERIES = builtin_root() / "minivlm-a"
FIRST, LAST = "step-8700", "step-9600"


@lru_cache
def quick() -> Suite:
    """The built-in suite."""
    return load_suite("mini:quick")


def halves(out: Path) -> Path:
    """The mean of two shipped checkpoints, added in float32 (no code of the project's)."""
    from safetensors.torch import load_file, save_file

    one, other = (load_file(SERIES / step / "model.safetensors") for step in (FIRST, LAST))
    mean = {
        name: ((tensor.float() + other[name].float()) / 2).to(tensor.dtype)
        for name, tensor in one.items()
    }
    shutil.copytree(SERIES / LAST, out)
    save_file(mean, out / "model.safetensors", metadata={"format": "pt"})
    return out


def record(method: str = "linear") -> MergeRecord:
    """What a tier asks of a record: its method."""
    parents = (
        Parent(name="first", path="a", weight=0.5),
        Parent(name="last", path="b", weight=0.5),
    )
    recipe = Recipe.model_construct(method=method, parents=parents)
    return MergeRecord.model_construct(recipe=recipe)


def function_ground(merge: Path, probes: int = 24, method: str = "linear") -> FunctionGround:
    """A merge of both ends of the shipped series' switch, with probes of `mini:quick`."""
    return FunctionGround(
        merge=merge,
        parents=(Ingredient("first", SERIES / FIRST, 0.5), Ingredient("last", SERIES / LAST, 0.5)),
        suite=quick(),
        probes=choose_probes(quick(), probes, 0),
        record=record(method),
    )


@lru_cache
def _shipped() -> pa.Table:
    return pq.read_table(builtin_root() / "rows" / "mini-full.parquet")


def shipped(step: str) -> pa.Table:
    """The rows of a shipped checkpoint on `mini:full`."""
    return _shipped().filter(pc.equal(_shipped()["model"], f"minivlm-a-{step}"))


def behaviour_ground(
    merge: pa.Table, parents: Mapping[str, pa.Table], **more: Any
) -> BehaviourGround:
    """Rows of a merge and its parents; the last parent is the final checkpoint."""
    tables = {"merge": merge, **parents}
    marks = marks_of(tables, weights={}, suite="made", suite_digest="made")
    return BehaviourGround(
        marks=marks, merge="merge", parents=tuple(parents), final=list(parents)[-1],
        rows=tables, **more,
    )  # fmt: skip


def rows(
    scores: Mapping[str, Sequence[float | None]],
    *,
    status: str = "ok",
    per_image: int = 1,
    chance: float = 0.0,
) -> pa.Table:
    """Rows made by hand: marks by ability; a status that is not ``ok`` where the mark is None.

    Args:
        scores: By ability.
        status: Of the samples whose mark is None; they are marked 0.
        per_image: Samples of one image.
        chance: Of every sample.
    """
    made = []
    for ability, marks in scores.items():
        for place, mark in enumerate(marks):
            unread = mark is None
            made.append(
                {
                    **dict.fromkeys(SCHEMA.names),
                    "run_id": "r", "sample_id": f"{ability}/{place:05d}", "sample_digest": "d",
                    "ability": ability, "source": "made", "subtask": ability, "format": "open",
                    "domain": "made", "metric": "exact", "split": "sealed",
                    "cluster_id": f"{ability}/{place // per_image}", "chance": chance,
                    "upper": 1.0, "status": status if unread else "ok",
                    "score": 0.0 if unread else float(mark or 0.0),
                    "extracted": None if unread else str(mark), "text": "made",
                }
            )  # fmt: skip
    table = pa.Table.from_pylist(made, schema=SCHEMA)
    assert set(COLUMNS) <= set(table.column_names)
    return table
