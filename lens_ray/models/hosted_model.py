"""A checkpoint in memory, and how a batch of requests goes through it: `HostedModel`.

Everything here blocks; `lens_ray.models.transformers_backend` keeps it off the event loop.
"""

from __future__ import annotations

import gc
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from jinja2 import TemplateError
from PIL import Image
from transformers import AutoModelForImageTextToText
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.stopping_criteria import StoppingCriteriaList

from lens_ray.errors import CheckpointError, EnvironmentFailure, LensError
from lens_ray.models.attention_check import first_wrong_length
from lens_ray.models.checkpoint import CheckpointFacts
from lens_ray.models.images import ImageError, decode_image
from lens_ray.models.prompts import failure, load_processor, model_inputs, stop_at
from lens_ray.models.protocol import Completion, Generation, Request
from lens_ray.models.spec import TransformersOptions
from lens_ray.models.token_watch import DistributionTap, SeededSampling, TokenWatch

#: What a single request can be at fault for; anything else is a bug or a broken device.
#: StopIteration too: a processor that misses an image raises it, and no future can carry it.
_REQUEST_FAULTS = (
    ImageError, ValueError, TypeError, LookupError, RuntimeError, OverflowError, TemplateError,
    StopIteration,
)  # fmt: skip
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that go through the model together.

    Attributes:
        requests: In the order of the rows of `inputs`.
        inputs: What ``model.generate`` takes.
        lengths: Prompt tokens of each request, without padding.
    """

    requests: tuple[Request, ...]
    inputs: Any
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of requests on their way to the model.

    Attributes:
        batches: One, unless the processor cannot put these requests together.
        failed: Requests that cannot be asked, each with its cause.
    """

    batches: tuple[Batch, ...]
    failed: tuple[Completion, ...] = ()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def _device_is_broken(error: BaseException) -> bool:
    """Whether the device failed, which no smaller batch mends."""
    accelerator: type[BaseException] | None = getattr(torch, "AcceleratorError", None)
    return "CUDA error" in str(error) or (
        accelerator is not None and isinstance(error, accelerator)
    )


def sharing_key(request: Request) -> tuple[object, ...]:
    """Requests with the same key may share a batch."""
    generation = request.generation
    return (bool(request.images), generation.temperature, generation.top_p, generation.stop)


def _cause(error: BaseException) -> str:
    text = str(error).strip()
    if isinstance(error, ImageError):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


