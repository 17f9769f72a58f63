"""What to do with a run, from what was found in it: `advise_run`.

Each ability gets one line that says how it stands, and one more for each conflict in which it
falls. The run gets ``stop`` or ``continue``, and where they apply ``needs_met`` and ``change_mix``.
A line names the findings that it rests on and how sure they are; what nobody can know (whether an
ability near chance will still rise, what a new mix would bring) is said to be so, without a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.online.alert import convergence_key
from lens_ray.online.best import Best, best_checkpoints, weights_of
from lens_ray.online.findings import AdviceLine, Conflict, Convergence, Decline, Findings
from lens_ray.online.first_fit import Fit, first_fit
from lens_ray.online.series import Series
from lens_ray.online.spec import Rules, RunSpec, WatchSpec
from lens_ray.online.spent import Spent
from lens_ray.prices import Prices, load_prices
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import ability_figures

#: In `AdviceLine.about`: the whole run.
RUN = "run"
#: Verdicts of abilities that may still gain.
_STILL_LEARNING = ("keep_training", "not_learned", "too_few")


@dataclass(frozen=True)
class _Ground:
    """What every line is made from.

    Attributes:
        series: The run.
        findings: What was found in it.
        rules: Of the watch.
        weights: Of the abilities, sum 1.
        best: Checkpoints that are best at what.
        spent: What the run costs.
    """

    series: Series
    findings: Findings
    rules: Rules
    weights: Mapping[str, float]
    best: Mapping[str, Best]
    spent: Spent

    def cost(self, line: AdviceLine, since: int) -> AdviceLine:
        """A line with what was spent since a step, also in words."""
        hours = self.spent.since(since)
        words = self.spent.words(hours)
        said = line.line if words is None else f"{line.line}; {words} since then"
        return replace(line, line=said, gpu_hours=hours, usd=self.spent.usd(hours))


def advise_run(
    series: Series,
    findings: Findings,
    spec: WatchSpec,
    run: RunSpec,
    prices: Prices | None = None,
) -> tuple[AdviceLine, ...]:
    """What to do, one line a thing.

    Args:
        series: The run as far as it was asked.
        findings: Of the same series.
        spec: The watch: its rules, and its needs, without which all abilities count alike.
        run: What the watch says of the run.
        prices: For dollars; None takes the usual table.

    Raises:
        UserError: Needs of an ability that was not asked, or an unusable price table.
    """
    if not len(series.steps):
        line = "no checkpoint was asked so far, so nobody can say anything"
        return (AdviceLine(RUN, "continue", f"{RUN}: {line}"),)
    rules, wanted = spec.rules, spec.needs or Needs()
    if prices is None and run.accelerator is not None:
        prices = load_prices()
    weights = weights_of(series, wanted)
    best = best_checkpoints(
        series, margin=rules.margin, confidence=rules.confidence, weights=weights
    )
    ground = _Ground(series, findings, rules, weights, best, Spent(series, run, prices))
    abilities = [_of_ability(ground, name) for name in series.abilities]
    conflicts = [_of_conflict(ground, found) for found in newest_conflicts(findings)]
    fit = _of_needs(series, wanted, rules)
    whole = [_of_run(ground, abilities), *fit, *_of_mix(ground, abilities)]
    return (*abilities, *conflicts, *whole)


def newest_conflicts(findings: Findings) -> tuple[Conflict, ...]:
    """The latest conflict of each ordered pair of abilities, in the order of the steps."""
    latest: dict[tuple[str, str], Conflict] = {}
    for found in sorted(findings.conflicts, key=lambda each: (each.late, each.declared_at)):
        latest[found.rises, found.falls] = found
    return tuple(latest.values())


def standing_decline(series: Series, findings: Findings, ability: str) -> Decline | None:
    """The latest decline of an ability, unless it has surely come back since.

    It has where the newest checkpoints, as many as its late window has, are no more shown to be
    below its early window.
    """
    mine = [found for found in findings.declines if found.ability == ability]
    if not mine:
        return None
    latest = max(mine, key=lambda found: (found.late[1], found.declared_at, -found.effect))
    steps = series.steps
    late = (steps >= latest.late[0]) & (steps <= latest.late[1])
    if not len(steps) or latest.late[1] >= int(steps[-1]) or not late.any():
        return latest
    newest = np.arange(len(steps)) >= len(steps) - int(late.sum())
    early = (steps >= latest.early[0]) & (steps <= latest.early[1])
    means = np.stack([series.marks.score[rows].mean(axis=0) for rows in (newest, early)])
    marks = replace(series.marks, models=("newest", "early"), runs=(), score=means)
    figures = ability_figures(marks).only([ability])
    moved = contrast(marks, "newest", "early", figures, confidence=latest.confidence)[0]
    below = moved.ci_high is not None and moved.ci_high < 0
    return latest if below else None


def _of_ability(ground: _Ground, name: str) -> AdviceLine:
    """How one ability stands."""
    decline = standing_decline(ground.series, ground.findings, name)
    if decline is not None:
        return _falling(ground, decline)
    found = next((each for each in ground.findings.convergence if each.ability == name), None)
    if found is None:
        return AdviceLine(name, "too_few", f"{name}: nothing is known of it so far")
    evidence = (convergence_key(found),)
    if found.phase == "converged" and found.step is not None:
        return _converged(ground, found, found.step)
    bare = AdviceLine(name, "too_few", "", evidence=evidence)
    if found.phase == "too_few":
        why = found.reason or "there are too few later checkpoints"
        return replace(bare, line=f"{name}: too early to say: {why}")
    if found.phase == "not_learned":
        line = (
            f"{name}: not learned so far (its score is near chance); "
            "nobody can say whether it will still rise"
        )
        return replace(bare, verdict="not_learned", line=line)
    return _learning(bare, found)


def _falling(ground: _Ground, found: Decline) -> AdviceLine:
    name = found.ability
    best = ground.best[name]
    keep = best.step if best.step is not None else found.best
    as_good = "" if best.earliest in (keep, None) else f" (step {best.earliest} is as good)"
    how = "" if found.wander else "; noise between checkpoints could not be measured"
    line = AdviceLine(
        about=name,
        verdict="falling",
        line=(
            f"{name}: falling since step {found.best}: {_shift(found.effect, found.interval)} from "
            f"{_window(found.early)} to {_window(found.late)} "
            f"({_percent(found.confidence)} interval, adjusted p {_p(found.p_adjusted)}{how}); "
            f"the best checkpoint for it is step {keep}{as_good}"
        ),
        steps=tuple(dict.fromkeys((found.best, keep))),
        effect=found.effect,
        interval=found.interval,
        confidence=1 - found.p_adjusted,
        evidence=(f"decline:{name}:{found.declared_at}",),
    )
    return ground.cost(line, found.best)


def _converged(ground: _Ground, found: Convergence, step: int) -> AdviceLine:
    name = found.ability
    bound = found.interval[1] if found.interval is not None else None
    margin = found.margin if found.margin is not None else ground.rules.margin
    known = "less" if bound is None else _at_most(bound)
    sure = "" if found.confidence is None else f", {_percent(found.confidence)} sure"
    line = AdviceLine(
        about=name,
        verdict="converged",
        line=(
            f"{name}: converged since step {step}: later checkpoints gain {known} on average "
            f"(a gain below {margin:g} does not count{sure}); known since step {found.declared_at}"
        ),
        steps=(step,),
        effect=found.effect,
        interval=found.interval,
        confidence=found.confidence,
        evidence=(convergence_key(found),),
    )
    return ground.cost(line, step)


def _at_most(bound: float) -> str:
    return f"at most {bound:.3f}" if bound >= 0.0005 else "nothing"


def _learning(bare: AdviceLine, found: Convergence) -> AdviceLine:
    name = found.ability
    line = replace(bare, verdict="keep_training", effect=found.effect, interval=found.interval)
    if found.phase == "rising":
        gain = "" if found.effect is None else f" ({found.effect:+.3f}{_least(found)})"
        text = f"{name}: keep training: its newest checkpoints gained{gain}"
        return replace(line, line=text, confidence=found.confidence)
    why = "" if found.reason is None else f" ({found.reason})"
    bound = None if found.interval is None else found.interval[1]
    if bound is not None and bound < 0.0005:
        text = (
            f"{name}: not decided: it gained nothing lately{why}; nobody can say if it will again"
        )
    else:
        most = "" if bound is None else f" by up to {bound:.3f}"
        text = (
            f"{name}: keep training: it may still gain{most}{why}; nobody can say yet that it does"
        )
    return replace(line, line=text)


def _least(found: Convergence) -> str:
    if found.interval is None or found.confidence is None:
        return ""
    return f", at least {found.interval[0]:+.3f}, {_percent(found.confidence)} sure"


def _of_conflict(ground: _Ground, found: Conflict) -> AdviceLine:
    """One ability fell while another rose."""
    best = ground.best[found.falls]
    keep = "" if best.step is None else f"; keep step {best.step} for {found.falls}"
    beside = "; ".join(f"step {step}: {text}" for step, text in sorted(found.beside.items()))
    seen = f"; at the same time the run changed ({beside}): a coincidence, no cause is claimed"
    return AdviceLine(
        about=found.falls,
        verdict="in_conflict",
        line=(
            f"{found.falls}: in conflict with {found.rises}: from {_window(found.early)} to "
            f"{_window(found.late)} {found.falls} fell "
            f"({_shift(found.effect, found.interval)}) while {found.rises} rose "
            f"({_shift(found.rise, found.rise_interval)}; {_percent(found.confidence)} intervals, "
            f"adjusted p {_p(found.p_adjusted)}){keep}{seen if beside else ''}"
        ),
        steps=tuple(dict.fromkeys((found.early[0], found.late[1]))),
        effect=found.effect,
        interval=found.interval,
        confidence=1 - found.p_adjusted,
        evidence=(f"conflict:{found.rises}:{found.falls}:{found.declared_at}",),
    )


def _of_run(ground: _Ground, abilities: list[AdviceLine]) -> AdviceLine:
    """``stop`` where nothing that counts may gain any more, else ``continue``."""
    counted = [line for line in abilities if ground.weights.get(line.about, 0.0) > 0]
    learning = [line for line in counted if line.verdict in _STILL_LEARNING]
    evidence = tuple(key for line in counted for key in line.evidence)
    if learning or not counted:
        said = _reasons(learning)
        rising = [line for line in learning if line.confidence is not None]
        sure = max((line.confidence or 0.0 for line in rising), default=None)
        doubt = "" if rising else ", and nobody can say whether they will gain"
        ahead = ground.spent.words(ground.spent.ahead())
        left = "" if ahead is None else f"; to the planned end it takes {ahead} more"
        text = f"{RUN}: continue: {said or 'no ability has a weight'}{doubt}{left}"
        return AdviceLine(RUN, "continue", text, confidence=sure, evidence=evidence)
    return _stop(ground, counted, evidence)


def _reasons(learning: list[AdviceLine]) -> str:
    """Why abilities are a reason to go on, those with the same one together."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in learning:
        surely = line.verdict == "keep_training" and line.confidence is not None
        found.setdefault(_GAINS if surely else _WHY[line.verdict], []).append(line.about)
    return "; ".join(
        f"{_listed(names)} {one if len(names) == 1 else several}"
        for (one, several), names in found.items()
    )


