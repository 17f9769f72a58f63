"""Findings of a watched run in words: the same ones in the terminal, the page and the log.

Names are given as they are; who shows them makes them harmless (`lens_ray.report.safe`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lens_ray.online.findings import (
    Alarm,
    Conflict,
    Convergence,
    Decline,
    Findings,
    Interval,
    Plateau,
    Window,
)

NONE = "–"


def estimate(value: float | None, interval: Interval | None) -> str:
    """A score with its interval."""
    if value is None:
        return NONE
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def signed(value: float | None, interval: Interval | None) -> str:
    """A difference with its interval."""
    if value is None:
        return NONE
    return f"{value:+.3f}" + (f" [{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else "")


def verdicts(ability: str, findings: Findings) -> list[str]:
    """What was found of an ability, in a few words each."""
    return list(_verdicts(ability, findings))


def standing(findings: Findings) -> list[Convergence]:
    """What is said of convergence, but not that an ability still rises which has fallen since."""
    fallen = {fall.ability for fall in findings.declines}
    return [
        one for one in findings.convergence if not (one.phase == "rising" and one.ability in fallen)
    ]


def _verdicts(ability: str, findings: Findings) -> Iterator[str]:
    for found in standing(findings):
        if found.ability == ability:
            since = f" since {found.step:,}" if found.step is not None else ""
            yield f"{found.phase.replace('_', ' ')}{since}"
    falls = [fall for fall in findings.declines if fall.ability == ability]
    if falls:
        yield f"fell {falls[-1].effect:+.3f} by {falls[-1].declared_at:,}"
    # The newest of each pair.
    for clash in {(one.rises, one.falls): one for one in findings.conflicts}.values():
        if clash.rises == ability:
            yield f"rose {clash.rise:+.3f} while {clash.falls} fell"
        elif clash.falls == ability:
            yield f"fell {clash.effect:+.3f} while {clash.rises} rose"


def convergence_line(found: Convergence) -> str:
    """Whether an ability gains no more."""
    if found.phase != "converged" or found.step is None:
        said = found.phase.replace("_", " ")
        return f"{found.ability}: {said}" + (f" ({found.reason})" if found.reason else "")
    parts = [f"{found.ability}: converged since {found.step:,}"]
    if found.interval is not None and found.confidence is not None:
        parts.append(
            f"later gain at most {found.interval[1]:+.3f} ({100 * found.confidence:.4g} %), less "
            f"than {found.margin:g}"
        )
    if found.declared_at is not None:
        parts.append(f"known at {found.declared_at:,}")
    if found.withdrawn:
        parts.append(f"taken back at {', '.join(f'{step:,}' for step in found.withdrawn)}")
    return "; ".join(parts)


def decline_line(found: Decline) -> str:
    """That an ability fell."""
    return (
        f"{found.ability} falls {signed(found.effect, found.interval)} from {window(found.early)} "
        f"to {window(found.late)}, p {p_text(found.p_adjusted)}, known at {found.declared_at:,}; "
        f"best checkpoint {found.best:,}"
    )


def conflict_line(found: Conflict) -> str:
    """That one ability rose and another fell."""
    beside = beside_text(found.beside)
    return (
        f"{found.rises} rises {signed(found.rise, found.rise_interval)} while {found.falls} falls "
        f"{signed(found.effect, found.interval)}, {window(found.early)} to {window(found.late)}, "
        f"p {p_text(found.p_adjusted)}, known at {found.declared_at:,}"
        + (f"; beside {beside} (a coincidence in time, no cause is claimed)" if beside else "")
    )


def alarm_line(found: Alarm) -> str:
    """Something that somebody should look at; the line that it came with says where."""
    return f"{found.line} ({found.kind.replace('_', ' ')})"


def plateau_line(found: Plateau) -> str:
    """A stretch without change."""
    ended = ", ended" if found.ended else ""
    return (
        f"{found.ability}: no change beyond ±{found.margin:g} from {window(found.window)}, "
        f"{signed(found.effect, found.interval)}{ended}"
    )


def window(steps: Window) -> str:
    """First and last step."""
    return f"{steps[0]:,}" if steps[0] == steps[1] else f"{steps[0]:,}–{steps[1]:,}"


def beside_text(changes: Mapping[int, str]) -> str:
    """Changes of a run's mix or learning rate."""
    return "; ".join(f"{what} at {int(step):,}" for step, what in sorted(changes.items()))


def sure(confidence: float) -> str:
    """A confidence in percent; never a full hundred."""
    return "> 99.9 %" if confidence > 0.999 else f"{100 * confidence:.3g} %"


def p_text(p: float) -> str:
    """A p value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def headlines(findings: Findings) -> Iterator[tuple[str, str]]:
    """What is worth a line of the log, each with a key that is the same while it is the same."""
    for curve in findings.curves:
        if curve.ability == "overall" and curve.subtask is None and curve.points:
            last = curve.points[-1]
            score = estimate(last.value, last.interval)
            yield (
                f"asked:{last.step}:{last.depth}",
                (f"step {last.step:,} asked ({last.depth}, {last.n:,} samples): overall {score}"),
            )
    for one in findings.convergence:
        if one.phase == "converged":
            yield f"converged:{one.ability}:{one.step}", convergence_line(one)
    for fall in findings.declines:
        yield f"decline:{fall.ability}:{fall.declared_at}", decline_line(fall)
    for clash in findings.conflicts:
        key = f"conflict:{clash.rises}:{clash.falls}:{clash.declared_at}"
        yield key, f"conflict: {conflict_line(clash)}"
    for alarm in findings.alarms:
        yield f"alarm:{alarm.key}", f"alarm: {alarm_line(alarm)}"
    for line in findings.advice:
        if line.about == "run":
            yield f"advice:{line.verdict}:{line.steps}", f"advice: {line.line}"
