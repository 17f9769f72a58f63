"""How much each tensor matters to what a model should say: `sensitivity`, and its table.

The score of a tensor is the mean, over its numbers and over batches, of abs(t * dL/dt): what the
loss would change by, to first order, if a number were taken away. L is the mean negative
log-likelihood of the answers' tokens (nats). This is the criterion of Molchanov et al. (2017,
arXiv 1611.06440) and of SNIP (arXiv 1810.02340). AbilityLens' repository merges the 30 % of the
tensors that come first in such a table and does not say how its own was computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.errors import CheckpointError, UserError
from lens_ray.merging.answers import Example, alike, answer_loss, labelled
from lens_ray.merging.live import LiveCheckpoint, load_live

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Sensitivity", "sensitivity", "write_table"]

_PIXELS = 4_194_304


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """A table, and what it was made of.

    Attributes:
        scores: By the tensor's name on disk, the highest first; 0 where no gradient reaches it.
        loss: Mean negative log-likelihood of the answers' tokens, in nats.
        examples: How many.
        tokens: Of all answers.
        weights_digest: Of the checkpoint.
    """

    scores: Mapping[str, float]
    loss: float
    examples: int
    tokens: int
    weights_digest: str

    def top(self, share: float) -> tuple[str, ...]:
        """The names of a share of the tensors, highest scores first."""
        return tuple(self.scores)[: round(share * len(self.scores))]


def sensitivity(
    folder: str | Path, examples: Sequence[Example], *, batch: int = 8, threads: int = 1
) -> Sensitivity:
    """Score every tensor of a checkpoint by some answers.

    Equal arguments give equal tables on one machine: batches are in the examples' order.

    Args:
        folder: A local checkpoint.
        examples: Questions with answers (`lens_ray.merging.answers.examples_of`).
        batch: Examples that share a gradient. Within a batch gradients of opposite signs cancel.
        threads: Of torch.

    Raises:
        UserError: There is no example.
        CheckpointError: The folder is no checkpoint, or its loss is not finite.
    """
    if not examples:
        raise UserError("no example to compute sensitivity on; name a suite with samples")
    live = load_live(folder, threads=threads)
    live.settle_names()
    model = live.model
    parameters = dict(model.named_parameters())
    sums = {name: None for name in parameters}
    total, tokens = 0.0, 0
    batches = alike(examples, batch)
    for some in batches:
        loss, count = _backward(live, some)
        total, tokens = total + loss, tokens + count
        _add(sums, parameters)
    scores = _scores(live, sums, len(batches))
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return Sensitivity(
        dict(ranked), total / tokens, len(examples), tokens, live.facts.weights_digest
    )


def _backward(live: LiveCheckpoint, examples: Sequence[Example]) -> tuple[float, int]:
    import math

    inputs = labelled(live.processor, examples, ends=live.ends, max_pixels=_PIXELS)
    labels = inputs.pop("labels")
    live.model.zero_grad(set_to_none=True)
    total, count = answer_loss(live.model(**inputs, use_cache=False).logits, labels)
    loss = float(total.detach())
    if not math.isfinite(loss):
        first = examples[0].sample.sample_id
        raise CheckpointError(
            f"{live.facts.folder}: its loss is {loss} on the batch of sample {first}; "
            "a weight holds NaN or infinity: lens-ray merge verify says which"
        )
    (total / count).backward()
    return loss, count


def _add(sums: dict[str, Any], parameters: Mapping[str, Any]) -> None:
    """Add abs(t * dL/dt) of one batch; in place, so that memory stays that of one more copy."""
    for name, weight in parameters.items():
        if weight.grad is not None:
            found = (weight.detach() * weight.grad).abs_()
            sums[name] = found if sums[name] is None else sums[name].add_(found)


def _scores(live: LiveCheckpoint, sums: Mapping[str, Any], batches: int) -> dict[str, float]:
    import torch

    by_weight: dict[int, Tensor] = {
        id(weight): sums[name] if sums[name] is not None else torch.zeros_like(weight)
        for name, weight in live.model.named_parameters()
    }
    kept = live.model.state_dict(keep_vars=True)
    state = {name: by_weight.get(id(held), held.detach() * 0) for name, held in kept.items()}
    with live.on_disk(state) as tensors:
        return {
            name: float(tensor.double().mean()) / batches if tensor.numel() else 0.0
            for name, tensor in tensors.items()
        }


def write_table(table: Sensitivity, file: str | Path) -> None:
    """Write the scores as a JSON object, as a recipe's ``table`` reads them; whole or not at all.

    Raises:
        UserError: The file cannot be written.
    """
    path = Path(file)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(json.dumps(dict(table.scores), indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror}") from error
