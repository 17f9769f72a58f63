"""Marks stored answers again, without inference: `remark`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lens_ray.errors import SuiteError
from lens_ray.scoring.mark import ANSWERED, Mark, mark
from lens_ray.suites.sample import Sample

_MARKED = ("status", "cause", "extracted", "extraction", "score")


class HasSamples(Protocol):
    """What is needed of a suite."""

    @property
    def by_id(self) -> Mapping[str, Sample]:
        """Samples by id."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One row whose mark is not what it was.

    Attributes:
        run_id: The run.
        sample_id: The sample.
        before: The stored mark.
        after: The new one.
    """

    run_id: str
    sample_id: str
    before: Mark
    after: Mark


def remark(rows: pa.Table, suite: HasSamples) -> tuple[pa.Table, list[Change]]:
    """Mark the answers of a table again.

    Rows without an answer (``infra_error``, ``over_budget``) stay as they are. Equal texts of one
    sample are marked once.

    Args:
        rows: Rows of any runs on that suite.
        suite: The suite they answer.

    Returns:
        The table with status, cause, extracted, extraction and score as they are now, and the
        rows that differ, in the order of the table.

    Raises:
        SuiteError: A row's sample is not in the suite, or its content differs.
    """
    columns = ("run_id", "sample_id", "sample_digest", "text", "finish_reason", *_MARKED)
    stored = rows.select(columns).to_pydict()
    digests: dict[str, str] = {}
    marks: dict[tuple[str, str, str], Mark] = {}
    changes: list[Change] = []
    for index, sample_id in enumerate(stored["sample_id"]):
        if stored["status"][index] not in ANSWERED:
            continue
        sample = suite.by_id.get(sample_id)
        _check(sample, sample_id, stored["sample_digest"][index], digests)
        assert sample is not None
        key = (sample_id, stored["text"][index], stored["finish_reason"][index])
        if key not in marks:
            marks[key] = mark(sample, key[1], key[2])
        before = Mark(*(stored[name][index] for name in _MARKED))
        if before != marks[key]:
            changes.append(Change(stored["run_id"][index], sample_id, before, marks[key]))
            for name in _MARKED:
                stored[name][index] = getattr(marks[key], name)
    for name in _MARKED:
        place = rows.schema.get_field_index(name)
        field = rows.schema.field(place)
        rows = rows.set_column(place, field, pa.array(stored[name], field.type))
    return rows, changes


def _check(sample: Sample | None, sample_id: str, digest: str, digests: dict[str, str]) -> None:
    """Refuse a sample that the suite lacks or holds with other content."""
    if sample is None:
        raise SuiteError(
            f"sample {sample_id!r} of the rows is not in the suite: name the suite they were "
            "answered on"
        )
    if sample_id not in digests:
        digests[sample_id] = sample.content_digest()
    if digests[sample_id] != digest:
        raise SuiteError(
            f"sample {sample_id!r} has other content in this suite than in the rows: name the "
            "suite they were answered on"
        )