_GAINS = ("still gains", "still gain")
#: Of one ability, and of several.
_WHY = {
    "keep_training": ("may still gain", "may still gain"),
    "not_learned": ("is near chance and may still rise", "are near chance and may still rise"),
    "too_few": ("has too few checkpoints to judge", "have too few checkpoints to judge"),
}


def _stop(ground: _Ground, counted: list[AdviceLine], evidence: tuple[str, ...]) -> AdviceLine:
    """Nothing that counts gains any more."""
    since = max(min(line.steps) for line in counted)
    best = ground.best[OVERALL]
    falling = [line.about for line in counted if line.verdict == "falling"]
    why = "no ability that counts gains any more"
    if falling:
        why += f", and {_listed(falling)} {'falls' if len(falling) == 1 else 'fall'}"
    take = "" if best.step is None else f"; take step {best.step} (score {_score(best)})"
    ahead = ground.spent.words(ground.spent.ahead())
    saved = "" if ahead is None else f"; stopping now saves {ahead}"
    sure = [line.confidence for line in counted if line.confidence is not None]
    steps = (since,) if best.step is None else tuple(dict.fromkeys((best.step, since)))
    line = AdviceLine(
        about=RUN,
        verdict="stop",
        line=f"{RUN}: stop now: {why} since step {since}{take}{saved}",
        steps=steps,
        confidence=min(sure) if len(sure) == len(counted) else None,
        evidence=evidence,
    )
    return ground.cost(line, since)


