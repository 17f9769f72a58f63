"""How often a policy errs: `simulate`, its operating characteristics.

The gate itself is run on fields whose truth is known (`lens_ray.stats.gate.planted`): true
differences everywhere alike, around every limit of the policy, and each ability alone at its limit
while the others are far better, which is where a wrong GO is likeliest. Counts, costs and the
consistency over variants stay what they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lens_ray.errors import CannotSay
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import Figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.gate.checks import checks_of
from lens_ray.stats.gate.composites import figures_of
from lens_ray.stats.gate.decide import judge, opened, with_names
from lens_ray.stats.gate.evidence import Check, Decision
from lens_ray.stats.gate.ground import Ground, load_ground
from lens_ray.stats.gate.planted import Planted, plant
from lens_ray.stats.gate.policy import (
    MinScore,
    NonInferior,
    Policy,
    Rule,
    Superior,
    as_policy,
)
from lens_ray.stats.marks import Marks
from lens_ray.stats.seeds import seed_of

if TYPE_CHECKING:
    from lens_ray.store import Store

RUNS = 400
#: Replicates of each bootstrap within a simulated run.
REPLICATES = 200
#: Where a policy has no margin to go by.
_STEP = 0.05
#: Farther from what was wished a true difference is said to be less.
_NEAR = 0.005
#: Nearer to its limit than this a requirement does not hold.
_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Characteristic(Framed):
    """What a policy says where the truth is known.

    Attributes:
        scenario: Which true differences were planted, in words.
        truth: True difference by ability and ``overall``; to its stored score where the policy has
            no baseline.
        holds: Whether every requirement holds in truth; None where that is not known.
        go: Share of the runs with GO.
        no_go: Share with NO-GO.
        cannot_say: Share with neither.
        wrong: Share of wrong decisions: GO where a requirement does not hold, NO-GO where all do.
        stopped_by: The check that most often said something else than GO.
        runs: Simulated runs.
    """

    scenario: str
    truth: Mapping[str, float]
    holds: bool | None
    go: float
    no_go: float
    cannot_say: float
    wrong: float | None
    stopped_by: str | None
    runs: int


@dataclass(frozen=True, slots=True)
class Characteristics(Framed):
    """The operating characteristics of a policy on the samples of two models.

    Attributes:
        policy: Its name.
        candidate: Whose marks are shifted.
        baseline: Against which; None where no rule compares.
        level: Bound of the wrong decisions.
        scenarios: What was simulated.
    """

    policy: str
    candidate: str
    baseline: str | None
    level: float
    scenarios: tuple[Characteristic, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One record a scenario."""
        return [asdict(scenario) for scenario in self.scenarios]


