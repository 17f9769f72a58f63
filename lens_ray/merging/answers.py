"""Questions with the answers that a model should give, as it would be trained on them.

The answer is what the checkpoint's own chat template makes of an assistant's turn, up to the token
that ends it, behind the prompt that `lens_ray.models.prompts` makes of the question. So what is
learned, or measured, is what the model would have to say when it is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lens_ray.errors import CheckpointError, SuiteError
from lens_ray.models.images import decode_image
from lens_ray.models.prompts import model_inputs, prompt_texts
from lens_ray.models.protocol import Generation, Request
from lens_ray.suites.sample import Sample
from lens_ray.suites.templates import render

if TYPE_CHECKING:
    from torch import Tensor

    from lens_ray.suites.suite import Suite

#: Label of a token that is no part of an answer.
IGNORED = -100
#: Key of `Sample.meta`: what is to be said, where that is more than the answer ("red B").
TARGET = "target"


@dataclass(frozen=True, slots=True)
class Example:
    """A question and what should be said to it.

    Attributes:
        request: The question with its images, encoded.
        answer: What should be said.
        sample: Where it comes from.
    """

    request: Request
    answer: str
    sample: Sample


def examples_of(
    suite: Suite, samples: Sequence[Sample], *, template: str = "default"
) -> list[Example]:
    """The samples with their first accepted answers, or with what ``meta["target"]`` says.

    Args:
        suite: That holds their images.
        samples: Some of its samples.
        template: How they are asked.

    Raises:
        SuiteError: A sample has no answer, or the suite cannot be read.
    """
    found = []
    for sample in samples:
        answer = sample.meta.get(TARGET) or next(iter(sample.answers), "")
        if not answer:
            raise SuiteError(f"sample {sample.sample_id} of suite {suite.name} has no answer")
        images = tuple(suite.image_bytes(image) for image in sample.images)
        request = Request(sample.sample_id, render(sample, template), images, Generation())
        found.append(Example(request, answer, sample))
    return found


def alike(examples: Sequence[Example], size: int) -> list[list[Example]]:
    """Examples in batches, in their order, those without images apart (processors want it so)."""
    batches: list[list[Example]] = []
    for seen in (True, False):
        some = [example for example in examples if bool(example.request.images) is seen]
        batches += [some[at : at + size] for at in range(0, len(some), size)]
    return batches


def labelled(
    processor: Any, examples: Sequence[Example], *, ends: Sequence[int], max_pixels: int
) -> dict[str, Tensor]:
    """What a model takes to learn, or to be marked on, the answers.

    Args:
        processor: Of the checkpoint, as `lens_ray.models.prompts.load_processor` gives it.
        examples: All with images or all without.
        ends: Tokens that end an answer, as the generation config has them.
        max_pixels: Larger images are made smaller.

    Returns:
        The model's inputs, and ``labels`` (examples x tokens): the tokens of the answers, and
        `IGNORED` elsewhere. Position p is predicted by the output at p - 1.

    Raises:
        CheckpointError: The chat template changes the question when an answer follows.
    """
    requests = [example.request for example in examples]
    images = [[decode_image(data, max_pixels) for data in one.images] for one in requests]
    said = _said(processor, examples, ends)
    if type(processor).__name__ == "PaliGemmaProcessor":
        return _with_suffix(processor, requests, images, said)
    tokenizer = processor.tokenizer
    side, tokenizer.padding_side = tokenizer.padding_side, "right"
    try:
        asked = model_inputs(processor, requests, images)
        whole = _whole(processor, requests, images, said)
    finally:
        tokenizer.padding_side = side
    return {**whole, "labels": _labels(asked, whole)}


def _said(processor: Any, examples: Sequence[Example], ends: Sequence[int]) -> list[str]:
    """The texts behind the prompts: what the template makes of an answer, up to its end."""
    tokenizer = processor.tokenizer
    finals = [tokenizer.convert_ids_to_tokens(end) for end in ends] or [tokenizer.eos_token]
    found = []
    for example in examples:
        text = _turn(processor, example.answer)
        cut = [text.find(end) + len(end) for end in finals if end in text]
        found.append(text[: min(cut)] if cut else text.rstrip("\n") + finals[0])
    return found


_MARK = "lens-ray-answer"


def _turn(processor: Any, answer: str) -> str:
    """What the template writes from the opening of the assistant's turn on.

    A template that has no such turn (PaliGemma's) gets a blank before the answer, unless its
    prompt ends in one.
    """
    user = {"role": "user", "content": [{"type": "text", "text": "?"}]}
    told = {"role": "assistant", "content": [{"type": "text", "text": _MARK}]}
    prompt = processor.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    whole = processor.apply_chat_template([user, told], tokenize=False)
    if whole.startswith(prompt) and _MARK in whole[len(prompt) :]:
        turn: str = whole[len(prompt) :].replace(_MARK, answer)
        return turn
    return answer if prompt[-1:].isspace() else f" {answer}"


def _whole(
    processor: Any, requests: Sequence[Request], images: Sequence[Sequence[Any]], said: list[str]
) -> Any:
    texts, bare = prompt_texts(processor, requests)
    inputs = processor(
        text=[text + answer for text, answer in zip(texts, said, strict=True)],
        images=[list(some) for some in images] if requests[0].images else None,
        padding=True,
        return_tensors="pt",
        **({"add_special_tokens": False} if bare else {}),
    )
    inputs.pop("labels", None)
    return inputs


def _labels(asked: Mapping[str, Any], whole: Mapping[str, Any]) -> Tensor:
    import torch

    labels = whole["input_ids"].clone()
    labels[whole["attention_mask"] == 0] = IGNORED
    for row, prompt in enumerate(asked["attention_mask"].sum(dim=1).tolist()):
        same = asked["input_ids"][row, :prompt] == whole["input_ids"][row, :prompt]
        # The last token of a prompt may join the first of an answer; then both are the answer's.
        if not bool(same[:-1].all()):
            raise CheckpointError(
                "the tokens of a question change when an answer follows it; this tokenizer's "
                "answers cannot be told from its questions"
            )
        labels[row, : prompt if bool(same.all()) else prompt - 1] = IGNORED
    if bool((labels != IGNORED).sum(dim=1).min() < 1):
        raise CheckpointError("an answer has no token; the chat template leaves it out")
    return torch.as_tensor(labels)


def _with_suffix(
    processor: Any, requests: Sequence[Request], images: Sequence[Sequence[Any]], said: list[str]
) -> dict[str, Tensor]:
    """PaliGemma attends both ways within a prompt: the answer must be told to be none of it."""
    texts, _ = prompt_texts(processor, requests)
    end = processor.tokenizer.eos_token
    return dict(
        processor(
            text=texts,
            images=[list(some) for some in images],
            suffix=[answer.removesuffix(end) for answer in said],  # it writes the end itself
            padding="longest",
            return_tensors="pt",
        )
    )


def ends_of(model: Any, processor: Any) -> list[int]:
    """The tokens that end an answer of a model."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = processor.tokenizer.eos_token_id
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)


def answer_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Sum of the negative log-likelihoods of all answer tokens, in nats, and how many there are.

    Args:
        logits: Examples x tokens x vocabulary.
        labels: As `labelled` makes them.
    """
    from torch.nn.functional import cross_entropy

    shifted = labels[:, 1:]
    asked = shifted != IGNORED
    wanted = shifted[asked]
    total = cross_entropy(logits[:, :-1][asked].float(), wanted, reduction="sum")
    return total, int(wanted.numel())
