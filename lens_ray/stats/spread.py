"""How evenly models do over the subtasks of each ability: `spread`.

Three figures, named apart: ``dvs`` and ``res`` against a frozen pool (`lens_ray.stats.dvs_res`),
``tau`` without one (`lens_ray.stats.heterogeneity`). Lower is steadier, for all. Values and bounds
are those of `lens_ray.stats.steadiness`; joint replicates and paired differences come on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.errors import UserError
from lens_ray.stats.abilities import OVERALL, in_order, in_overall
from lens_ray.stats.dispersion import TINY, mean_covariance, normal_noise
from lens_ray.stats.entropy import rank_among, rank_entropy
from lens_ray.stats.figures import bounds_of
from lens_ray.stats.frames import Framed
from lens_ray.stats.heterogeneity import Measured, tau_of
from lens_ray.stats.joint import JointDraws
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import Pool
from lens_ray.stats.steadiness import (
    KINDS,
    Kind,
    Steady,
    Subtasks,
    joined,
    standard_scale,
    steadiness,
)
from lens_ray.stats.units import Floats

_Drawn = tuple[Subtasks, Floats]


@dataclass(frozen=True)
class Spread:
    """DVS, RES and tau of models x abilities, ``overall`` last.

    Attributes:
        models: Labels of the models.
        names: The abilities in their usual order, then ``overall``.
        pool: The frozen pool, or None.
        steady: Figure with its interval, by (kind, model, name).
        parts: The subtasks that they are made of and their bootstrap (replicates x subtasks:
            deviations of the corrected scores), or why there are none; by (model, ability).
    """

    models: tuple[str, ...]
    names: tuple[str, ...]
    pool: Pool | None
    steady: Mapping[tuple[Kind, str, str], Steady]
    parts: Mapping[tuple[str, str], _Drawn | str]

    def values(self, kind: Kind) -> Floats:
        """Models x names; NaN where the figure is unknown."""
        return self._figures(kind, "value")

    def bounds(self, kind: Kind) -> tuple[Floats, Floats]:
        """Lower and upper bounds of `values`; NaN where unknown."""
        return self._figures(kind, "low"), self._figures(kind, "high")

    def of(self, model: str, name: str) -> dict[Kind, Steady]:
        """The figures of one model on an ability, or ``overall``."""
        return {kind: self.steady[kind, model, name] for kind in KINDS}

    def subtasks(self, model: str, name: str) -> list[Subtasks]:
        """What the figures of one model on an ability, or ``overall``, are made of."""
        return [part for part, _ in self._parts(model, name)]

    def reason(self, kind: Kind, model: str, name: str) -> str | None:
        """Why a figure or its interval is unknown."""
        return self.steady[kind, model, name].reason

    def replicates(self, kind: Kind) -> Floats:
        """Replicates x models x names; NaN where the figure is unknown.

        A replicate is what the figure might be on other samples of the same number. The
        bootstrap's noise comes on top of that of the marks; DVS has it taken off once, and tau,
        which is free of noise, twice. RES keeps it.
        """
        taken_off = 2 if kind == "tau" else 1
        drawn = [self._drawn(kind, name, self.models, taken_off) for name in self.names]
        return np.stack(drawn, axis=2)

    def difference(
        self, kind: Kind, a: str, b: str, name: str, confidence: float = 0.95
    ) -> SpreadDifference:
        """How much less steady model ``a`` is than ``b``, on the same samples and subtasks.

        For DVS and tau the interval is made of the quantiles of the paired replicates, for DVS
        with the noise taken off once and twice, whichever reaches further: at the edge, where one
        model does not vary, each alone holds the truth in fewer than 90 % of the cases. For RES
        it joins both intervals by the method of variance estimates recovery (Zou and Donner 2008).

        Args:
            kind: The figure.
            a: The model that is less steady where the difference is above 0.
            b: The other.
            name: An ability, or ``overall``.
            confidence: Two-sided level; of RES, that which `spread` was called with.

        Raises:
            UserError: There is no such model or ability.
        """
        for given, known, what in ((a, self.models, "model"), (b, self.models, "model"),
                                   (name, self.names, "ability")):  # fmt: skip
            if given not in known:
                raise UserError(f"no {what} {given!r}; there are: {', '.join(known)}")
        one, two = self.steady[kind, a, name], self.steady[kind, b, name]
        empty = SpreadDifference(kind, name, a, b, one.value, two.value, None, None, None)
        if one.value is None or two.value is None:
            who, why = (a, one.reason) if one.value is None else (b, two.reason)
            return replace(empty, reason=f"{who}: {why}")
        apart = one.value - two.value
        if one.low is None or one.high is None or two.low is None or two.high is None:
            return replace(empty, difference=apart, reason=one.reason or two.reason)
        if kind == "res":
            low, high = joined(one, two)
        else:
            tail = (1.0 - confidence) / 2.0
            low = high = apart
            for taken_off in (2,) if kind == "tau" else (1, 2):
                drawn = self._drawn(kind, name, (a, b), taken_off)
                ends = np.quantile(drawn[:, 0] - drawn[:, 1], [tail, 1.0 - tail])
                low, high = min(low, float(ends[0])), max(high, float(ends[1]))
        return replace(empty, difference=apart, low=low, high=high)

    def _drawn(self, kind: Kind, name: str, models: Sequence[str], taken_off: int) -> Floats:
        """Replicates x models, of which the bootstrap's noise is taken off so many times."""
        columns = [
            _replicates(kind, self._parts(model, name), self.pool, taken_off)
            if self.steady[kind, model, name].value is not None
            else np.full(self._size, np.nan)
            for model in models
        ]
        return np.stack(columns, axis=1)

    @property
    def _size(self) -> int:
        """How many replicates there are."""
        return next((len(part[1]) for part in self.parts.values() if not isinstance(part, str)), 0)

    def _parts(self, model: str, name: str) -> list[_Drawn]:
        known = {ability for _, ability in self.parts}
        names = in_order(in_overall(known)) if name == OVERALL else [name]
        found = [self.parts[model, each] for each in names]
        return [part for part in found if not isinstance(part, str)]

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
    marks: Marks,
    pool: Pool | None,
    draws: JointDraws,
    *,
    confidence: float = 0.95,
    kinds: Sequence[Kind] = KINDS,
    names: Sequence[str] | None = None,
) -> Spread:
    """The stability of every model on every ability.

    Args:
        marks: The marks.
        pool: The frozen pool of their suite; None leaves DVS and RES unknown.
        draws: Of the same marks (`lens_ray.stats.joint.draw_jointly`).
        confidence: Two-sided level of the intervals.
        kinds: Only these figures; no other may then be asked for.
        names: Only these abilities and ``overall``; None takes all.

    Raises:
        UserError: The pool is of another suite.
    """
    if pool is not None and marks.suite_digest and pool.suite_digest != marks.suite_digest:
        raise UserError(
            f"pool {pool.label} is of the suite {pool.suite_digest[:12]}, these runs answered "
            f"{marks.suite} ({marks.suite_digest[:12]}); name a pool of that suite"
        )
    abilities = in_order({ability for ability, _ in marks.strata})
    asked = tuple(name for name in (*abilities, OVERALL) if names is None or name in names)
    parts = {
        (model, ability): _subtasks(marks, draws, row, ability)
        for row, model in enumerate(marks.models)
        for ability in abilities
    }
    steady: dict[tuple[Kind, str, str], Steady] = {}
    for model in marks.models:
        mine = {ability: parts[model, ability] for ability in abilities}
        counted = [mine[ability] for ability in in_order(in_overall(abilities))]
        for name in asked:
            part = counted if name == OVERALL else [mine[name]]
            _put(steady, model, name, part, pool, confidence, kinds)
    return Spread(marks.models, asked, pool, steady, parts)


