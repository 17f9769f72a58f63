"""Models x abilities with ranks, stability and cost: `leaderboard`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from lens_ray.errors import UserError
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.costs import Cost, costs_of
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.frames import Framed
from lens_ray.stats.groups import Gap, gaps_of
from lens_ray.stats.joint import REPLICATES, draw_jointly
from lens_ray.stats.mark_scores import scores_of_marks
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import Pool
from lens_ray.stats.pool_scores import scores_against
from lens_ray.stats.ranks import Rank, ranks_of
from lens_ray.stats.scores import AbilityScore
from lens_ray.stats.side_by_side import LeftOut, marks_side_by_side

if TYPE_CHECKING:
    from lens_ray.prices import Prices
    from lens_ray.store import RunHeader, Store

#: What models can be grouped by.
GROUPINGS = ("access", "backend")
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Standing:
    """One model on the leaderboard.

    Attributes:
        model: Its label.
        run: Its run.
        scores: By ability, then ``overall``.
        ranks: By ability, then ``overall``.
        cost: What its answers cost.
    """

    model: str
    run: RunHeader
    scores: Mapping[str, AbilityScore]
    ranks: Mapping[str, Rank]
    cost: Cost


@dataclass(frozen=True, slots=True)
class Leaderboard(Framed):
    """Models that were asked the same, best first.

    Attributes:
        suite: Name of the suite.
        suite_digest: Its digest.
        figures: The abilities that are shown, and ``overall`` where all are.
        by: The figure that the models are sorted by.
        standings: The models.
        grouping: What the groups are of; None where none were asked for.
        groups: Models by group.
        gaps: The groups against each other.
        left_out: Models that cannot be compared with these.
        confidence: Of each interval.
        replicates: Of the bootstrap.
        seed: That it was drawn from.
        notes: What a reader should know, one line each.
    """

    suite: str
    suite_digest: str
    figures: tuple[str, ...]
    by: str
    standings: tuple[Standing, ...]
    grouping: str | None
    groups: Mapping[str, tuple[str, ...]]
    gaps: tuple[Gap, ...]
    left_out: tuple[LeftOut, ...]
    confidence: float
    replicates: int
    seed: int
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One record a model and figure: its score, its rank, and the model's cost."""
        return [
            {
                "model": standing.model,
                "run_id": standing.run.run_id,
                "suite": self.suite,
                "access": standing.run.access,
                "backend": standing.run.backend,
                **asdict(standing.scores[figure]),
                "rank": standing.ranks[figure].rank,
                "rank_low": standing.ranks[figure].rank_low,
                "rank_high": standing.ranks[figure].rank_high,
                "p_best": standing.ranks[figure].p_best,
                "tied": standing.ranks[figure].tied,
                "usd_per_1000": standing.cost.usd_per_1000,
                "cost_basis": standing.cost.basis,
                "cost_reason": standing.cost.reason,
                "latency_s": standing.cost.latency_s,
            }
            for standing in self.standings
            for figure in self.figures
        ]


