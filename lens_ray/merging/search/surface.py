"""A score as a function of the mixture: `fit_surfaces`, and what it answers without asking.

One mixture design gives every ability its own surface, Scheffé's quadratic (1958): the sum of b_i
x_i and b_ij x_i x_j over the shares x of the ingredients, by least squares. It is fitted to the
logit of v, and v is the place of a corrected score between the least and the most that is possible
(no mark at all, every mark): a corrected score may be below 0, v is always in [0, 1] and is an
accuracy. So any weighting of the abilities, with any least scores, has its best mixture looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lens_ray.merging.record import Score
from lens_ray.merging.search.lattice import fine_grid
from lens_ray.merging.search.pool import Ingredient, mixed
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.figures import Figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats

#: As many degrees of freedom the noise that the samples show counts for, beside that of the
#: residuals: ten mixtures leave four of those, which alone give intervals of any length.
_KNOWN_NOISE = 4.0
_REPLICATES = 500


@dataclass(frozen=True, slots=True)
class Surface:
    """The surface of one ability.

    Attributes:
        figure: The ability.
        terms: b_i, then b_ij in the order of the pairs.
        least: The corrected score of no mark at all.
        most: That of every mark.
        units: By which the logit is kept from 0 and 1.
        noise: SD of a measurement around the surface, as logit.
        df: Degrees of freedom of ``noise``.
    """

    figure: str
    terms: tuple[float, ...]
    least: float
    most: float
    units: int
    noise: float
    df: float

    def score(self, logit: Floats) -> Floats:
        """Corrected scores of logits."""
        kept = 1 / (1 + np.exp(-logit))
        place = np.clip((kept * (self.units + 1) - 0.5) / self.units, 0, 1)
        found: Floats = self.least + (self.most - self.least) * place
        return found


@dataclass(frozen=True, slots=True)
class Mixture:
    """A mixture that the surfaces chose.

    Attributes:
        shares: Of the ingredients.
        weights: Of the checkpoints.
        scores: By ability, then ``overall``, with prediction intervals.
        short: Abilities whose least score no mixture was predicted to reach together with the
            others; empty where all are reached.
    """

    shares: tuple[float, ...]
    weights: Mapping[str, float]
    scores: Mapping[str, Score]
    short: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surfaces:
    """One surface an ability, over the same mixtures.

    Attributes:
        ingredients: What is mixed.
        design: Mixtures that were asked: shares of the ingredients.
        surfaces: By ability.
        confidence: Of prediction intervals.
        quadratic: Whether pairs have terms: not where the design is too small for them.
    """

    ingredients: tuple[Ingredient, ...]
    design: tuple[tuple[float, ...], ...]
    surfaces: Mapping[str, Surface]
    confidence: float
    quadratic: bool

    def scores(self, shares: Floats) -> dict[str, Floats]:
        """Predicted corrected scores of some mixtures, by ability.

        Args:
            shares: Mixtures x ingredients.
        """
        terms = _terms(shares, self.quadratic)
        return {
            name: each.score(terms @ np.array(each.terms)) for name, each in self.surfaces.items()
        }

    def predict(self, shares: Sequence[float], weights: Mapping[str, float]) -> dict[str, Score]:
        """Scores of one mixture with prediction intervals, by ability and ``overall``.

        The intervals are of what would be measured on the same samples.

        Args:
            shares: Of the ingredients.
            weights: Of the abilities; their sum is 1.
        """
        from scipy.special import stdtrit

        terms = _terms(np.array([shares]), self.quadratic)[0]
        design = _terms(np.array(self.design), self.quadratic)
        stretch = float(1 + terms @ np.linalg.pinv(design.T @ design) @ terms) ** 0.5
        found, total, variance, df = {}, 0.0, 0.0, np.inf
        for name, one in self.surfaces.items():
            logit = float(terms @ np.array(one.terms))
            half = float(stdtrit(one.df, (1 + self.confidence) / 2)) * one.noise * stretch
            value, low, high = one.score(np.array([logit, logit - half, logit + half])).tolist()
            found[name] = Score(value=value, low=low, high=high, n=one.units)
            total += weights.get(name, 0.0) * value
            variance += (weights.get(name, 0.0) * (high - low) / 2) ** 2
            df = min(df, one.df)
        half = variance**0.5
        units = sum(one.units for one in self.surfaces.values())
        found[OVERALL] = Score(value=total, low=total - half, high=total + half, n=units)
        return found

    def best(
        self, weights: Mapping[str, float], least: Mapping[str, float] | None = None
    ) -> Mixture:
        """The mixture with the highest predicted weighted score; nothing is asked for it.

        Args:
            weights: Of the abilities; their sum is 1.
            least: Corrected scores that abilities must reach. Where no mixture reaches them all,
                the one that misses them by least in sum.
        """
        return self.highest(weights, lambda scores: scores[OVERALL], least)

    def highest(
        self,
        weights: Mapping[str, float],
        worth: Callable[[Mapping[str, Floats]], Floats],
        least: Mapping[str, float] | None = None,
    ) -> Mixture:
        """The mixture that is worth most, by its predicted scores.

        Args:
            weights: Of the abilities; their sum is 1.
            worth: Of mixtures, from their scores by ability and ``overall``.
            least: See `best`.
        """
        grid = fine_grid(len(self.ingredients))
        scores = self.scores(grid)
        zero = np.zeros(len(grid))
        total = sum((weights.get(name, 0.0) * each for name, each in scores.items()), zero)
        missing = {
            name: np.maximum(bound - scores[name], 0.0)
            for name, bound in (least or {}).items()
            if name in scores
        }
        short = sum(missing.values(), zero)
        # Differences of rounding do not decide: of equals the first, which is the less mixed one.
        by_worth = -np.round(worth({**scores, OVERALL: total}), 9)
        place = int(np.lexsort((by_worth, np.round(short, 9)))[0])
        shares = tuple(float(each) for each in grid[place])
        return Mixture(
            shares,
            mixed(self.ingredients, shares),
            self.predict(shares, weights),
            tuple(name for name, each in missing.items() if each[place] > 1e-9),
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "ingredients": [asdict(each) for each in self.ingredients],
            "design": [list(each) for each in self.design],
            "surfaces": {name: asdict(each) for name, each in self.surfaces.items()},
            "confidence": self.confidence,
            "quadratic": self.quadratic,
        }


def fit_surfaces(
    marks: Marks,
    figures: Figures,
    design: Floats,
    ingredients: Sequence[Ingredient],
    *,
    confidence: float = 0.95,
    seed_key: str = "surfaces",
) -> Surfaces:
    """Fit one surface an ability.

    Args:
        marks: Of the design's mixtures, in its order, on the same units.
        figures: Corrected scores of the abilities; ``overall`` is passed over.
        design: Mixtures x ingredients.
        ingredients: What was mixed.
        confidence: Of prediction intervals.
        seed_key: Of the replicates that show the samples' noise.
    """
    count = design.shape[1]
    quadratic = len(design) >= count + count * (count - 1) // 2
    terms = _terms(design, quadratic)
    draws = draw_jointly(marks, seed_key, _REPLICATES)
    found = {}
    for name in figures.names:
        if name == OVERALL or name in figures.reasons:
            continue
        one = figures.only([name])
        found[name] = _fitted(
            name, one, draws.values(one)[:, 0], draws.replicates(one)[:, :, 0], terms,
            _units(marks, one),
        )  # fmt: skip
    return Surfaces(
        tuple(ingredients), tuple(tuple(map(float, row)) for row in design), found, confidence,
        quadratic,
    )  # fmt: skip


def _fitted(
    name: str, figure: Figures, values: Floats, drawn: Floats, terms: Floats, units: int
) -> Surface:
    """Least squares, and the noise: of the residuals and of the samples."""
    least = -float(figure.shift[0])
    most = float(figure.slope[0].sum()) + least

    def logit(score: Floats) -> Floats:
        place = np.clip((score - least) / (most - least), 0, 1)
        kept = (place * units + 0.5) / (units + 1)
        found: Floats = np.log(kept / (1 - kept))
        return found

    seen = logit(values)
    solved = np.linalg.lstsq(terms, seen, rcond=None)[0]
    residual = float(((seen - terms @ solved) ** 2).sum())
    # The samples' noise, less what the surface takes in: that moves the surface, not the mixtures
    # around it.
    moved = logit(drawn) - seen
    free = len(seen) - terms.shape[1]
    if free > 0:
        moved = moved - moved @ np.linalg.pinv(terms).T @ terms.T
        shown = float((moved**2).sum(axis=1).mean()) / free
    else:
        shown = float(moved.var(axis=1, ddof=1).mean())
    df = max(free, 0) + _KNOWN_NOISE
    variance = (residual + _KNOWN_NOISE * shown) / df
    return Surface(name, tuple(solved.tolist()), least, most, units, variance**0.5, df)


def _units(marks: Marks, figure: Figures) -> int:
    counted = figure.slope[0] != 0
    return int(counted[marks.stratum].sum())


def _terms(shares: Floats, quadratic: bool) -> Floats:
    """Mixtures x terms of Scheffé's polynomial."""
    pairs = combinations(range(shares.shape[1]), 2) if quadratic else ()
    return np.column_stack([shares, *(shares[:, i] * shares[:, j] for i, j in pairs)])
