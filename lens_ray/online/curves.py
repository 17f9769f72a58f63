"""The curves of a run: `curves_of`, values with intervals and paired changes, and their `knee`.

A value is the corrected score of the units that a checkpoint answered, with the interval that
`lens_ray.stats.scores` gives it. Anchors may be easier or harder than the rest, so that a curve of
both would jump: an ability's value at a checkpoint that was asked its anchors only, after one that
was asked in full, is the estimate for all units with that one as its reference
(`lens_ray.stats.anchors`). A change is paired: the same figure of this checkpoint minus that of the
one before, on the units that both answered; of two depths these are the anchors.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.online.findings import Curve, Interval, Point
from lens_ray.online.series import Series
from lens_ray.stats.abilities import OVERALL, in_order, in_overall
from lens_ray.stats.anchors import anchor_estimates
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.dispersion import mean_covariance
from lens_ray.stats.dvs_res import dvs_and_res
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.heterogeneity import tau_of
from lens_ray.stats.mark_scores import units_of
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import Pool
from lens_ray.stats.steadiness import Subtasks
from lens_ray.stats.strata import Strata
from lens_ray.stats.units import Bools, Floats

#: Fewer points than this have no bend.
_LEAST = 5
#: An ability and its subtask; no subtask is the whole ability.
_Name = tuple[str, str | None]
#: Points by figure, without axes, and why one lacks something.
_Found = dict[_Name, tuple[Point, str | None]]
#: Checkpoints of which points are remembered, by all that they rest on.
_MOST = 20_000
_HELD: dict[bytes, _Found] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True)
class _View:
    """The figures over one set of units.

    Attributes:
        units: Which units of the series.
        marks: These, of no checkpoint.
        names: Of the figures.
        figures: In the order of the names.
    """

    units: Bools
    marks: Marks
    names: tuple[_Name, ...]
    figures: Figures

    def of(self, marks: Marks, rows: Sequence[int]) -> Marks:
        """The marks of some checkpoints on these units."""
        labels = tuple(marks.models[row] for row in rows)
        return replace(self.marks, models=labels, score=marks.score[rows][:, self.units])


class _Views:
    """The figures over each set of units that checkpoints have answered; there are few."""

    def __init__(self, marks: Marks) -> None:
        self._bare = replace(marks, models=(), runs=(), score=marks.score[:0])
        self._held: dict[bytes, _View] = {}
        whole = ability_figures(self._bare)
        counted = (whole.slope != 0).any(axis=0)
        #: What every checkpoint is asked, if it is asked all that any of them is.
        self._counted = frozenset(
            name for name, counts in zip(marks.strata, counted.tolist(), strict=True) if counts
        )

    def of(self, units: Bools) -> _View:
        key = np.packbits(units).tobytes()
        if key not in self._held:
            marks = self._bare.where(units)
            names, figures = _figures(marks, self._counted - set(marks.strata))
            self._held[key] = _View(units, marks, names, figures)
        return self._held[key]


def curves_of(series: Series, pool: Pool | None = None) -> tuple[Curve, ...]:
    """Every curve of a run: one an ability, ``overall``, then one a subtask.

    Args:
        series: The run.
        pool: The frozen pool of its suite, for ``dvs``; None leaves it out.
    """
    marks = series.marks
    views = _Views(marks)
    abilities = series.abilities
    names: list[_Name] = [(name, None) for name in (*abilities, OVERALL)]
    names += [
        (ability, subtask) for name in abilities for ability, subtask in marks.strata
        if ability == name
    ]  # fmt: skip
    points: dict[_Name, list[Point]] = {name: [] for name in names}
    reasons: dict[_Name, str] = {}
    fitting = pool if pool is not None and pool.suite_digest == marks.suite_digest else None
    ground = _ground(marks, fitting)
    for row in range(len(marks.models)):
        found = _remembered(series, row, views, fitting, ground)
        for name in names:
            point, reason = found.get(name) or (_nothing(series, row), _unanswered(name))
            points[name].append(_on_axes(point, series, row))
            if reason is not None:
                reasons.setdefault(name, reason)
    label = fitting.label if fitting is not None else None
    return tuple(
        Curve(
            ability=ability,
            subtask=subtask,
            points=tuple(points[ability, subtask]),
            pool=label if subtask is None else None,
            reason=reasons.get((ability, subtask)),
        )
        for ability, subtask in names
    )


def _ground(marks: Marks, pool: Pool | None) -> bytes:
    """A digest of all that the points of a checkpoint rest on besides scores."""
    found = hashlib.blake2b("\0".join(marks.ids).encode(), digest_size=16)
    for array in (marks.stratum, marks.cluster, marks.chance, marks.upper):
        found.update(array.tobytes())
    weights = {name: sorted(shares.items()) for name, shares in sorted(marks.weights.items())}
    split = marks.facets["split"]
    found.update(split.code.tobytes())
    said = (marks.strata, weights, split.labels, pool.digest if pool is not None else None)
    found.update(repr(said).encode())
    return found.digest()


def _remembered(
    series: Series, row: int, views: _Views, pool: Pool | None, ground: bytes
) -> _Found:
    """As `_points`; those of checkpoints that were there at an earlier look are not made again.

    A checkpoint of 12,000 units takes 25 ms, so that each look at a run of 500 would take 12 s.
    """
    key = hashlib.blake2b(ground, digest_size=16)
    key.update(f"{series.steps[row]}/{series.depth[row]}".encode())
    for other in (row, row - 1 if row else None, _reference(series, row)):
        key.update(b"-" if other is None else series.marks.score[other].tobytes())
    name = key.digest()
    with _LOCK:
        found = _HELD.pop(name, None)
    if found is None:
        found = _points(series, row, views, pool)
    with _LOCK:
        _HELD[name] = found  # the newest is the last to go
        while len(_HELD) > _MOST:
            del _HELD[next(iter(_HELD))]
    return found


def _nothing(series: Series, row: int) -> Point:
    """The point of a checkpoint whose value is not known."""
    return Point(int(series.steps[row]), series.depth[row], n=0, value=None, interval=None)


def _on_axes(point: Point, series: Series, row: int) -> Point:
    """With tokens and GPU-hours, which may be known better at a later look."""
    if not series.tokens and not series.gpu_hours:
        return point
    return replace(
        point,
        tokens=series.tokens[row] if series.tokens else None,
        gpu_hours=series.gpu_hours[row] if series.gpu_hours else None,
    )


def _unanswered(name: _Name) -> str:
    ability, subtask = name
    return f"a checkpoint has no answer of {ability if subtask is None else subtask}"


def _points(series: Series, row: int, views: _Views, pool: Pool | None) -> _Found:
    """The points of one checkpoint by figure, and why one lacks something."""
    marks = series.marks
    answered: Bools = ~np.isnan(marks.score[row])
    view = views.of(answered)
    strata = Strata(units_of(view.marks, marks.score[row][answered]))
    changes = _changes(marks, row, views)
    whole = _for_allunits_of(series, row)
    steady = _steady(view, marks.score[row][answered], pool)
    values = view.figures.values(strata.accuracy[None])[0]
    found: _Found = {}
    for place, name in enumerate(view.names):
        moved = changes.get(name)
        reason = view.figures.reasons.get(view.figures.names[place])
        point = replace(
            _nothing(series, row),
            n=int(strata.marked[view.figures.slope[place] != 0].sum()),
            value=None if reason else float(values[place]),
            interval=None if reason else _interval(strata, view, place, float(values[place])),
            change=moved.difference if moved is not None else None,
            change_interval=_bounds(moved),
        )
        if name in whole and reason is None:
            value, interval = whole[name]
            point = replace(point, value=value, interval=interval)
        if name in steady:
            dvs, tau, why = steady[name]
            point, reason = replace(point, dvs=dvs, tau=tau), reason or why
        found[name] = point, reason
    return found


def _figures(
    marks: Marks, lacking: Collection[tuple[str, str]]
) -> tuple[tuple[_Name, ...], Figures]:
    """Abilities, ``overall``, then the corrected score of each subtask.

    Args:
        marks: Units.
        lacking: Subtasks without a unit: an ability without them would be another one.
    """
    whole = _without(ability_figures(marks), lacking)
    strata = Strata(units_of(marks, np.zeros(len(marks.stratum))))
    flat = ~(strata.range > 0)
    slope = np.diag(np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, strata.range)))
    labels = tuple("/".join(name) for name in marks.strata)
    reasons = {
        labels[place]: why
        for place in range(len(labels))
        if (why := strata.trouble(place)) is not None
    }
    figures = Figures(
        names=(*whole.names, *labels),
        slope=np.concatenate([whole.slope, slope]),
        shift=np.concatenate([whole.shift, slope @ strata.chance]),
        reasons={**whole.reasons, **reasons},
    )
    names: list[_Name] = [(name, None) for name in whole.names]
    return (*names, *marks.strata), figures


def _without(figures: Figures, lacking: Collection[tuple[str, str]]) -> Figures:
    """The figures, unknown where subtasks are lacking."""
    if not lacking:
        return figures
    why = {ability: f"{ability}/{subtask} has no answer" for ability, subtask in sorted(lacking)}
    why[OVERALL] = next(iter(why.values()))
    slope, shift = figures.slope.copy(), figures.shift.copy()
    for place, name in enumerate(figures.names):
        if name in why:
            slope[place] = shift[place] = 0.0
    reasons = {**figures.reasons, **{n: w for n, w in why.items() if n in figures.names}}
    return Figures(figures.names, slope, shift, reasons)


def _interval(strata: Strata, view: _View, place: int, value: float) -> Interval:
    shares = view.figures.slope[place] * strata.range
    weights = {each: float(shares[each]) for each in np.flatnonzero(shares).tolist()}
    return strata.interval(weights, value)


def _changes(marks: Marks, row: int, views: _Views) -> dict[_Name, Difference]:
    """The paired difference of each figure to the checkpoint before."""
    if row == 0:
        return {}
    both: Bools = np.logical_and.reduce(~np.isnan(marks.score[row - 1 : row + 1]), axis=0)
    if not both.any():
        return {}
    view = views.of(both)
    pair = view.of(marks, [row, row - 1])
    now, before = pair.models
    found = contrast(pair, now, before, view.figures, with_mde=False)
    return dict(zip(view.names, found, strict=True))


def _reference(series: Series, row: int) -> int | None:
    """The last full checkpoint before one that was asked its anchors only."""
    if series.depth[row] == "full":
        return None
    return next((each for each in range(row - 1, -1, -1) if series.depth[each] == "full"), None)


def _for_allunits_of(series: Series, row: int) -> dict[_Name, tuple[float, Interval]]:
    """What an anchor's abilities would be on all units, by the last full checkpoint before it."""
    marks, reference = series.marks, _reference(series, row)
    if reference is None:
        return {}
    found = anchor_estimates(marks, marks.models[row], marks.models[reference])
    return {
        (each.figure, None): (each.estimate, (each.ci_low, each.ci_high))
        for each in found
        if each.estimate is not None and each.ci_low is not None and each.ci_high is not None
    }


