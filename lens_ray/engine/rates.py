"""How fast a model will answer: measured in a store, or estimated from its size.

A measured rate is of the same weights, else of the same family (config, tokenizer, processor and
template), else of the same architecture and number of parameters, always with the same backend and
kind of device; the fastest is not taken, the latest is.

An estimated rate is a roofline. A sample of a model with P parameters takes

    2 * P * (prompt tokens + answer tokens) * 1.12 / (0.4 * peak * tensor_parallel)   seconds,

12 % for the vision tower and 40 % of the accelerator's dense bfloat16 peak: section 7 of the
reference page ray-vllm-s3 has 15 samples a second for 7.6e9 parameters, 1,500 tokens and an H100,
and the formula gives 15.5. On a GPU it is no less than what four cores take to prepare the images,
and a millisecond more. An image counts what the checkpoint's configuration says, where it says
it, else 1,400 tokens. It is an estimate, good to a factor of two at best, and everything that
prints it says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lens_ray.engine.placement import check_memory
from lens_ray.engine.plan import Expected
from lens_ray.engine.planner import Need
from lens_ray.engine.simulate import Behaviour
from lens_ray.models import backend_entry
from lens_ray.models.identity import Identity
from lens_ray.models.spec import FakeOptions, ModelSpec
from lens_ray.store.fold import RunState
from lens_ray.store.records import RunHeader
from lens_ray.suites.sample import Sample

MEASURED, ESTIMATED, UNKNOWN = "measured", "estimated", "unknown"

_IMAGE_TOKENS = 1400
_CHARACTERS = 4
_VISION = 1.12
_MFU = 0.4
#: Seconds of a core to prepare an image of so many tokens (20 to 50 ms: reference page, section 7),
#: on the cores that a replica on a GPU should have.
_PREPARE_S = 0.035
_PREPARE_CORES = 4
#: Seconds of an engine on a GPU for a sample, whatever its size.
_STEP_S = 0.001
#: A core with AVX2 at 3 GHz: 96e9 float32 operations a second.
_CORE_FLOPS = 96e9
#: An engine on a GPU takes 60 to 120 s to start (reference page, section 7); the rest is reading.
_START_S = 90.0
_CPU_START_S = 10.0
_READ_BYTES_S = 2.5e9
#: A swap reads from the page cache: 15 GB in 0.5 to 2 s (reference page, section 3.2).
_SWAP_BYTES_S = 10e9
_SWAP_S = 1.0
#: Samples that an engine answers in the time of one: where the prefill of one fills the device.
_TOGETHER = {True: 8.0, False: 2.0}
_BATCH = {True: 64, False: 32}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A GPU as its maker's data sheet has it.

    Attributes:
        peak: Dense bfloat16 operations a second.
        memory: Bytes.
    """

    peak: float
    memory: float


#: Named as Ray names them (`ray.util.accelerators`).
ACCELERATORS: Mapping[str, Accelerator] = {
    "B200": Accelerator(2250e12, 180e9),
    "H200": Accelerator(989e12, 141e9),
    "H100": Accelerator(989e12, 80e9),
    "A100": Accelerator(312e12, 40e9),
    "A100-80G": Accelerator(312e12, 80e9),
    "A100-40G": Accelerator(312e12, 40e9),
    "L40S": Accelerator(362e12, 48e9),
    "L4": Accelerator(121e12, 24e9),
}


@dataclass(frozen=True, slots=True)
class Rate:
    """How the replicas of one model will behave, and how this is known.

    Attributes:
        source: ``measured``, ``estimated`` or ``unknown``.
        basis: Of what, in a few words; why, where it is unknown.
        behaviour: None where it is unknown.
    """

    source: str
    basis: str
    behaviour: Behaviour | None = None


