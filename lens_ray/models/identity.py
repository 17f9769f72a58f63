"""Which model a `ModelSpec` means, before anything is started: `identify`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lens_ray.models import backend_entry
from lens_ray.models.checkpoint import CheckpointFacts, inspect_checkpoint, model_key, resolve
from lens_ray.models.spec import ModelSpec
from lens_ray.node_cache import release

#: As `lens_ray.models.spec.Options.speed_only`, for a backend of another package that says nothing.
_SPEED_ONLY = frozenset({"batch_size", "threads", "trust_remote_code", "device", "dtype"})
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


@dataclass(frozen=True, slots=True)
class Identity:
    """A model, pinned down.

    Attributes:
        weights: What `create_backend` and `Backend.load_weights` take: a local folder, or the
            path as it was written where the backend needs no checkpoint.
        weights_digest: Hash of the weights.
        model_key: Hash of everything that decides answers; rows are reused only under the same.
        facts: Of the checkpoint; None where the backend needs none.
    """

    weights: str
    weights_digest: str
    model_key: str
    facts: CheckpointFacts | None


def identify(
    spec: ModelSpec,
    *,
    gpu: bool = False,
    storage_options: Mapping[str, object] | None = None,
) -> Identity:
    """Resolve and inspect the checkpoint of a model, and compute its key.

    Args:
        spec: The model as written in the job file.
        gpu: Whether its replicas get GPUs; decides what the dtype ``auto`` means.
        storage_options: For fsspec, where the path is a URL.

    Raises:
        CheckpointError: The checkpoint is missing or cannot be evaluated.
        StoreUnavailable: Its URL cannot be reached.
    """
    parsed = spec.parsed_options()
    options = parsed.model_dump(mode="json")
    speed_only: frozenset[str] = getattr(parsed, "speed_only", _SPEED_ONLY)
    extra = {key: value for key, value in options.items() if key not in speed_only}
    if not backend_entry(spec.backend).needs_checkpoint:
        return _without_checkpoint(spec, extra)
    folder = resolve(spec.path, spec.revision, storage_options=storage_options)
    try:
        facts = inspect_checkpoint(
            folder, trust_remote_code=bool(options.get("trust_remote_code", False))
        )
    finally:
        release(Path(folder))  # who loads it, perhaps elsewhere, holds it again
    on_gpu = gpu and options.get("device", "auto") != "cpu"
    dtype = computing_dtype(facts, str(options.get("dtype", "auto")), on_gpu=on_gpu)
    key = model_key(facts, spec.backend, dtype, extra)
    return Identity(folder, facts.weights_digest, key, facts)


def computing_dtype(facts: CheckpointFacts, wanted: str, *, on_gpu: bool) -> str:
    """What ``dtype: auto`` means: float32 on a CPU, the checkpoint's own on a GPU."""
    if wanted != "auto":
        return wanted
    return _DTYPES.get(facts.dtype, facts.dtype) if on_gpu else "float32"


def _without_checkpoint(spec: ModelSpec, options: Mapping[str, object]) -> Identity:
    def digest(value: object) -> str:
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

    named = [spec.backend, spec.path, spec.revision]
    return Identity(spec.path, digest(named), digest([named, options]), None)
