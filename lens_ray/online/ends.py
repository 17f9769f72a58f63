"""When a watch is over: `run_out`, and `Failing`, which ends it at what the caller fears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from lens_ray.errors import UserError
from lens_ray.online.findings import AlarmKind, Findings
from lens_ray.online.spec import WatchSpec
from lens_ray.online.watcher import Standing, Until, never
from lens_ray.yaml_problems import nearest

#: What ``--fail-on`` may name.
SUBJECTS: tuple[str, ...] = ("decline", "conflict", *get_args(AlarmKind))


def run_out(spec: WatchSpec) -> Until:
    """An end for a watch whose runs all say how long they are.

    It comes when each run has reached its planned steps, or was told to stop, and everything that
    the policy wants was asked. Where a run does not say how long it is, there is no end.
    """
    planned = {run.name: run.planned_steps for run in spec.runs}
    if None in planned.values():
        return never

    def over(standings: Sequence[Standing]) -> bool:
        return all(_ended(one, planned[one.run] or 0) for one in standings)

    return over


def _ended(standing: Standing, planned: int) -> bool:
    state = standing.state
    given_up = {one.step for one in state.incidents if one.kind == "never_whole"}
    # The last one may be written with pauses: while it lacks something it is waited for.
    there = any(
        one.step >= planned and (one.status != "growing" or one.step in given_up)
        for one in state.seen
    )
    return (there or state.stopped_at is not None) and not (standing.waiting or standing.unsettled)


class Failing:
    """Looks for what a caller does not want to see."""

    def __init__(self, subjects: Sequence[str]) -> None:
        """Args: subjects: Of `SUBJECTS`.

        Raises:
            UserError: One is unknown.
        """
        for name in subjects:
            if name not in SUBJECTS:
                raise UserError(f"--fail-on {name!r}: {nearest(name, SUBJECTS)}")
        self._subjects = frozenset(subjects)

    def found(self, findings: Findings) -> list[str]:
        """Which of them are among the findings, each with its step."""
        found: list[tuple[str, str, int | None]] = [
            *(("decline", one.ability, one.declared_at) for one in findings.declines),
            *(
                ("conflict", f"{one.rises} up, {one.falls} down", one.declared_at)
                for one in findings.conflicts
            ),
            *((one.kind, one.ability or findings.run, one.step) for one in findings.alarms),
        ]
        return [
            f"{kind} ({about})" + (f" at step {step:,}" if step is not None else "")
            for kind, about, step in found
            if kind in self._subjects
        ]