def rate_of(
    spec: ModelSpec,
    identity: Identity | None,
    need: Need,
    samples: Sequence[Sample],
    accelerator: str,
    measured: Sequence[tuple[RunHeader, RunState]],
) -> Rate:
    """The best that is known of one model.

    Args:
        spec: The model.
        identity: Who it is; None where its checkpoint is not here.
        need: What a replica occupies.
        samples: That are to be answered.
        accelerator: What the GPUs are; empty where that is not known.
        measured: The runs of the store.
    """
    options = spec.parsed_options()
    if isinstance(options, FakeOptions):
        return _scripted(options)
    if not backend_entry(spec.backend).needs_checkpoint:
        return Rate(UNKNOWN, f"how fast the backend {spec.backend} answers is not known here")
    guess = _estimate(spec, identity, need, samples, accelerator)
    found = _measured(spec, identity, need, measured)
    if found is None:
        return guess
    each, start_s, swap_s, basis = found
    base = guess.behaviour or Behaviour(each, batch=_batch(spec, need), parallel=2)
    behaviour = Behaviour(
        seconds_each=each,
        start_s=base.start_s if start_s is None else start_s,
        swap_s=base.swap_s if swap_s is None else swap_s,
        batch=base.batch,
        parallel=base.parallel,
        alone_s=each * _TOGETHER[need.gpus > 0],
    )
    return Rate(MEASURED, basis, behaviour)


def expected_of(
    spec: ModelSpec,
    identity: Identity,
    need: Need,
    samples: Sequence[Sample],
    accelerator: str,
    measured: Sequence[tuple[RunHeader, RunState]],
) -> Expected:
    """What the planner believes until it has measured; nothing of models without a GPU.

    A model on a core is measured within seconds, and its roofline may be wrong by far.
    """
    if not need.gpus:
        return Expected()
    behaviour = rate_of(spec, identity, need, samples, accelerator, measured).behaviour
    return Expected() if behaviour is None else Expected(behaviour.seconds_each, behaviour.start_s)


def check_weights(spec: ModelSpec, identity: Identity, need: Need, accelerator: str) -> None:
    """Refuse weights that are too large for GPUs whose memory is known.

    Raises:
        UserError: They are.
    """
    weights = weight_bytes(identity)
    if weights is not None and accelerator in ACCELERATORS:
        check_memory(spec, weights, need, ACCELERATORS[accelerator].memory)


def weight_bytes(identity: Identity) -> float | None:
    """What the weights take as they are stored; None where the backend has no checkpoint."""
    if identity.facts is None:
        return None
    return sum(one.size for one in identity.facts.tensors.values())


def _scripted(options: FakeOptions) -> Rate:
    window = options.batch * options.parallel
    mean = options.latency_s * math.exp(options.latency_sigma**2 / 2) / options.speed
    behaviour = Behaviour(
        seconds_each=max(1e-4, mean) / window,
        start_s=options.start_s / options.speed,
        swap_s=options.load_s / options.speed,
        batch=options.batch,
        parallel=options.parallel,
        sigma=options.latency_sigma,
        can_load_weights=options.can_load_weights,
    )
    return Rate(ESTIMATED, "the script of the fake backend", behaviour)


def _estimate(
    spec: ModelSpec,
    identity: Identity | None,
    need: Need,
    samples: Sequence[Sample],
    accelerator: str,
) -> Rate:
    if identity is None or identity.facts is None:
        return Rate(UNKNOWN, f"{spec.path} is not here, so its size is not known")
    gpu = need.gpus > 0
    if gpu and accelerator not in ACCELERATORS:
        known = ", ".join(ACCELERATORS)
        what = f"the accelerator {accelerator}" if accelerator else "what the GPUs are"
        return Rate(UNKNOWN, f"{what} is not known; type --accelerator NAME ({known})")
    peak = ACCELERATORS[accelerator].peak * need.gpus if gpu else _CORE_FLOPS * need.cpus
    parameters, size = identity.facts.parameters, weight_bytes(identity) or 0.0
    image = _image_tokens(identity.facts.folder)
    each = 2 * parameters * _tokens(samples, image) * _VISION / (_MFU * peak)
    if gpu:
        images = sum(len(sample.images) for sample in samples) / max(1, len(samples))
        prepare = _PREPARE_S * images * min(1.0, image / _IMAGE_TOKENS) / _PREPARE_CORES
        each = max(each, prepare) + _STEP_S
    behaviour = Behaviour(
        seconds_each=each,
        start_s=(_START_S if gpu else _CPU_START_S) + size / _READ_BYTES_S,
        swap_s=_SWAP_S + size / _SWAP_BYTES_S,
        batch=_batch(spec, need),
        parallel=2,
        alone_s=each * _TOGETHER[gpu],
    )
    where = f"{need.gpus:g} x {accelerator}" if gpu else f"{need.cpus:g} cores"
    return Rate(ESTIMATED, f"{_count(parameters)} parameters on {where}, roofline", behaviour)