def simulate(
    policy: Policy | Mapping[str, Any] | str | Path,
    store: Store | str,
    *,
    candidate: str | None = None,
    baseline: str | None = None,
    suite: str | None = None,
    runs: int = RUNS,
    shifts: Sequence[float] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Characteristics:
    """Run a policy on simulated fields.

    Args:
        policy: As `lens_ray.stats.gate.decide.gate`, like the next four.
        store: Likewise.
        candidate: Likewise.
        baseline: Likewise.
        suite: Likewise.
        runs: Of each scenario.
        shifts: True differences of all abilities alike; None takes them from the policy's limits.
        progress: Is told what is done.

    Raises:
        UserError: As `lens_ray.stats.gate.decide.gate`.
        CannotSay: The models cannot be compared, so there is nothing to draw from.
    """
    chosen = with_names(as_policy(policy), candidate, baseline, suite)
    ground = load_ground(opened(store), chosen)
    return characteristics(chosen, ground, runs=runs, shifts=shifts, progress=progress)


def characteristics(
    policy: Policy,
    ground: Ground,
    *,
    runs: int = RUNS,
    shifts: Sequence[float] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Characteristics:
    """The operating characteristics on what was read; see `simulate`."""
    marks = ground.marks
    if marks is None:
        raise CannotSay(f"policy {policy.name}: nothing to simulate from: {ground.reason}")
    names = [ground.candidate] + ([ground.baseline] if ground.baseline else [])
    marks = marks.only(names)
    figures = figures_of(policy, marks)
    wished = scenarios(policy, ground, marks, figures, shifts)
    found = []
    for place, (name, planted) in enumerate(wished.items()):
        if progress is not None:
            progress(f"simulating {place + 1} of {len(wished)}: {name}, {runs:,} runs")
        population = plant(marks, figures, planted)
        each = _characteristic(policy, ground, name, population, figures, runs)
        missed = [
            ability
            for ability, target in planted.items()
            if abs(each.truth.get(ability, target) - target) > _NEAR
        ]
        # A score cannot leave its bounds: what the scenario is called is then not all true.
        note = f"{name} ({', '.join(missed)} less)" if missed else name
        found.append(replace(each, scenario=note))
    return Characteristics(
        policy.name, ground.candidate, ground.baseline, policy.level, tuple(found)
    )


def scenarios(
    policy: Policy,
    ground: Ground,
    marks: Marks,
    figures: Figures,
    shifts: Sequence[float] | None = None,
) -> dict[str, dict[str, float]]:
    """The true differences to plant, by ability, by the name of the scenario."""
    asked = [name for name in figures.names if name in ground.abilities]
    limits = _limits(policy, marks, figures)
    step = max([*(abs(limit) for limit in limits), _STEP])
    better = max([*limits, 0.0]) + step
    grid = {0.0, *limits, better}
    chosen = sorted(grid) if shifts is None else list(shifts)
    found = {f"all {shift:+g}": dict.fromkeys(asked, shift) for shift in chosen}
    if shifts is not None:
        return found
    for rule in policy.rules:
        if not isinstance(rule.value, NonInferior) or rule.value.weights is not None:
            continue
        margin = rule.value.margin
        named = ground.abilities if "all" in rule.value.abilities else rule.value.abilities
        for name in named:
            if name in asked:
                planted = {**dict.fromkeys(asked, better), name: -margin}
                found[f"{name} {-margin:+g}, others {better:+g}"] = planted
    return found


def _limits(policy: Policy, marks: Marks, figures: Figures) -> list[float]:
    """The differences at which a requirement just fails."""
    found: set[float] = set()
    now = figures.values(means_of(marks))[0]
    for rule in policy.rules:
        value = rule.value
        if isinstance(value, NonInferior):
            found.add(-value.margin)
        elif isinstance(value, Superior):
            found.add(value.by)
        elif isinstance(value, MinScore) and len(marks.models) == 1:
            overall = float(now[figures.names.index(OVERALL)])
            if not np.isnan(overall):
                found.add(round(value.score - overall, 3))
    return sorted(found)


def _characteristic(
    policy: Policy, ground: Ground, name: str, population: Planted, figures: Figures, runs: int
) -> Characteristic:
    """One scenario."""
    expected = population.expected()
    values = figures.values(means_of(_paired(expected)))
    before = (
        values[1]
        if len(values) > 1
        else figures.values(means_of(population.marks))[0]
    )  # fmt: skip
    truth = {
        each: float(now - then)
        for each, now, then in zip(figures.names, values[0], before, strict=True)
        if not np.isnan(now - then)
    }
    holds = _holds(policy, replace(ground, marks=expected))
    rng = np.random.default_rng(seed_of(f"{ground.key}/{policy.name}/{name}"))
    decisions: Counter[Decision] = Counter()
    stops: Counter[str] = Counter()
    for _ in range(runs):
        verdict = judge(policy, replace(ground, marks=population.draw(rng)), REPLICATES)
        decisions[verdict.decision] += 1
        stops.update(
            f"{check.rule} ({check.figure})"
            for check in verdict.checks
            if check.decision is not Decision.GO
        )
    go, no_go = decisions[Decision.GO] / runs, decisions[Decision.NO_GO] / runs
    most = stops.most_common(1)
    return Characteristic(
        scenario=name,
        truth=truth,
        holds=holds,
        go=go,
        no_go=no_go,
        cannot_say=decisions[Decision.CANNOT_SAY] / runs,
        wrong=None if holds is None else (no_go if holds else go),
        stopped_by=most[0][0] if most else None,
        runs=runs,
    )


def _paired(marks: Marks) -> Marks:
    """The marks, missing for all where one is."""
    both = marks.answered.all(axis=0)
    return replace(marks, score=np.where(both, marks.score, np.nan))


def _holds(policy: Policy, truth: Ground) -> bool | None:
    """Whether every requirement holds on the expected marks."""
    found = [_rule_holds(policy, truth, rule) for rule in policy.rules]
    if False in found:
        return False
    return None if None in found else True


def _rule_holds(policy: Policy, truth: Ground, rule: Rule) -> bool | None:
    value = rule.value
    each = isinstance(value, Superior) and value.any
    if isinstance(value, Superior):
        rule = Rule(superior=value.model_copy(update={"any": False}))
    checks = checks_of(policy.model_copy(update={"rules": (rule,)}), truth, REPLICATES)
    known = [_check_holds(check) for check in checks]
    if each:
        return True if True in known else (None if None in known else False)
    return False if False in known else (None if None in known else True)


def _check_holds(check: Check) -> bool | None:
    if check.estimate is None or check.limit is None:
        return None
    gap = check.estimate - check.limit if check.above else check.limit - check.estimate
    # Bounds of counts are themselves allowed.
    allowed = check.rule.startswith(("max_", "min_coverage"))
    return gap >= -_SAME if allowed else gap > _SAME
