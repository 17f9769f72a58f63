"""What there is to tell of a run's findings: `Alert`, `alerts_of`. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import get_args

from lens_ray.errors import UserError
from lens_ray.online.findings import AdviceLine, AlarmKind, Convergence, Findings
from lens_ray.yaml_problems import nearest

#: What `AlertSpec.on` may name besides the kinds of alarms.
SUBJECTS = ("convergence", "withdrawn", "decline", "conflict", "alarm", "stop", "needs_met")


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell.

    Attributes:
        key: The same for the same finding, in whatever watcher.
        subject: One of `SUBJECTS`.
        kind: The subject, or the kind of alarm.
        run: The training run.
        ability: None is the whole run.
        step: At which it became known.
        line: In words.
        finding: The finding itself.
    """

    key: str
    subject: str
    kind: str
    run: str
    ability: str | None
    step: int | None
    line: str
    finding: Mapping[str, object] = field(default_factory=dict)


def alerts_of(findings: Findings, on: Sequence[str] = ()) -> tuple[Alert, ...]:
    """What there is to tell of a run's findings.

    Args:
        findings: Of one run.
        on: Subjects or kinds of alarms; empty is all.
    """
    found = [*_of_courses(findings), *_of_alarms(findings), *_of_advice(findings)]
    known = dict.fromkeys(on)
    return tuple(
        {
            alert.key: alert
            for alert in found
            if not known or alert.subject in known or alert.kind in known
        }.values()
    )


def _of_courses(findings: Findings) -> list[Alert]:
    """Convergence, declines, conflicts; the last two by the look at which they became known."""
    run, found = findings.run, []
    for one in findings.convergence:
        bare = Alert("", "convergence", "convergence", run, one.ability, one.declared_at, "",
                     asdict(one))  # fmt: skip
        if one.phase == "converged":
            line = f"{one.ability} has converged since step {one.step}"
            key = convergence_key(one)
            found.append(replace(bare, key=key, line=line))
        for step in one.withdrawn:
            line = f"{one.ability} gains again: that it had converged was taken back at step {step}"
            found.append(replace(bare, key=f"withdrawn:{one.ability}:{step}", subject="withdrawn",
                                 kind="withdrawn", step=step, line=line))  # fmt: skip
    found += [
        Alert(
            f"decline:{one.ability}:{one.declared_at}", "decline", "decline", run, one.ability,
            one.declared_at,
            f"{one.ability} fell by {-one.effect:.3f} from steps {_window(one.early)} to "
            f"{_window(one.late)}; its best checkpoint was step {one.best}",
            asdict(one),
        )
        for one in findings.declines
    ]  # fmt: skip
    found += [
        Alert(
            f"conflict:{one.rises}:{one.falls}:{one.declared_at}", "conflict", "conflict", run,
            one.falls, one.declared_at,
            f"{one.falls} fell by {-one.effect:.3f} while {one.rises} rose by {one.rise:.3f}, "
            f"from steps {_window(one.early)} to {_window(one.late)}",
            asdict(one),
        )
        for one in findings.conflicts
    ]  # fmt: skip
    return found


def _of_alarms(findings: Findings) -> list[Alert]:
    return [
        Alert(one.key, "alarm", one.kind, findings.run, one.ability, one.step, one.line,
              asdict(one))
        for one in findings.alarms
    ]  # fmt: skip


def _of_advice(findings: Findings) -> list[Alert]:
    """That a run may stop, or meets the needs; once for what it rests on."""
    return [
        Alert(
            f"{one.verdict}:{_ground(one)}", one.verdict, one.verdict,
            findings.run, None, findings.step, one.line, asdict(one),
        )
        for one in findings.advice
        if one.verdict in ("stop", "needs_met")
    ]  # fmt: skip


def convergence_key(found: Convergence) -> str:
    """The same while a declaration stands; its step and look may still move by a little."""
    again = found.withdrawn[-1] if found.withdrawn else 0
    return f"convergence:{found.ability}:{again}"


def _ground(line: AdviceLine) -> str:
    """The same while an advice rests on the same; of a decline its ability says enough."""
    parts = sorted(
        ":".join(key.split(":")[:2]) if key.startswith("decline:") else key for key in line.evidence
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _window(window: tuple[int, int]) -> str:
    return f"{window[0]}-{window[1]}" if window[0] != window[1] else str(window[0])


def check_subjects(on: Sequence[str]) -> None:
    """Refuse what names no subject and no kind of alarm.

    Raises:
        UserError: It does not.
    """
    known = (*SUBJECTS, *get_args(AlarmKind))
    for name in on:
        if name not in known:
            raise UserError(f"alerts: on: {name!r}: {nearest(name, known)}")
