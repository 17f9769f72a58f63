"""What is found in a training run, as values that print as JSON: `Findings`.

Every finding names its ability, its steps, its effect with an interval, and its confidence. An
effect is a difference of corrected scores (1 is the whole range from chance to all right). What is
undefined is None with a ``reason``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Interval = tuple[float, float]
#: First and last step of a window of checkpoints.
Window = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Point:
    """One checkpoint on a curve.

    Attributes:
        step: Its step.
        depth: ``anchor`` or ``full``.
        n: Units that it answered.
        value: Corrected score.
        interval: 95 %, clustered by image, of the value by itself.
        change: Paired difference to the checkpoint before, on the units that both answered.
        change_interval: 95 % of it.
        tokens: Trained on so far.
        gpu_hours: Spent so far.
        dvs: Spread over subtasks against the frozen pool; None with the curve's reason.
        tau: Spread over subtasks without the noise of sampling.
    """

    step: int
    depth: str
    n: int
    value: float | None
    interval: Interval | None
    change: float | None = None
    change_interval: Interval | None = None
    tokens: float | None = None
    gpu_hours: float | None = None
    dvs: float | None = None
    tau: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """An ability (or a subtask of it, or ``overall``) over steps.

    Attributes:
        ability: Which.
        subtask: None is the whole ability.
        points: In the order of the steps.
        knee: Step of the bend of a two-segment fit: a hint for the eye, no test.
        pool: The frozen pool of ``dvs``.
        reason: Why a figure is None.
    """

    ability: str
    subtask: str | None
    points: tuple[Point, ...]
    knee: int | None = None
    pool: str | None = None
    reason: str | None = None


Phase = Literal["too_few", "not_learned", "rising", "converged", "undecided"]


@dataclass(frozen=True, slots=True)
class Convergence:
    """Whether an ability gains no more: a decision by paired equivalence.

    Attributes:
        ability: Which.
        phase: ``converged`` since ``step``; ``rising``; ``not_learned`` (near chance, from where it
            may still rise); ``too_few`` later checkpoints; ``undecided``.
        step: Since when it has converged.
        declared_at: The step at which that was first known.
        effect: Mean of all later checkpoints minus the one (or the window) at ``step``.
        interval: One-sided: from -1 to the upper bound at ``confidence``.
        confidence: Of the bound.
        margin: Gain that would count.
        later: Later checkpoints.
        withdrawn: Steps at which an earlier declaration was taken back.
        reason: Why there is no answer.
    """

    ability: str
    phase: Phase
    step: int | None = None
    declared_at: int | None = None
    effect: float | None = None
    interval: Interval | None = None
    confidence: float | None = None
    margin: float | None = None
    later: int = 0
    withdrawn: tuple[int, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Plateau:
    """A stretch without change beyond the margin, either way; it may end with a rise.

    Attributes:
        ability: Which.
        window: First and last step.
        effect: Mean of its second half minus that of its first.
        interval: Two-sided, inside (-margin, margin).
        confidence: Of the interval.
        margin: Change that would count.
        ended: Whether a rise or fall followed.
    """

    ability: str
    window: Window
    effect: float
    interval: Interval
    confidence: float
    margin: float
    ended: bool


@dataclass(frozen=True, slots=True)
class Decline:
    """An ability fell from one window to a later one.

    Attributes:
        ability: Which.
        early: The window before.
        late: The window after.
        declared_at: The step at which it was first known.
        effect: Late minus early; below 0.
        interval: Two-sided, at ``confidence``.
        confidence: Of the interval, alone.
        p_adjusted: One-sided, adjusted for all abilities, windows and looks.
        best: Step of the best checkpoint of the ability until then.
        wander: Whether variation between checkpoints is in the interval (else only items are).
    """

    ability: str
    early: Window
    late: Window
    declared_at: int
    effect: float
    interval: Interval
    confidence: float
    p_adjusted: float
    best: int
    wander: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """One ability rose while another fell, over the same windows: no cause is claimed.

    Attributes:
        rises: The ability that rose.
        falls: The ability that fell.
        early: The window before.
        late: The window after.
        declared_at: The step at which it was first known.
        rise: Late minus early of ``rises``.
        rise_interval: At ``confidence``.
        effect: Late minus early of ``falls``; below 0.
        interval: At ``confidence``.
        confidence: Of both intervals, alone.
        p_adjusted: Of the intersection-union test, Holm over ordered pairs and windows.
        beside: Changes of mix or learning rate between the windows' ends, by step.
        wander: As `Decline`.
    """

    rises: str
    falls: str
    early: Window
    late: Window
    declared_at: int
    rise: float
    rise_interval: Interval
    effect: float
    interval: Interval
    confidence: float
    p_adjusted: float
    beside: Mapping[int, str] = field(default_factory=dict)
    wander: bool = True


@dataclass(frozen=True, slots=True)
class Shift:
    """How far an ability moved between two windows, whether or not that is a finding.

    Two shifts of the same windows are a cell of the matrix of ordered pairs.

    Attributes:
        ability: Which.
        early: The window before.
        late: The window after.
        effect: Late minus early.
        interval: Two-sided, at ``confidence``.
        confidence: Of the interval, alone.
        wander: As `Decline`.
    """

    ability: str
    early: Window
    late: Window
    effect: float
    interval: Interval
    confidence: float
    wander: bool


AlarmKind = Literal[
    "sudden_drop", "near_chance", "stability_lost", "empty_answers", "one_answer", "broken_weights",
    "shell_changed", "step_went_back", "rewritten", "never_whole", "falls_behind", "two_runs",
    "unreachable", "failed", "gone",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that somebody should look at.

    Attributes:
        kind: Which.
        ability: None is the whole run.
        step: Where; None where it is no checkpoint.
        line: What was found, in one line.
        effect: Where there is one.
        interval: Of the effect.
        confidence: Of the interval.
    """

    kind: AlarmKind
    ability: str | None
    step: int | None
    line: str
    effect: float | None = None
    interval: Interval | None = None
    confidence: float | None = None

    @property
    def key(self) -> str:
        """The same for the same alarm, so that nobody hears it twice."""
        return f"{self.kind}:{self.ability or '-'}:{self.step if self.step is not None else '-'}"


