"""A model part by part: its blocks, how much each varies, and how far two models are apart in each.

A fault in one block disturbs all that come after it. So a block of one model is also given what
the same block of the other model was given (`divergence`), and only its own difference remains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lens_ray.merging.verify.probes import batches_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from lens_ray.models.hosted_model import HostedModel
    from lens_ray.models.protocol import Request

#: Relative to it a difference is rounding.
_TINY = 1e-12


@dataclass(slots=True)
class Spread:
    """Sums over all positions of all probes of one block's output, by channel."""

    count: int = 0
    total: Any = None
    squares: Any = None

    def add(self, output: Tensor) -> None:
        """Take one output in: any shape, channels last."""
        wide = output.detach().double().reshape(-1, output.shape[-1])
        self.count += wide.shape[0]
        total, squares = wide.sum(0), (wide**2).sum(0)
        self.total = total if self.total is None else self.total + total
        self.squares = squares if self.squares is None else self.squares + squares

    @property
    def variance(self) -> float:
        """Mean over channels of the variance over positions."""
        mean = self.total / self.count
        return float((self.squares / self.count - mean**2).clamp(min=0).mean())


@dataclass(slots=True)
class _Apart:
    """Squares of a block's difference and of its size."""

    difference: float = 0.0
    size: float = 0.0


@dataclass(frozen=True, slots=True)
class Variances:
    """Activation variance by block; not finite where an output was not.

    Attributes:
        by_block: In the order of the model.
    """

    by_block: Mapping[str, float] = field(default_factory=dict)


def blocks_of(model: Module) -> dict[str, Module]:
    """The parts of a model that have weights, by name, in its order.

    Every weight is in one, but for those that a container of blocks holds itself, as
    LLaVA-OneVision its ``image_newline``: likelihood and V1 see these.

    An element of the outermost list of layers is one block; so is a module outside of such lists
    that holds none (embeddings, the projector, the last norm, the output layer).
    """
    from torch.nn import ModuleList

    found: dict[str, Module] = {}

    def walk(name: str, module: Module) -> None:
        inner = any(isinstance(one, ModuleList) for one in module.modules())
        if name and not inner:
            if any(True for _ in module.parameters()):
                found[name] = module
            return
        for key, child in module.named_children():
            below = f"{name}.{key}" if name else key
            if isinstance(module, ModuleList) and any(True for _ in child.parameters()):
                found[below] = child
            else:
                walk(below, child)

    walk("", model)
    return found


def variances_of(model: HostedModel, requests: Sequence[Request]) -> Variances:
    """How much the outputs of each block vary over positions and probes, in a model's own run."""
    spreads: dict[str, Spread] = {}

    def note(name: str, args: object, kwargs: object, output: object) -> None:
        for tensor in _tensors(output)[:1]:
            spreads.setdefault(name, Spread()).add(tensor)

    with _hooked(blocks_of(model.model), note):
        _run(model, requests)
    return Variances({name: spread.variance for name, spread in spreads.items()})


def divergence(
    one: HostedModel, other: HostedModel, requests: Sequence[Request]
) -> dict[str, float]:
    """How far the blocks of another model are from those of one, given the same inputs.

    Args:
        one: Runs, and gives its blocks' inputs.
        other: Its blocks are run on these inputs.
        requests: The probes.

    Returns:
        By block: the root of the summed squares of the outputs' difference over that of the
        outputs of ``one``, each less what went in where input and output are of one shape (a
        residual stream would hide the difference).
    """
    twins = blocks_of(other.model)
    found: dict[str, _Apart] = {}

    def compare(name: str, args: Any, kwargs: Any, output: object) -> None:
        mine, theirs = _tensors(output)[:1], _tensors(twins[name](*args, **kwargs))[:1]
        sums = found.setdefault(name, _Apart())
        for here, there in zip(mine, theirs, strict=True):
            wide = here.double()
            sums.difference += float(((there.double() - wide) ** 2).sum())
            given = _tensors((*args, *kwargs.values()))[:1]
            added = wide - given[0].double() if given and given[0].shape == here.shape else wide
            sums.size += float((added**2).sum())

    with _hooked(blocks_of(one.model), compare):
        _run(one, requests)
    return {name: (sums.difference / max(sums.size, _TINY)) ** 0.5 for name, sums in found.items()}


def _run(model: HostedModel, requests: Sequence[Request]) -> None:
    """One forward pass a probe, so that nothing is padding."""
    import torch

    with torch.inference_mode():
        for request in requests:
            for batch in batches_of(model, [request]):
                model.model(**batch.inputs.to(model.device, model.dtype), use_cache=False)


@contextmanager
def _hooked(
    blocks: Mapping[str, Module], see: Callable[[str, Any, Any, object], None]
) -> Iterator[None]:
    handles = [
        block.register_forward_hook(
            lambda module, args, kwargs, output, name=name: see(name, args, kwargs, output),
            with_kwargs=True,
        )
        for name, block in blocks.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: object) -> list[Any]:
    """The floating tensors in what goes into a module or comes out of it, in their order."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value] if value.is_floating_point() and value.dim() else []
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in _tensors(part)]
    if isinstance(value, Mapping):
        return [tensor for part in value.values() for tensor in _tensors(part)]
    return []
