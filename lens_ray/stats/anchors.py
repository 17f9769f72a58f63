"""What a model would score on a whole suite, from its anchors: `anchor_estimates`.

A reference model has answered the whole suite, the model only the split ``anchor``. How the
reference does on its own anchors says whether these are easier or harder than the rest: the
reference is a control variate. In each stratum

    estimate = mean of the model on the anchors
             + b * (mean of the reference on the whole suite - its mean on the anchors)

with b the slope of the model's marks on the reference's, over the anchors of the ability, each
stratum about its own means. A reference that is like the model (an earlier checkpoint) makes the
interval narrower; one that has nothing to do with it gets b near 0 and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lens_ray.errors import UserError
from lens_ray.stats.abilities import OVERALL, in_order
from lens_ray.stats.cells import cells_of
from lens_ray.stats.choose import choose_runs, labels_of
from lens_ray.stats.clustered import FEW_CLUSTERS, cluster_variance
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.marks import COLUMNS, Marks, NotComparable, by_run, marks_of
from lens_ray.stats.scores import COVERAGE_THRESHOLD
from lens_ray.stats.units import FINAL, Bools, Floats, Ints

if TYPE_CHECKING:
    from lens_ray.store import Store

ANCHOR = "anchor"
#: Clusters that are added to an ability's anchors for the variance, half of them all right, half
#: all wrong (Agresti and Coull): where all anchors agree, that is not sure of the rest.
_ADDED = 4.0


@dataclass(frozen=True, slots=True)
class AnchorEstimate(Framed):
    """One ability of a model of which only the anchors are known, or ``overall``.

    Attributes:
        figure: The ability, or ``overall``.
        model: Whose score it is.
        reference: The model that answered the whole suite.
        anchors: Units of the split ``anchor`` that both answered.
        clusters: Clusters of these.
        whole: Units that the reference answered.
        estimate: Of the model's corrected score on the whole suite; None with a reason.
        ci_low: Lower bound of its 95 % interval, as of a score of all samples like these.
        ci_high: Upper bound.
        suite_low: Lower bound of the 95 % interval of the very figure that the whole suite would
            give.
        suite_high: Upper bound.
        alone: The corrected score on the anchors, without the reference.
        alone_low: Lower bound of its 95 % interval.
        alone_high: Upper bound.
        worth: Anchors that would be needed for the same interval without the reference.
        reason: Why a figure is None.
    """

    figure: str
    model: str
    reference: str
    anchors: int
    clusters: int
    whole: int
    estimate: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    suite_low: float | None = None
    suite_high: float | None = None
    alone: float | None = None
    alone_low: float | None = None
    alone_high: float | None = None
    worth: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate(Framed):
    """A model's scores on a whole suite, from its anchors.

    Attributes:
        model: Label of the model.
        reference: Of the model that answered the whole suite.
        suite: Name of the suite.
        suite_digest: Its digest.
        figures: One an ability of which the model has anchors, then ``overall``.
    """

    model: str
    reference: str
    suite: str
    suite_digest: str
    figures: tuple[AnchorEstimate, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One record a figure."""
        return [asdict(each) for each in self.figures]


def anchor_estimates(
    marks: Marks,
    model: str,
    reference: str,
    *,
    confidence: float = 0.95,
    troubles: dict[str, str] | None = None,
) -> list[AnchorEstimate]:
    """Estimate the abilities of a model from its anchors.

    Args:
        marks: Of both, on the whole suite; facet ``split`` says which units are anchors.
        model: Only its marks on anchors are used.
        reference: The control variate.
        confidence: Two-sided level.
        troubles: Why an ability cannot be estimated, where that is known already.

    Returns:
        One an ability, then ``overall``.
    """
    pair = marks.only((model, reference))
    figures = ability_figures(pair)
    work = _Work(pair, troubles or {})
    return [work.estimate(figures, place, confidence) for place in range(len(figures.names))]


