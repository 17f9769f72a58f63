"""Questions with reference answers, as a model computes them: `Probed`, and `likelihood_of`.

The reference answer is forced through ``model.generate`` token by token. So prompt, image tokens,
positions and attention are those with which the model answers, whatever its family does about
them, and no family needs a collator of its own.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lens_ray.models.prompts import as_written
from lens_ray.models.protocol import Completion, Generation, Request
from lens_ray.scoring.mark import mark
from lens_ray.scoring.plain import storable
from lens_ray.stats.units import SAME
from lens_ray.suites.sample import Sample
from lens_ray.suites.templates import render

if TYPE_CHECKING:
    from torch import Tensor

    from lens_ray.models.hosted_model import Batch, HostedModel
    from lens_ray.suites.suite import Suite

#: Probes that are computed together; a probe's answer does not depend on it.
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a model finds the reference answers.

    Attributes:
        nll: Negative log-likelihood per token of each probe's reference answer, end token
            included, in nats; infinite where a logit was not finite.
        tokens: Tokens of each answer, end token included.
        finite: Whether all logits were finite, by probe.
    """

    nll: tuple[float, ...]
    tokens: tuple[int, ...]
    finite: tuple[bool, ...]

    @property
    def mean(self) -> float:
        """Over the probes."""
        return sum(self.nll) / len(self.nll)


def choose_probes(suite: Suite, count: int, seed: int) -> tuple[Sample, ...]:
    """Probes of the split ``anchor``, every subtask in turn, drawn by a hash of the seed.

    Args:
        suite: Whose anchor samples they are; all of its samples where it has no such split.
        count: How many at most.
        seed: Of the draw.

    Returns:
        Samples with images and an answer, at most one a cluster.
    """
    drawn: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    seen: set[str] = set()
    within = [one for one in suite.samples if one.split == "anchor"] or list(suite.samples)
    for sample in sorted(within, key=lambda one: _drawn(seed, one.sample_id)):
        if sample.images and sample.answers and sample.cluster_id not in seen:
            seen.add(sample.cluster_id)
            drawn[sample.ability, sample.subtask].append(sample)
    shelves = [drawn[name] for name in sorted(drawn)]
    turns = max((len(shelf) for shelf in shelves), default=0)
    found = [shelf[turn] for turn in range(turns) for shelf in shelves if turn < len(shelf)]
    return tuple(found[:count])


def requests_of(suite: Suite, probes: Sequence[Sample], template: str) -> list[Request]:
    """The probes as a backend is asked them, greedily."""
    return [
        Request(
            probe.sample_id,
            render(probe, template),
            tuple(suite.image_bytes(image) for image in probe.images),
            Generation(max_new_tokens=probe.max_new_tokens),
        )
        for probe in probes
    ]


def answers_of(model: HostedModel, requests: Sequence[Request]) -> list[Completion]:
    """Greedy answers, in the order of the requests."""
    found: dict[str, Completion] = {}
    for start in range(0, len(requests), _BATCH):
        done = model.answer(model.prepare(requests[start : start + _BATCH]))
        found.update({one.request_id: one for one in done})
    return [found[request.request_id] for request in requests]


def references_of(
    probes: Sequence[Sample], told: Sequence[Sequence[Completion]]
) -> tuple[str | None, ...]:
    """The text of each probe's reference answer, in the words of a parent that is right.

    Models are trained to answer in their own form: some say what they see before they say "yes".
    The suite's bare answer is text that none of them would write, and its likelihood says little.
    So the words of a parent are taken whose answer is marked right, parents in turn; None where
    none is right: the suite's answer stands.

    Args:
        probes: The questions.
        told: Answers of each parent, in the order of the probes.
    """
    found: list[str | None] = []
    for place, probe in enumerate(probes):
        turned = [told[(place + turn) % len(told)][place] for turn in range(len(told))]
        right = (one.text for one in turned if _is_right(probe, one))
        found.append(next(right, None))
    return tuple(found)


def _is_right(probe: Sample, answer: Completion) -> bool:
    if answer.error is not None or answer.finish_reason != "stop":
        return False
    marked = mark(probe, storable(answer.text), answer.finish_reason)
    return marked.score is not None and marked.score >= probe.upper - SAME