@dataclass(frozen=True, slots=True)
class AdviceLine:
    """One thing to do, with what it rests on.

    Attributes:
        about: An ability, or ``run``.
        verdict: ``keep_training``, ``converged``, ``falling``, ``in_conflict``, ``not_learned``,
            ``too_few``; of the run ``stop``, ``continue``, ``change_mix``, ``needs_met``.
        line: In words, for people.
        steps: Checkpoints that it names.
        effect: Where there is one.
        interval: Of the effect.
        confidence: How sure; None where nobody can say, and the line says so.
        evidence: Findings that it rests on: ``convergence:ocr``, ``decline:entity:9600``, ...
        gpu_hours: Spent since the step that it names; None where nobody said.
        usd: The same in dollars.
    """

    about: str
    verdict: str
    line: str
    steps: tuple[int, ...] = ()
    effect: float | None = None
    interval: Interval | None = None
    confidence: float | None = None
    evidence: tuple[str, ...] = ()
    gpu_hours: float | None = None
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of one run at its last checkpoint.

    Attributes:
        run: Its name.
        step: Of the last checkpoint that was asked; None where there is none.
        curves: One an ability, ``overall``, then one a subtask.
        convergence: One an ability.
        plateaus: Stretches without change.
        declines: Abilities that fell.
        conflicts: One rose and another fell.
        alarms: The rest that somebody should look at.
        advice: What to do.
        notes: What a reader should know, one line each.
        changes: Of mix or learning rate, as the run's own record says, by step.
        shifts: Of all abilities between the windows of the newest look.
    """

    run: str
    step: int | None
    curves: tuple[Curve, ...] = ()
    convergence: tuple[Convergence, ...] = ()
    plateaus: tuple[Plateau, ...] = ()
    declines: tuple[Decline, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    advice: tuple[AdviceLine, ...] = ()
    notes: tuple[str, ...] = ()
    changes: Mapping[int, str] = field(default_factory=dict)
    shifts: tuple[Shift, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``lens-ray watch --json`` prints it; a step as a key becomes text."""
        return asdict(self)