class _Work:
    """Means and slopes of the strata, and the influence of every cluster on them."""

    def __init__(self, pair: Marks, troubles: dict[str, str]) -> None:
        self.pair, self.troubles = pair, troubles
        split = pair.facets["split"]
        chosen = [place for place, label in enumerate(split.labels) if label == ANCHOR]
        self.known: Bools = pair.answered[1]
        self.anchor: Bools = pair.answered.all(axis=0) & np.isin(split.code, chosen)
        self.rest: Bools = self.known & ~self.anchor
        width = len(pair.strata)
        self.sizes = _count(pair.stratum, self.anchor, width)
        self.share = self.sizes / np.maximum(_count(pair.stratum, self.known, width), 1)
        mine = np.where(self.anchor, pair.score[0], 0.0)
        theirs = np.where(self.known, pair.score[1], 0.0)
        self.mine = _mean(pair.stratum, mine, self.anchor, width)
        self.theirs = _mean(pair.stratum, theirs, self.anchor, width)
        self.others = _mean(pair.stratum, theirs, self.rest, width)
        moved = np.where(self.anchor, mine - np.nan_to_num(self.mine)[pair.stratum], 0.0)
        driven = np.where(self.anchor, theirs - np.nan_to_num(self.theirs)[pair.stratum], 0.0)
        names = in_order({name for name, _ in pair.strata})
        ability = np.array([names.index(name) for name, _ in pair.strata], dtype=np.int64)
        both = np.bincount(ability[pair.stratum], weights=moved * driven, minlength=len(names))
        own = np.bincount(ability[pair.stratum], weights=driven**2, minlength=len(names))
        slope = np.divide(both, own, out=np.zeros(len(names)), where=own > 0)
        self.slope: Floats = slope[ability]
        self.moved, self.driven = moved, driven
        self.reference = np.where(self.rest, theirs - np.nan_to_num(self.others)[pair.stratum], 0.0)
        #: Strata that share clusters.
        self.group = np.zeros(width, dtype=np.int64)
        for number, strata in enumerate(cells_of(pair.only(pair.models[1:])).components(width)):
            self.group[strata] = number

    def estimate(self, figures: Figures, place: int, confidence: float) -> AnchorEstimate:
        name, slope = figures.names[place], figures.slope[place]
        pair = self.pair
        counted = slope != 0
        used = self.anchor & counted[pair.stratum]
        clusters = len(np.unique(pair.cluster[used]))
        model, reference = pair.models
        whole_units = int((self.known & counted[pair.stratum]).sum())
        empty = AnchorEstimate(name, model, reference, int(used.sum()), clusters, whole_units)
        reason = figures.reasons.get(name) or self._trouble(name, counted, clusters)
        if reason is not None:
            return replace(empty, reason=reason)
        shift = float(figures.shift[place])
        whole = np.nan_to_num(self.share * self.theirs) + (1 - self.share) * np.nan_to_num(
            self.others
        )
        moved = self.slope * (whole - np.nan_to_num(self.theirs))
        estimate = float(slope[counted] @ (self.mine + moved)[counted]) - shift
        alone = float(slope[counted] @ self.mine[counted]) - shift
        rest = 1 - self.share
        kept = self.slope * rest
        half, variance = self._half(slope, kept, np.ones(len(slope)), confidence, others=True)
        suite, _ = self._half(slope, self.slope, rest**0.5, confidence, others=False)
        wide, single = self._half(
            slope, np.zeros(len(slope)), np.ones(len(slope)), confidence, others=False
        )
        least, most = -shift, float(slope.sum()) - shift  # scores lie in [0, 1]

        def around(middle: float, apart: float) -> tuple[float, float]:
            return max(least, middle - apart), min(most, middle + apart)

        ci, whole_ci, alone_ci = (
            around(estimate, half),
            around(estimate, suite),
            around(alone, wide),
        )
        return replace(
            empty,
            estimate=min(max(estimate, least), most),
            ci_low=ci[0],
            ci_high=ci[1],
            suite_low=whole_ci[0],
            suite_high=whole_ci[1],
            alone=alone,
            alone_low=alone_ci[0],
            alone_high=alone_ci[1],
            worth=round(empty.anchors * single / variance),
        )

    def _half(
        self, slope: Floats, control: Floats, scale: Floats, confidence: float, *, others: bool
    ) -> tuple[float, float]:
        """Half-width and variance of the estimate.

        Args:
            slope: Of the figure over the strata.
            control: How much of the reference's marks is subtracted, by stratum.
            scale: Of each stratum's anchors.
            confidence: Two-sided level.
            others: Whether the marks of the reference beyond the anchors are random too.
        """
        from scipy.special import stdtrit

        pair = self.pair
        each = slope * scale / np.maximum(self.sizes, 1)
        apart = each[pair.stratum] * (self.moved - control[pair.stratum] * self.driven)
        sides = [(self.anchor, apart)]
        if others:
            count = np.maximum(_count(pair.stratum, self.rest, len(slope)), 1)
            beyond = (slope * control / count)[pair.stratum] * self.reference
            sides.append((self.rest, beyond))
        total, below = self._added(slope * scale), 0.0
        for units, values in sides:
            here = np.flatnonzero(units & (slope != 0)[pair.stratum])
            variance, freedom = cluster_variance(
                *_by_cluster(values[here], pair.cluster[here], self.group[pair.stratum[here]])
            )
            total += variance
            below += variance**2 / freedom if freedom > 0 else 0.0
        freedom = total**2 / below if below > 0 else float(max(self.anchor.sum() - 1, 1))
        return float(stdtrit(freedom, (1 + confidence) / 2)) * total**0.5, total

    def _added(self, slope: Floats) -> float:
        """Variance of the added clusters, shared by the strata that count."""
        pair, counted = self.pair, slope != 0
        width = len(slope)
        homes = np.unique(np.stack([pair.stratum, pair.cluster])[:, self.anchor], axis=1)[0]
        clusters = np.maximum(np.bincount(homes, minlength=width), 1)
        shared = _shared(pair, counted)
        added = _ADDED / shared
        mean = np.where(counted, np.nan_to_num(self.mine), 0.5)
        mean = (mean * clusters + added / 2) / (clusters + added)
        each = added / 2 * (mean**2 + (1 - mean) ** 2) / (clusters + added) ** 2
        return float((slope[counted] ** 2 * each[counted]).sum())

    def _trouble(self, name: str, counted: Bools, clusters: int) -> str | None:
        if name in self.troubles:
            return self.troubles[name]
        if name == OVERALL and self.troubles:
            return f"no estimate for {', '.join(self.troubles)}"
        for place in np.flatnonzero(counted & (self.sizes == 0)).tolist():
            return f"{'/'.join(self.pair.strata[place])} has no anchor that both models answered"
        if clusters < FEW_CLUSTERS:
            return f"{clusters} clusters of anchors, fewer than {FEW_CLUSTERS}"
        return None


