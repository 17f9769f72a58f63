"""What whole clusters say of each stratum's mean: `Clustered`, the ground of every interval.

The variance of a mean is cluster-robust: squares of the clusters' residual sums, times
C / (C - 1). That is as good as the number of clusters that have a say. Where the mean hangs on a
few (three wrong answers, in two pictures) it is mostly too small, so it is moved towards what it
would be if the units of a cluster were all alike, by 1 / (1 + (f / 4)^4) of the way; f is the
degrees of freedom that the squares themselves show, 2 / (sum e^4 / (sum e^2)^2 - 1 / C). It moves
nothing where every unit is a cluster of its own, nor where many clusters differ. Without it, the
intervals of 400 clusters of 1 to 8 with a truth of 0.005 and correlation 0.6 held it in 88 %, with
it in 97 %.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.units import Floats, Ints, Units

#: Fewer clusters than this give an interval with a warning.
FEW_CLUSTERS = 20
#: Degrees of freedom at which a variance is moved half of the way.
_HALFWAY = 4.0
#: A variance below this is rounding.
TINY = 1e-24


def few_clusters(clusters: int) -> str | None:
    """What a reader of an interval of so few clusters should know, or None."""
    if clusters >= FEW_CLUSTERS:
        return None
    name = "cluster" if clusters == 1 else "clusters"
    return f"{clusters} {name} only, fewer than {FEW_CLUSTERS}: the interval may be too narrow"


@dataclass(frozen=True)
class Clustered:
    """Units of one value each, by stratum and cluster.

    Attributes:
        size: Units by stratum.
        clusters: Clusters by stratum.
        mean: Mean value by stratum; 0 where there is no unit, like all that follows.
        spread: Variance of the values (with n - 1).
        lean: Their third central moment by their second, both with n: 1 - 2 p of rights and
            wrongs; 0 where nothing varies.
        variance: Variance of the mean.
        alike: Clusters of equal size that would tell as much, if the units of each were all alike:
            n^2 / sum of squared cluster sizes.
        stratum: Stratum of each (cluster, stratum) with units, sorted by cluster.
        cluster: Cluster of each, numbered without gaps.
        residual: Sum of (value - mean) of each, divided by the stratum's size.
        component: Number of each cluster's set of strata that share clusters.
        plain: Variance of the mean before it was moved.
    """

    size: Floats
    clusters: Ints
    mean: Floats
    spread: Floats
    lean: Floats
    variance: Floats
    alike: Floats
    stratum: Ints
    cluster: Ints
    residual: Floats
    component: Ints
    plain: Floats

    def combined(self, weights: Floats, extra: Floats | None = None) -> tuple[float, float]:
        """Variance of ``sum(weights * mean)`` and its Satterthwaite degrees of freedom.

        Args:
            weights: Of each stratum's mean, of any sign; 0 leaves it out.
            extra: Variance to add, by stratum; strata with weight 0 count no more with it.

        Returns:
            Both 0 where nothing varies.
        """
        counted = weights[self.stratum] != 0
        here = np.bincount(self.cluster[counted], minlength=len(self.component)) > 0
        clusters = np.bincount(self.component[here], minlength=self._components)
        moved = weights[self.stratum] * self.residual
        summed = _sums(self.cluster, moved, len(self.component))
        part = _sums(self.component, summed**2, self._components)
        part = part * clusters / np.maximum(clusters - 1, 1)
        more = weights**2 * (self.variance - self.plain)
        if extra is not None:
            more = more + np.where(weights != 0, extra, 0.0)
        part += np.bincount(self._component_of_stratum(), weights=more, minlength=self._components)
        total = float(part.sum())
        if total <= TINY:
            return 0.0, 0.0
        return total, total**2 / float((part**2 / np.maximum(clusters - 1, 1)).sum())

    def counted(self, weights: Floats) -> int:
        """Clusters of the strata whose weight is not 0."""
        # They are sorted by cluster.
        return int(np.count_nonzero(np.diff(self.cluster[weights[self.stratum] != 0], prepend=-1)))

    @property
    def _components(self) -> int:
        return int(self.component.max()) + 1 if len(self.component) else 1

    def _component_of_stratum(self) -> Ints:
        found = np.zeros(len(self.size), dtype=np.int64)
        found[self.stratum] = self.component[self.cluster]
        return found


def clustered(values: Floats, stratum: Ints, cluster: Ints, strata: int) -> Clustered:
    """Add up units by stratum and cluster.

    Args:
        values: Value of each unit; NaN leaves it out.
        stratum: Stratum of each, below ``strata``.
        cluster: Cluster of each.
        strata: How many strata there are.
    """
    known = ~np.isnan(values)
    values, stratum, cluster = values[known], stratum[known], cluster[known]
    size = np.bincount(stratum, minlength=strata).astype(np.float64)
    many = np.maximum(size, 1.0)
    mean = np.bincount(stratum, weights=values, minlength=strata) / many
    apart = values - mean[stratum]
    second, third = (_sums(stratum, apart**power, strata) for power in (2, 3))
    spread = second / np.maximum(size - 1, 1)
    lean = np.divide(third, second, out=np.zeros(strata), where=spread > TINY)
    cells = _cells(stratum, cluster, strata)
    clusters = cells.clusters
    residual = _sums(cells.inverse, apart, len(cells.stratum)) / many[cells.stratum]
    alike = size**2 / np.maximum(cells.squares, 1.0)
    squares = _sums(cells.stratum, residual**2, strata)
    plain = squares * clusters / np.maximum(clusters - 1, 1)
    fourth = _sums(cells.stratum, residual**4, strata)
    whole = spread / np.maximum(alike, 1.0)
    variance = plain + _doubt(squares, fourth, clusters) * np.maximum(whole - plain, 0.0)
    return Clustered(
        size=size, clusters=clusters, mean=mean, spread=spread, lean=lean, variance=variance,
        alike=alike, stratum=cells.stratum, cluster=cells.cluster, residual=residual,
        component=cells.component, plain=plain,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Cells:
    """Where units lie, whatever their values.

    Attributes:
        units: Stratum and cluster of each unit.
        inverse: Cell of each unit: its (cluster, stratum).
        stratum: Stratum of each cell, sorted by cluster.
        cluster: Cluster of each cell, numbered without gaps.
        clusters: Clusters by stratum.
        component: Number of each cluster's set of strata that share clusters.
        squares: Sum over the cells of their squared numbers of units, by stratum.
    """

    units: tuple[Ints, Ints]
    inverse: Ints
    stratum: Ints
    cluster: Ints
    clusters: Ints
    component: Ints
    squares: Floats


#: Of the units of the last calls: a run's checkpoints and a board's models are asked the same ones,
#: and to find the cells takes twice as long as all that is done with them.
_LATELY: deque[_Cells] = deque(maxlen=4)


def _cells(stratum: Ints, cluster: Ints, strata: int) -> _Cells:
    for held in tuple(_LATELY):
        if (
            len(held.clusters) == strata
            and np.array_equal(held.units[0], stratum)
            and np.array_equal(held.units[1], cluster)
        ):
            return held
    found = _found(stratum, cluster, strata)
    _LATELY.append(found)
    return found


def _found(stratum: Ints, cluster: Ints, strata: int) -> _Cells:
    present, inverse = np.unique(cluster * strata + stratum, return_inverse=True)
    inverse = inverse.reshape(-1)
    cell_stratum, cell_cluster = present % strata, present // strata
    _, cell_cluster = np.unique(cell_cluster, return_inverse=True)
    cell_cluster = cell_cluster.reshape(-1).astype(np.int64)
    count = np.bincount(inverse, minlength=len(present)).astype(np.float64)
    component = np.zeros(int(cell_cluster.max()) + 1 if len(cell_cluster) else 0, dtype=np.int64)
    for number, members in enumerate(components(cell_stratum, cell_cluster, strata)):
        component[cell_cluster[np.isin(cell_stratum, members)]] = number
    found = _Cells(
        # Copies: whoever gave them may write into them.
        units=(stratum.copy(), cluster.copy()),
        inverse=inverse,
        stratum=cell_stratum,
        cluster=cell_cluster,
        clusters=np.bincount(cell_stratum, minlength=strata),
        component=component,
        squares=_sums(cell_stratum, count**2, strata),
    )
    for array in (found.stratum, found.cluster, found.clusters, found.component):
        array.flags.writeable = False
    return found


def sums_of(units: Units) -> Clustered:
    """The scores of units, added up."""
    return clustered(units.score, units.stratum, units.cluster, len(units.strata))


def components(stratum: Ints, cluster: Ints, strata: int) -> list[Ints]:
    """The strata in sets that share no cluster.

    Args:
        stratum: Stratum of each (cluster, stratum) with units, sorted by cluster.
        cluster: Cluster of each.
        strata: How many strata there are; one without units is a set of its own.
    """
    parent = list(range(strata))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    shared = np.flatnonzero(cluster[1:] == cluster[:-1])
    pairs = np.unique(np.stack([stratum[shared], stratum[shared + 1]], axis=1), axis=0)
    for left, right in pairs.tolist():
        parent[root(left)] = root(right)
    sets: dict[int, list[int]] = {}
    for place in range(strata):
        sets.setdefault(root(place), []).append(place)
    return [np.array(members) for members in sets.values()]


def cluster_variance(influence: Floats, cluster: Ints, group: Ints) -> tuple[float, float]:
    """Variance of a sum over strata of means, and its Satterthwaite degrees of freedom.

    Args:
        influence: Of each (cluster, stratum) on the sum; 0 where the stratum does not count.
        cluster: Cluster of each.
        group: Number of each one's set of strata that share clusters.
    """
    counted = np.flatnonzero(influence)
    if not len(counted):
        return 0.0, 0.0
    # A cluster whose units are all at the mean has influence 0 and counts all the same.
    groups = np.unique(group[counted])
    total, below = 0.0, 0.0
    for number in groups.tolist():
        mine = group == number
        clusters, row = np.unique(cluster[mine], return_inverse=True)
        size = len(clusters)
        if size < 2:
            continue
        summed = np.bincount(row.reshape(-1), weights=influence[mine])
        part = float((summed**2).sum()) * size / (size - 1)
        total += part
        below += part**2 / (size - 1)
    return total, total**2 / below if below > 0 else 0.0


def _doubt(squares: Floats, fourth: Floats, clusters: Ints) -> Floats:
    """How far each variance is moved: all the way where no cluster differs."""
    varied = squares > TINY
    shown = np.divide(fourth, squares**2, out=np.ones_like(squares), where=varied)
    freedom = 2 / np.maximum(shown - 1 / np.maximum(clusters, 1), 1e-9)
    return np.where(varied, 1 / (1 + (freedom / _HALFWAY) ** 4), 1.0)


def _sums(stratum: Ints, values: Floats, strata: int) -> Floats:
    # Without any unit numpy counts in whole numbers.
    return np.bincount(stratum, weights=values, minlength=strata).astype(np.float64)
