"""One checkpoint's marks, and many of them side by side: `Column`, `column_of`, `aligned`.

A column is what is left of a checkpoint's rows for every finding: its marked units
(`lens_ray.stats.units`), sorted by id, with their scores and the health of its answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.online.checkpoint import Depth
from lens_ray.online.series import Health
from lens_ray.stats.marks import COLUMNS as MARK_COLUMNS
from lens_ray.stats.marks import FACETS, Facet, Marks
from lens_ray.stats.units import FINAL, Bools, Floats, Ints, marked_units

#: Columns of the rows that are read.
COLUMNS: tuple[str, ...] = tuple(
    dict.fromkeys((*MARK_COLUMNS, "status", "format", "text", "extracted"))
)
#: What is known of a unit besides its scores, sorted by ``unit``.
UNITS: pa.Schema = pa.schema(
    [
        ("unit", pa.string()),
        ("cluster_id", pa.string()),
        *((name, pa.string()) for name in FACETS),
        ("chance", pa.float64()),
        ("upper", pa.float64()),
    ]
)
_SAME = 1e-9


@dataclass(frozen=True)
class Column:
    """The marks of one checkpoint.

    Attributes:
        units: Its units (`UNITS`).
        score: Score of each.
        health: Of its answers.
    """

    units: pa.Table
    score: Floats
    health: Health


def column_of(rows: pa.Table, depth: Depth, broken: str | None = None) -> Column:
    """The marks of one checkpoint from its rows.

    Args:
        rows: Rows (`COLUMNS`) of one run.
        depth: ``anchor`` takes the rows of the split ``anchor`` only, so that a run whose other
            rows are being made is not seen in part.
        broken: Why its weights cannot be trusted, where somebody looked.

    Raises:
        ValueError: They are not the rows of one run, or an answered row has no score.
    """
    if depth == "anchor":
        rows = rows.filter(pc.equal(rows["split"], "anchor"))
    rows = rows.sort_by("sample_id").combine_chunks()
    found = marked_units(rows)
    facts = rows.take(pa.array(found.first))
    text = [pc.fill_null(facts[name].cast(pa.string()), "") for name in ("cluster_id", *FACETS)]
    columns = [facts["sample_id"], *text, pa.array(found.chance), pa.array(found.upper)]
    # Groups come after single samples; by id they stand where any other checkpoint has them.
    order = pc.sort_indices(facts["sample_id"])
    units = pa.table(columns, schema=UNITS).take(order).combine_chunks()
    return Column(units, found.score[order.to_numpy()], health_of(rows, broken))


def health_of(rows: pa.Table, broken: str | None = None) -> Health:
    """The health of one checkpoint's answers.

    Args:
        rows: Its rows (`COLUMNS`); those that a later one may supersede are nobody's answer.
        broken: Why its weights cannot be trusted, where somebody looked.
    """
    rows = rows.filter(pc.is_in(rows["status"], value_set=pa.array(FINAL)))
    n = rows.num_rows
    if not n:
        return Health(broken=broken)
    text = pc.utf8_trim_whitespace(pc.fill_null(rows["text"], ""))
    unparsed = pc.equal(rows["status"], "unparsed")
    return Health(
        n=n,
        empty=_share(pc.equal(text, ""), n),
        commonest=_commonest(rows),
        unparsed=_share(unparsed, n),
        broken=broken,
    )


def _share(found: pa.ChunkedArray, n: int) -> float:
    return float(pc.sum(found).as_py() or 0) / n


def _commonest(rows: pa.Table) -> dict[str, float]:
    """Share of the commonest extracted answer among the answers of each format."""
    rows = rows.select(["format", "extracted"])
    asked = rows.group_by("format").aggregate([([], "count_all")])
    total = dict(zip(asked["format"].to_pylist(), asked["count_all"].to_pylist(), strict=True))
    known = rows.filter(pc.is_valid(rows["extracted"]))
    counted = known.group_by(["format", "extracted"]).aggregate([([], "count_all")])
    most = counted.group_by("format").aggregate([("count_all", "max")])
    return {
        kind: count / total[kind]
        for kind, count in sorted(
            zip(most["format"].to_pylist(), most["count_all_max"].to_pylist(), strict=True)
        )
    }


def aligned(
    columns: Mapping[str, Column],
    *,
    weights: Mapping[str, Mapping[str, float]],
    suite: str = "",
    suite_digest: str = "",
    runs: Sequence[Any] = (),
    notes: Sequence[str] = (),
) -> Marks:
    """Checkpoints x units; the units that any of them answered, sorted by id.

    Args:
        columns: Marks of the checkpoints by their labels, in the order of their steps.
        weights: Weight of each subtask within its ability.
        suite: Name of the suite.
        suite_digest: Its digest.
        runs: Their headers (`lens_ray.store.RunHeader`).
        notes: Kept with the marks.

    Raises:
        ValueError: A unit has not the same bounds or facets for all checkpoints.
    """
    # Most checkpoints share one table of units, so each table is looked up once.
    tables: dict[int, pa.Table] = {id(each.units): each.units for each in columns.values()}
    facts = _merged(list(tables.values()))
    ids = facts["unit"].combine_chunks()
    places = {
        key: pc.index_in(table["unit"], value_set=ids).to_numpy().astype(np.int64)
        for key, table in tables.items()
    }
    score = np.full((len(columns), len(ids)), np.nan)
    for row, column in enumerate(columns.values()):
        score[row, places[id(column.units)]] = column.score
    answered: Bools = ~np.isnan(score).all(axis=0)
    if not answered.all():
        facts, score = facts.filter(pa.array(answered)), score[:, answered]
    strata, stratum = _strata(facts)
    clusters, cluster = _coded(facts["cluster_id"])
    return Marks(
        models=tuple(columns),
        runs=tuple(runs),
        suite=suite,
        suite_digest=suite_digest,
        ids=tuple(facts["unit"].to_pylist()),
        strata=strata,
        stratum=stratum,
        cluster=cluster,
        clusters=len(clusters),
        chance=facts["chance"].to_numpy(),
        upper=facts["upper"].to_numpy(),
        score=score,
        weights=weights,
        facets={name: Facet(*_coded(facts[name])) for name in FACETS},
        notes=tuple(notes),
    )


def _merged(tables: Sequence[pa.Table]) -> pa.Table:
    """All units of some tables, sorted by id.

    Raises:
        ValueError: Two tables say different things of one unit.
    """
    merged = tables[0] if tables else UNITS.empty_table()
    for table in tables[1:]:
        place = pc.index_in(table["unit"], value_set=merged["unit"].combine_chunks())
        known = pc.is_valid(place)
        _check_same(merged.take(place.drop_null()), table.filter(known))
        merged = pa.concat_tables([merged, table.filter(pc.invert(known))])
    return merged.sort_by("unit").combine_chunks()


def _check_same(mine: pa.Table, theirs: pa.Table) -> None:
    for name in UNITS.names:
        if name in ("chance", "upper"):
            differ = np.abs(mine[name].to_numpy() - theirs[name].to_numpy()) > _SAME
        else:
            differ = pc.not_equal(mine[name], theirs[name]).to_numpy()
        if differ.any():
            unit = theirs["unit"][int(np.flatnonzero(differ)[0])].as_py()
            raise ValueError(f"sample {unit!r} has not the same {name} for all checkpoints")


def _coded(column: pa.ChunkedArray) -> tuple[tuple[str, ...], Ints]:
    """The values of a column, sorted, and the number of each entry's value."""
    encoded = pc.dictionary_encode(column.combine_chunks())
    labels = encoded.dictionary.to_pylist()
    order = sorted(range(len(labels)), key=labels.__getitem__)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    code: Ints = rank[encoded.indices.to_numpy()]
    return tuple(labels[place] for place in order), code


def _strata(facts: pa.Table) -> tuple[tuple[tuple[str, str], ...], Ints]:
    """The sorted (ability, subtask) pairs and the number of each unit's."""
    abilities, ability = _coded(facts["ability"])
    subtasks, subtask = _coded(facts["subtask"])
    width = max(len(subtasks), 1)
    present, inverse = np.unique(ability * width + subtask, return_inverse=True)
    names = tuple((abilities[code // width], subtasks[code % width]) for code in present.tolist())
    return names, inverse.reshape(-1).astype(np.int64)
