"""How verbs print: JSON, tables, and text that cannot move a terminal's cursor."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

#: Longer cells of a table are cut; ``--json`` has the whole.
CELL = 60
#: Figures of stability, by their fields in a score.
_STEADY = ("dvs", "res", "tau")


def one_line(text: str) -> str:
    """A text in one line, its control characters and lone surrogates written out."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in " ".join(text.split())
    )


def note(text: str) -> None:
    """A line on standard error: progress, hints."""
    print(one_line(text), file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """One JSON value in pure ASCII; NaN and infinity, which JSON lacks, become null."""
    print(json.dumps(_plain(value), ensure_ascii=True, allow_nan=False, indent=1))


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return _plain(float(value))
    return str(value)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns: numbers to the right, None as a dash, long cells cut."""
    cells = [[_cell(value) for value in row] for row in rows]
    heads = [_cell(column) for column in columns]
    widths = [max([len(head), *(len(row[i]) for row in cells)]) for i, head in enumerate(heads)]
    right = [
        any(_is_number(row[i]) for row in rows)
        and all(row[i] is None or _is_number(row[i]) for row in rows)
        for i in range(len(heads))
    ]
    for line in [heads, *cells]:
        parts = [
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(line, widths, right, strict=True)
        ]
        print("  ".join(parts).rstrip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.6g}"
    text = one_line(str(_plain(value)))
    return text if len(text) <= CELL else text[: CELL - 3] + "..."


def terminal_width() -> int | None:
    """Columns of the terminal that reads standard output; None where none does."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def with_interval(record: object, name: str) -> str | None:
    """A figure of a record with its interval ``<name>_low`` to ``<name>_high``, if it has one."""
    value, low, high = (
        getattr(record, each, None) for each in (name, f"{name}_low", f"{name}_high")
    )
    if value is None:
        return None
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def print_leaderboard(scores: pa.Table) -> None:
    """Models x abilities, then how steady each model is overall; reasons for what is missing.

    Args:
        scores: In the schema `lens_ray.store.schema.SCORES`.
    """
    from lens_ray.report.tables import OVERALL, in_order, leaderboard, null_reasons, render_text

    rows = leaderboard(scores)
    print(render_text(rows, terminal_width()))
    steady = [(row, row.overall) for row in rows if row.overall is not None]
    known = [
        kind for kind in _STEADY if any(getattr(score, kind) is not None for _, score in steady)
    ]
    if known:
        cells = [
            (row.label, *(with_interval(score, kind) for kind in known), score.pool)
            for row, score in steady
        ]
        print()
        print_table(("stability (lower is steadier)", *known, "pool"), cells)
        rough = in_order(score.ability for row in rows for score in row.scores if score.note)
        if rough:
            print(f"- few clusters make intervals rough: {one_line(', '.join(rough))}")
    for suite in dict.fromkeys(row.suite for row in rows):
        members = [row for row in rows if row.suite == suite]
        said = null_reasons(members, scores_only=True)  # these stand below the table
        for line in null_reasons(members):
            # What the overall figure lacks, its abilities lack, and those lines say why.
            if line not in said and not line.startswith(f"{OVERALL}, "):
                print(one_line(f"- {line}"))
