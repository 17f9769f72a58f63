"""Perturbation consistency: does a model answer a changed question as it answered the base?

It compares the run of a control suite (`lens_ray.suites.controls`) with a run of its base, pair by
pair. It says nothing of a pool of models, so it is neither DVS nor RES
(`lens_ray.stats.dvs_res`), and nothing of how good the answers are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lens_ray.scoring.plain import normalise
from lens_ray.stats.abilities import OVERALL, in_order
from lens_ray.stats.clustered import sums_of
from lens_ray.stats.intervals import interval
from lens_ray.stats.units import FINAL, SAME, Units
from lens_ray.suites.sample import Sample
from lens_ray.suites.templates import LETTERS

#: Columns of the rows that are read.
PAIRED_COLUMNS = (
    "sample_id", "ability", "format", "variant", "cluster_id", "status", "score", "extracted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Consistency:
    """How often a model kept its mark and its answer, on one ability or ``overall``.

    Attributes:
        ability: The ability, or ``overall`` (the plain mean over the abilities).
        n: Pairs of which both rows are final.
        unpaired: Rows of the control without such a partner; they count for nothing.
        marks: Share of the pairs with the same score; None where there is no pair.
        marks_low: Lower bound of the interval of ``marks``, clustered as the base is.
        marks_high: Upper bound.
        answers: Share of the pairs with the same answer; no answer twice is the same.
        answers_low: Lower bound.
        answers_high: Upper bound.
    """

    ability: str
    n: int
    unpaired: int
    marks: float | None
    marks_low: float | None
    marks_high: float | None
    answers: float | None
    answers_low: float | None
    answers_high: float | None


def base_of(sample_id: str, variant: str | None) -> str:
    """The id of the sample that a control's sample was made of.

    Raises:
        ValueError: It is no sample of a control.
    """
    label = "" if variant is None else variant.rpartition("#")[2]
    base = sample_id.removesuffix(f"#{label}")
    if not label or base == sample_id:
        raise ValueError(f"sample {sample_id!r} is not that of a control")
    return base


def consistency(
    base_rows: pa.Table,
    variant_rows: pa.Table,
    *,
    samples: Iterable[Sample] = (),
    confidence: float = 0.95,
) -> list[Consistency]:
    """Compare a run of a control with a run of its base.

    Args:
        base_rows: Rows of one run on the base suite (`PAIRED_COLUMNS`).
        variant_rows: Rows of one run on the control.
        samples: Of both suites. Letters of multiple choice are compared by the options that they
            stand for, so they are needed where options were rotated.
        confidence: Two-sided level of the intervals.

    Returns:
        The abilities of the control in their usual order, then ``overall``.

    Raises:
        ValueError: A row is not of a control, a sample has two rows, or letters of rotated options
            are to be compared without the samples.
    """
    choices = {sample.sample_id: sample.choices for sample in samples}
    bases: dict[str, Mapping[str, Any]] = {}
    for row in base_rows.select(PAIRED_COLUMNS).to_pylist():
        if row["sample_id"] in bases:
            raise ValueError(f"sample {row['sample_id']!r} has two rows")
        bases[row["sample_id"]] = row
    pairs: dict[str, list[tuple[str, bool, bool]]] = {}
    unpaired: dict[str, int] = {}
    for row in variant_rows.select(PAIRED_COLUMNS).to_pylist():
        base = bases.get(base_of(row["sample_id"], row["variant"]))
        mine = pairs.setdefault(row["ability"], [])
        if base is None or base["status"] not in FINAL or row["status"] not in FINAL:
            unpaired[row["ability"]] = unpaired.get(row["ability"], 0) + 1
            continue
        marks = abs(base["score"] - row["score"]) < SAME
        answers = answer_of(base, row, base, choices) == answer_of(row, row, base, choices)
        mine.append((base["cluster_id"], marks, answers))
    names = in_order(pairs)
    found = [pairs[name] for name in names]
    lost = [unpaired.get(name, 0) for name in names]
    return _figures(names, found, lost, confidence)


def answer_of(
    row: Mapping[str, Any],
    variant: Mapping[str, Any],
    base: Mapping[str, Any],
    choices: Mapping[str, Sequence[str]],
) -> str | None:
    """What a row answers, in a form that can be compared with its partner's.

    Args:
        row: The row: the base's or the variant's.
        variant: The row of the variant.
        base: The row of the base.
        choices: Options by sample id; letters are compared by the options that they stand for.

    Raises:
        ValueError: Letters of rotated options are to be compared without the options.
    """
    answer: str | None = row["extracted"]
    if answer is None:
        return None
    if row["format"] == "multiple_choice":
        both = base["sample_id"] in choices and variant["sample_id"] in choices
        place = LETTERS.find(answer) if len(answer) == 1 else -1
        if both and 0 <= place < len(choices[row["sample_id"]]):
            return choices[row["sample_id"]][place]
        if not both and variant["variant"].rpartition("#")[2].startswith("rotate"):
            raise ValueError(
                f"sample {variant['sample_id']!r}: give the samples of both suites, since letters "
                "of rotated options stand for other answers"
            )
    return normalise(answer)


def _figures(
    names: Sequence[str],
    pairs: Sequence[Sequence[tuple[str, bool, bool]]],
    unpaired: Sequence[int],
    confidence: float,
) -> list[Consistency]:
    shares = []
    for column in (1, 2):
        sums = sums_of(_units(names, pairs, column))
        weights = np.eye(len(names))
        whole = [len(found) > 0 for found in pairs]
        figures: list[tuple[float | None, float | None, float | None]] = [
            (float(sums.mean[place]), *interval(sums, weights[place], confidence))
            if whole[place]
            else (None, None, None)
            for place in range(len(names))
        ]
        mean = math.fsum(sums.mean) / len(names) if names and all(whole) else None
        if mean is None:
            figures.append((None, None, None))
        else:
            even = np.full(len(names), 1 / len(names))
            figures.append((mean, *interval(sums, even, confidence)))
        shares.append(figures)
    counts = [*(len(found) for found in pairs), sum(map(len, pairs))]
    return [
        Consistency(name, n, lost, *marks, *answers)
        for name, n, lost, marks, answers in zip(
            [*names, OVERALL], counts, [*unpaired, sum(unpaired)], *shares, strict=True
        )
    ]


def _units(
    names: Sequence[str], pairs: Sequence[Sequence[tuple[str, bool, bool]]], column: int
) -> Units:
    """The pairs as marked units: 1 where both rows say the same."""
    clusters: dict[str, int] = {}
    stratum, cluster, score = [], [], []
    for place, found in enumerate(pairs):
        for pair in found:
            stratum.append(place)
            cluster.append(clusters.setdefault(pair[0], len(clusters)))
            score.append(float(pair[column]))
    size = len(stratum)
    return Units(
        strata=tuple((name, "") for name in names),
        stratum=np.array(stratum, dtype=np.int64),
        score=np.array(score, dtype=np.float64),
        chance=np.zeros(size),
        upper=np.ones(size),
        cluster=np.array(cluster, dtype=np.int64),
        clusters=len(clusters),
        covered=np.array([len(found) for found in pairs], dtype=np.int64),
        first=np.arange(size),
    )
