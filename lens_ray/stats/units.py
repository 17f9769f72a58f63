"""Rows become marked units: one a sample, or one a complete group that its metric marks as one.

Everything here is a group-by over whole columns; no row is touched by Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.scoring.metrics import METRICS
from lens_ray.store.schema import STATUSES, SUPERSEDABLE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Rows with these statuses count; the others are nobody's answer.
FINAL: tuple[str, ...] = tuple(status for status in STATUSES if status not in SUPERSEDABLE)

#: Marks nearer than this are the same.
SAME = 1e-9

_ALL, _MIDDLE = 1, 2
#: No mark is larger; its square is still a number.
_LARGEST = 1e6

#: Columns that are read.
COLUMNS = (
    "sample_id", "ability", "subtask", "status", "score", "chance", "upper", "metric",
    "cluster_id", "group_id",
)  # fmt: skip


@dataclass(frozen=True)
class Units:
    """What was marked, one entry a unit.

    Attributes:
        strata: (ability, subtask) by stratum number, sorted.
        stratum: Stratum of each unit.
        score: Score of each unit.
        chance: Chance level of each unit.
        upper: Upper bound of each unit.
        cluster: Cluster number of each unit.
        clusters: How many clusters there are.
        covered: Rows that count, by stratum.
        first: Place of each unit's first row among the rows in the order of their sample ids.
    """

    strata: tuple[tuple[str, str], ...]
    stratum: Ints
    score: Floats
    chance: Floats
    upper: Floats
    cluster: Ints
    clusters: int
    covered: Ints
    first: Ints


def marked_units(rows: pa.Table, group_sizes: Mapping[str, int] | None = None) -> Units:
    """Turn the rows of one run into marked units.

    A group of rows whose metric says so (`lens_ray.scoring.metrics.Metric.group`) is one unit:
    ``all`` makes its score the worst of its members and its chance the product of theirs,
    ``mean_and_all`` the middle of that and of their means; its cluster is that of its first member.
    A group of which a member has no
    final row, or of which ``group_sizes`` expects more members, is no unit and its rows do not
    count as covered.

    Args:
        rows: Rows of one run, in the schema `lens_ray.store.schema.ROWS` (more columns or none of
            the others).
        group_sizes: Members of each group; without it, only groups of which a row says that it
            failed are known to lack a member.

    Returns:
        The units.

    Raises:
        ValueError: A sample has more than one row, or a final row has no score, chance or upper.
    """
    # In one order, so that sums do not depend on how the rows were committed.
    rows = rows.select(COLUMNS).sort_by("sample_id").combine_chunks()
    _check_unique(rows["sample_id"])
    strata, stratum = _strata(rows)
    final = _numpy(pc.is_in(rows["status"], pa.array(FINAL))).astype(bool)
    _check_scores(rows, final)
    score, chance, upper = (
        _numpy(pc.fill_null(rows[name], np.nan)).astype(np.float64)
        for name in ("score", "chance", "upper")
    )
    cluster, clusters = _codes(rows["cluster_id"])
    rules = _rules(rows["metric"])
    rules[~_numpy(pc.is_valid(rows["group_id"])).astype(bool)] = 0
    grouped = rules > 0
    single = final & ~grouped
    columns = (score, chance, upper, cluster)
    worst = _groups(rows, grouped, final, stratum, columns, rules == _MIDDLE, group_sizes)
    stratum_of = np.concatenate([stratum[single], worst.stratum])
    covered = np.bincount(stratum[single], minlength=len(strata)) + np.bincount(
        worst.stratum, weights=worst.members, minlength=len(strata)
    ).astype(np.int64)
    return Units(
        strata=strata,
        stratum=stratum_of,
        score=np.concatenate([score[single], worst.score]),
        chance=np.concatenate([chance[single], worst.chance]),
        upper=np.concatenate([upper[single], worst.upper]),
        cluster=np.concatenate([cluster[single], worst.cluster]),
        clusters=clusters,
        covered=covered,
        first=np.concatenate([np.flatnonzero(single), worst.first]),
    )


@dataclass(frozen=True)
class _Groups:
    stratum: Ints
    score: Floats
    chance: Floats
    upper: Floats
    cluster: Ints
    members: Ints
    first: Ints


def _groups(
    rows: pa.Table,
    grouped: Bools,
    final: Bools,
    stratum: Ints,
    columns: tuple[Floats, Floats, Floats, Ints],
    middle: Bools,
    sizes: Mapping[str, int] | None,
) -> _Groups:
    """One entry a complete group."""
    where = np.flatnonzero(grouped)
    if not len(where):
        none = np.empty(0)
        nowhere = none.astype(np.int64)
        return _Groups(nowhere, none, none, none, nowhere, nowhere, nowhere)
    names = rows["group_id"].take(pa.array(where)).combine_chunks().dictionary_encode()
    code = _numpy(names.indices).astype(np.int64)
    key = code * (int(stratum.max()) + 1) + stratum[where]
    order = np.argsort(key, kind="stable")
    key, where, code = key[order], where[order], code[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    members = np.diff(np.r_[starts, len(key)])
    complete = np.logical_and.reduceat(final[where], starts)
    if sizes is not None:
        wanted = np.array([sizes.get(name, 0) for name in names.dictionary.to_pylist()])
        complete &= members >= wanted[code[starts]]
    score, chance, upper, cluster = columns
    halved = middle[where][starts]

    def joint(values: Floats, rule: np.ufunc) -> Floats:
        whole: Floats = rule.reduceat(values[where], starts)
        mean = np.add.reduceat(values[where], starts) / members
        return np.where(halved, (whole + mean) / 2, whole)[complete]

    return _Groups(
        stratum=stratum[where][starts][complete],
        score=joint(score, np.minimum),
        chance=joint(chance, np.multiply),
        upper=joint(upper, np.minimum),
        cluster=cluster[where][starts][complete],
        members=members[complete].astype(np.int64),
        first=where[starts][complete],
    )


def _rules(metrics: Any) -> Ints:
    """How each row's metric counts groups: 0 not at all, else `_ALL` or `_MIDDLE`."""
    known = {None: 0, "all": _ALL, "mean_and_all": _MIDDLE}
    encoded = pc.dictionary_encode(metrics.combine_chunks())
    rule = [
        known[METRICS[name].group] if name in METRICS else 0
        for name in encoded.dictionary.to_pylist()
    ]
    return np.array(rule, dtype=np.int64)[_numpy(encoded.indices)] if rule else np.empty(0, int)