def _shared(pair: Marks, counted: Bools) -> Floats:
    """By stratum, how many strata of its ability count."""
    names = [ability for ability, _ in pair.strata]
    found = [
        sum(bool(each) for each, other in zip(counted, names, strict=True) if other == name)
        for name in names
    ]
    return np.maximum(np.array(found, dtype=np.float64), 1.0)


def _by_cluster(values: Floats, cluster: Ints, group: Ints) -> tuple[Floats, Ints, Ints]:
    """Influences added up by cluster; a cluster lies in one group of strata."""
    present, first, row = np.unique(cluster, return_index=True, return_inverse=True)
    summed: Floats = np.bincount(row.reshape(-1), weights=values).astype(np.float64)
    return summed, present, group[first]


def _count(stratum: Ints, units: Bools, width: int) -> Floats:
    return np.bincount(stratum[units], minlength=width).astype(np.float64)


def _mean(stratum: Ints, values: Floats, units: Bools, width: int) -> Floats:
    size = _count(stratum, units, width)
    total = np.bincount(stratum[units], weights=values[units], minlength=width)
    found: Floats = np.divide(total, size, out=np.full(width, np.nan), where=size > 0)
    return found


def estimate(
    store: Store | str, model: str, reference: str, *, suite: str | None = None
) -> Estimate:
    """Estimate a model's scores on a whole suite from its anchors.

    Args:
        store: Where the runs of both are.
        model: Has answered the split ``anchor`` (of some abilities); more is not used.
        reference: Has answered the whole suite (of these abilities).
        suite: Which, where they share several.

    Returns:
        The estimates.

    Raises:
        NotComparable: They were asked different suites or by different templates, or the model
            has no anchor.
        UserError: See `lens_ray.stats.choose.choose_runs`.
        StoreUnavailable: The store is out of reach or damaged.
    """
    from lens_ray.store import open_store

    store = open_store(store)
    runs = choose_runs(store, [model, reference], suite=suite)
    one, other = runs
    if one.suite_digest != other.suite_digest:
        raise NotComparable(
            f"{model} and {reference} answered different suites: {one.suite} "
            f"({one.suite_digest[:12]}) and {other.suite} ({other.suite_digest[:12]})"
        )
    if one.template != other.template:
        raise NotComparable(
            f"{model} and {reference} were asked by templates {one.template} and {other.template}"
        )
    info = next((f for f in store.suites() if f["digest"] == one.suite_digest), None)
    if info is None:
        raise UserError(f"store {store.url} does not know the suite {one.suite}")
    read = store.rows([run.run_id for run in runs], columns=("run_id", *COLUMNS))
    read = read.filter(pc.is_in(read["status"], value_set=pa.array(FINAL)))
    mine, theirs = by_run(read, [run.run_id for run in runs])
    mine = mine.filter(pc.equal(mine["split"], ANCHOR))
    asked = pc.unique(mine["ability"]).to_pylist()
    if not asked:
        raise NotComparable(
            f"{model} has no answer of the split {ANCHOR}; run it with splits: [{ANCHOR}]"
        )
    theirs = theirs.filter(pc.is_in(theirs["ability"], value_set=pa.array(asked)))
    labels = labels_of(runs)
    weights = info.get("weights")
    marks = marks_of(
        dict(zip(labels, (mine, theirs), strict=True)),
        weights=weights if isinstance(weights, dict) else {},
        suite=one.suite,
        suite_digest=one.suite_digest,
        runs=runs,
    )
    troubles = _troubles(asked, labels, mine, theirs, _sizes(info))
    mine_label, their_label = labels
    found = anchor_estimates(marks, mine_label, their_label, troubles=troubles)
    return Estimate(mine_label, their_label, one.suite, one.suite_digest, tuple(found))


