"""All that a store says of how steady one model is: `stability`.

Three kinds, named apart: over the subtasks of an ability (DVS and RES against a frozen pool, tau
without one), over variants of the same questions, and over repeated runs of the same suite.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lens_ray.errors import UserError
from lens_ray.stats.answers import PAIRED_COLUMNS
from lens_ray.stats.cells import means_of
from lens_ray.stats.choose import choose_runs
from lens_ray.stats.clustered import few_clusters
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import COLUMNS, Marks, load_marks, marks_of
from lens_ray.stats.pool_making import choose_pool
from lens_ray.stats.spread import Spread, spread
from lens_ray.stats.versions import Kept, kept, repeats_of, variants_of
from lens_ray.suites.sample import Sample

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store

#: Controls that leave a question's meaning, by the start of their label.
SAME_QUESTION = ("rotate", "rephrase", "resize", "jpeg")


@dataclass(frozen=True, slots=True)
class OverSubtasks(Framed):
    """How evenly a model does over an ability's subtasks.

    Attributes:
        ability: The ability, or ``overall``.
        subtasks: How many subtasks it has; of ``overall``, all together.
        clusters: Clusters of the subtask that has fewest.
        dvs: Dispersion of its z-scores against the pool; None with a reason.
        dvs_low: Lower bound of the interval.
        dvs_high: Upper bound.
        res: Entropy of its ranks in the pool.
        res_low: Lower bound.
        res_high: Upper bound.
        tau: Spread of its corrected scores without the noise of sampling.
        tau_low: Lower bound.
        tau_high: Upper bound.
        note: What to know of the intervals.
        reasons: Why figures are None, by figure.
    """

    ability: str
    subtasks: int
    clusters: int
    dvs: float | None
    dvs_low: float | None
    dvs_high: float | None
    res: float | None
    res_low: float | None
    res_high: float | None
    tau: float | None
    tau_low: float | None
    tau_high: float | None
    note: str | None
    reasons: dict[str, str]


@dataclass(frozen=True, slots=True)
class RunToRun(Framed):
    """How far repeated runs of one model differ in an ability's corrected score.

    Attributes:
        ability: The ability, or ``overall``.
        runs: How many.
        mean: Mean of their scores; None with a reason.
        lowest: The lowest.
        highest: The highest.
        sd: Standard deviation (ddof 1) from run to run, on the same questions.
        sd_low: Lower bound of its interval (chi-square).
        sd_high: Upper bound.
        reason: Why a figure is None.
    """

    ability: str
    runs: int
    mean: float | None = None
    lowest: float | None = None
    highest: float | None = None
    sd: float | None = None
    sd_low: float | None = None
    sd_high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Stability(Framed):
    """The three kinds of stability of one model.

    Attributes:
        model: Its name.
        run_id: Its run.
        suite: What it answered.
        suite_digest: Digest of that.
        pool: Label of the pool of DVS and RES; None where there is none.
        over_subtasks: One an ability, ``overall`` last.
        over_variants: Likewise; empty where there is no run on a variant.
        variants: Suites of the variants.
        over_repeats: Likewise; empty where there is one run only.
        run_to_run: Likewise.
        repeats: Ids of the repeated runs, its own first.
        reasons: Why a kind is empty, by kind.
    """

    model: str
    run_id: str
    suite: str
    suite_digest: str
    pool: str | None
    over_subtasks: tuple[OverSubtasks, ...]
    over_variants: tuple[Kept, ...]
    variants: tuple[str, ...]
    over_repeats: tuple[Kept, ...]
    run_to_run: tuple[RunToRun, ...]
    repeats: tuple[str, ...]
    reasons: dict[str, str]

    def rows(self) -> list[dict[str, Any]]:
        """One record an ability and kind."""
        parts = {
            "subtasks": self.over_subtasks,
            "variants": self.over_variants,
            "repeats": self.over_repeats,
            "run_to_run": self.run_to_run,
        }
        return [
            {"model": self.model, "kind": kind, **record}
            for kind, found in parts.items()
            for one in found
            for record in one.rows()
        ]


def stability(
    store: Store | str,
    model: str,
    *,
    suite: str | None = None,
    pool: str | Path | None = None,
    variants: Sequence[str] | None = None,
    other_stores: Sequence[Store] = (),
    samples: Iterable[Sample] = (),
    confidence: float = 0.95,
) -> Stability:
    """How steady a model is.

    Args:
        store: Where its rows are, or its folder or URL.
        model: Its name, or the id of a run.
        suite: ``NAME`` or ``NAME@DIGEST``, where it answered several.
        pool: What DVS and RES are measured against: a pool file, or the name of a built-in pool;
            None takes the suite's built-in one.
        variants: Suites or ids of runs of the same model on variants of the suite; None takes
            all that the store has of ``rotate``, ``rephrase``, ``resize`` and ``jpeg`` with the
            same generation settings.
        other_stores: Where other nights' runs of the same model and suite are.
        samples: Of the suite and its variants; needed for rotated options.
        confidence: Two-sided level of the intervals.

    Raises:
        UserError: The model, suite, pool or a variant is unknown or does not fit.
        StoreUnavailable: A store is out of reach or damaged.
    """
    from lens_ray.store import open_store

    store = open_store(store)
    run, changed = variant_runs(store, model, suite=suite, variants=variants)
    marks = load_marks(store, [run.run_id], suite=f"{_name(run)}@{run.suite_digest}")
    frozen = choose_pool(pool, run.suite, run.suite_digest)
    over = spread(marks, frozen, draw_jointly(marks, run.run_id), confidence=confidence)
    reasons: dict[str, str] = {}
    over_variants: list[Kept] = []
    if changed:
        tables = [_paired(store, each) for each in changed]
        side = variants_of(_paired(store, run), tables, samples=samples)
        over_variants = kept(side, confidence=confidence, seed_key=run.run_id)
    else:
        reasons["variants"] = (
            f"no run of {run.model} on a variant of {run.suite} with the same generation settings: "
            f"make one with `lens-ray suite control {run.suite} rotate`, and run the model on it"
        )
    again = _repeats(store, run, other_stores)
    over_repeats: list[Kept] = []
    run_to_run: list[RunToRun] = []
    if len(again) > 1:
        tables_of = {label: _paired(place, each) for label, (place, each) in again.items()}
        over_repeats = kept(repeats_of(tables_of), confidence=confidence, seed_key=run.run_id)
        run_to_run = _run_to_run(again, marks, confidence)
    else:
        reasons["repeats"] = (
            f"only one finished run of {run.model} on {run.suite}: run it with another seed "
            "(generation: {seed: 2}), or name another night's store"
        )
    return Stability(
        model=run.model,
        run_id=run.run_id,
        suite=run.suite,
        suite_digest=run.suite_digest,
        pool=frozen.label if frozen else None,
        over_subtasks=tuple(_over_subtasks(over, name) for name in over.names),
        over_variants=tuple(over_variants),
        variants=tuple(each.suite for each in changed),
        over_repeats=tuple(over_repeats),
        run_to_run=tuple(run_to_run),
        repeats=tuple(again) if len(again) > 1 else (),
        reasons=reasons,
    )


def variant_runs(
    store: Store, model: str, *, suite: str | None = None, variants: Sequence[str] | None = None
) -> tuple[RunHeader, list[RunHeader]]:
    """The run of a model that is meant, and its runs on variants of that suite.

    Args:
        store: See `stability`.
        model: See there.
        suite: See there.
        variants: See there.

    Raises:
        UserError: As there.
    """
    run = _run(store, model, suite)
    if run not in _finished(store):
        raise UserError(
            f"{run.model} ({run.run_id[:8]}) is not finished on {run.suite}: start its job again, "
            "it goes on where it stopped"
        )
    return run, _variant_runs(store, run, variants)


def _run(store: Store, model: str, suite: str | None) -> RunHeader:
    """The run that is meant; a model that answered variants too is asked for the base."""
    if suite is None:
        mine = [run for run in store.runs() if run.model == model]
        names = {_name(run) for run in mine}
        bases = {name for name in names if not any(_is_variant(name, other) for other in names)}
        if len(names) > 1 and len(bases) == 1:
            suite = bases.pop()
    return choose_runs(store, [model], suite=suite)[0]


def _name(run: RunHeader) -> str:
    return run.suite.partition("@")[0]


def _is_variant(name: str, base: str) -> bool:
    return any(name.startswith(f"{base}-{kind}") for kind in SAME_QUESTION)


def _finished(store: Store) -> list[RunHeader]:
    return [header for header, state in store.states() if state.commit is not None]


def _variant_runs(store: Store, run: RunHeader, named: Sequence[str] | None) -> list[RunHeader]:
    """The latest run of the same model on each variant."""
    mine = [
        each
        for each in _finished(store)
        if each.model == run.model
        and each.weights_digest == run.weights_digest
        and each.template == run.template
        and each.suite_digest != run.suite_digest
    ]
    found: dict[str, RunHeader] = {}
    if named is None:
        for each in mine:
            # Another temperature or seed would be mixed with what the variant does.
            alike = dict(each.generation) == dict(run.generation)
            if alike and _is_variant(_name(each), _name(run)):
                found[each.suite_digest] = each
        return list(found.values())
    for name in named:
        fitting = [
            each
            for each in mine
            if name in (each.suite, _name(each))
            or (len(name) >= 8 and each.run_id.startswith(name))
        ]
        if not fitting:
            known = sorted({each.suite for each in mine})
            raise UserError(
                f"variant {name!r}: no finished run of {run.model} on it; "
                f"there are: {', '.join(known) or 'none'}"
            )
        found[fitting[-1].suite_digest] = fitting[-1]
    return list(found.values())


def _repeats(
    store: Store, run: RunHeader, others: Sequence[Store]
) -> dict[str, tuple[Store, RunHeader]]:
    """Every finished run of the same weights, template and suite, by a label; its own first.

    A copy of a run, opened at the same moment, is no repeat.
    """
    found = {run.run_id: (store, run)}
    opened = {(run.run_id, run.created_at)}
    for number, place in enumerate((store, *others)):
        for each in _finished(place):
            same = (each.model, each.weights_digest, each.template, each.suite_digest)
            if same != (run.model, run.weights_digest, run.template, run.suite_digest):
                continue
            if (each.run_id, each.created_at) not in opened:
                opened.add((each.run_id, each.created_at))
                label = f"{each.run_id}@{place.url}" if number else each.run_id
                found[label] = (place, each)
    return found


def _paired(store: Store, run: RunHeader) -> pa.Table:
    return store.rows([run.run_id], columns=PAIRED_COLUMNS)


def _over_subtasks(found: Spread, name: str) -> OverSubtasks:
    steady = found.of(found.models[0], name)
    parts = found.subtasks(found.models[0], name)
    fewest = min((int(part.clusters.min()) for part in parts), default=0)
    figures: dict[str, float | None] = {}
    for kind, one in steady.items():
        figures |= {kind: one.value, f"{kind}_low": one.low, f"{kind}_high": one.high}
    few = few_clusters(fewest)
    return OverSubtasks(
        ability=name,
        subtasks=sum(len(part.names) for part in parts),
        clusters=fewest,
        note=f"a subtask has {few}" if parts and few else None,
        reasons={kind: one.reason for kind, one in steady.items() if one.reason is not None},
        **figures,
    )


def _run_to_run(
    again: dict[str, tuple[Store, RunHeader]], marks: Marks, confidence: float
) -> list[RunToRun]:
    """The standard deviation of each ability's score over the runs."""
    from scipy.special import chdtri

    tables = {
        label: place.rows([run.run_id], columns=COLUMNS) for label, (place, run) in again.items()
    }
    side = marks_of(tables, weights=marks.weights)
    figures = ability_figures(side)
    values = figures.values(means_of(side))
    tail, freedom = (1.0 - confidence) / 2.0, len(tables) - 1
    found = []
    for place, name in enumerate(figures.names):
        mine = values[:, place]
        if np.isnan(mine).any():
            why = figures.reasons.get(name, "a run lacks answers of a subtask")
            found.append(RunToRun(name, len(tables), reason=why))
            continue
        sd = float(mine.std(ddof=1))
        low, high = (
            sd * math.sqrt(freedom / float(chdtri(freedom, share))) for share in (tail, 1 - tail)
        )
        found.append(
            RunToRun(
                name, len(tables), float(mine.mean()), float(mine.min()), float(mine.max()), sd,
                low, high,
            )
        )  # fmt: skip
    return found
