"""The search for a merge: `search`, top-down. Pure: it sees recipes and marks, no tensor.

Everything here follows from the marks, so a second call with the same asker makes the same trials
in the same order and ends alike; what was answered before is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lens_ray.errors import UserError
from lens_ray.merging.recipe import Parent
from lens_ray.merging.search.found import Found
from lens_ray.merging.search.trial import Asker, Trial
from lens_ray.merging.spec import MergeSpec

#: Recipes as they were published: from the best checkpoint of each ability and the final one.
Published = Callable[[Mapping[str, Parent], Parent], Sequence[Trial]]


def search(
    spec: MergeSpec,
    parents: Sequence[Parent],
    asker: Asker,
    *,
    final: str | None = None,
    published: Published | None = None,
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
    raise NotImplementedError


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