def _put(
    steady: dict[tuple[Kind, str, str], Steady],
    model: str,
    name: str,
    parts: Sequence[_Drawn | str],
    pool: Pool | None,
    confidence: float,
    kinds: Sequence[Kind],
) -> None:
    whole = [part[0] for part in parts if not isinstance(part, str)]
    trouble = [part for part in parts if isinstance(part, str)]
    found = {} if trouble else steadiness(whole, pool, confidence, kinds)
    for kind in kinds:
        steady[kind, model, name] = Steady(None, reason=trouble[0]) if trouble else found[kind]


def _subtasks(marks: Marks, draws: JointDraws, row: int, ability: str) -> _Drawn | str:
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
    names = tuple(marks.strata[place][1] for place in places.tolist())
    for place, name in enumerate(names):
        if np.isnan(draws.mean[row, places[place]]):
            return f"{ability}/{name} has no answered sample"
        if not upper[place] > chance[place]:
            return f"{ability}/{name} has chance {chance[place]:g} and upper {upper[place]:g}"
    mean, covariance, clusters = mean_covariance(
        marks.score[row], marks.stratum, marks.cluster, places
    )
    part = Subtasks(ability, names, mean, chance, upper, covariance, clusters)
    noise = draws.deviations[:, row, places].astype(np.float64)
    flat = np.flatnonzero(noise.std(axis=0) < TINY)
    if len(flat):
        # No bootstrap moves what is all alike; its variance is that of `mean_covariance`.
        noise[:, flat] = normal_noise(covariance[np.ix_(flat, flat)], draws.seed, len(noise))
    return part, noise / part.span


def _replicates(kind: Kind, parts: Sequence[_Drawn], pool: Pool | None, taken_off: int) -> Floats:
    if kind == "tau":
        return tau_of(
            [
                Measured(part.corrected + noise, taken_off * part.measured.variance)
                for part, noise in parts
            ]
        )
    assert pool is not None
    drawn = [
        _dvs_replicates(*each, pool, taken_off) if kind == "dvs" else _res_replicates(*each, pool)
        for each in parts
    ]
    found: Floats = np.mean(drawn, axis=0)
    return found


def _dvs_replicates(part: Subtasks, noise: Floats, pool: Pool, taken_off: int) -> Floats:
    center, unit = standard_scale(part, pool)
    seen = ((part.corrected - center + noise) / unit).var(axis=1, ddof=1)
    added = taken_off * (noise / unit).var(axis=1, ddof=1).mean()
    found: Floats = np.sqrt(np.maximum(seen - added, 0.0))
    return found


def _res_replicates(part: Subtasks, noise: Floats, pool: Pool) -> Floats:
    ranks = []
    for place, name in enumerate(part.names):
        others = pool.corrected(part.ability, name)
        assert others is not None
        ranks.append(rank_among(part.corrected[place] + noise[:, place], others))
    return rank_entropy(np.stack(ranks, axis=1))
