"""Fields whose truth is known, made of stored marks: `Planted`.

The stored units are the population. A true difference is planted by turning some of the
candidate's marks to their upper bound, or to 0, each with a probability that makes the expected
difference of every ability what was wished. A field is a draw of whole clusters with replacement,
as in the bootstrap, and of those turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lens_ray.stats.cells import cells_of, means_of
from lens_ray.stats.figures import Figures
from lens_ray.stats.marks import Facet, Marks
from lens_ray.stats.units import Floats, Ints


@dataclass(frozen=True)
class Planted:
    """A population with a truth.

    Attributes:
        marks: The stored marks; the candidate's first, then the baseline's, if any.
        turned: By unit, the probability that the candidate's mark is turned to its upper bound;
            where negative, to 0.
        order: Units sorted by cluster.
        starts: Where each cluster's units begin in ``order``, and the end.
        together: Clusters that are drawn together, one array a set.
    """

    marks: Marks
    turned: Floats
    order: Ints
    starts: Ints
    together: tuple[Ints, ...]

    def expected(self) -> Marks:
        """The population's expected marks; figures of these are the truth."""
        score = self.marks.score.copy()
        up, down = np.maximum(self.turned, 0.0), np.maximum(-self.turned, 0.0)
        score[0] += up * (self.marks.upper - score[0]) - down * score[0]
        return replace(self.marks, score=score)

    def draw(self, rng: np.random.Generator) -> Marks:
        """One field."""
        chosen = np.concatenate(
            [clusters[rng.integers(0, len(clusters), len(clusters))] for clusters in self.together]
        )
        size = self.starts[chosen + 1] - self.starts[chosen]
        ends = np.cumsum(size)
        within = np.arange(ends[-1]) - np.repeat(ends - size, size)
        units = self.order[np.repeat(self.starts[chosen], size) + within]
        marks = self.marks
        score = marks.score[:, units]
        turned = self.turned[units]
        turns = rng.random(len(units)) < np.abs(turned)
        target = np.where(turned > 0, marks.upper[units], 0.0)
        # A missing mark stays missing.
        score[0] = np.where(turns & ~np.isnan(score[0]), target, score[0])
        drawn = replace(
            marks,
            ids=tuple(marks.ids[unit] for unit in units.tolist()),
            stratum=marks.stratum[units],
            cluster=np.repeat(np.arange(len(chosen)), size),
            clusters=len(chosen),
            chance=marks.chance[units],
            upper=marks.upper[units],
            score=score,
            facets={name: Facet(f.labels, f.code[units]) for name, f in marks.facets.items()},
        )
        empty = len(np.unique(drawn.stratum)) < len(drawn.strata)
        return drawn.where(np.ones(len(units), dtype=bool)) if empty else drawn


def plant(marks: Marks, figures: Figures, wished: Mapping[str, float]) -> Planted:
    """Plant true differences.

    Args:
        marks: The candidate's, then the baseline's. Without a baseline a difference is that to the
            candidate's stored score.
        figures: Over the strata of ``marks``, the abilities among them.
        wished: True difference by ability; others keep theirs. What cannot be reached (a score
            above its upper bound) is planted as far as it can be.
    """
    both = marks.answered.all(axis=0)
    means = means_of(replace(marks, score=np.where(both, marks.score, np.nan)))
    values = figures.values(means)
    now = values[0] - values[1] if len(values) > 1 else np.zeros(len(figures.names))
    size = np.bincount(marks.stratum[both], minlength=len(marks.strata))
    turned = np.zeros(len(marks.stratum))
    for name, target in wished.items():
        place = figures.names.index(name)
        if np.isnan(now[place]):
            continue
        need = target - float(now[place])
        room = marks.upper - marks.score[0] if need > 0 else marks.score[0]
        share = figures.slope[place] / np.maximum(size, 1)
        gain = float((share[marks.stratum] * np.where(both, room, 0.0)).sum())
        mine = figures.slope[place, marks.stratum] != 0
        turned[mine] = np.clip(need / gain, -1.0, 1.0) if gain > 0 else 0.0
    order = np.argsort(marks.cluster, kind="stable")
    starts = np.searchsorted(marks.cluster[order], np.arange(marks.clusters + 1))
    cells = cells_of(marks)
    together = tuple(
        np.unique(cells.cluster[np.isin(cells.stratum, strata)])
        for strata in cells.components(len(marks.strata))
    )
    return Planted(marks, turned, order, starts, tuple(each for each in together if len(each)))