class HostedModel:
    """One checkpoint, loaded.

    Attributes:
        facts: Of the checkpoint whose weights are in memory.
        device: Where it computes.
        attention: How attention is computed, and why where it is not how it was to be.
        dtype: Type it computes in.
        processor: The checkpoint's own.
        model: The live transformers model.
        end_tokens: Tokens that end an answer.
    """

    def __init__(self, facts: CheckpointFacts, options: TransformersOptions) -> None:
        """Load a checkpoint that `inspect_checkpoint` has passed.

        Raises:
            CheckpointError: transformers cannot load it, or a weight is missing or not finite.
        """
        torch.set_num_threads(options.threads)
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        self.facts = facts
        self._options = options
        self.device = _device(options.device)
        on_cpu = self.device.type == "cpu"
        self.dtype: Any = {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(
            options.dtype, torch.float32 if on_cpu else "auto"
        )
        with _loading(facts.folder):
            self.processor = load_processor(
                facts.folder, trust_remote_code=options.trust_remote_code
            )
        self.model = self._load_model(facts.folder)
        self.dtype = self.model.dtype
        self.model.to(self.device)
        self.attention = str(self.model.config._attn_implementation)
        if not on_cpu:
            self._settle_attention()
        self.end_tokens = self._settle_generation()
        config = self.model.config.get_text_config()
        self._context: int | None = getattr(config, "max_position_embeddings", None)
        self._check_fit()

    def _load_model(self, folder: str) -> Any:
        with _loading(folder):
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                folder,
                dtype=self.dtype,
                attn_implementation=self._options.attn,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=self._options.trust_remote_code,
                output_loading_info=True,
            )
        model, info = loaded
        for what in ("missing_keys", "mismatched_keys"):
            if info[what]:
                first = sorted(str(key) for key in info[what])[0]
                raise CheckpointError(
                    f"{folder}: {len(info[what])} weights are {what.removesuffix('_keys')}, first "
                    f"{first!r}; the checkpoint does not fit its config.json"
                )
        for name, parameter in model.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise CheckpointError(f"{folder}: weight {name!r} holds NaN or infinity")
        return model.eval()

    def _settle_attention(self) -> None:
        """Use the plain formula where the fast kernel of this device does not compute it."""
        config = self.model.config.get_text_config()
        if self.attention != "sdpa" or not getattr(config, "num_attention_heads", None):
            return
        heads = int(config.num_attention_heads)
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        context = getattr(config, "max_position_embeddings", None)
        wrong = first_wrong_length(
            heads, int(width), self.model.dtype, self.device, context,
            key_heads=getattr(config, "num_key_value_heads", None),
        )  # fmt: skip
        if wrong is not None:
            self.model.set_attn_implementation("eager")
            self.attention = f"eager (sdpa is wrong at {wrong} positions on this device)"

    def _settle_generation(self) -> list[int]:
        """Make greedy the default; returns the tokens that end an answer."""
        config = self.model.generation_config
        config.do_sample = False
        config.num_beams = 1
        for name in ("temperature", "top_p", "top_k", "min_p", "typical_p", "max_length"):
            setattr(config, name, None)
        ends = config.eos_token_id
        if ends is None:
            ends = self.processor.tokenizer.eos_token_id
        return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)

    def _check_fit(self) -> None:
        """Find parts that do not fit each other at the start, not in the answers."""
        misfit = f"{self.facts.folder}: tokenizer, processor, template and model do not fit: "
        config = self.model.config
        mark = getattr(config, "image_token_id", getattr(config, "image_token_index", None))
        # All of them: what Gemma 3's processor calls image_token_id only opens an image.
        written = [
            token
            for token in getattr(self.processor, "image_token_ids", ())
            if isinstance(token, int)
        ]
        if isinstance(mark, int) and written and mark not in written:
            # The model would find no image in the prompt, and answer blindly.
            raise CheckpointError(
                f"{misfit}an image is token {written[0]} to the processor and {mark} to config.json"
            )
        tokens, rows = len(self.processor.tokenizer), self.model.get_input_embeddings().weight
        if tokens > len(rows):
            raise CheckpointError(f"{misfit}{tokens} tokens, but {len(rows)} embeddings")
        question = Request("first", "?", (_grey_image(),), Generation(max_new_tokens=1))
        completion = self.answer(self.prepare([question]))[0]
        if completion.error is not None:
            raise CheckpointError(f"{misfit}a first question fails with {completion.error}")

    def load_weights(self, facts: CheckpointFacts) -> None:
        """Put the weights of another checkpoint into the live model.

        The other checkpoint is loaded as at a cold start, so that every renaming and conversion
        that transformers applies is applied, and then copied with strict names.

        Raises:
            CheckpointError: It cannot be loaded; the old weights stay.
        """
        fresh = self._load_model(facts.folder)
        self.model.load_state_dict(fresh.state_dict(), strict=True)
        self.facts = facts

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """Render, decode, tokenize and pad; a request at fault fails alone."""
        try:
            return Prepared((self._prepare(requests),))
        except (*_REQUEST_FAULTS, MemoryError) as error:
            cause = _cause(error)
        if len(requests) == 1:
            return Prepared((), (failure(requests[0], cause),))
        alone = [self.prepare([request]) for request in requests]
        singles = tuple(batch for one in alone for batch in one.batches)
        failed = tuple(completion for one in alone for completion in one.failed)
        good = [batch.requests[0] for batch in singles]
        if failed and good:
            together = self.prepare(good)
            return Prepared(together.batches, failed + together.failed)
        return Prepared(singles, failed)

    def _prepare(self, requests: Sequence[Request]) -> Batch:
        images = [
            [decode_image(data, self._options.max_pixels) for data in request.images]
            for request in requests
        ]
        inputs = model_inputs(self.processor, requests, images)
        lengths = tuple(int(n) for n in inputs["attention_mask"].sum(dim=1))
        for request, length in zip(requests, lengths, strict=True):
            needed = length + request.generation.max_new_tokens
            if self._context is not None and needed > self._context:
                raise ValueError(
                    f"prompt of {length} tokens and {request.generation.max_new_tokens} new ones "
                    f"are over the model's context of {self._context}"
                )
        return Batch(tuple(requests), inputs, lengths)

    def answer(self, prepared: Prepared) -> list[Completion]:
        """Generate; a batch that memory is too small for is halved until it fits."""
        done = list(prepared.failed)
        for batch in prepared.batches:
            done += self._answer(batch)
        return done

    def _answer(self, batch: Batch) -> list[Completion]:
        try:
            return self._generate(batch)
        except (*_REQUEST_FAULTS, MemoryError) as error:
            if not is_out_of_memory(error) and _device_is_broken(error):
                raise
            cause = _cause(error)
        # Only here are the failed attempt's tensors no longer referenced.
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        requests = batch.requests
        if len(requests) == 1:
            return [failure(requests[0], f"alone in its batch: {cause}")]
        half = (len(requests) + 1) // 2
        first = self.answer(self.prepare(requests[:half]))
        return first + self.answer(self.prepare(requests[half:]))

    @torch.inference_mode()
    def _generate(self, batch: Batch) -> list[Completion]:
        requests = batch.requests
        limits = [request.generation.max_new_tokens for request in requests]
        stop = requests[0].generation.stop
        decode = self.processor.tokenizer.decode

        def ended_by_text(tokens: list[int]) -> bool:
            return stop_at(decode(tokens, skip_special_tokens=True), stop) is not None

        watch = TokenWatch(limits, self.end_tokens, ended_by_text if stop else None)
        inputs = batch.inputs.to(self.device, self.dtype)
        sequences = self.model.generate(
            **inputs,
            max_new_tokens=max(limits),
            eos_token_id=self.end_tokens or None,
            pad_token_id=self.processor.tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList(_processors(requests, watch)),
            stopping_criteria=StoppingCriteriaList([watch]),
        )
        new = sequences[:, inputs["input_ids"].shape[1] :].tolist()
        kept = [row[:count] for row, count in zip(new, watch.counts.tolist(), strict=True)]
        texts = self.processor.tokenizer.batch_decode(kept, skip_special_tokens=True)
        return [
            Completion(
                request_id=request.request_id,
                text=text[: stop_at(text, stop)],
                finish_reason="stop" if stopped else "length",
                tokens_in=length,
                tokens_out=count,
                confidence=None if math.isnan(log_prob) else math.exp(log_prob),
            )
            for request, text, stopped, length, count, log_prob in zip(
                requests,
                texts,
                watch.stopped.tolist(),
                batch.lengths,
                watch.counts.tolist(),
                watch.log_probs.tolist(),
                strict=True,
            )
        ]


class _loading:
    """Turns whatever transformers raises for a bad folder into one line."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, LensError):
            return
        if is_out_of_memory(error):
            raise EnvironmentFailure(
                f"{self._folder} does not fit into memory: {_cause(error)[:200]}"
            ) from error
        raise CheckpointError(
            f"{self._folder}: transformers {transformers.__version__} cannot load it: "
            f"{_cause(error)[:300]}"
        ) from error


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EnvironmentFailure("device: cuda, but no GPU is seen here; write device: auto")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def _grey_image() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), (128, 128, 128)).save(data, "PNG")
    return data.getvalue()


def _processors(requests: Sequence[Request], watch: TokenWatch) -> list[Any]:
    generation = requests[0].generation
    if generation.temperature == 0:
        return [DistributionTap(watch)]
    seeds = [f"{request.generation.seed or 0}/{request.request_id}" for request in requests]
    warpers: list[Any] = [TemperatureLogitsWarper(float(generation.temperature))]
    if generation.top_p < 1:
        warpers.append(TopPLogitsWarper(float(generation.top_p)))
    return [*warpers, DistributionTap(watch), SeededSampling(seeds)]
