"""All that is known of a training run, from its rows in the store: `assess`."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from lens_ray.online.findings import Alarm, AlarmKind, Findings
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.store import Store
from lens_ray.store.watch_log import Incident, WatchState

_KINDS = get_args(AlarmKind)


def assess(
    spec: WatchSpec, store: Store, run: RunSpec, *, state: WatchState | None = None
) -> Findings:
    """Curves, findings and advice of one training run; a function of what the store holds.

    Args:
        spec: The watch.
        store: Where its rows are.
        run: Which of its runs.
        state: Of the run; None reads it.

    Raises:
        UserError: The suite, the pool or ``run.yaml`` cannot be read.
        StoreUnavailable: The store is out of reach or damaged.
    """
    state = store.watch(spec.name).state(run.name).read() if state is None else state
    noticed = tuple(alarm_of(one) for one in state.incidents)
    if not state.asked:
        return Findings(run.name, None, alarms=noticed, notes=("no checkpoint was asked so far",))

    from lens_ray.online.advice import advise_run
    from lens_ray.online.detect import detect
    from lens_ray.online.load import load_series

    series = load_series(spec, store, run, state)
    found = detect(series, spec.rules)
    found = replace(found, alarms=(*noticed, *found.alarms))
    return replace(found, advice=advise_run(series, found, spec, run))


def alarm_of(incident: Incident) -> Alarm:
    """What a watcher noticed, as an alarm."""
    assert incident.kind in _KINDS
    return Alarm(incident.kind, None, incident.step, incident.line)  # type: ignore[arg-type]
