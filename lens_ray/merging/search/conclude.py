"""How a search ends: one merge is chosen, confirmed once, and everything is told: `conclude`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lens_ray.errors import BudgetReached
from lens_ray.merging.search.choose import Weighed, weigh
from lens_ray.merging.search.confirm import confirmation_of, named_scores, summary
from lens_ray.merging.search.desk import Desk
from lens_ray.merging.search.found import Confirmation, Found, Tried, Verdict
from lens_ray.merging.search.mixture import Design
from lens_ray.merging.search.optimism import Optimism, optimism_of
from lens_ray.merging.search.pool import Ingredient
from lens_ray.merging.search.table import Table, table_of
from lens_ray.merging.search.trial import Trial
from lens_ray.stats.abilities import OVERALL


@dataclass
class Course:
    """How far a search has come; what a budget cuts short counts.

    Attributes:
        single: Name of the best single checkpoint on the samples of the search.
        pool: The ingredients.
        design: Of the mixtures; None was not reached.
        stopped: What the budget said.
        notes: What a reader should know.
    """

    single: str
    pool: Sequence[Ingredient] = ()
    design: Design | None = None
    stopped: str | None = None
    notes: list[str] = field(default_factory=list)


def weighed(desk: Desk, course: Course, table: Table) -> list[Weighed]:
    """All merges that were asked on ``search``, the most promising first."""
    merges = [
        each.trial.name for each in desk.notes.values()
        if each.trial.name in table.marks.models and not each.trial.single
    ]  # fmt: skip
    return weigh(
        table, merges, course.single, desk.final.name,
        margin=desk.rules.margin,
        fitted=course.design.fitted(desk.weights) if course.design else None,
        min_score=desk.needs.min_score if desk.needs else None,
        confirm_units=desk.confirm_samples,
    )  # fmt: skip


def conclude(desk: Desk, course: Course, name: str) -> Found:
    """Choose, confirm, tell.

    Args:
        desk: Of the search.
        course: How far it has come.
        name: Of the search.
    """
    table = desk.all()
    ranked = weighed(desk, course, table)
    single = desk.single(course.single)
    chosen = desk.notes[ranked[0].name].trial if ranked and ranked[0].gain > 0 else None
    optimism, confirmation, stopped = None, None, course.stopped
    if chosen is None:
        verdict, why = _nothing(course, ranked)
    else:
        optimism = _optimism(desk, course, table, chosen, ranked)
        desk.say(f"confirming {chosen.name} against {desk.final.name} and {course.single}")
        try:
            confirmation = _confirmed(desk, course, chosen)
            verdict, why = _verdict(confirmation, chosen, course)
        except BudgetReached as reached:
            stopped = stopped or str(reached)
            verdict = "unconfirmed"
            why = (
                f"{chosen.name} is ahead of {course.single} by {ranked[0].measured:+.4f} on the "
                f"samples of the search, and the budget was spent before it was confirmed"
            )
    return Found(
        name=name, verdict=verdict, why=why,
        recommended=chosen if chosen and verdict == "merge" else single, chosen=chosen,
        final=desk.final.name, best_single=course.single, weights=dict(desk.weights),
        ingredients=tuple(course.pool),
        survivors=tuple(each.name for each in course.design.ingredients) if course.design else (),
        tried=_tried(desk, course, table, ranked, chosen),
        surfaces=course.design.surfaces if course.design else None,
        predicted=course.design.predicted if course.design else (),
        optimism=optimism, confirmation=confirmation, spent=desk.asker.spent, stopped=stopped,
        notes=tuple(course.notes),
    )  # fmt: skip


def _nothing(course: Course, ranked: Sequence[Weighed]) -> tuple[Verdict, str]:
    if not ranked:
        return "single", f"no merge was asked; {course.single} is the best single checkpoint"
    best = max(ranked, key=lambda each: each.measured)
    return "single", (
        f"no merge helps: of {len(ranked)} the highest, {best.name}, is {best.measured:+.4f} on "
        f"{course.single}, the best single checkpoint, and {best.gain:+.4f} without its luck"
    )


def _optimism(
    desk: Desk, course: Course, table: Table, chosen: Trial, ranked: Sequence[Weighed]
) -> Optimism:
    return optimism_of(
        table.marks, table.overall, chosen.name, course.single,
        [each.name for each in ranked], seed_key=f"optimism {desk.rules.seed}",
    )  # fmt: skip


def _confirmed(desk: Desk, course: Course, chosen: Trial) -> Confirmation:
    """The one look at the samples that no step has seen."""
    final, single = desk.final.name, course.single
    asked = [chosen, *(desk.single(name) for name in dict.fromkeys((final, single)))]
    marks = desk.asker.ask(asked, "confirm")
    table = table_of(marks, desk.weights, desk.rules.confidence)
    found = confirmation_of(table, chosen.name, final, single, margin=desk.rules.margin)
    # Nothing is decided by its parents' scores; they are shown, and verification reads their rows.
    parents = [desk.single(each.name) for each in chosen.recipe.parents]
    try:
        named = {each.name: each for each in (*asked, *parents)}
        marks = desk.asker.ask(list(named.values()), "confirm")
    except BudgetReached as reached:
        course.notes.append(f"the merge's other parents were not asked: {reached}")
        return found
    table = table_of(marks, desk.weights, desk.rules.confidence)
    return replace(found, scores=named_scores(table, marks.models, chosen.name, final))


def _verdict(confirmation: Confirmation, chosen: Trial, course: Course) -> tuple[Verdict, str]:
    told = f"{chosen.name} {summary(confirmation)}"
    if confirmation.holds:
        return "merge", told
    if confirmation.refuted:
        return "single", f"{told}; {course.single} is the best single checkpoint"
    return "unconfirmed", f"{told}; confirm on more samples, or allow a larger search.margin"


def _tried(
    desk: Desk, course: Course, table: Table, ranked: Sequence[Weighed], chosen: Trial | None
) -> tuple[Tried, ...]:
    """Everything, in the order of asking."""
    by_name = {each.name: each for each in ranked}
    anchor = _anchor(desk)
    found = []
    for name, note in desk.notes.items():
        here = table if note.ground == "search" else anchor
        assert here is not None
        gain, low = _gain(here, name, course.single)
        verdict, why = note.verdict, note.why
        if name in (course.single, desk.final.name):
            verdict = "reference"
            why = " and ".join(
                what
                for what, which in (("final", desk.final.name), ("best single", course.single))
                if which == name
            )
        elif name in by_name:
            one = by_name[name]
            why = "; ".join(filter(None, (why, _promise(one))))
            verdict = "chosen" if chosen is not None and chosen.name == name else verdict
        found.append(
            Tried(note.trial, note.step, note.ground, here.scores([name])[name], gain, low,
                  verdict, why)
        )  # fmt: skip
    return tuple(found)


def _promise(one: Weighed) -> str:
    short = f"; below the needed {', '.join(one.short)}" if one.short else ""
    return (
        f"{one.gain:+.4f} to expect, {one.likely:.0%} likely to be confirmed "
        f"(least sure: {one.weakest}){short}"
    )


def _anchor(desk: Desk) -> Table | None:
    """What was asked on ``anchor`` only, beside the final and all single ones."""
    only = [each.trial for each in desk.on("anchor")]
    if not only:
        return None
    singles = [each.trial for each in desk.notes.values() if each.trial.single]
    return desk.ask([*singles, *only], "anchor", "screen")


def _gain(table: Table, name: str, single: str) -> tuple[float | None, float | None]:
    if name == single:
        return None, None
    each = table.differences(name, single, one_sided=True)[OVERALL]
    return each.difference, each.ci_low