def _bounds(moved: Difference | None) -> Interval | None:
    if moved is None or moved.ci_low is None or moved.ci_high is None:
        return None
    return moved.ci_low, moved.ci_high


def _steady(
    view: _View, score: Floats, pool: Pool | None
) -> dict[_Name, tuple[float | None, float | None, str | None]]:
    """DVS, tau and why one is None, by ability and ``overall``.

    As `lens_ray.stats.steadiness.steadiness` has them, without its intervals.
    """
    abilities = in_order({ability for ability, _ in view.marks.strata})
    found: dict[_Name, tuple[float | None, float | None, str | None]] = {}
    parts: dict[str, Subtasks] = {}
    for place, name in enumerate(abilities):
        reason = view.figures.reasons.get(name)
        if reason is None:
            parts[name] = part = _part(view, place, name, score)
            found[name, None] = _dvs_and_tau([part], pool)
        else:
            found[name, None] = None, None, reason
    counted = in_order(in_overall(abilities))
    if OVERALL not in view.figures.reasons and all(name in parts for name in counted):
        found[OVERALL, None] = _dvs_and_tau([parts[name] for name in counted], pool)
    return found


def _part(view: _View, place: int, ability: str, score: Floats) -> Subtasks:
    """The subtasks of an ability that count."""
    marks = view.marks
    places = np.flatnonzero(view.figures.slope[place])
    mean, covariance, clusters = mean_covariance(score, marks.stratum, marks.cluster, places)
    size = np.bincount(marks.stratum, minlength=len(marks.strata))[places]
    chance, upper = (
        np.bincount(marks.stratum, weights=each, minlength=len(marks.strata))[places] / size
        for each in (marks.chance, marks.upper)
    )
    names = tuple(marks.strata[each][1] for each in places.tolist())
    return Subtasks(ability, names, mean, chance, upper, covariance, clusters)


