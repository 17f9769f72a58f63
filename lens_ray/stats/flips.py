"""The samples that two models mark differently, with both answers: `flips_of`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.stats.frames import Framed
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import SAME, Ints

if TYPE_CHECKING:
    from lens_ray.store import Store
    from lens_ray.suites.suite import Suite

_COLUMNS = (
    "run_id", "sample_id", "group_id", "ability", "subtask", "format", "score", "status", "text",
    "extracted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flip(Framed):
    """One sample whose mark differs between two models. Both texts are untrusted model output.

    Attributes:
        sample_id: The sample; of a group that is marked as one, its first that differs.
        ability: Its ability.
        subtask: Its subtask.
        format: Its format.
        better: ``a`` or ``b``, whose unit has the higher mark.
        score_a: Mark of the sample for ``a``.
        score_b: For ``b``.
        extracted_a: What was taken as the answer of ``a``; None where nothing was.
        extracted_b: Of ``b``.
        text_a: All that ``a`` wrote.
        text_b: All that ``b`` wrote.
        status_a: Status of the row of ``a``.
        status_b: Of ``b``.
        question: The question; None where the suite is not at hand, like the following.
        choices: The options in the order shown.
        answers: The accepted answers.
    """

    sample_id: str
    ability: str
    subtask: str
    format: str
    better: str
    score_a: float | None
    score_b: float | None
    extracted_a: str | None
    extracted_b: str | None
    text_a: str | None
    text_b: str | None
    status_a: str
    status_b: str
    question: str | None = None
    choices: tuple[str, ...] | None = None
    answers: tuple[str, ...] | None = None


def flips_of(store: Store, marks: Marks, most: int, asked: Suite | None = None) -> list[Flip]:
    """Some of the units whose marks differ.

    The largest differences come first; among equal ones every ability, subtask and direction in
    turn, so that few flips show much.

    Args:
        store: Where the rows are.
        marks: Of two models, with their runs.
        most: How many at most.
        asked: The suite, for the wording of the questions.
    """
    places = chosen(marks, most)
    if not len(places):
        return []
    runs = [run.run_id for run in marks.runs]
    rows = store.rows(runs, columns=_COLUMNS)
    ids = pa.array([marks.ids[place] for place in places.tolist()], pa.string())
    named = rows.filter(pc.is_in(rows["sample_id"], value_set=ids))
    groups = pc.unique(named["group_id"]).drop_null()
    wanted = pc.or_(
        pc.is_in(rows["sample_id"], value_set=ids), pc.is_in(rows["group_id"], value_set=groups)
    )
    records = rows.filter(wanted).sort_by("sample_id").to_pylist()
    by_run = {run: {r["sample_id"]: r for r in records if r["run_id"] == run} for run in runs}
    found = []
    for place in places.tolist():
        members = _members(by_run, runs, marks.ids[place])
        one, two = next((pair for pair in members if _apart(pair)), members[0])
        ahead = marks.score[0, place] > marks.score[1, place]
        found.append(_flip(one, two, "a" if ahead else "b", asked))
    return found


def chosen(marks: Marks, most: int) -> Ints:
    """Places of the units to show."""
    change = marks.score[0] - marks.score[1]
    differs = np.flatnonzero(np.nan_to_num(np.abs(change)) > SAME)
    kind = marks.stratum[differs] * 2 + (change[differs] > 0)
    size = np.round(np.abs(change[differs]), 9)
    order = np.lexsort((np.array([marks.ids[p] for p in differs.tolist()]), kind, -size))
    differs, kind, size = differs[order], kind[order], size[order]
    turn = np.zeros(len(differs), dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, (kind[1:] != kind[:-1]) | (size[1:] != size[:-1])])
    for start, stop in zip(starts, [*starts[1:], len(differs)], strict=True):
        turn[start:stop] = np.arange(stop - start)
    names = [ability for ability, _ in marks.strata]
    ability = np.array([names.index(name) for name in names])[kind // 2]
    subtask = kind // 2 - ability  # strata of one ability stand together
    other = (ability + kind) % 2  # half of the abilities begin with the other direction
    picked: Ints = differs[np.lexsort((ability, other, subtask, turn, -size))][:most]
    return picked


def _members(
    by_run: Mapping[str, Mapping[str, Mapping[str, Any]]], runs: list[str], sample_id: str
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The rows of both models for a sample, or for all of its group."""
    one, two = (by_run[run] for run in runs)
    group = one[sample_id]["group_id"]
    ids = [sample_id]
    if group is not None:
        ids += [other for other, row in one.items() if row["group_id"] == group]
    return [(one[each], two[each]) for each in dict.fromkeys(ids) if each in two]


def _apart(pair: tuple[Mapping[str, Any], Mapping[str, Any]]) -> bool:
    one, two = (row["score"] for row in pair)
    return one is None or two is None or abs(one - two) > SAME


def _flip(one: Mapping[str, Any], two: Mapping[str, Any], better: str, asked: Suite | None) -> Flip:
    sample = asked.by_id.get(one["sample_id"]) if asked is not None else None
    return Flip(
        sample_id=one["sample_id"],
        ability=one["ability"],
        subtask=one["subtask"],
        format=one["format"],
        better=better,
        score_a=one["score"],
        score_b=two["score"],
        extracted_a=one["extracted"],
        extracted_b=two["extracted"],
        text_a=one["text"],
        text_b=two["text"],
        status_a=one["status"],
        status_b=two["status"],
        question=sample.question if sample else None,
        choices=sample.choices if sample else None,
        answers=sample.answers if sample else None,
    )
