"""Which place each model has, and how sure that is: `ranks_of`.

The true rank of a model is 1 + the number of models whose true figure is higher. Its interval comes
from simultaneous intervals of its differences from all other models (joint cluster bootstrap,
maximum of |t|): those that are surely ahead bound it from above, those that are surely behind from
below. Percentiles of bootstrapped ranks would be simpler and cover too rarely where models lie
close together (Mogstad, Romano, Shaikh and Wilhelm, "Inference for Ranks with Applications to
Mobility across Neighborhoods and Academic Achievement across Countries", 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lens_ray.stats.figures import Figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.joint import JointDraws
from lens_ray.stats.units import Bools, Floats

#: Figures nearer than this are equal.
SAME = 1e-9
#: Deviations are kept as float32; a spread below this is its rounding.
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Rank(Framed):
    """The place of one model in one figure.

    Attributes:
        figure: The ability, or ``overall``.
        model: The model.
        value: Its figure; None with a reason, and with it all that follows.
        rank: 1 + the number of models with a higher value.
        rank_low: Best rank that cannot be excluded.
        rank_high: Worst rank that cannot be excluded.
        p_best: Share of the bootstrap replicates in which it has the highest value; ties share.
        tied: Whether it cannot be excluded that it is the best.
        reason: Why there is no rank.
    """

    figure: str
    model: str
    value: float | None
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    p_best: float | None
    tied: bool | None
    reason: str | None = None


@dataclass(frozen=True)
class Apart:
    """How far each of some models is ahead of each other one in one figure.

    Attributes:
        value: The figure of each model.
        spread: Replicates x models: replicate minus value.
        se: Models x models: standard error of the difference.
        freedom: Models x models: its degrees of freedom (Satterthwaite).
    """

    value: Floats
    spread: Floats
    se: Floats
    freedom: Floats

    @property
    def difference(self) -> Floats:
        """Models x models: row minus column."""
        return self.value[:, None] - self.value[None, :]

    def largest(self, rows: Bools, columns: Bools) -> Floats:
        """Of each replicate the largest deviation of a difference, in standard errors.

        Args:
            rows: The models that are compared.
            columns: The models that each is compared with; with itself it never is.
        """
        found = np.zeros(len(self.spread))
        for row in np.flatnonzero(rows).tolist():
            others = np.flatnonzero(columns & (np.arange(len(columns)) != row))
            if len(others):
                moved = np.abs(self.spread[:, [row]] - self.spread[:, others])
                np.maximum(found, (moved / self.se[row, others]).max(axis=1), out=found)
        return found

    def half_widths(self, normal: float, row: int) -> Floats:
        """Half the width of the interval of one model's difference from each.

        Args:
            normal: Standard errors, were they known; few clusters make it more of them.
            row: The model.
        """
        from scipy.special import ndtr, stdtrit

        widths: Floats = stdtrit(self.freedom[row], ndtr(normal)) * self.se[row]
        return widths


class Pairs:
    """The pairwise differences of models, figure by figure."""

    def __init__(self, draws: JointDraws, figures: Figures) -> None:
        """Variances of the strata's differences are reckoned once for all figures."""
        self._draws = draws
        self._figures = figures
        self._values = draws.values(figures)
        strata = range(len(draws.clusters))
        self._variance = np.stack([_apart(draws.deviations[:, :, place]) for place in strata])
        # Where two models differ alike on every cluster: as if one cluster differed.
        self._extra = np.zeros_like(self._variance)
        for place, clusters in enumerate(np.maximum(draws.clusters, 1).tolist()):
            self._extra[place][self._variance[place] < _TINY**2] = clusters**-2.0

    def known(self, figure: str) -> Bools:
        """The models that have a value of a figure."""
        found: Bools = ~np.isnan(self._values[:, self._figures.names.index(figure)])
        return found

    def apart(self, figure: str, models: Bools) -> Apart:
        """Some of the models, in one figure.

        Args:
            figure: Its name.
            models: Those with a value of it that are compared.
        """
        place = self._figures.names.index(figure)
        slope = self._figures.slope[place]
        counted, chosen = np.flatnonzero(slope), np.flatnonzero(models)
        grid = np.ix_(counted, chosen, chosen)
        square = slope[counted, None, None] ** 2
        extra = square * self._extra[grid]
        parts = square * self._variance[grid] + extra
        few = np.maximum(self._draws.clusters[counted] - 1, 1)[:, None, None]
        spread = (self._draws.deviations[:, chosen] @ slope.astype(np.float32)).astype(np.float64)
        return Apart(
            value=self._values[chosen, place],
            spread=spread,
            # Of the whole: strata that share clusters vary together.
            se=np.sqrt(_apart(spread) + extra.sum(axis=0)),
            freedom=parts.sum(axis=0) ** 2 / (parts**2 / few).sum(axis=0),
        )


