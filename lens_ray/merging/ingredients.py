"""The checkpoints that a search may merge, from its file or from a candidates file."""

from __future__ import annotations

from dataclasses import dataclass

from lens_ray.errors import UserError
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.spec import MergeSpec
from lens_ray.online.candidates import Candidate, load_candidates

#: What a checkpoint that all were trained from is called in messages.
ANCESTOR = "ancestor"


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """What may be merged.

    Attributes:
        parents: At least two, by ascending step where all have one.
        final: Name of the one that would be shipped without a merge.
        ancestor: What all were trained from, for methods over task vectors; None is not known.
    """

    parents: tuple[Parent, ...]
    final: str
    ancestor: str | None = None


def checkpoints_of(spec: MergeSpec) -> Checkpoints:
    """The checkpoints of a search.

    Raises:
        UserError: The candidates file is at fault, or has fewer than two checkpoints, or none of
            the name that ``final`` has.
    """
    parents, final, ancestor = spec.parents, spec.final, spec.ancestor
    if spec.candidates is not None:
        found = load_candidates(spec.candidates)
        parents = tuple(_parent(one) for one in found.checkpoints)
        final, ancestor = final or found.base, ancestor or found.ancestor
        if len(parents) < 2:
            raise UserError(
                f"{spec.candidates}: one checkpoint cannot be merged with itself; name two or more"
            )
    if all(each.step is not None for each in parents):
        parents = tuple(sorted(parents, key=lambda each: each.step or 0))
    names = [each.name for each in parents]
    final = final or names[-1]
    if final not in names:
        where = spec.candidates or "parents"
        raise UserError(f"final: {final!r} is not in {where}; there are: {', '.join(names)}")
    return Checkpoints(parents, final, ancestor)


def _parent(one: Candidate) -> Parent:
    """A candidate as a parent; its digest is kept, so that another checkpoint there is refused."""
    return Parent(name=one.name, path=one.path, step=one.step, digest=one.digest)


def check_there(checkpoints: Checkpoints) -> None:
    """Refuse paths that are nothing, and checkpoints that cannot be merged, before any is asked.

    Raises:
        CheckpointError: There is no checkpoint at a path, or one is of another model.
        StoreUnavailable: A URL is out of reach.
    """
    from lens_ray.merging.parents import gathered

    all_of_them = [each.model_copy(update={"weight": 1.0}) for each in checkpoints.parents]
    if checkpoints.ancestor is not None and ANCESTOR not in [each.name for each in all_of_them]:
        all_of_them.append(Parent(name=ANCESTOR, path=checkpoints.ancestor, weight=1.0))
    with gathered(Recipe(method="linear", normalize=True, parents=tuple(all_of_them))):
        pass
