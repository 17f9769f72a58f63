"""The checkpoints that go into a merge, opened and found to fit: `gathered`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lens_ray.errors import CheckpointError
from lens_ray.merging.reader import Reader
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.same_files import require_same
from lens_ray.models.checkpoint import CheckpointFacts, inspect_checkpoint
from lens_ray.models.resolve import resolve
from lens_ray.node_cache import release

if TYPE_CHECKING:
    from torch import Tensor

    from lens_ray.merging.adapters import Adapter


@dataclass(frozen=True, slots=True)
class Source:
    """One checkpoint, open.

    Attributes:
        name: In the recipe.
        path: As the recipe has it.
        folder: Where it lies on this machine.
        facts: What it is; without the digest of its weights.
        reader: Of its tensors.
        parent: As the recipe has it.
        adapter: Folded into it while it is read; None has none.
    """

    name: str
    path: str
    folder: Path
    facts: CheckpointFacts
    reader: Reader
    parent: Parent
    adapter: Adapter | None = None

    @property
    def adapter_digest(self) -> str | None:
        """Of its adapter; None has none."""
        return None if self.adapter is None else self.adapter.digest

    def adapts(self, tensor: str) -> bool:
        """Whether an adapter changes a tensor."""
        return self.adapter is not None and self.adapter.adapts(tensor)

    def adapted(self, tensor: str, rows: tuple[int, int], numbers: Tensor) -> Tensor:
        """Some rows of a tensor with the adapter folded in, in float32 where it changes them."""
        return numbers if self.adapter is None else self.adapter.adapted(tensor, rows, numbers)


@dataclass(frozen=True, slots=True)
class Family:
    """All checkpoints of a merge; they differ in numbers only.

    Attributes:
        parents: In the recipe's order.
        base: The base, where there is one.
    """

    parents: tuple[Source, ...]
    base: Source | None

    @property
    def sources(self) -> tuple[Source, ...]:
        """The parents, and the base last."""
        return self.parents if self.base is None else (*self.parents, self.base)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Say in the end, of success and failure, that no parent changed meanwhile.

        Raises:
            CheckpointError: One did: that is then why anything failed.
        """
        try:
            yield
        except Exception:
            self._require_unchanged()
            raise
        self._require_unchanged()

    def _require_unchanged(self) -> None:
        for source in self.sources:
            source.reader.require_unchanged()


@contextmanager
def gathered(
    recipe: Recipe, storage_options: Mapping[str, object] | None = None
) -> Iterator[Family]:
    """Open every checkpoint of a recipe, those at URLs as local copies.

    Args:
        recipe: The recipe.
        storage_options: For fsspec, where paths are URLs.

    Raises:
        CheckpointError: One is missing, damaged, quantised, pickled or of another model than the
            first; the line names the first difference.
        StoreUnavailable: A URL is out of reach, or there is no room for a copy.
    """
    with ExitStack() as held:
        sources = [_opened(parent, storage_options, held) for parent in _all(recipe)]
        require_same([source.facts for source in sources], [source.name for source in sources])
        base = sources.pop() if recipe.base is not None else None
        yield Family(tuple(sources), base)


def _all(recipe: Recipe) -> Sequence[Parent]:
    return [*recipe.parents, *([recipe.base] if recipe.base is not None else [])]


def _opened(parent: Parent, options: Mapping[str, object] | None, held: ExitStack) -> Source:
    try:
        folder = Path(resolve(parent.path, parent.revision, storage_options=options))
        held.callback(release, folder)
        facts = inspect_checkpoint(str(folder), digest=False)
        reader = Reader(folder, facts.weights)
        held.callback(reader.close)
        adapter = _adapter(parent, options, held, facts)
    except CheckpointError as error:
        raise CheckpointError(f"parent {parent.name}: {error}") from error
    return Source(parent.name, parent.path, folder, facts, reader, parent, adapter)


def _adapter(
    parent: Parent, options: Mapping[str, object] | None, held: ExitStack, facts: CheckpointFacts
) -> Adapter | None:
    if parent.adapter is None:
        return None
    from lens_ray.merging.adapters import open_adapter

    folder = Path(resolve(parent.adapter, storage_options=options))
    held.callback(release, folder)
    return open_adapter(folder, facts.folder, facts.tensors)
