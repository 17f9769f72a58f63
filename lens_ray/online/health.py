"""What a checkpoint's answers are like, whatever their marks: `health_of`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lens_ray.online.series import Health

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of the rows that are read.
COLUMNS: tuple[str, ...] = ("status", "format", "text", "extracted")


def health_of(rows: pa.Table, broken: str | None = None) -> Health:
    """The health of one checkpoint's answers.

    Args:
        rows: Its rows (`COLUMNS`); those that a later one may supersede are nobody's answer.
        broken: Why its weights cannot be trusted, where somebody looked.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from lens_ray.stats.units import FINAL

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
    import pyarrow.compute as pc

    return float(pc.sum(found).as_py() or 0) / n


def _commonest(rows: pa.Table) -> dict[str, float]:
    """Share of the commonest extracted answer among the answers of each format."""
    import pyarrow.compute as pc

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
