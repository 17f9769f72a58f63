"""V2, whether the merge works as its parents do: `function`.

Three looks, from the whole to the part:

* The likelihood barrier. Linear mode connectivity (Frankle and others 2020, arXiv 1912.05671): on
  the way between two models that a merge may mix, the loss nowhere rises above theirs.
* Activation variance. Averaged weights that do not fit each other cancel out, and the variance of
  what each block puts out collapses (Jordan and others 2022, REPAIR, arXiv 2211.08403).
* Divergence by block. Each block of the merge is given what the same block of a parent was given.
  A merge by shares lies between its parents in every block: the distance to one of them is about
  its share of the distance between the parents (0.50 to 0.51 for halves, measured on
  ``minivlm-a``). Swapped layers are 6 to 24 times that distance away, a tensor at twice its size
  1.7 to 200 times, but for the biases of the vision tower; and the block is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lens_ray.errors import CheckpointError
from lens_ray.merging.checks import Check
from lens_ray.merging.verify.blocks import divergence, variances_of
from lens_ray.merging.verify.probes import (
    Likelihood,
    answers_of,
    likelihood_of,
    references_of,
    requests_of,
)
from lens_ray.suites.sample import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from lens_ray.merging.verify.policy import FunctionLimits
    from lens_ray.merging.verify.tiers import FunctionGround, Ingredient
    from lens_ray.models.hosted_model import HostedModel
    from lens_ray.models.protocol import Request

#: Probes that go through the model block by block: one pass each, not batched.
_BLOCK_PROBES = 16
#: Their merges lie between the parents; a task vector may be scaled beyond them.
_BETWEEN = ("linear", "window", "slerp", "model_stock")
#: Relative distances below it are the rounding of float32.
_ROUNDING = 1e-5
#: Channels that hardly vary have no ratio.
_STILL = 1e-12
_ORDER = ("loads", "finite_logits", "likelihood", "activation_variance", "block_divergence")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The probes, with their reference answers."""

    probes: Sequence[Sample]
    requests: Sequence[Request]
    references: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class _Measured:
    """What one model does with the probes."""

    likelihood: Likelihood
    variance: Mapping[str, float]


def function(ground: FunctionGround, limits: FunctionLimits) -> tuple[Check, ...]:
    """Ask parents and merge the probes, and compare what happens inside them.

    At most two models are in memory at once.

    Args:
        ground: Merge, parents and probes.
        limits: How far they may be apart.

    Returns:
        ``loads``, ``finite_logits``, ``likelihood``, ``activation_variance`` and
        ``block_divergence``; where the merge does not load, the rest is skipped.

    Raises:
        CheckpointError: A parent cannot be loaded or asked.
    """
    if not ground.probes:
        return tuple(_skipped(name, "there are no probes") for name in _ORDER)
    asked = _asked(ground)
    nearest = max(ground.parents, key=lambda parent: parent.share)
    middle = _load(nearest.folder)
    parents = {nearest.name: _measure(middle, asked)}
    apart: dict[str, Mapping[str, float]] = {}
    for parent in ground.parents:
        if parent is not nearest:
            other = _load(parent.folder)
            parents[parent.name] = _measure(other, asked)
            apart[parent.name] = divergence(middle, other, asked.requests[:_BLOCK_PROBES])
            del other
    try:
        merged = _load(ground.merge)
        found = _measure(merged, asked)
        blocks = divergence(middle, merged, asked.requests[:_BLOCK_PROBES])
    except CheckpointError as error:
        first = Check("V2", "loads", "fail", str(error))
        return (first, *(_skipped(name, "the merge does not load") for name in _ORDER[1:]))
    return (
        Check("V2", "loads", "pass", "transformers loads it; no weight missing, all finite"),
        _finite(found, asked),
        _likelihood(found, parents, asked, limits),
        _variance(found, parents, ground.parents, limits),
        _divergence(blocks, apart, nearest.name, ground.record.recipe.method, limits),
    )


def _skipped(name: str, why: str) -> Check:
    return Check("V2", name, "skipped", why)


def _load(folder: Path) -> HostedModel:
    import torch

    from lens_ray.models.checkpoint import inspect_checkpoint
    from lens_ray.models.hosted_model import HostedModel
    from lens_ray.models.spec import TransformersOptions

    facts = inspect_checkpoint(str(folder), digest=False)
    return HostedModel(facts, TransformersOptions(threads=torch.get_num_threads()))


def _asked(ground: FunctionGround) -> _Asked:
    """The probes that a parent answers right; all of them, in the suite's words, where none does.

    Those that no parent knows say little of a merge, and what a parent would say is not known.
    """
    requests = requests_of(ground.suite, ground.probes, ground.template)
    told = [answers_of(_load(parent.folder), requests) for parent in ground.parents]
    references = references_of(ground.probes, told)
    known = [place for place, text in enumerate(references) if text is not None]
    kept = known or list(range(len(requests)))
    return _Asked(
        [ground.probes[place] for place in kept],
        [requests[place] for place in kept],
        [references[place] for place in kept],
    )


