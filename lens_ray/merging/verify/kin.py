"""A merge and those it comes from, as they lie on this machine: `gather_kin`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lens_ray.errors import LensError
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.verify.tiers import Ingredient
from lens_ray.merging.verify.weights import Folded
from lens_ray.models.checkpoint import CheckpointFacts, inspect_checkpoint
from lens_ray.models.resolve import resolve

BASE = "base"


@dataclass(frozen=True, slots=True)
class Kin:
    """What is there of a merge's parents.

    Attributes:
        record: Of the merge; its paths are those that were used.
        facts: By parent's name, ``base`` of the base; why, of one that is not at hand.
        adapters: Folded in, by the same names.
        adapter_digests: Of these.
        whole: Folders of parents with their adapters folded in, by name; see `folded`.
    """

    record: MergeRecord
    facts: Mapping[str, CheckpointFacts | str]
    adapters: Mapping[str, Folded] = field(default_factory=dict)
    adapter_digests: Mapping[str, str] = field(default_factory=dict)
    whole: Mapping[str, Path] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        """The first that is not at hand, and why."""
        found = (f"parent {n}: {why}" for n, why in self.facts.items() if isinstance(why, str))
        return next(found, None)

    @property
    def there(self) -> dict[str, CheckpointFacts]:
        """Those that are at hand, in the recipe's order, the base last."""
        return {name: f for name, f in self.facts.items() if not isinstance(f, str)}

    @property
    def folders(self) -> list[Path]:
        """Of the parents without the base; all of them are at hand."""
        return [Path(facts.folder) for name, facts in self.there.items() if name != BASE]

    @property
    def base(self) -> Path | None:
        """Folder of the base, where the recipe has one."""
        return Path(self.there[BASE].folder) if BASE in self.there else None

    @property
    def ingredients(self) -> tuple[Ingredient, ...]:
        """The parents as models that can be run, with their shares."""
        names = [parent.name for parent in self.record.recipe.parents]
        shares = shares_of(self.record.recipe)
        return tuple(
            Ingredient(name, self.whole.get(name, Path(self.there[name].folder)), share)
            for name, share in zip(names, shares, strict=True)
        )


def shares_of(recipe: Recipe) -> tuple[float, ...]:
    """How much of each parent is in the whole, summing to 1; equal where nothing tells."""
    many = len(recipe.parents)
    weights = [abs(weight) for weight in recipe.weights]
    total = sum(weights)
    if len(weights) != many or total <= 0:
        return (1 / many,) * many
    return tuple(weight / total for weight in weights)


def gather_kin(
    record: MergeRecord,
    moved: Mapping[str, str] | None = None,
    *,
    digest: bool,
    trust_remote_code: bool = False,
) -> Kin:
    """Look for every parent of a merge.

    Args:
        record: Of the merge.
        moved: Paths of parents that lie elsewhere now, by name.
        digest: Whether their weights are read for their digests.
        trust_remote_code: Of checkpoints that bring their own code.
    """
    facts: dict[str, CheckpointFacts | str] = {}
    adapters: dict[str, Folded] = {}
    digests: dict[str, str] = {}
    for name, parent in named(record.recipe).items():
        path = (moved or {}).get(name, parent.path)
        try:
            # A path that was given in the place of a hub id has no revision.
            folder = resolve(path, parent.revision if path == parent.path else None)
            found = inspect_checkpoint(folder, trust_remote_code=trust_remote_code, digest=digest)
            if parent.adapter is not None:
                from lens_ray.merging.adapters import open_adapter

                adapter = open_adapter(resolve(parent.adapter), folder, found.tensors)
                adapters[name], digests[name] = adapter, adapter.digest
            facts[name] = found
        except LensError as error:
            facts[name] = " ".join(str(error).split())
    return Kin(record, facts, adapters, digests)


def named(recipe: Recipe) -> dict[str, Parent]:
    """The parents of a recipe by name, the base last, as ``base``."""
    found = {parent.name: parent for parent in recipe.parents}
    return found if recipe.base is None else {**found, BASE: recipe.base}


@contextmanager
def folded(kin: Kin, near: Path) -> Iterator[Kin]:
    """Parents with an adapter become folders, for as long as they are run.

    Args:
        kin: All of them at hand.
        near: Folder beside which there is room for them.

    Raises:
        StoreUnavailable: There is no room.
    """
    named_here = named(kin.record.recipe)
    adapted = [name for name in kin.adapters if name != BASE]
    if not adapted or kin.missing is not None:
        yield kin
        return
    from lens_ray.merging.apply import apply_recipe

    with TemporaryDirectory(dir=near, prefix=".verify-") as room:
        whole = {}
        for name in adapted:
            facts = kin.there[name]
            alone = named_here[name].model_copy(
                update={"weight": 1.0, "path": facts.folder, "revision": None, "digest": None}
            )
            whole[name] = Path(room) / name
            apply_recipe(
                Recipe(method="linear", parents=(alone,)), whole[name], durable=False, check=False
            )
        yield replace(kin, whole=whole)