def _strata(rows: pa.Table) -> tuple[tuple[tuple[str, str], ...], Ints]:
    """The sorted (ability, subtask) pairs and each row's number among them."""
    abilities, subtasks = _encoded(rows["ability"]), _encoded(rows["subtask"])
    width = max(len(subtasks.dictionary), 1)
    key = _numpy(abilities.indices).astype(np.int64) * width + _numpy(subtasks.indices)
    present, inverse = np.unique(key, return_inverse=True)
    first, second = abilities.dictionary.to_pylist(), subtasks.dictionary.to_pylist()
    names = [(first[code // width], second[code % width]) for code in present.tolist()]
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return tuple(names[place] for place in order), rank[inverse.reshape(-1)]


def _codes(column: Any) -> tuple[Ints, int]:
    """Each value's number, in order of appearance, and how many values there are."""
    encoded = _encoded(column)
    return _numpy(encoded.indices).astype(np.int64), len(encoded.dictionary)


def _encoded(column: Any) -> Any:
    if column.null_count:
        raise ValueError("a row lacks its ability, subtask, sample_id or cluster_id")
    return pc.dictionary_encode(column.combine_chunks())


def _check_unique(samples: Any) -> None:
    counts = pc.value_counts(samples.combine_chunks())
    many = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(many):
        raise ValueError(
            f"{len(many)} samples have more than one row, first {many[0]['values'].as_py()!r}: "
            "these are the rows of more than one run"
        )


def _check_scores(rows: pa.Table, final: Bools) -> None:
    counted = rows.filter(pa.array(final))
    for name in ("score", "chance", "upper"):
        column = pc.fill_null(counted[name], np.nan)
        # A metric of another package may give anything; NaN fails every comparison.
        bad = counted.filter(pc.invert(pc.less_equal(pc.abs(column), _LARGEST)))
        if bad.num_rows:
            raise ValueError(
                f"{bad.num_rows} answered rows have no {name}, first {bad['sample_id'][0]}"
            )


def _numpy(column: Any) -> npt.NDArray[Any]:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    array: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return array
