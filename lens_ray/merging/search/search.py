"""The search for a merge: `search`, top-down. Pure: it sees recipes and marks, no tensor.

Everything here follows from the marks, so a second call with the same asker makes the same trials
in the same order and ends alike; what was answered before is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lens_ray.errors import BudgetReached, UserError
from lens_ray.merging.recipe import Parent
from lens_ray.merging.search.conclude import Course, conclude, weighed
from lens_ray.merging.search.desk import Desk
from lens_ray.merging.search.found import Found
from lens_ray.merging.search.greedy import greedy, survivors_of
from lens_ray.merging.search.mixture import Design, mix
from lens_ray.merging.search.pool import Ingredient, pool_of
from lens_ray.merging.search.refine import try_groups, try_published, try_task_vectors
from lens_ray.merging.search.screen import ask_singles, screen
from lens_ray.merging.search.table import Table
from lens_ray.merging.search.trial import Asker, Trial
from lens_ray.merging.spec import MergeSpec
from lens_ray.stats.abilities import OVERALL

#: Recipes as they were published: from the best checkpoint of each ability and the final one.
Published = Callable[[Mapping[str, Parent], Parent], Sequence[Trial]]


def search(
    spec: MergeSpec,
    parents: Sequence[Parent],
    asker: Asker,
    *,
    final: str | None = None,
    published: Published | None = None,
    confirm_samples: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Found:
    """Look for a merge that beats the final checkpoint and the best single one.

    Args:
        spec: The rules, the needs; paths in it are not read.
        parents: The checkpoints, two or more; their order is kept in recipes.
        asker: Asks trials. Each ask names all trials that are compared, those that were asked
            before too, and expects one set of units for all of them.
        final: Name of the parent that would be shipped without a merge; None takes
            ``spec.final``, else the one with the highest step, else the last.
        published: Makes the recipes of ``spec.search.presets`` from the best checkpoint of each
            ability, by ability, and the final one; None tries none.
        confirm_samples: How many samples confirm; None counts on as many as in the search.
        say: Told of each step, in one line.

    Returns:
        What was found. Where the budget ends the search it says so in ``stopped``: nothing is
        raised, and what was asked so far counts.

    Raises:
        UserError: Fewer than two parents, names that repeat, or needs of abilities that were not
            asked.
        EnvironmentFailure: Nobody can be asked.
        Incomplete: A trial has too few answers.
        CannotSay: The trials have no question in common.
    """
    desk = _desk(spec, parents, asker, final, say)
    singles = ask_singles(desk)
    desk.confirm_samples = confirm_samples
    course = Course(single=_best(singles, desk))
    try:
        _look_for_merges(desk, course, singles, spec.ancestor, published)
    except BudgetReached as reached:
        course.stopped = str(reached)
        desk.say(course.stopped)
    return conclude(desk, course, spec.name)


def _look_for_merges(
    desk: Desk, course: Course, singles: Table, ancestor: str | None, published: Published | None
) -> None:
    """All steps between the single checkpoints and the confirmation."""
    course.pool = _pool(desk, singles)
    base = next(each for each in course.pool if each.weights == {course.single: 1.0})
    screened = screen(desk, base, [each for each in course.pool if each is not base], singles)
    safe = [each for each in screened if not each.harmful]
    helped = greedy(desk, base, safe, course.single)
    survivors = survivors_of(base, safe, helped, desk.final.name, desk.rules.survivors)
    if len(survivors) > 1:
        course.design = Design(survivors)
        mix(desk, course.design, course.single)
        best = _most_promising(desk, course)
        weights = {each.name: each.weight or 0.0 for each in best.recipe.parents}
        try_groups(desk, best, weights, survivors)
        try_task_vectors(desk, best, weights, ancestor)
    else:
        course.notes.append(f"every other ingredient does harm where it is mixed into {base.name}")
    if published is not None:
        by_ability = {
            name: desk.parents[
                max(singles.marks.models, key=lambda each: singles.values[each][name])
            ]
            for name in singles.abilities
        }
        try_published(desk, desk.single(course.single), published(by_ability, desk.final))


def _pool(desk: Desk, singles: Table) -> list[Ingredient]:
    """The ingredients, from the checkpoints that were asked on ``search``."""
    counted = [name for name, weight in desk.weights.items() if weight > 0]
    return pool_of(
        [desk.parents[name] for name in singles.marks.models], singles.values,
        final=desk.final.name, abilities=sorted(counted, key=lambda each: -desk.weights[each]),
        window=desk.rules.window, most=desk.rules.pool,
    )  # fmt: skip


def _most_promising(desk: Desk, course: Course) -> Trial:
    ranked = weighed(desk, course, desk.all())
    return desk.notes[ranked[0].name].trial


def _best(singles: Table, desk: Desk) -> str:
    """The checkpoint with the highest score; of equals the final one, then the latest."""
    order = sorted(desk.parents, key=lambda name: desk.parents[name].step or 0)
    place = {name: at for at, name in enumerate([*order, desk.final.name])}
    return max(
        singles.marks.models,
        key=lambda name: (round(singles.values[name][OVERALL], 9), place[name]),
    )


def _desk(
    spec: MergeSpec,
    parents: Sequence[Parent],
    asker: Asker,
    final: str | None,
    say: Callable[[str], None] | None,
) -> Desk:
    by_name = {each.name: each for each in parents}
    if len(by_name) < len(parents):
        raise UserError(f"{spec.name}: two checkpoints have one name; name each another")
    if len(by_name) < 2:
        raise UserError(f"{spec.name}: a merge needs two checkpoints or more; name more of them")
    if spec.search.methods and spec.ancestor is None:
        raise UserError(
            f"{spec.name}: search.methods: {spec.search.methods[0]} needs what all were trained "
            "from; write ancestor: PATH, or take it out"
        )
    chosen = final_of(spec, parents, final)
    return Desk(asker, spec.search, spec.needs, by_name, chosen, say or (lambda line: None))


def final_of(spec: MergeSpec, parents: Sequence[Parent], final: str | None = None) -> Parent:
    """The checkpoint that would be shipped without a merge.

    Raises:
        UserError: There is none of this name.
    """
    wanted = final or spec.final
    by_name = {each.name: each for each in parents}
    if wanted is None:
        return max(parents, key=lambda each: -1 if each.step is None else each.step)
    if wanted not in by_name:
        raise UserError(f"final: no checkpoint {wanted!r}; there are: {', '.join(by_name)}")
    return by_name[wanted]