def _sizes(info: Mapping[str, object]) -> dict[str, int]:
    """Samples of each ability of a suite."""
    counts = info.get("counts")
    found = {}
    for ability, subtasks in (counts if isinstance(counts, dict) else {}).items():
        found[ability] = sum(subtasks.values()) if isinstance(subtasks, dict) else subtasks
    return found


def _troubles(
    abilities: Sequence[str],
    labels: Sequence[str],
    mine: pa.Table,
    theirs: pa.Table,
    counts: Mapping[str, int],
) -> dict[str, str]:
    """Abilities of which the reference lacks samples, or the model anchors."""
    found = {}
    for name in abilities:
        whole = theirs.filter(pc.equal(theirs["ability"], name))
        expected = counts.get(name, 0)
        if whole.num_rows < COVERAGE_THRESHOLD * expected or not whole.num_rows:
            found[name] = (
                f"{labels[1]} answered {whole.num_rows:,} of the suite's {expected:,} samples"
            )
            continue
        anchors = whole.filter(pc.equal(whole["split"], ANCHOR)).num_rows
        have = mine.filter(pc.equal(mine["ability"], name)).num_rows
        if have < COVERAGE_THRESHOLD * anchors:
            found[name] = f"{labels[0]} answered {have:,} of {anchors:,} anchors"
    return found
