"""The first checkpoint that meets a use: `first_fit`, and how sure that is.

A checkpoint's scores are judged as ``lens-ray advise`` judges a model's (`judge`). Who looks at
every checkpoint and stops at the first that seems good enough errs more often than at one: so the
error that the needs allow (1 - ``sure``) is spent over all looks (`alpha_at`) and all needed
scores, and a checkpoint is named that falls short in at most so many runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lens_ray.online.series import Series
from lens_ray.online.windows import alpha_at
from lens_ray.stats.advice.best import judge
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks

#: Probabilities of a mean and its standard error need few replicates.
_REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether and where a run first meets the needed scores.

    Attributes:
        step: Of the first checkpoint that does; None where none does so far.
        sure: At least so probable, all looks until then considered; None where none does.
        nearest: Step of the checkpoint that most probably meets them.
        chance: Probability that it does, alone, by needed ability.
        lacking: Needed abilities of which no score is known.
    """

    step: int | None
    sure: float | None
    nearest: int | None
    chance: Mapping[str, float]
    lacking: tuple[str, ...] = ()


def first_fit(series: Series, needs: Needs, *, planned: int = 30) -> Fit:
    """Find the first checkpoint that meets the needed scores.

    Args:
        series: The run.
        needs: With ``min_score``; its other needs are not a matter of checkpoints.
        planned: Checkpoints over which the error is spent.
    """
    figures = ability_figures(series.marks)
    known = set(figures.names) - set(figures.reasons)
    lacking = tuple(name for name in needs.min_score if name not in known)
    if lacking or not needs.min_score:
        return Fit(None, None, None, {}, lacking)
    nearest: tuple[float, int | None, Mapping[str, float]] = (-1.0, None, {})
    error = 1 - needs.sure
    for place, chance in _chances(series.marks, figures, needs.min_score):
        missed = sum(1 - each for each in chance.values())
        spent = alpha_at(place + 1, planned, 1.0)
        if missed <= error * spent:
            sure = max(0.0, 1 - missed / spent)
            return Fit(int(series.steps[place]), sure, int(series.steps[place]), chance)
        if 1 - missed > nearest[0]:
            nearest = 1 - missed, int(series.steps[place]), chance
    return Fit(None, None, nearest[1], nearest[2])


def _chances(
    marks: Marks, figures: Figures, least: Mapping[str, float]
) -> Iterator[tuple[int, dict[str, float]]]:
    """Checkpoints whose scores are all high enough, with the probabilities that they truly are."""
    places = [figures.names.index(name) for name in least]
    mine = np.flatnonzero(np.abs(figures.slope[places]).sum(axis=0))
    values = figures.values(means_of(marks))[:, places]
    enough = (values >= np.array(list(least.values()))).all(axis=1)
    units = marks.where(np.isin(marks.stratum, mine))
    for place in np.flatnonzero(enough).tolist():
        one = units.only([units.models[place]]).common()
        own = ability_figures(one)
        if not set(least) <= set(own.names) - set(own.reasons):
            continue
        draws = draw_jointly(one, f"first_fit\x1f{one.models[0]}", _REPLICATES)
        judged = judge(draws, own, dict.fromkeys(least, 1.0), min_score=least)
        yield place, {name: float(judged.meets[name][0]) for name in least}
