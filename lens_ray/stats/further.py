"""What a pack asks to be told besides scores: `further_facts`, kept with a run's commit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import pyarrow as pa

from lens_ray.stats import decision, twins
from lens_ray.suites.sample import Sample

#: Columns of the rows that are read.
COLUMNS: tuple[str, ...] = tuple(dict.fromkeys((*decision.COLUMNS, *twins.COLUMNS)))
#: The tables by the name under which a commit keeps them.
TABLES: tuple[str, ...] = ("decision", "twins")


def asks(samples: Iterable[Sample]) -> bool:
    """Whether any sample asks for more than scores."""
    return any("twin" in s.meta or "decision_positive" in s.meta for s in samples)


def further_facts(rows: pa.Table, samples: Iterable[Sample]) -> dict[str, object]:
    """The tables of one run as JSON values; those that nothing asks for are left out.

    Args:
        rows: Rows of one run, with `COLUMNS`.
        samples: What was to be answered.
    """
    asked = list(samples)
    found = {
        "decision": [asdict(score) for score in decision.decisions(rows, asked)],
        "twins": [asdict(score) for score in twins.twin_scores(rows, asked)],
    }
    return {name: table for name, table in found.items() if table}
