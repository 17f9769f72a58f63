"""V1: are the numbers what the recipe says? `algebra`.

One block of rows of *every* tensor is merged once more in float64, and more blocks are drawn beside
them; on a few tensors the identities of the method are tried. Blocks are small, so the whole takes
seconds: a tensor that was lost, scaled or swapped as a whole differs in every block. Methods that
must see a whole tensor are tried on whole ones of at most 4 M numbers, drawn while there is room.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from lens_ray.merging.checks import Check
from lens_ray.merging.kernel import Piece
from lens_ray.merging.recipe import AFFINE, Recipe
from lens_ray.merging.verify.policy import AlgebraLimits
from lens_ray.merging.verify.recompute import BY_PLACE, by_kernel, reference, rounding, ulps
from lens_ray.merging.verify.weights import Folded, Weights
from lens_ray.merging.weights import Weights as Shares

if TYPE_CHECKING:
    from torch import Tensor

#: Numbers of a block, of the rows that identities are tried on, and of a tensor that is looked at
#: whole, as a threshold or a norm needs: 32 MB in float64, a few times over.
_BLOCK = 1 << 14
_TRIED = 1 << 18
_WHOLE = 1 << 22
#: Numbers of all tensors together that are seen whole, by the identities and recomputed: 0.6 s of
#: TIES over two parents.
_TRIED_WHOLES = 1 << 21
_WHOLES = 1 << 22
#: Units in the last place that rounding to the nearest takes, at most.
_ROUNDED = 0.5
_FLOATS = ("F64", "F32", "F16", "BF16")
#: Averages; on an arc, as slerp goes, numbers leave the span of the two ends.
_STRAIGHT = ("linear", "window")
Figures = Mapping[str, float | int | str | None]


def algebra(
    folder: Path,
    recipe: Recipe,
    parents: Sequence[Path],
    base: Path | None = None,
    limits: AlgebraLimits | None = None,
    *,
    adapters: Mapping[str, Folded] | None = None,
) -> tuple[Check, ...]:
    """Try the identities of a method on some tensors, and recompute row blocks in float64.

    Args:
        folder: Of the merge, of sound structure (V0); it may still be called ``.partial``.
        recipe: How it was made.
        parents: Local folders, in the recipe's order.
        base: Local folder of the base.
        limits: How much is recomputed; None takes the defaults.
        adapters: That are folded in, by parent's name (``base`` of the base).

    Returns:
        One check a name: ``one_hot``, ``self_merge`` and ``permutation`` (bit by bit),
        ``recomputed`` (within the limit), ``between`` (of averages), and ``delta_norm``.
    """
    limits = limits or AlgebraLimits()
    folded = adapters or {}
    with ExitStack() as stack:

        def opened(path: Path, name: str | None = None) -> Weights:
            return stack.enter_context(Weights(path, folded.get(name) if name else None))

        ground = _Ground(
            recipe,
            opened(folder),
            [opened(path, one.name) for path, one in zip(parents, recipe.parents, strict=True)],
            None if base is None else opened(base, "base"),
            limits,
            Shares.of(recipe),
        )
        stack.enter_context(_one_thread())
        return (*_identities(ground), *_recomputed(ground))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Blocks are too small for more: two that wait for each other took ten times the work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _Ground:
    """Opened files, and what is drawn of them."""

    recipe: Recipe
    merge: Weights
    parents: Sequence[Weights]
    base: Weights | None
    limits: AlgebraLimits
    shares: Shares

    @property
    def floats(self) -> list[str]:
        return [name for name in self.merge.names if self.parents[0].dtype(name) in _FLOATS]

    def random(self, what: str) -> Random:
        """The same draws for the same recipe, and others for another."""
        told = f"{self.limits.seed}:{what}:{self.recipe.model_dump_json(exclude={'name'})}"
        return Random(hashlib.sha256(told.encode()).digest())

    def piece(self, name: str, first: int, last: int, *, folded: bool = True) -> Piece:
        """Rows of a tensor in all parents."""
        read = [one.rows(name, first, last, folded=folded) for one in self.parents]
        base = self.base.rows(name, first, last, folded=folded) if self.base else None
        return Piece(name, 0, (first, last), tuple(read), base)

    def drawn(self) -> list[tuple[str, int, int]]:
        """Some tensors and their rows: the first ones, or all where a method must see all."""
        if self.recipe.method in BY_PLACE:
            names = sorted(self.floats)
            chosen = self.random("tensors").sample(names, min(len(names), self.limits.tensors))
        else:
            chosen = self._wholes("tensors", self.floats, _TRIED_WHOLES)[: self.limits.tensors]
        most = _TRIED if self.recipe.method in BY_PLACE else _WHOLE
        return [(name, 0, _many(self.merge.shape(name), most)) for name in sorted(chosen)]

    def blocks(self) -> Iterator[tuple[str, int, int]]:
        """One block of every tensor, then as many more as the limit says.

        Where a method must see a whole tensor, whole ones in the order drawn while there is room.
        """
        if self.recipe.method not in BY_PLACE:
            for name in self._wholes("wholes", self.merge.names, _WHOLES):
                yield name, 0, _rows(self.merge.shape(name))
            return
        draw = self.random("blocks")
        further = draw.choices(self.merge.names, k=self.limits.blocks)
        for name in (*self.merge.names, *further):
            shape = self.merge.shape(name)
            many = _many(shape, _BLOCK)
            first = draw.randrange(_rows(shape) - many + 1)
            yield name, first, first + many

    def _wholes(self, what: str, names: Sequence[str], room: int) -> list[str]:
        """Drawn tensors that are small enough, of so many numbers together; or a single one."""
        drawn = [name for name in names if prod(self.merge.shape(name)) <= _WHOLE]
        self.random(what).shuffle(drawn)
        fit: list[str] = []
        for name in drawn:
            numbers = prod(self.merge.shape(name))
            if numbers <= room:
                fit.append(name)
                room -= numbers
        return fit or drawn[:1]


def _rows(shape: Sequence[int]) -> int:
    return shape[0] if shape else 1


def _many(shape: Sequence[int], numbers: int) -> int:
    """Rows that have so many numbers together; at least one, at most all."""
    return min(_rows(shape), max(1, numbers // max(1, prod(shape[1:]))))


def _check(name: str, faults: Sequence[str], sound: str, figures: Figures) -> Check:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    what = f"{faults[0]}{more}" if faults else sound
    return Check("V1", name, "fail" if faults else "pass", what, figures)


def _identities(ground: _Ground) -> list[Check]:
    """On tensors as they lie, without adapters; what is not said of a method is not tried."""
    drawn = ground.drawn()
    tried: dict[str, list[str]] = {"one_hot": [], "self_merge": [], "permutation": []}
    if ground.recipe.method not in AFFINE:
        del tried["one_hot"]
    for name, first, last in drawn:
        shape = ground.merge.shape(name)
        piece = ground.piece(name, first, last, folded=False)
        for what, faults in tried.items():
            faults.extend(_BROKEN[what](ground, piece, shape))
    figures = {"tensors": len(drawn)}
    return [
        _check(what, faults, f"{_HELD[what]}, bit by bit, on {len(drawn)} tensors", figures)
        for what, faults in tried.items()
    ]


_HELD = {
    "one_hot": "all weight on one parent gives that parent",
    "self_merge": "a checkpoint merged with itself is itself",
    "permutation": "the order of the parents decides nothing",
}


def _one_hot(ground: _Ground, piece: Piece, shape: Sequence[int]) -> Iterator[str]:
    for place, parent in enumerate(ground.recipe.parents):
        recipe = _weighted(ground.recipe, place)
        merged = by_kernel(recipe, Shares.of(recipe), piece, shape)
        if not _same_bits(merged, piece.parents[place]):
            yield f"{piece.tensor}: all weight on {parent.name} does not give {parent.name}"


def _weighted(recipe: Recipe, chosen: int) -> Recipe:
    """All weight on one parent, everywhere; a window's weights are written out."""
    parents = tuple(
        parent.model_copy(update={"weight": float(place == chosen)})
        for place, parent in enumerate(recipe.parents)
    )
    method = "linear" if recipe.method == "window" else recipe.method
    return recipe.model_copy(
        update={"method": method, "parents": parents, "groups": (), "table": None}
    )