def ranks_of(
    draws: JointDraws,
    figures: Figures,
    *,
    confidence: float = 0.95,
    unknown: Mapping[tuple[str, str], str] | None = None,
) -> list[Rank]:
    """Rank models in each of some figures.

    Args:
        draws: Of the models' marks.
        figures: Over the strata of the same marks.
        confidence: With which a model's interval holds its true rank; of each model and figure by
            itself.
        unknown: Why a (model, figure) has no value, although its marks would give one.

    Returns:
        Figure by figure, the models in the order of the draws.
    """
    pairs = Pairs(draws, figures)
    found: list[Rank] = []
    for figure in figures.names:
        why = {
            model: (unknown or {}).get((model, figure)) or figures.reasons.get(figure)
            for model in draws.models
        }
        known = pairs.known(figure) & np.array([why[model] is None for model in draws.models])
        ranked = iter(_ranked(pairs.apart(figure, known), confidence) if known.any() else ())
        for model, has in zip(draws.models, known.tolist(), strict=True):
            if has:
                value, rank, low, high, best = next(ranked)
                found.append(Rank(figure, model, value, rank, low, high, best, low == 1))
            else:
                reason = why[model] or f"no answered sample of a subtask of {figure}"
                found.append(Rank(figure, model, *(None,) * 6, reason))
    return found


def _ranked(apart: Apart, confidence: float) -> list[tuple[float, int, int, int, float]]:
    """Value, rank, its interval, and the probability of being best, of each model."""
    ahead = apart.difference > SAME
    surely = np.zeros_like(ahead)
    behind = np.zeros_like(ahead)
    everyone = np.ones(len(apart.value), dtype=bool)
    for row in range(len(apart.value)):
        mine = np.arange(len(apart.value)) == row
        bound = apart.half_widths(critical(apart.largest(mine, everyone), confidence), row)
        surely[row] = apart.difference[row] > bound
        behind[row] = -apart.difference[row] > bound
    replicates = apart.value + apart.spread
    top = replicates >= replicates.max(axis=1, keepdims=True) - _TINY
    best = (top / top.sum(axis=1, keepdims=True)).mean(axis=0)
    return [
        (
            float(apart.value[row]),
            1 + int(ahead[:, row].sum()),
            1 + int(behind[row].sum()),
            len(ahead) - int(surely[row].sum()),
            float(best[row]),
        )
        for row in range(len(ahead))
    ]


def critical(largest: Floats, confidence: float) -> float:
    """Standard errors that the largest deviation exceeds in 1 - confidence of the replicates.

    Never less than for a single difference: where nothing varies, replicates say nothing.
    """
    from scipy.special import ndtri

    least = float(ndtri((1 + confidence) / 2))
    return max(float(np.quantile(largest, confidence)), least)


def _apart(spread: npt.NDArray[np.floating[Any]]) -> Floats:
    """Models x models: variance of the differences of replicates around 0."""
    exact = spread.astype(np.float64)
    product = exact.T @ exact / len(exact)
    own = np.diag(product)
    found: Floats = np.maximum(own[:, None] + own[None, :] - 2 * product, 0.0)
    return found
