"""From a request to what a checkpoint is asked: its processor, its template, its stop texts.

Both backends that host checkpoints go through here, so that the same request becomes the same
prompt and the same pixels whoever answers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lens_ray.errors import CheckpointError
from lens_ray.models.protocol import Completion, Request

#: Where benchmarks put an image into a question.
PLACE = "<image>"


def failure(request: Request, cause: str) -> Completion:
    """The completion of a request that could not be answered."""
    return Completion(request.request_id, "", "error", error=" ".join(cause.split())[:300])


def load_processor(folder: str, *, trust_remote_code: bool) -> Any:
    """The checkpoint's own processor, padding on the left.

    Raises:
        CheckpointError: It has no tokenizer, image processor or chat template.
    """
    from lens_ray.models.image_processing import image_text_processor

    processor = image_text_processor(folder, trust_remote_code=trust_remote_code)
    for part in ("tokenizer", "image_processor"):
        if getattr(processor, part, None) is None:
            raise CheckpointError(
                f"{folder}: its processor {type(processor).__name__} has no {part}; "
                "this is no vision-language checkpoint"
            )
    if not getattr(processor, "chat_template", None):
        raise CheckpointError(
            f"{folder} has no chat template; take chat_template.jinja of its base model"
        )
    if processor.tokenizer.pad_token_id is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    processor.tokenizer.padding_side = "left"
    return processor


def prompt_texts(processor: Any, requests: Sequence[Request]) -> tuple[list[str], bool]:
    """The prompts of requests, and whether the template writes the first token itself.

    Such a template's prompts must be tokenized without special tokens, or they get it twice.
    """
    texts = processor.apply_chat_template(
        [_conversation(request, image_marks(processor)) for request in requests],
        tokenize=False,
        add_generation_prompt=True,
    )
    first = processor.tokenizer.bos_token
    return texts, bool(first) and all(text.startswith(first) for text in texts)


def as_written(processor: Any, request: Request, answer: str) -> str:
    """An answer with the blanks that the chat template puts before it, behind the prompt.

    Only these: some templates (SmolVLM's) open an answer that is given otherwise than one that is
    asked for.
    """
    asked = _conversation(request, image_marks(processor))
    said = [*asked, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]
    prompt: str = processor.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    whole: str = processor.apply_chat_template(said, tokenize=False)
    before = whole[: max(whole.rfind(answer), 0)]
    blanks = before[len(before.rstrip()) :]
    return blanks.removeprefix(prompt[len(prompt.rstrip()) :]) + answer


def model_inputs(
    processor: Any, requests: Sequence[Request], images: Sequence[Sequence[Any]]
) -> Any:
    """What a processor makes of requests and their decoded images, padded to tensors.

    Either all of the requests have images or none has.
    """
    texts, bare = prompt_texts(processor, requests)
    inputs = processor(
        text=texts,
        images=[list(some) for some in images] if requests[0].images else None,
        padding=True,
        return_tensors="pt",
        **({"add_special_tokens": False} if bare else {}),
    )
    inputs.pop("labels", None)  # PaliGemma's processor makes them; they would cost a loss
    return inputs


def image_marks(processor: Any) -> tuple[str, ...]:
    """Texts that the processor would take for an image, the longest first."""
    tokenizer = processor.tokenizer
    named = [getattr(processor, "image_token", None), getattr(tokenizer, "image_token", None)]
    ids = [one for one in getattr(processor, "image_token_ids", ()) if isinstance(one, int)]
    texts = {PLACE, *named, *(tokenizer.convert_ids_to_tokens(ids) if ids else ())}
    # A mark of blanks or of one letter is no mark that a question could hold by design.
    return tuple(sorted((text for text in texts if text and len(text.strip()) > 1), key=len)[::-1])


def _conversation(request: Request, marks: Sequence[str]) -> list[dict[str, Any]]:
    """The user's turn. Questions are untrusted: no text of theirs is an image.

    Where a question has as many ``<image>`` as images (MuirBench), these stand in their places, as
    in lmms-eval; else they come first, and marks in the text are taken apart.
    """
    pieces = request.text.split(PLACE)
    inline = len(pieces) == len(request.images) + 1 > 1
    parts: list[dict[str, str]] = [] if inline else [{"type": "image"} for _ in request.images]
    for number, piece in enumerate(pieces if inline else [request.text]):
        if number:
            parts.append({"type": "image"})
        for mark in marks:
            piece = piece.replace(mark, f"{mark[0]} {mark[1:]}")
        if piece or not inline:
            parts.append({"type": "text", "text": piece})
    return [{"role": "user", "content": parts}]


def stop_at(text: str, stop: Iterable[str]) -> int | None:
    """Where the first stop text begins."""
    found = [place for place in (text.find(end) for end in stop) if place >= 0]
    return min(found, default=None)