def _self_merge(ground: _Ground, piece: Piece, shape: Sequence[int]) -> Iterator[str]:
    import torch

    one = piece.parents[0]
    base = None if piece.base is None else one
    alike = Piece(piece.tensor, piece.number, piece.rows, (one,) * len(piece.parents), base)
    held = one.isfinite()  # infinity less infinity, of masks, is no number
    merged, one = by_kernel(ground.recipe, ground.shares, alike, shape)[held], one[held]
    # -0.5 · -0 is 0, and 0 + 1.5 · -0 stays 0: the sign of a zero is lost to negative weights.
    signed = min(ground.shares.on(piece.tensor), default=0.0) < 0
    same = torch.equal(merged.to(one.dtype), one) if signed else _same_bits(merged, one)
    if not same:
        yield f"{piece.tensor}: {ground.recipe.parents[0].name} merged with itself is changed"


def _permuted(ground: _Ground, piece: Piece, shape: Sequence[int]) -> Iterator[str]:
    recipe = ground.recipe.model_copy(update={"parents": ground.recipe.parents[::-1]})
    turned = Piece(piece.tensor, piece.number, piece.rows, piece.parents[::-1], piece.base)
    one = by_kernel(ground.recipe, ground.shares, piece, shape)
    two = by_kernel(recipe, Shares(recipe, ground.shares.top), turned, shape)
    if not _same_bits(two, one):
        yield f"{piece.tensor}: another order of the parents gives other numbers"


_BROKEN = {"one_hot": _one_hot, "self_merge": _self_merge, "permutation": _permuted}


def _same_bits(found: Tensor, wanted: Tensor) -> bool:
    """As they would be written, negative zeros and all."""
    import torch

    written = found.to(wanted.dtype).contiguous().view(torch.uint8)
    return bool(torch.equal(written, wanted.contiguous().view(torch.uint8)))


