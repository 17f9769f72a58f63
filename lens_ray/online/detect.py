"""All findings of a run, look by look: `detect`.

It is a function of the series alone, and what is found as of each look rests on the checkpoints
until then. So a watcher that was killed, one that took over, and a replay find the same.
"""

from __future__ import annotations

from dataclasses import replace

from lens_ray.online.alarms import health_alarms, sudden_drops
from lens_ray.online.conflicts import conflicts
from lens_ray.online.convergence import convergence
from lens_ray.online.curves import curves_of, knee
from lens_ray.online.declines import Looked, declines, window_of
from lens_ray.online.findings import Alarm, Curve, Findings, Shift
from lens_ray.online.plateaus import plateaus
from lens_ray.online.series import Series
from lens_ray.online.shift import Ground
from lens_ray.online.spec import Rules
from lens_ray.online.steadiness_lost import stability_alarms
from lens_ray.online.windows import looks_of, undeclared
from lens_ray.stats.pool import Pool


def detect(series: Series, rules: Rules, pool: Pool | None = None) -> Findings:
    """Everything that is found in a run, but for advice.

    Args:
        series: The run as far as it was asked.
        rules: What counts as a finding.
        pool: The frozen pool of the suite, for ``dvs``; None leaves it out.

    Returns:
        Without advice; the alarms by step.
    """
    if not len(series.steps):
        return Findings(series.run, None, notes=("no checkpoint was asked so far",))
    ground = Ground(series)
    looks = look_at(series, rules, ground)
    curves = tuple(_with_knee(series, curve) for curve in curves_of(series, pool))
    alarms = (
        *sudden_drops(series, rules, ground),
        *health_alarms(series, rules, curves),
        *stability_alarms(series, rules, curves),
    )
    return Findings(
        run=series.run,
        step=int(series.steps[-1]),
        curves=curves,
        convergence=convergence(series, rules),
        plateaus=plateaus(series, rules),
        declines=declines(series, rules, looks),
        conflicts=conflicts(series, rules, looks),
        alarms=tuple(sorted(alarms, key=_order)),
        shifts=_shifts(series, rules, looks),
        notes=_notes(series, rules, looks),
    )


def look_at(series: Series, rules: Rules, ground: Ground) -> tuple[Looked, ...]:
    """Every look at a run, with the shifts of its windows: the ground of declines and conflicts."""
    return tuple(
        Looked(
            look,
            tuple(ground.shifts(windows, declared=look.declared) for windows in look.pairs),
        )
        for look in looks_of(series.steps, rules)
    )


def _order(alarm: Alarm) -> tuple[int, str, str]:
    return alarm.step if alarm.step is not None else -1, alarm.kind, alarm.ability or ""


def _with_knee(series: Series, curve: Curve) -> Curve:
    """A curve with the bend of its line, where its checkpoints were asked alike."""
    if curve.subtask is not None or len(set(series.depth)) > 1:
        return curve
    found = knee([point.step for point in curve.points], [point.value for point in curve.points])
    return replace(curve, knee=found)


def _shifts(series: Series, rules: Rules, looks: tuple[Looked, ...]) -> tuple[Shift, ...]:
    """What the newest look compared: any two of one pair of windows make a cell of the matrix."""
    if not looks:
        return ()
    return tuple(
        Shift(
            ability=name,
            early=window_of(series.steps, shifts.windows.early),
            late=window_of(series.steps, shifts.windows.late),
            effect=moved.effect,
            interval=moved.interval(shifts.shown, rules.confidence),
            confidence=rules.confidence,
            wander=shifts.shown is not None,
        )
        for shifts in looks[-1].shifts
        for name, moved in shifts.moved.items()
    )


def _notes(series: Series, rules: Rules, looks: tuple[Looked, ...]) -> tuple[str, ...]:
    found = list(undeclared(series.steps, rules))
    if not looks:
        found.append(_no_look(series, rules))
        return tuple(found)
    newest = looks[-1]
    lacking = {name: why for shifts in newest.shifts for name, why in shifts.lacking.items()}
    found += [f"{name} could not be compared: {why}" for name, why in sorted(lacking.items())]
    if any(shifts.fell(name)[1] is None for shifts in newest.shifts for name in shifts.moved):
        found.append(
            "windows of so few checkpoints do not show how far checkpoints wander by themselves: "
            "declines and conflicts rest on the items alone"
        )
    return tuple(found)


def _no_look(series: Series, rules: Rules) -> str:
    if rules.windows:
        last = min(one.late[1] for one in rules.windows)
        return f"declines and conflicts: the first declared late window ends at step {last}"
    return (
        f"declines and conflicts: {len(series.steps)} checkpoints so far; two windows of "
        f"{rules.window} are needed"
    )