def _dvs_and_tau(
    parts: Sequence[Subtasks], pool: Pool | None
) -> tuple[float | None, float | None, str | None]:
    if short := [part.ability for part in parts if len(part.names) < 2]:
        return None, None, f"stability needs 2 subtasks, {short[0]} has 1"
    tau = float(tau_of([part.measured for part in parts]))
    against = [
        dvs_and_res(dict(zip(p.names, p.corrected.tolist(), strict=True)), p.ability, pool)
        for p in parts
    ]
    known = [dvs for dvs, _, _ in against if dvs is not None]
    if len(known) < len(parts):
        return None, tau, next(why for dvs, _, why in against if dvs is None)
    return sum(known) / len(known), tau, None


def knee(steps: Sequence[int], values: Sequence[float | None]) -> int | None:
    """The step at which a curve that rises begins to rise less: the bend of a hinge.

    Two straight lines that meet at a step are fitted by least squares, for every step but the
    first and the last; the best fit wins. It is early on curves that bend slowly: over 30
    checkpoints that flatten out at the 8th, reference simulations gave 4.7.

    Args:
        steps: Ascending.
        values: At each; None is left out.

    Returns:
        The step, or None where there are fewer than five values, the first line does not rise, or
        the second rises as much as the first.
    """
    known = [place for place, value in enumerate(values) if value is not None]
    if len(known) < _LEAST:
        return None
    at = np.array([steps[place] for place in known], dtype=np.float64)
    height = np.array([values[place] for place in known], dtype=np.float64)
    # Steps of millions would lose digits when they are squared.
    at = (at - at[0]) / (at[-1] - at[0])
    bends = at[1:-1]
    hinge = np.maximum(at[None, :] - bends[:, None], 0.0)
    line = np.stack([np.ones_like(at), at], axis=1)
    beside, _ = np.linalg.qr(line)
    left = height - beside @ (beside.T @ height)
    shape = hinge - (hinge @ beside) @ beside.T
    turn = shape @ left / (shape**2).sum(axis=1)
    explained = turn**2 * (shape**2).sum(axis=1)
    best = int(np.argmax(explained))
    before = _first_slope(at, height, hinge[best])
    if turn[best] >= 0 or before <= 0 or explained[best] <= 1e-18:
        return None
    return steps[known[best + 1]]


def _first_slope(at: Floats, height: Floats, hinge: Floats) -> float:
    columns = np.stack([np.ones_like(at), at, hinge], axis=1)
    return float(np.linalg.lstsq(columns, height, rcond=None)[0][1])