def _recomputed(ground: _Ground) -> list[Check]:
    seen = _Seen()
    for name, first, last in ground.blocks():
        written = ground.merge.rows(name, first, last)
        if ground.parents[0].dtype(name) in _FLOATS:
            piece = ground.piece(name, first, last)
            truth = _truth(ground, piece)
            seen.take(ground, piece, written, truth)
        elif not _same_bits(written, ground.parents[0].rows(name, first, last)):
            seen.off.append(f"{name}: no floating tensor, and not as in the parents")
    return seen.checks(ground)


def _truth(ground: _Ground, piece: Piece) -> Tensor:
    """What all share is the merge's, infinity too; an arc is longer than its chord."""
    import torch

    first, *others = piece.parents if piece.base is None else (*piece.parents, piece.base)
    if ground.recipe.method != "slerp" and all(torch.equal(first, other) for other in others):
        return first.to(torch.float64)
    return reference(ground.recipe, ground.shares, piece, ground.merge.shape(piece.tensor))


def _off(ground: _Ground, piece: Piece, written: Tensor, truth: Tensor) -> float:
    """Units in the last place; rounded as torch rounds, half of one: measuring takes longer."""
    finite = bool(written.isfinite().all())
    if finite and ground.limits.ulp >= _ROUNDED and _same_bits(truth, written):
        return _ROUNDED
    near = rounding(ground.recipe, ground.shares, piece)
    return ulps(written, truth, ground.merge.dtype(piece.tensor), near)


class _Seen:
    """What the blocks have shown."""

    def __init__(self) -> None:
        self.floats: set[str] = set()
        self.off: list[str] = []
        self.beyond: list[str] = []
        self.worst = 0.0
        self.blocks = self.numbers = 0
        self.moved = self.apart = 0.0

    def take(self, ground: _Ground, piece: Piece, written: Tensor, truth: Tensor) -> None:
        """One block."""
        self.floats.add(piece.tensor)
        where = f"{piece.tensor}, rows {piece.rows[0]} to {piece.rows[1]}"
        dtype = ground.merge.dtype(piece.tensor)
        off = _off(ground, piece, written, truth)
        self.worst = max(self.worst, off)
        if off > ground.limits.ulp:
            far = "no number where one is due" if off == inf else f"{off:.3g} units off"
            self.off.append(f"{where}: {far}")
        if ground.recipe.method in _STRAIGHT and _convex(ground.shares.on(piece.tensor)):
            self._hold_between(where, piece.parents, written, dtype)
        self._measure(piece, written)
        self.blocks += 1
        self.numbers += written.numel()

    def _hold_between(
        self,
        where: str,
        parents: Iterable[Tensor],
        written: Tensor,
        dtype: str,
    ) -> None:
        """Rounding keeps order, so only what another type rounds away may be beyond, by 1 unit."""
        import torch

        held = torch.stack([parent.to(torch.float64) for parent in parents])
        there = written.to(torch.float64)
        kept = there.clamp(held.amin(0), held.amax(0))
        if not torch.equal(kept, there) and ulps(written, kept, dtype) > 1.0:
            self.beyond.append(f"{where}: outside of what the parents have")

    def _measure(self, piece: Piece, written: Tensor) -> None:
        """Squares of how far the merge, and the parents, are from the base (the first parent)."""
        import torch

        parents = [parent.to(torch.float64) for parent in piece.parents]
        origin = parents[0] if piece.base is None else piece.base.to(torch.float64)
        others = parents[1:] if piece.base is None else parents
        self.moved += float((written.to(torch.float64) - origin).square().sum())
        far = sum(float((parent - origin).square().sum()) for parent in others)
        self.apart += far / max(1, len(others))

    def checks(self, ground: _Ground) -> list[Check]:
        """What it comes to."""
        worst = None if self.worst == inf else self.worst
        figures = {
            "blocks": self.blocks, "numbers": self.numbers, "tensors": len(self.floats),
            "worst_ulp": worst,
        }  # fmt: skip
        sound = (
            f"{self.blocks} blocks of {len(self.floats)} tensors, {self.numbers:,} numbers, "
            f"recomputed in float64: at most {self.worst:.3g} units in the last place off"
        )
        found = [_check("recomputed", self.off, sound, figures)]
        if ground.recipe.method in _STRAIGHT:
            sound = "every number lies between its smallest and its largest parent"
            found.append(_check("between", self.beyond, sound, {"blocks": self.blocks}))
        ratio = (self.moved / self.apart) ** 0.5 if self.apart > 0 else None
        of = "base" if ground.base else "first parent"
        said = "the parents are equal" if ratio is None else f"{ratio:.3f} times the parents' own"
        sound = f"distance from the {of}: {said}"
        found.append(_check("delta_norm", [], sound, {"ratio": ratio}))
        return found


def _convex(weights: Sequence[float]) -> bool:
    return all(weight >= 0 for weight in weights)