def _of_mix(ground: _Ground, abilities: list[AdviceLine]) -> list[AdviceLine]:
    """Which abilities want more data, and which could give some up."""
    counted = {line.about: line for line in abilities if ground.weights.get(line.about, 0.0) > 0}
    falling = [line for line in counted.values() if line.verdict == "falling"]
    learning = [line for line in counted.values() if line.verdict == "keep_training"]
    rising = [line for line in learning if line.confidence is not None]
    done = [line for line in counted.values() if line.verdict == "converged"]
    if not falling and not (rising and done):
        return []
    falling.sort(key=lambda line: ground.weights[line.about] * (line.effect or 0.0))
    wants = falling or rising
    against = [
        each.rises
        for each in newest_conflicts(ground.findings)
        if each.falls in {line.about for line in falling} and each.rises in counted
    ]
    gives = list(dict.fromkeys(against)) or [line.about for line in done or rising]
    given = f" at the expense of {_listed(gives)}" if gives else ""
    if against:
        given += " (which rose meanwhile)"
    why = "fell" if falling else "still gains"
    rate = " or a lower learning rate" if falling and not gives else ""
    text = (
        f"{RUN}: change the mix: more data of {_listed([line.about for line in wants])} "
        f"({why}){given}{rate}; nobody can say before it is tried what that gains"
    )
    evidence = tuple(key for line in wants for key in line.evidence)
    return [AdviceLine(RUN, "change_mix", text, evidence=evidence)]