def likelihood_of(
    model: HostedModel,
    probes: Sequence[Sample],
    requests: Sequence[Request],
    references: Sequence[str | None],
) -> Likelihood:
    """How likely a model finds the reference answer of each probe.

    Args:
        model: Loaded.
        probes: The questions.
        requests: The same, rendered.
        references: Texts as a model writes them; None takes the suite's first answer, as the chat
            template writes it.

    Raises:
        CheckpointError: A probe cannot be asked of it.
    """
    wanted = {
        probe.sample_id: _tokens(model, request, probe, text)
        for probe, request, text in zip(probes, requests, references, strict=True)
    }
    found: dict[str, tuple[float, int, bool]] = {}
    for start in range(0, len(requests), _BATCH):
        for batch in batches_of(model, requests[start : start + _BATCH]):
            found.update(_forced(model, batch, wanted))
    figures = [found[probe.sample_id] for probe in probes]
    return Likelihood(
        nll=tuple(nll for nll, _, _ in figures),
        tokens=tuple(count for _, count, _ in figures),
        finite=tuple(finite for _, _, finite in figures),
    )


def _tokens(model: HostedModel, request: Request, probe: Sample, text: str | None) -> list[int]:
    """The reference answer as tokens, with the token that ends it."""
    if text is None:
        text = as_written(model.processor, request, probe.answers[0])
    tokens: list[int] = model.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokens + model.end_tokens[:1]


def batches_of(model: HostedModel, requests: Sequence[Request]) -> tuple[Batch, ...]:
    """What a model takes.

    Raises:
        CheckpointError: A probe cannot be asked of it.
    """
    from lens_ray.errors import CheckpointError

    prepared = model.prepare(requests)
    for failed in prepared.failed:
        raise CheckpointError(
            f"{model.facts.folder}: probe {failed.request_id} cannot be asked: {failed.error}"
        )
    return prepared.batches


def _forced(
    model: HostedModel, batch: Batch, wanted: Mapping[str, list[int]]
) -> dict[str, tuple[float, int, bool]]:
    import torch
    from transformers import LogitsProcessorList

    pad = model.processor.tokenizer.pad_token_id
    force = _Force([wanted[request.request_id] for request in batch.requests], pad)
    with torch.inference_mode():
        model.model.generate(
            **batch.inputs.to(model.device, model.dtype),
            max_new_tokens=max(len(wanted[request.request_id]) for request in batch.requests),
            eos_token_id=None,
            pad_token_id=pad,
            logits_processor=LogitsProcessorList([force]),
        )
    return {request.request_id: force.figures(row) for row, request in enumerate(batch.requests)}


class _Force:
    """A logits processor that notes the wanted token's log-probability, and lets it win."""

    def __init__(self, wanted: Sequence[Sequence[int]], pad: int) -> None:
        self._wanted = wanted
        self._pad = pad
        self._step = 0
        self._sums = [0.0] * len(wanted)
        self._finite = [True] * len(wanted)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        import torch

        tokens = [row[self._step] if self._step < len(row) else self._pad for row in self._wanted]
        wide = scores.double()
        told = wide.gather(1, torch.tensor(tokens, device=scores.device)[:, None])[:, 0]
        nll = (wide.logsumexp(dim=1) - told).tolist()
        # Minus infinity is how a generation configuration forbids a token.
        finite = (~(scores.isnan() | scores.isposinf()).any(dim=1)).tolist()
        for row, answer in enumerate(self._wanted):
            if self._step < len(answer):
                self._sums[row] += nll[row]
                self._finite[row] &= finite[row]
        self._step += 1
        forced: Any = torch.full_like(scores, float("-inf"))
        forced[torch.arange(len(tokens)), tokens] = 0.0
        return forced  # type: ignore[no-any-return]

    def figures(self, row: int) -> tuple[float, int, bool]:
        """Negative log-likelihood a token, tokens, and whether all was finite."""
        count = len(self._wanted[row])
        finite = self._finite[row]
        return (self._sums[row] / count if finite else float("inf")), count, finite


def _drawn(seed: int, sample_id: str) -> str:
    return hashlib.sha256(f"probe/{seed}/{sample_id}".encode()).hexdigest()
