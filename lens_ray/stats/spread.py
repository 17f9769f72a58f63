"""How evenly models do over the subtasks of each ability: `spread`.

Three figures, named apart: ``dvs`` and ``res`` against a frozen pool (`lens_ray.stats.stability`),
``tau`` without one (`lens_ray.stats.heterogeneity`). Lower is steadier, for all. Values and bounds
are those of `lens_ray.stats.steadiness`; joint replicates and paired differences come on top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lens_ray.errors import UserError
from lens_ray.stats.dispersion import TINY, fill_flat, shrunk_variance
from lens_ray.stats.entropy import rank_among, rank_entropy
from lens_ray.stats.figures import bounds_of, in_order
from lens_ray.stats.frames import Framed
from lens_ray.stats.heterogeneity import Measured, tau_of
from lens_ray.stats.joint import JointDraws
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import Pool
from lens_ray.stats.scores import OVERALL, in_overall
from lens_ray.stats.steadiness import KINDS, Kind, Steady, Subtasks, standard_scores, steadiness
from lens_ray.stats.units import Floats


@dataclass(frozen=True)
class Spread:
    """DVS, RES and tau of models x abilities, ``overall`` last.

    Attributes:
        models: Labels of the models.
        names: The abilities in their usual order, then ``overall``.
        pool: The frozen pool, or None.
        steady: Figure with its interval, by (kind, model, name).
        parts: The subtasks that they are made of, by (model, ability).
    """

    models: tuple[str, ...]
    names: tuple[str, ...]
    pool: Pool | None
    steady: Mapping[tuple[Kind, str, str], Steady]
    parts: Mapping[tuple[str, str], Subtasks | str]

    def values(self, kind: Kind) -> Floats:
        """Models x names; NaN where the figure is unknown."""
        return self._figures(kind, "value")

    def bounds(self, kind: Kind) -> tuple[Floats, Floats]:
        """Lower and upper bounds of `values`; NaN where unknown."""
        return self._figures(kind, "low"), self._figures(kind, "high")

    def reason(self, kind: Kind, model: str, name: str) -> str | None:
        """Why a figure or its interval is unknown."""
        return self.steady[kind, model, name].reason

    def replicates(self, kind: Kind) -> Floats:
        """Replicates x models x names; NaN where the figure is unknown.

        A replicate is what the figure might be on other samples. The bootstrap's noise comes on
        top of that which the marks have; DVS and tau have it taken off once, RES cannot.
        """
        size = next((len(p.noise) for p in self.parts.values() if isinstance(p, Subtasks)), 0)
        found = np.full((size, len(self.models), len(self.names)), np.nan)
        values = self.values(kind)
        for row, model in enumerate(self.models):
            for place, name in enumerate(self.names):
                if np.isnan(values[row, place]):
                    continue
                parts = self._parts(model, name)
                if kind == "tau":
                    # The replicates' scores have the noise of the marks and of the bootstrap.
                    found[:, row, place] = tau_of(
                        [Measured(p.corrected + p.noise, 2 * p.measured.variance) for p in parts]
                    )
                    continue
                draw = _dvs_replicates if kind == "dvs" else _res_replicates
                assert self.pool is not None
                found[:, row, place] = np.mean([draw(p, self.pool) for p in parts], axis=0)
        return found

    def difference(self, kind: Kind, a: str, b: str, name: str) -> SpreadDifference:
        """How much less steady model ``a`` is than ``b``; above 0 it is less steady.

        The interval joins those of both by the method of variance estimates recovery (Zou and
        Donner 2008) as if they were independent, which is careful where models err alike.

        Raises:
            UserError: There is no such model or ability.
        """
        for given, known, what in ((a, self.models, "model"), (b, self.models, "model"),
                                   (name, self.names, "ability")):  # fmt: skip
            if given not in known:
                raise UserError(f"no {what} {given!r}; there are: {', '.join(known)}")
        one, two = self.steady[kind, a, name], self.steady[kind, b, name]
        if one.value is None or two.value is None:
            who = f"{a}: {one.reason}" if one.value is None else f"{b}: {two.reason}"
            return SpreadDifference(kind, name, a, b, one.value, two.value, None, None, None, who)
        apart = one.value - two.value
        if one.low is None or one.high is None or two.low is None or two.high is None:
            why = one.reason or two.reason
            return SpreadDifference(kind, name, a, b, one.value, two.value, apart, None, None, why)
        low = apart - math.hypot(one.value - one.low, two.high - two.value)
        high = apart + math.hypot(one.high - one.value, two.value - two.low)
        return SpreadDifference(kind, name, a, b, one.value, two.value, apart, low, high)

    def _parts(self, model: str, name: str) -> list[Subtasks]:
        names = self.names[:-1] if name != OVERALL else in_order(in_overall(self.names))
        found = [self.parts[model, each] for each in names if name in (OVERALL, each)]
        return [part for part in found if isinstance(part, Subtasks)]

    def _figures(self, kind: Kind, which: str) -> Floats:
        rows = [
            [getattr(self.steady[kind, model, name], which) for name in self.names]
            for model in self.models
        ]
        return np.array(rows, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class SpreadDifference(Framed):
    """One figure of stability of two models.

    Attributes:
        kind: ``dvs``, ``res`` or ``tau``.
        name: The ability, or ``overall``.
        a: One model.
        b: The other.
        value_a: The figure of ``a``; None with a reason.
        value_b: The figure of ``b``.
        difference: ``value_a`` - ``value_b``; above 0 where ``a`` is less steady.
        low: Lower bound of its interval.
        high: Upper bound.
        reason: Why one of them is None.
    """

    kind: Kind
    name: str
    a: str
    b: str
    value_a: float | None
    value_b: float | None
    difference: float | None
    low: float | None
    high: float | None
    reason: str | None = None


def spread(
    marks: Marks, pool: Pool | None, draws: JointDraws, *, confidence: float = 0.95
) -> Spread:
    """The stability of every model on every ability.

    Args:
        marks: The marks.
        pool: The frozen pool of their suite; None leaves DVS and RES unknown.
        draws: Of the same marks (`lens_ray.stats.joint.draw_jointly`).
        confidence: Two-sided level of the intervals.

    Raises:
        UserError: The pool is of another suite.
    """
    if pool is not None and marks.suite_digest and pool.suite_digest != marks.suite_digest:
        raise UserError(
            f"pool {pool.label} is of the suite {pool.suite_digest[:12]}, these runs answered "
            f"{marks.suite} ({marks.suite_digest[:12]}); name a pool of that suite"
        )
    abilities = in_order({ability for ability, _ in marks.strata})
    parts = {
        (model, ability): _subtasks(marks, draws, row, ability)
        for row, model in enumerate(marks.models)
        for ability in abilities
    }
    steady: dict[tuple[Kind, str, str], Steady] = {}
    for model in marks.models:
        mine = {ability: parts[model, ability] for ability in abilities}
        for ability, part in mine.items():
            _put(steady, model, ability, [part], pool, confidence)
        counted = [mine[ability] for ability in in_order(in_overall(abilities))]
        _put(steady, model, OVERALL, counted, pool, confidence)
    return Spread(marks.models, (*abilities, OVERALL), pool, steady, parts)


def _put(
    steady: dict[tuple[Kind, str, str], Steady],
    model: str,
    name: str,
    parts: Sequence[Subtasks | str],
    pool: Pool | None,
    confidence: float,
) -> None:
    whole = [part for part in parts if isinstance(part, Subtasks)]
    trouble = [part for part in parts if isinstance(part, str)]
    found = {} if trouble else steadiness(whole, pool, confidence)
    for kind in KINDS:
        steady[kind, model, name] = Steady(None, reason=trouble[0]) if trouble else found[kind]


def _subtasks(marks: Marks, draws: JointDraws, row: int, ability: str) -> Subtasks | str:
    """The subtasks of one model and ability that have a weight, or why it has no stability."""
    given = marks.weights.get(ability)
    places = np.array(
        [
            place
            for place, (name, subtask) in enumerate(marks.strata)
            if name == ability and (not given or given.get(subtask, 0.0) > 0)
        ],
        dtype=np.int64,
    )
    if not len(places):
        return f"no weight is given for a subtask of {ability}"
    chance, upper = (each[places] for each in bounds_of(marks))
    mean, clusters = draws.mean[row, places], draws.clusters[places]
    names = tuple(marks.strata[place][1] for place in places.tolist())
    for place, name in enumerate(names):
        if np.isnan(mean[place]):
            return f"{ability}/{name} has no answered sample"
        if not upper[place] > chance[place]:
            return f"{ability}/{name} has chance {chance[place]:g} and upper {upper[place]:g}"
    deviations = draws.deviations[:, row, places]
    variance = deviations.astype(np.float64).var(axis=0)
    flat = variance < TINY
    variance = np.where(flat, shrunk_variance(mean, clusters), variance)
    noise = fill_flat(deviations, mean, clusters, flat, draws.seed)
    return Subtasks(
        ability, names, mean, chance, upper, variance, clusters, noise / (upper - chance)
    )


def _dvs_replicates(part: Subtasks, pool: Pool) -> Floats:
    values, noise = standard_scores(part, pool)
    seen = (values + noise).var(axis=1, ddof=1)
    found: Floats = np.sqrt(np.maximum(seen - noise.var(axis=1, ddof=1).mean(), 0.0))
    return found


def _res_replicates(part: Subtasks, pool: Pool) -> Floats:
    ranks = []
    for place, name in enumerate(part.names):
        others = pool.corrected(part.ability, name)
        assert others is not None
        ranks.append(rank_among(part.corrected[place] + part.noise[:, place], others))
    return rank_entropy(np.stack(ranks, axis=1))