def _of_needs(series: Series, needs: Needs, rules: Rules) -> list[AdviceLine]:
    """The first checkpoint that meets the needed scores."""
    if not needs.min_score:
        return []
    fit = first_fit(series, needs, planned=rules.planned_checkpoints)
    wanted = ", ".join(f"{name} at least {least:g}" for name, least in needs.min_score.items())
    if fit.step is not None:
        text = (
            f"{RUN}: step {fit.step} is the first checkpoint that meets the needs ({wanted}), "
            f"at least {_percent(fit.sure or 0.0)} sure, all looks until then considered"
        )
        evidence = (f"needs:{fit.step}",)
        return [AdviceLine(RUN, "needs_met", text, (fit.step,), confidence=fit.sure,
                           evidence=evidence)]  # fmt: skip
    return [_unmet(fit, wanted, needs)]


def _unmet(fit: Fit, wanted: str, needs: Needs) -> AdviceLine:
    start = f"{RUN}: no checkpoint is known to meet the needs ({wanted})"
    if fit.lacking:
        text = f"{start}: {_listed(fit.lacking)} has no score"
        return AdviceLine(RUN, "needs_open", text)
    if fit.nearest is None:
        return AdviceLine(RUN, "needs_open", f"{start}: none reaches every score")
    each = ", ".join(f"{name} {_percent(chance)}" for name, chance in fit.chance.items())
    text = (
        f"{start}; nearest is step {fit.nearest}, by itself ({each}), which is less than "
        f"{_percent(needs.sure)} once all looks are considered"
    )
    return AdviceLine(RUN, "needs_open", text, (fit.nearest,))


def _shift(effect: float, interval: tuple[float, float] | None) -> str:
    between = "" if interval is None else f" [{interval[0]:+.3f}, {interval[1]:+.3f}]"
    return f"{effect:+.3f}{between}"


def _window(window: tuple[int, int]) -> str:
    first, last = window
    return f"step {first}" if first == last else f"steps {first} to {last}"


def _percent(share: float) -> str:
    """Never more than is known: 99.96 % is no 100 %."""
    floored = int(share * 1000) / 10
    return f"{min(floored, 99.9):g} %"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _score(best: Best) -> str:
    value = "unknown" if best.value is None else f"{best.value:.3f}"
    between = "" if best.interval is None else f" [{best.interval[0]:.3f}, {best.interval[1]:.3f}]"
    return f"{value}{between}"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
