"""From the store to the marks of one training run: `load_series`, `series_of`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lens_ray.online.axes import Trained, gpu_hours_of, tokens_of
from lens_ray.online.checkpoint import Depth
from lens_ray.online.column import aligned
from lens_ray.online.run_yaml import read_changes
from lens_ray.online.series import Series
from lens_ray.online.shelf import Shelf, Wanted
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.stats.marks import NotComparable
from lens_ray.store import RunHeader, Store
from lens_ray.store.watch_log import WatchState


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


def load_series(
    spec: WatchSpec,
    store: Store,
    run: RunSpec,
    state: WatchState | None = None,
    *,
    shelf: Shelf | None = None,
) -> Series:
    """One training run of a watch, as far as its checkpoints have answers.

    Args:
        spec: The watch.
        store: Where it is.
        run: One of its runs.
        state: Of the run; None reads it.
        shelf: Who reads again and again gives the same one; None reads what is kept and keeps
            nothing.

    Raises:
        NotComparable: No checkpoint has answers, or rows do not belong together.
        StoreUnavailable: The store is out of reach or damaged.
    """
    state = store.watch(spec.name).state(run.name).read() if state is None else state
    asked = asked_of(state)
    changes, trouble = read_changes(run, state.asked[-1].path if asked else None)
    shelf = shelf or Shelf(store, spec.name, keep=False)
    notes = [f"{trouble}; no change of mix is shown"] if trouble else []
    return series_of(store, run, asked, shelf=shelf, changes=changes, notes=notes)


def asked_of(state: WatchState) -> tuple[Asked, ...]:
    """The checkpoints of a training run that have answers, by ascending step."""
    return tuple(
        Asked(one.step, one.run_id, one.depth, one.broken, one.metrics, one.written)
        for one in state.asked
        if one.run_id is not None and one.depth is not None
    )


def series_of(
    store: Store,
    run: RunSpec,
    asked: Sequence[Asked],
    *,
    shelf: Shelf | None = None,
    changes: Mapping[int, str] | None = None,
    notes: Sequence[str] = (),
) -> Series:
    """The marks of one training run.

    Checkpoints that were asked another suite or by another template than the last one are left
    out, and so are those without any answer; the notes of the marks say so.

    Args:
        store: Where the rows are.
        run: Which run.
        asked: Its checkpoints.
        shelf: Where marks are kept between two looks; None makes them from the rows.
        changes: Of mix and learning rate, by step.
        notes: Kept with the marks.

    Raises:
        NotComparable: No checkpoint has answers, or rows do not belong together.
        StoreUnavailable: The store is out of reach or damaged.
    """
    asked = sorted(asked, key=lambda one: one.step)
    if not asked:
        raise NotComparable(f"run {run.name}: no checkpoint has answers in {store.url} so far")
    headers = {one.run_id: store.run(one.run_id).header for one in asked}
    last = headers[asked[-1].run_id]
    notes = list(notes)
    kept = _alike(asked, headers, notes)
    shelf = shelf or Shelf(store, None, keep=False)
    columns = shelf.columns(run.name, [Wanted(o.step, o.run_id, o.depth, o.broken) for o in kept])
    found = []
    for one, column in zip(kept, columns, strict=True):
        if len(column.score):
            found.append((one, column))
        else:
            notes.append(f"step {one.step} is left out: it has no answer")
    if not found:
        raise NotComparable(f"run {run.name}: no checkpoint has an answer in {store.url}")
    try:
        marks = aligned(
            {f"{run.name}@{one.step}": column for one, column in found},
            weights=_weights(store, last),
            suite=last.suite,
            suite_digest=last.suite_digest,
            runs=[headers[one.run_id] for one, _ in found],
            notes=notes,
        )
    except ValueError as error:
        raise NotComparable(f"run {run.name}: {error}") from error
    trained = [Trained(one.step, one.metrics, one.written) for one, _ in found]
    return Series(
        run=run.name,
        steps=np.array([one.step for one, _ in found], dtype=np.int64),
        marks=marks,
        depth=tuple(one.depth for one, _ in found),
        tokens=tokens_of(run, trained),
        gpu_hours=gpu_hours_of(run, trained),
        health=tuple(column.health for _, column in found),
        changes=dict(changes or {}),
    )


def _alike(
    asked: Sequence[Asked], headers: Mapping[str, RunHeader], notes: list[str]
) -> list[Asked]:
    """Those that were asked what the last one was; the others are noted."""
    last = headers[asked[-1].run_id]
    kept = []
    for one in asked:
        header = headers[one.run_id]
        if (header.suite_digest, header.template) == (last.suite_digest, last.template):
            kept.append(one)
        else:
            notes.append(
                f"step {one.step} is left out: it was asked {header.suite} "
                f"({header.suite_digest[:12]}) by the template {header.template}, unlike step "
                f"{asked[-1].step}"
            )
    return kept


def _weights(store: Store, header: RunHeader) -> Mapping[str, Mapping[str, float]]:
    facts = {str(each["digest"]): each for each in store.suites()}
    weights = facts.get(header.suite_digest, {}).get("weights")
    return weights if isinstance(weights, dict) else {}