def leaderboard(
    store: Store | str,
    models: Sequence[str] | None = None,
    *,
    suite: str | None = None,
    abilities: Sequence[str] | None = None,
    by: str | None = None,
    on: str = "all",
    pool: Pool | None = None,
    prices: Prices | None = None,
    accelerator: str | None = None,
    replicates: int = REPLICATES,
) -> Leaderboard:
    """Rank the models of a store on one suite.

    Args:
        store: The store or its URL.
        models: Names of models or ids of runs; None takes all that were asked the same, and says
            which were not.
        suite: ``NAME`` or ``NAME@DIGEST``, where the store has several.
        abilities: Only these, in this order; the first sorts the models. None shows all and sorts
            by ``overall``.
        by: Compare groups of models, too: one of `GROUPINGS`.
        on: ``all`` ranks models that were asked the same samples; ``common`` takes the samples that
            all finished models answered, knowingly, such as those of jobs that stop early.
        pool: DVS and RES against it, in the place of the suite's own.
        prices: See `lens_ray.stats.costs.costs_of`.
        accelerator: See there.
        replicates: Of the bootstrap.

    Raises:
        UserError: There is no such model, suite, ability or grouping.
        NotComparable: Models that were named were not asked the same.
        StoreUnavailable: The store is out of reach or damaged.
    """
    from lens_ray.store import open_store

    if by is not None and by not in GROUPINGS:
        raise UserError(f"models cannot be grouped by {by!r}; use {' or '.join(GROUPINGS)}")
    opened = open_store(store)
    marks, left_out = marks_side_by_side(opened, models, suite=suite, on=on)
    runs = marks.runs
    every = ability_figures(marks)
    figures = every.only(_shown(every.names, abilities))
    # Where the samples are not those of the runs, neither are the scores.
    same = not marks.notes
    scores = _scores(opened, marks, every.names, pool) if same else scores_of_marks(marks, every)
    unknown = {
        (model, name): score.reason or "it has no score"
        for model, mine in scores.items()
        for name, score in mine.items()
        if score.corrected is None
    }
    draws = draw_jointly(marks, "\x1f".join(run.run_id for run in runs), replicates)
    ranks = ranks_of(draws, figures, confidence=CONFIDENCE, unknown=unknown)
    costs = costs_of(opened, runs, prices=prices, accelerator=accelerator)
    standings = [
        Standing(
            model=model,
            run=run,
            scores=scores[model],
            ranks={rank.figure: rank for rank in ranks if rank.model == model},
            cost=costs[run.run_id],
        )
        for model, run in zip(marks.models, marks.runs, strict=True)
    ]
    first = OVERALL if abilities is None else figures.names[0]
    groups = _grouped(marks, by)
    return Leaderboard(
        suite=marks.suite,
        suite_digest=marks.suite_digest,
        figures=figures.names,
        by=first,
        standings=tuple(sorted(standings, key=lambda standing: _place(standing, first))),
        grouping=by,
        groups=groups,
        gaps=tuple(gaps_of(marks, draws, figures, groups, confidence=CONFIDENCE)),
        left_out=left_out,
        confidence=CONFIDENCE,
        replicates=replicates,
        seed=draws.seed,
        notes=marks.notes,
    )


def _place(standing: Standing, figure: str) -> tuple[float, str]:
    value = standing.ranks[figure].value
    return (float("inf") if value is None else -value, standing.model)


def _shown(known: Sequence[str], abilities: Sequence[str] | None) -> tuple[str, ...]:
    """The figures that are asked for."""
    if abilities is None:
        return tuple(known)
    for name in abilities:
        if name not in known:
            near = get_close_matches(name, known, 1, 0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise UserError(f"no model was asked for the ability {name!r}; {hint}")
    return tuple(dict.fromkeys(abilities))


def _scores(
    store: Store, marks: Marks, figures: Sequence[str], pool: Pool | None
) -> dict[str, dict[str, AbilityScore]]:
    """Each model's scores by ability, as its commit has them."""
    labels = {run.run_id: model for model, run in zip(marks.models, marks.runs, strict=True)}
    names = [field.name for field in fields(AbilityScore)]
    found: dict[str, dict[str, AbilityScore]] = {model: {} for model in marks.models}
    table = store.scores(list(labels))
    if pool is not None:
        table = scores_against(store, table, pool)
    for record in table.to_pylist():
        score = AbilityScore(**{name: record[name] for name in names})
        found[labels[record["run_id"]]][score.ability] = score
    for mine in found.values():
        for name in figures:
            mine.setdefault(name, AbilityScore(name, 0, *(None,) * 8, "it was not scored"))
    return found


def _grouped(marks: Marks, by: str | None) -> dict[str, tuple[str, ...]]:
    """Labels of the models by group, sorted."""
    found: dict[str, list[str]] = {}
    if by is not None:
        for model, run in zip(marks.models, marks.runs, strict=True):
            found.setdefault(str(getattr(run, by)), []).append(model)
    return {name: tuple(found[name]) for name in sorted(found, reverse=True)}