def _image_tokens(folder: str) -> float:
    """Tokens of an image: its patches, as many as the connector merges into one."""
    try:
        config = json.loads((Path(folder) / "config.json").read_bytes())
        vision = config["vision_config"]
        patches = (int(vision["image_size"]) / int(vision["patch_size"])) ** 2
        return max(1.0, patches / int(config.get("scale_factor", 1)) ** 2)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return _IMAGE_TOKENS  # it is sized by the picture, or the configuration is another's


def _tokens(samples: Sequence[Sample], image: float) -> float:
    """Mean tokens of a prompt and its answer."""
    total = 0.0
    for sample in samples:
        characters = len(sample.question) + sum(map(len, sample.choices))
        total += image * len(sample.images) + characters / _CHARACTERS
        total += min(sample.max_new_tokens, 16)
    return total / max(1, len(samples))


def _batch(spec: ModelSpec, need: Need) -> int:
    given = getattr(spec.parsed_options(), "batch_size", "auto")
    return given if isinstance(given, int) else _BATCH[need.gpus > 0]


def _measured(
    spec: ModelSpec,
    identity: Identity | None,
    need: Need,
    runs: Sequence[tuple[RunHeader, RunState]],
) -> tuple[float, float | None, float | None, str] | None:
    """Seconds of a sample, of a start and of a swap, and of what; None where nothing fits."""
    if identity is None or identity.facts is None:
        return None
    mine = identity.facts
    best: dict[int, tuple[float, str]] = {}
    start_s = swap_s = None
    for header, state in runs:
        facts: Mapping[str, Any] = state.commit.facts if state.commit is not None else {}
        kind = "cuda" if need.gpus else "cpu"
        if header.backend != spec.backend or str(facts.get("device", "")).split(":")[0] != kind:
            continue
        same_size = str(facts.get("parameters")) == str(mine.parameters)
        closeness = [
            facts.get("weights_digest") == mine.weights_digest,
            facts.get("shell_digest") == mine.shell_digest,
            facts.get("architecture") == mine.architecture and same_size,
        ]
        if not any(closeness):
            continue
        loaded = facts.get("load_s")
        if isinstance(loaded, int | float) and loaded > 0:
            start_s = float(loaded) if facts.get("loaded_by") == "start" else start_s
            swap_s = float(loaded) if facts.get("loaded_by") == "swap" else swap_s
        each = _seconds_each(facts)
        if each is not None:
            words = ("the same weights", "the same family", "the same architecture and size")
            level = closeness.index(True)
            best[level] = (each, f"{words[level]}, run {header.run_id}")
    if not best:
        return None
    each, basis = best[min(best)]
    return each, start_s, swap_s, basis


def _seconds_each(facts: Mapping[str, Any]) -> float | None:
    """Of one replica; runs of earlier versions say only how long all of theirs took together."""
    answered = facts.get("answered")
    seconds = facts.get("replica_s", facts.get("answering_s"))
    if not isinstance(answered, int) or not isinstance(seconds, int | float):
        return None
    return seconds / answered if answered > 0 and seconds > 0 else None


def _count(parameters: int) -> str:
    for size, name in ((1e9, "B"), (1e6, "M")):
        if parameters >= size:
            return f"{parameters / size:.3g} {name}"
    return str(parameters)
