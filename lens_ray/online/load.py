"""From the store to the marks of one training run: `series_of`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lens_ray.online.axes import Trained, gpu_hours_of, tokens_of
from lens_ray.online.checkpoint import Depth
from lens_ray.online.column import COLUMNS, Column, aligned, column_of
from lens_ray.online.series import Series
from lens_ray.online.spec import RunSpec
from lens_ray.stats.marks import NotComparable, by_run
from lens_ray.store import RunHeader, Store

#: Runs whose rows are read at once.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """A checkpoint that has answers.

    Attributes:
        step: Its step.
        run_id: Of its run in the store.
        depth: How far it was asked.
        broken: Why its weights cannot be trusted, where somebody looked.
        metrics: What the trainer said of it.
        written: When its files were written, in seconds since 1970.
    """

    step: int
    run_id: str
    depth: Depth
    broken: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    written: float | None = None


def series_of(
    store: Store,
    run: RunSpec,
    asked: Sequence[Asked],
    *,
    changes: Mapping[int, str] | None = None,
) -> Series:
    """The marks of one training run.

    Checkpoints that were asked another suite or by another template than the last one are left
    out, and the notes of the marks say so.

    Args:
        store: Where the rows are.
        run: Which run.
        asked: Its checkpoints, at least one.
        changes: Of mix and learning rate, by step.

    Raises:
        UserError: No checkpoint has answers.
        NotComparable: Rows that do not belong together.
        StoreUnavailable: The store is out of reach or damaged.
    """
    asked = sorted(asked, key=lambda one: one.step)
    if not asked:
        raise NotComparable(f"run {run.name}: no checkpoint has answers in {store.url} so far")
    headers = [store.run(one.run_id).header for one in asked]
    alike = [_same_question(header, headers[-1]) for header in headers]
    notes = [
        f"step {one.step} is left out: it was asked {header.suite} ({header.suite_digest[:12]}) "
        f"by the template {header.template}, unlike the last one"
        for one, header, same in zip(asked, headers, alike, strict=True)
        if not same
    ]
    kept = [one for one, same in zip(asked, alike, strict=True) if same]
    columns = _columns(store, kept)
    facts = {str(each["digest"]): each for each in store.suites()}
    weights = facts.get(headers[-1].suite_digest, {}).get("weights") or {}
    assert isinstance(weights, dict)
    labels = [f"{run.name}@{one.step}" for one in kept]
    try:
        marks = aligned(
            dict(zip(labels, columns, strict=True)),
            weights=weights,
            suite=headers[-1].suite,
            suite_digest=headers[-1].suite_digest,
            runs=[header for header, same in zip(headers, alike, strict=True) if same],
            notes=notes,
        )
    except ValueError as error:
        raise NotComparable(f"run {run.name}: {error}") from error
    trained = [Trained(one.step, one.metrics, one.written) for one in kept]
    return Series(
        run=run.name,
        steps=np.array([one.step for one in kept], dtype=np.int64),
        marks=marks,
        depth=tuple(one.depth for one in kept),
        tokens=tokens_of(run, trained),
        gpu_hours=gpu_hours_of(run, trained),
        health=tuple(column.health for column in columns),
        changes=dict(changes or {}),
    )


def _same_question(one: RunHeader, other: RunHeader) -> bool:
    return (one.suite_digest, one.template) == (other.suite_digest, other.template)


def _columns(store: Store, asked: Sequence[Asked]) -> list[Column]:
    """The marks of checkpoints, from their rows."""
    found: list[Column] = []
    for start in range(0, len(asked), _AT_ONCE):
        some = asked[start : start + _AT_ONCE]
        ids = [one.run_id for one in some]
        rows = store.rows(ids, columns=("run_id", *COLUMNS))
        for one, table in zip(some, by_run(rows, ids), strict=True):
            try:
                found.append(column_of(table, one.depth, one.broken))
            except ValueError as error:
                raise NotComparable(
                    f"run {one.run_id} (step {one.step}): {error}; "
                    f"type `lens-ray store check {store.url}`"
                ) from error
    return found
