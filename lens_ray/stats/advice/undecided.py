"""What is not decided among models, and the evaluations that would decide it: `evaluations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.advice.more_samples import (
    Evaluation,
    Known,
    dollars,
    plan_for,
    settles,
    worth,
    z_of,
)
from lens_ray.stats.figures import Figures
from lens_ray.stats.joint import JointDraws
from lens_ray.stats.units import Floats

#: Needed scores of at most so many models are looked into.
_MODELS = 5


@dataclass(frozen=True)
class Field:
    """Models on the same samples, and what counts.

    Attributes:
        draws: Their joint replicates.
        figures: The abilities' corrected scores.
        weights: Of the abilities that count, sum 1.
        size: Samples that a model answered, by ability.
        usd_per_1000: What answers cost, by model; None is unknown.
        floor: Variance that a difference of scores has at least
            (`lens_ray.stats.advice.best.Sampled`).
    """

    draws: JointDraws
    figures: Figures
    weights: Mapping[str, float]
    size: Mapping[str, int]
    usd_per_1000: Mapping[str, float | None]
    floor: float

    def known(self, models: Sequence[str], weights: Mapping[str, float]) -> Known:
        """What is known of a weighted score of some models."""
        counted = {name: weight for name, weight in weights.items() if weight > 0}
        rows = [self.draws.models.index(model) for model in models]
        places = [self.figures.names.index(name) for name in counted]
        share = np.array(list(counted.values()))
        values = self.draws.values(self.figures)[np.ix_(rows, places)]
        spread = self.draws.deviations[:, rows] @ self.figures.slope[places].T
        parts = np.stack(
            [
                weight**2 * np.atleast_2d(np.cov(spread[:, :, place], rowvar=False))
                for place, weight in enumerate(share.tolist())
            ]
        )
        parts += np.eye(len(rows)) * self.floor / 2 / len(places)
        size = np.array([float(max(self.size.get(name, 0), 1)) for name in counted])
        return Known(values @ share, parts, size)


def could_gain(field: Field, leader: str, others: Sequence[str], error: float) -> dict[str, float]:
    """By how much each model may be ahead of the leader: bounds of a one-sided error, or 0."""
    if not others:
        return {}
    known = field.known([leader, *others], field.weights)
    total = known.parts.sum(axis=0)
    variance = total[0, 0] + np.diagonal(total) - 2 * total[0]
    bound = known.value - known.value[0] + z_of(error) * np.sqrt(variance)
    return dict(zip(others, np.maximum(bound[1:], 0.0).tolist(), strict=True))


def evaluations(
    field: Field,
    leader: str | None,
    rivals: Sequence[str],
    needed: Sequence[tuple[str, str, float]],
    *,
    error: float,
    bar_error: float,
    indifference: float,
) -> list[Evaluation]:
    """Evaluations that decide something, cheapest first.

    Args:
        field: The models.
        leader: The model to take as things stand.
        rivals: Models that may be ahead of it by more than what does not matter.
        needed: Scores that are undecided: model, ability, least score.
        error: One-sided error of one comparison with the leader.
        bar_error: One-sided error of a comparison with a needed score.
        indifference: What does not matter.
    """
    found = [
        plan
        for model, ability, least in needed[:_MODELS]
        if (plan := _for_score(field, model, ability, least, bar_error)) is not None
    ]
    if leader is not None and rivals:
        sets: list[tuple[str, ...]] = [(rival,) for rival in rivals]
        if len(rivals) > 1:
            sets.append(tuple(rivals))
        found += [
            plan
            for others in sets
            if (plan := _for_choice(field, leader, others, error, indifference)) is not None
        ]
    priced = all(plan.usd is not None for plan in found)
    return sorted(found, key=lambda plan: (plan.usd if priced else plan.answers) or 0)


def _for_choice(
    field: Field, leader: str, rivals: Sequence[str], error: float, indifference: float
) -> Evaluation | None:
    """The samples that decide between the leader and its rivals."""
    models = (leader, *rivals)
    known = field.known(models, field.weights)
    more = plan_for(known, error, indifference)
    if more is None or not more.any():
        return None
    decides, gain = worth(known, more, error, indifference)
    names = [name for name, weight in field.weights.items() if weight > 0]
    last = f"{', '.join(models[:-1])} or {models[-1]}"
    return _evaluation(field, f"{last}: which is better", models, names, more, decides, gain)


def _for_score(
    field: Field, model: str, ability: str, least: float, error: float
) -> Evaluation | None:
    """The samples that decide whether a score is reached."""
    known = field.known([model], {ability: 1.0})
    # Against a fixed bar: as if the other model had that score and no error.
    barred = Known(
        np.array([float(known.value[0]), least]),
        np.pad(known.parts, ((0, 0), (0, 1), (0, 1))),
        known.size,
    )
    # A score that lies on the bar stays undecided whatever is asked; a point is near enough.
    more = plan_for(barred, error, _NEAR)
    if more is None or not more.any():
        return None
    then = float(barred.after(more)[0, 0])
    decides = settles(
        float(known.value[0]) - least, float(barred.parts.sum(axis=0)[0, 0]), then, error, _NEAR
    )
    question = f"{model}: whether {ability} reaches {least:g}"
    return _evaluation(field, question, (model,), [ability], more, decides, None)


#: How near to a needed score an interval's bound may end, where more samples are planned.
_NEAR = 0.01


def _evaluation(
    field: Field,
    question: str,
    models: tuple[str, ...],
    abilities: Sequence[str],
    more: Floats,
    decides: float,
    gain: float | None,
) -> Evaluation:
    asked = {
        name: int(count) for name, count in zip(abilities, more.tolist(), strict=True) if count
    }
    each = sum(asked.values())
    usd, reason = dollars(dict.fromkeys(models, each), field.usd_per_1000)
    return Evaluation(question, models, asked, each * len(models), usd, decides, gain, reason)
