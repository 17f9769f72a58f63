"""What a merge must be, in float64 and without chunks: `linear`, `ties`; `distance` in ulp."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

if TYPE_CHECKING:
    from torch import Tensor

#: Made of the parents' tensors in float64, in their order.
Formula = Callable[[Sequence["Tensor"]], "Tensor"]


def linear(weights: Sequence[float]) -> Formula:
    """The weighted sum."""

    def merged(parents: Sequence[Tensor]) -> Tensor:
        total = parents[0] * weights[0]
        for weight, parent in zip(weights[1:], parents[1:], strict=True):
            total += weight * parent
        return total

    return merged


def ties(density: float) -> Formula:
    """TIES (arXiv 2306.01708) with equal weights; the first parent is the base.

    Of each task vector the ``ceil(density * n)`` largest stay (those as large as the last of them
    too), a place's sign is that of the sum, and the task vectors of that sign are averaged.
    """

    def merged(parents: Sequence[Tensor]) -> Tensor:
        import torch

        base, *others = parents
        kept = [_trimmed(other - base, density) for other in others]
        stacked = torch.stack(kept)
        agree = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
        mean = (stacked * agree).sum(0) / agree.sum(0).clamp(min=1)
        return base + mean

    return merged


def _trimmed(delta: Tensor, density: float) -> Tensor:
    ranked = delta.abs().flatten().sort(descending=True).values
    threshold = ranked[math.ceil(density * len(ranked)) - 1]
    return delta * (delta.abs() >= threshold)


def distance(
    merge: Path, parents: Sequence[Path], formula: Formula, every: int = 1
) -> dict[str, float]:
    """How far a merge is from the reference.

    Args:
        merge: Its folder.
        parents: Theirs.
        formula: What it must be.
        every: Of the tensors' names in order, one of so many is computed.

    Returns:
        ``ulp``: the most, in units in the last place of the type on disk; ``exact``: share of the
        numbers that are the reference rounded; ``numbers``: how many were compared;
        ``tensors``: how many the merge has; ``parents``: how many each parent has; ``missing``:
        how many of their names the merge lacks.
    """
    import torch

    written = weights(merge)
    held = [weights(parent) for parent in parents]
    most, equal, count = 0, 0, 0
    for name in sorted(written.keys() & held[0].keys())[::every]:
        found = read(written[name], name)
        wanted = formula([read(one[name], name).double() for one in held]).to(found.dtype)
        apart = (_ordered(found) - _ordered(wanted)).abs()
        most = max(most, int(apart.max()))
        equal += int(torch.count_nonzero(apart == 0))
        count += found.numel()
    return {
        "ulp": most,
        "exact": equal / max(count, 1),
        "numbers": count,
        "tensors": len(written),
        "parents": len(held[0]),
        "missing": len(held[0].keys() - written.keys()),
    }


def weights(folder: Path) -> dict[str, Path]:
    """Weight file of every tensor of a folder."""
    return dict(_weights(folder))


def read(file: Path, name: str) -> Tensor:
    """One tensor."""
    with safe_open(file, "pt") as held:
        tensor: Tensor = held.get_tensor(name)
        return tensor


def _weights(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as held:
            yield from dict.fromkeys(held.keys(), file).items()


def _ordered(tensor: Tensor) -> Tensor:
    """Whole numbers that are as far apart as the floating ones are in ulp."""
    import torch

    kind = {2: torch.int16, 4: torch.int32}[tensor.element_size()]
    bits = tensor.contiguous().view(kind).long()
    lowest = -(1 << (8 * tensor.element_size() - 1))
    return torch.where(bits < 0, lowest - bits, bits)