def _measure(model: HostedModel, asked: _Asked) -> _Measured:
    return _Measured(
        likelihood_of(model, asked.probes, asked.requests, asked.references),
        variances_of(model, asked.requests[:_BLOCK_PROBES]).by_block,
    )


def _finite(found: _Measured, asked: _Asked) -> Check:
    odd = [
        probe.sample_id
        for probe, finite in zip(asked.probes, found.likelihood.finite, strict=True)
        if not finite
    ]
    figures = {"probes": len(asked.probes), "not_finite": len(odd)}
    if odd:
        what = f"logits of {len(odd)} of {len(asked.probes)} probes are not finite, first {odd[0]}"
        return Check("V2", "finite_logits", "fail", what, figures)
    what = f"all logits of {len(asked.probes)} probes are finite"
    return Check("V2", "finite_logits", "pass", what, figures)


def _likelihood(
    found: _Measured, parents: Mapping[str, _Measured], asked: _Asked, limits: FunctionLimits
) -> Check:
    worst = max(parents, key=lambda name: parents[name].likelihood.mean)
    limit = parents[worst].likelihood.mean + limits.nll_tolerance
    mine = found.likelihood.mean
    figures: dict[str, float | int | str | None] = {
        "probes": len(asked.probes),
        "answered_by_a_parent": sum(text is not None for text in asked.references),
        "merge": _number(mine),
        "limit": _number(limit),
        **{f"parent {name}": _number(each.likelihood.mean) for name, each in parents.items()},
        **{
            f"merge on {ability}": _number(value)
            for ability, value in _by_ability(found.likelihood, asked.probes).items()
        },
    }
    what = (
        f"{mine:.3f} nats per token of {len(asked.probes)} reference answers; the worst parent, "
        f"{worst}, has {parents[worst].likelihood.mean:.3f}, allowed are {limit:.3f}"
    )
    held = mine <= limit
    return Check("V2", "likelihood", "pass" if held else "fail", what, figures)


def _by_ability(found: Likelihood, probes: Sequence[Sample]) -> dict[str, float]:
    shelves: dict[str, list[float]] = {}
    for probe, nll in zip(probes, found.nll, strict=True):
        shelves.setdefault(probe.ability, []).append(nll)
    return {ability: sum(values) / len(values) for ability, values in sorted(shelves.items())}


def _variance(
    found: _Measured,
    parents: Mapping[str, _Measured],
    shares: Sequence[Ingredient],
    limits: FunctionLimits,
) -> Check:
    ratios = {}
    for block, variance in found.variance.items():
        expected = sum(one.share * parents[one.name].variance.get(block, 0.0) for one in shares)
        if expected > _STILL:
            ratios[block] = variance / expected
    return _worst(
        "activation_variance",
        ratios,
        _off_one,
        lambda ratio: limits.variance_low <= ratio <= limits.variance_high,
        "{ratio:.2f} times the parents' activation variance "
        f"(allowed {limits.variance_low:g} to {limits.variance_high:g})",
    )


def _off_one(ratio: float) -> float:
    """How far a ratio is from 1, either way; not finite is farthest."""
    return abs(math.log(ratio)) if 0 < ratio < math.inf else math.inf


def _divergence(
    blocks: Mapping[str, float],
    apart: Mapping[str, Mapping[str, float]],
    nearest: str,
    method: str,
    limits: FunctionLimits,
) -> Check:
    """Distances to the nearest parent, in units of the largest from it to another parent."""
    if not apart:
        return _skipped("block_divergence", "one parent only: there is no distance to hold against")
    ratios = {
        block: distance / max(*(each[block] for each in apart.values()), _ROUNDING)
        for block, distance in blocks.items()
        if distance > _ROUNDING or not math.isfinite(distance)
    }
    limit = limits.divergence if method in _BETWEEN else None
    told = f"allowed {limit:g}" if limit is not None else "reported only"
    return _worst(
        "block_divergence",
        ratios,
        lambda ratio: ratio if math.isfinite(ratio) else math.inf,
        lambda ratio: limit is None or ratio <= limit,
        "{ratio:.2f} times as far from " + f"{nearest} as the other parents are ({told})",
    )


def _worst(
    name: str,
    ratios: Mapping[str, float],
    badness: Callable[[float], float],
    holds: Callable[[float], bool],
    told: str,
) -> Check:
    """One check over all blocks, which names the worst and, of a fault, the first in the model."""
    if not ratios:
        return Check("V2", name, "pass", "no block differs from the parents' by more than rounding")
    failing = [block for block, ratio in ratios.items() if not holds(ratio)]
    worst = max(ratios, key=lambda block: badness(ratios[block]))
    what = f"{worst} is " if name == "block_divergence" else f"{worst} has "
    what += told.format(ratio=ratios[worst])
    if failing:
        what += f"; {len(failing)} of {len(ratios)} blocks fail, first {failing[0]}"
    figures = {block: _number(ratio) for block, ratio in ratios.items()}
    if failing:
        return Check("V2", name, "fail", what, figures, subject=worst)
    return Check("V2", name, "pass", what, figures)


def _number(value: float) -> float | None:
    """As JSON has it; None is not finite."""
    return round(value, 6) if math.isfinite(value) else None
