"""The same question asked more than once: does the answer stay, and how good is the worst of them?

Versions of a question are its variants (`lens_ray.suites.controls`), the base first, or repeated
runs of one suite. What is measured is named apart from DVS, RES and tau: it needs no pool and no
other subtask, and looks at single answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lens_ray.scoring.plain import normalise
from lens_ray.stats.abilities import OVERALL, in_order, in_overall
from lens_ray.stats.answers import PAIRED_COLUMNS, answer_of, base_of
from lens_ray.stats.clustered import clustered, few_clusters
from lens_ray.stats.frames import Framed
from lens_ray.stats.intervals import interval
from lens_ray.stats.units import FINAL, SAME, Bools, Floats, Ints
from lens_ray.stats.variance_split import Split, split_of
from lens_ray.suites.sample import Sample


@dataclass(frozen=True)
class Versions:
    """Questions x versions.

    Attributes:
        names: Of the versions.
        abilities: By number.
        ability: Ability of each question.
        cluster: Cluster of each question.
        score: Questions x versions; NaN where a version has no final answer.
        answer: Questions x versions: equal numbers are equal answers, -1 where there is none;
            final rows without an answer share a number, for no answer twice is the same.
        unpaired: Rows without a partner by ability; they count for nothing.
        base: Whether the first version is the base of the others.
    """

    names: tuple[str, ...]
    abilities: tuple[str, ...]
    ability: Ints
    cluster: Ints
    score: Floats
    answer: Ints
    unpaired: Mapping[str, int]
    base: bool


@dataclass(frozen=True, slots=True)
class Kept(Framed):
    """How well an ability's answers, or all, survive being asked again.

    Attributes:
        ability: The ability, or ``overall`` (the plain mean over the abilities).
        n: Questions with at least two versions.
        versions: Most versions of a question.
        unpaired: Rows without a partner.
        agreement: Share of the pairs of versions with the same answer, mean over the questions.
        agreement_low: Lower bound of its interval, clustered by image.
        agreement_high: Upper bound.
        flip_rate: Share of the pairs of versions with different marks; of variants, only pairs
            with the base.
        flip_rate_low: Lower bound.
        flip_rate_high: Upper bound.
        mean: Mean mark over the versions (mean of k).
        mean_low: Lower bound.
        mean_high: Upper bound.
        worst: Mean over the questions of the lowest mark (worst of k).
        worst_low: Lower bound.
        worst_high: Upper bound.
        of_questions: Share of the marks' variance that is between questions.
        of_versions: Share that is between versions: one is harder for all questions.
        of_both: Share that is neither: a version changes some questions and not others.
        of_both_low: Lower bound.
        of_both_high: Upper bound.
        note: What to know of the intervals.
        reason: Why a figure is None.
    """

    ability: str
    n: int
    versions: int
    unpaired: int
    agreement: float | None = None
    agreement_low: float | None = None
    agreement_high: float | None = None
    flip_rate: float | None = None
    flip_rate_low: float | None = None
    flip_rate_high: float | None = None
    mean: float | None = None
    mean_low: float | None = None
    mean_high: float | None = None
    worst: float | None = None
    worst_low: float | None = None
    worst_high: float | None = None
    of_questions: float | None = None
    of_versions: float | None = None
    of_both: float | None = None
    of_both_low: float | None = None
    of_both_high: float | None = None
    note: str | None = None
    reason: str | None = None


def variants_of(
    base_rows: pa.Table, variant_rows: Sequence[pa.Table], *, samples: Iterable[Sample] = ()
) -> Versions:
    """The base and its variants, side by side.

    Args:
        base_rows: Rows of one run on the base suite (`PAIRED_COLUMNS`).
        variant_rows: Rows of runs of the same model on controls of it.
        samples: Of all suites; needed where options were rotated.

    Raises:
        ValueError: See `lens_ray.stats.answers.answer_of`, or a sample has two rows.
    """
    choices = {sample.sample_id: sample.choices for sample in samples}
    table = _Table(base=True)
    bases = {row["sample_id"]: row for row in base_rows.select(PAIRED_COLUMNS).to_pylist()}
    if len(bases) < base_rows.num_rows:
        raise ValueError("a sample of the base has two rows")
    for row in (row for rows in variant_rows for row in rows.select(PAIRED_COLUMNS).to_pylist()):
        base = bases.get(base_of(row["sample_id"], row["variant"]))
        if base is None or base["status"] not in FINAL or row["status"] not in FINAL:
            table.lose(row["ability"])
            continue
        # Its own letters are the base's, so it needs no samples.
        table.put(base, "base", base["score"], answer_of(base, row, base, choices))
        label = row["variant"].rpartition("#")[2]
        table.put(base, label, row["score"], answer_of(row, row, base, choices))
    return table.versions()


def repeats_of(tables: Mapping[str, pa.Table]) -> Versions:
    """Several runs of one model on one suite, side by side.

    Args:
        tables: Rows (`PAIRED_COLUMNS`) of one run each, by a name for it.
    """
    table = _Table(base=False)
    for name, rows in tables.items():
        for row in rows.select(PAIRED_COLUMNS).to_pylist():
            if row["status"] in FINAL:
                answer = row["extracted"]
                said = None if answer is None else normalise(answer)
                table.put(row, name, row["score"], said)
    return table.versions()


class _Table:
    """Collects answers by question and version."""

    def __init__(self, *, base: bool) -> None:
        self._base = base
        self._questions: dict[str, Mapping[str, Any]] = {}
        self._found: dict[str, dict[str, tuple[float, str | None]]] = {}
        self._names: dict[str, None] = {}
        self._lost: dict[str, int] = {}

    def lose(self, ability: str) -> None:
        self._lost[ability] = self._lost.get(ability, 0) + 1

    def put(
        self, question: Mapping[str, Any], version: str, score: float, answer: str | None
    ) -> None:
        name = question["sample_id"]
        self._questions[name] = question
        self._names.setdefault(version)
        self._found.setdefault(name, {})[version] = (score, answer)

    def versions(self) -> Versions:
        names = tuple(self._names)
        whole = sorted(name for name, found in self._found.items() if len(found) > 1)
        for name, found in self._found.items():
            if len(found) < 2:
                self.lose(self._questions[name]["ability"])
        score = np.full((len(whole), len(names)), np.nan)
        answer = np.full(score.shape, -1, dtype=np.int64)
        for row, name in enumerate(whole):
            codes: dict[str | None, int] = {}
            for place, version in enumerate(names):
                if version in self._found[name]:
                    score[row, place], text = self._found[name][version]
                    answer[row, place] = codes.setdefault(text, len(codes))
        facts = [self._questions[name] for name in whole]
        abilities = in_order({fact["ability"] for fact in facts} | set(self._lost))
        clusters: dict[str, int] = {}
        return Versions(
            names=names,
            abilities=tuple(abilities),
            ability=np.array([abilities.index(f["ability"]) for f in facts], dtype=np.int64),
            cluster=np.array(
                [clusters.setdefault(f["cluster_id"], len(clusters)) for f in facts], dtype=np.int64
            ),
            score=score,
            answer=answer,
            unpaired=self._lost,
            base=self._base,
        )


def kept(versions: Versions, *, confidence: float = 0.95, seed_key: str = "") -> list[Kept]:
    """What the versions say of each ability, then ``overall``.

    Args:
        versions: From `variants_of` or `repeats_of`.
        confidence: Two-sided level of the intervals.
        seed_key: What identifies the runs; seeds the bootstrap.
    """
    values = _by_question(versions)
    counted = in_order(in_overall(versions.abilities))
    found: list[Kept] = []
    splits: list[Split | str] = []
    for place, name in enumerate(versions.abilities):
        mine = versions.ability == place
        found.append(_empty(versions, name, mine))
        splits.append(split_of(versions.score[mine], versions.cluster[mine], seed_key, confidence))
    overall = _empty(versions, OVERALL, np.ones(len(versions.ability), dtype=bool))
    lacking = [one.ability for one in found if one.ability in counted and one.reason]
    if lacking and overall.reason is None:
        overall = replace(overall, reason=f"no pair of {', '.join(lacking)}")
    every = [*found, overall]
    weights = np.eye(len(found))
    even = np.array([name in counted for name in versions.abilities]) / max(len(counted), 1)
    for field, each in values.items():
        sums = clustered(each, versions.ability, versions.cluster, len(found))
        for place, row in enumerate((*weights, even)):
            if every[place].reason is None:
                bounds = interval(sums, row, confidence)
                every[place] = _with(every[place], field, float(row @ sums.mean), bounds)
    by_ability = "the variance is split by ability only"
    return [_split(one, split) for one, split in zip(every, (*splits, by_ability), strict=True)]


def _empty(versions: Versions, name: str, mine: Bools) -> Kept:
    """The counts of an ability, and why it has no figure."""
    count = int(mine.sum())
    there = (~np.isnan(versions.score[mine])).sum(axis=1)
    clusters = len(np.unique(versions.cluster[mine]))
    lost = sum(versions.unpaired.values()) if name == OVERALL else versions.unpaired.get(name, 0)
    reason = note = None
    if not count:
        reason = "no question has two final answers"
    elif clusters < 2:
        reason = "all questions are of one cluster: no interval"
    else:
        note = few_clusters(clusters)
    most = int(there.max()) if count else len(versions.names)
    return Kept(name, count, most, lost, note=note, reason=reason)


def _by_question(versions: Versions) -> dict[str, Floats]:
    """Each figure of each question, by its field in `Kept`."""
    score, answer = versions.score, versions.answer
    known = ~np.isnan(score)
    pairs = [
        (one, two) for one in range(len(versions.names)) for two in range(one + 1, score.shape[1])
    ]
    size = len(score)
    same, flips = np.zeros(size), np.zeros(size)
    asked, turned = np.zeros(size), np.zeros(size)
    for one, two in pairs:
        both = known[:, one] & known[:, two]
        asked += both
        same += both & (answer[:, one] == answer[:, two])
        if one == 0 or not versions.base:
            turned += both
            flips += both & (np.abs(score[:, one] - score[:, two]) > SAME)
    filled = np.where(known, score, np.inf)
    return {
        "agreement": same / np.maximum(asked, 1),
        "flip_rate": flips / np.maximum(turned, 1),
        "mean": np.where(known, score, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1),
        "worst": filled.min(axis=1) if size else np.empty(0),
    }


def _with(one: Kept, field: str, value: float, bounds: tuple[float, float]) -> Kept:
    low, high = bounds
    given: dict[str, Any] = {field: value, f"{field}_low": low, f"{field}_high": high}
    return replace(one, **given)


def _split(one: Kept, split: Split | str) -> Kept:
    if one.reason is not None:
        return one
    if isinstance(split, str):
        return replace(one, reason=split)
    return replace(
        one,
        of_questions=split.of_items,
        of_versions=split.of_versions,
        of_both=split.of_both,
        of_both_low=split.low,
        of_both_high=split.high,
    )
