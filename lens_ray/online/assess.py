"""All that is known of training runs, from their rows in the store: `assess`, `assess_replay`."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from lens_ray.online.findings import Alarm, AlarmKind, Findings
from lens_ray.online.series import Series
from lens_ray.online.shelf import Shelf
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.stats.marks import NotComparable
from lens_ray.stats.pool import Pool
from lens_ray.stats.pool_making import choose_pool
from lens_ray.store import Store
from lens_ray.store.watch_log import Incident, Seen, WatchState

_KINDS = get_args(AlarmKind)


def assess(
    spec: WatchSpec,
    store: Store,
    run: RunSpec,
    *,
    state: WatchState | None = None,
    shelf: Shelf | None = None,
) -> Findings:
    """Curves, findings and advice of one training run; a function of what the store holds.

    Args:
        spec: The watch.
        store: Where its rows are.
        run: Which of its runs.
        state: Of the run; None reads it.
        shelf: A watcher's, which makes marks from rows once; None keeps nothing.

    Raises:
        UserError: The suite, the pool or ``run.yaml`` cannot be read.
        StoreUnavailable: The store is out of reach or damaged.
    """
    state = store.watch(spec.name).state(run.name).read() if state is None else state
    noticed = tuple(alarm_of(one) for one in state.incidents)

    from lens_ray.online.advice import advise_run
    from lens_ray.online.detect import detect
    from lens_ray.online.load import load_series

    try:
        series = load_series(spec, store, run, state, shelf=shelf)
    except NotComparable as error:
        return Findings(run.name, None, alarms=noticed, notes=(str(error),))
    found = detect(series, spec.rules, _pool(spec, series))
    found = replace(
        found,
        alarms=(*noticed, *found.alarms),
        changes=series.changes,
        notes=(*series.marks.notes, *found.notes),
    )
    return replace(found, advice=advise_run(series, found, spec, run))


def _pool(spec: WatchSpec, series: Series) -> Pool | None:
    """The frozen pool against which all steps of all runs are measured."""
    return choose_pool(spec.pool, series.marks.suite, series.marks.suite_digest)


def assess_replay(spec: WatchSpec, store: Store) -> tuple[Findings, ...]:
    """The same of every run, from stored rows in the place of a watcher's work.

    A run's ``replay`` is put into the store first; a run that names none is taken as the store
    has it.

    Raises:
        UserError: As `assess`; or what a run replays cannot be read or is of another suite.
        StoreUnavailable: The store is out of reach, full or damaged.
    """
    return tuple(assess(spec, store, run, state=replayed(spec, store, run)) for run in spec.runs)


def replayed(spec: WatchSpec, store: Store, run: RunSpec) -> WatchState:
    """The state of a run whose stored rows are put into the store; without ``replay`` its own.

    Raises:
        UserError: What it replays cannot be read or is of another suite.
        StoreUnavailable: The store is out of reach, full or damaged.
    """
    if run.replay is None:
        return store.watch(spec.name).state(run.name).read()
    from lens_ray.online.replay import replay
    from lens_ray.suites.suite import load_suite

    runs = replay(store, load_suite(spec.suite), run.replay)
    seen = (
        Seen(
            step,
            store.run(run_id).header.backend_path,
            "",
            "",
            status="whole",
            depth="full",
            run_id=run_id,
        )
        for step, run_id in runs.items()
    )
    return WatchState(tuple(seen))


def alarm_of(incident: Incident) -> Alarm:
    """What a watcher noticed, as an alarm."""
    assert incident.kind in _KINDS
    return Alarm(incident.kind, None, incident.step, incident.line)  # type: ignore[arg-type]
