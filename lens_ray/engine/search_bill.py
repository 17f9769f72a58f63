"""What a search for a merge costs, beside the training of its parents: `bill_of`.

What the same search would take of a run of 7B models is told too, by the rates that ``plan`` uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lens_ray.engine.planner import Need
from lens_ray.engine.rates import rate_of
from lens_ray.models.checkpoint import CheckpointFacts, TensorFacts
from lens_ray.models.identity import Identity
from lens_ray.models.spec import ModelSpec
from lens_ray.suites.sample import Sample

#: A run as teams have it: parameters, and GPUs that evaluate.
LARGE = 7_600_000_000
LARGE_NAME = "7B"
GPUS = 8
ACCELERATOR = "H100"
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class SearchBill:
    """What a search cost.

    Attributes:
        device_s: Of replicas: seconds of a GPU, or of a core where there are none.
        merge_s: Of merging, on the driver's machine.
        training_s: Of training the parents, in the same unit; None where nobody said.
        share: Of the training; None is not known.
        large_gpu_hours: What ``plan`` would predict for as many answers and merges of 7B models.
        large_basis: In words.
    """

    device_s: float
    merge_s: float
    training_s: float | None
    share: float | None
    large_gpu_hours: float | None
    large_basis: str


def bill_of(
    *,
    device_s: float,
    merge_s: float,
    answers: int,
    models: int,
    samples: Sequence[Sample],
    training_s: float | None,
) -> SearchBill:
    """Set a search's cost beside the training's, and tell that of a large one.

    Args:
        device_s: Seconds of GPUs or cores that replicas had.
        merge_s: Seconds of merging.
        answers: That were asked.
        models: Checkpoints and merges that were loaded.
        samples: Such as were asked.
        training_s: Device-seconds of the training; None where nobody said.
    """
    share = (device_s + merge_s) / training_s if training_s else None
    hours, basis = _large(answers, models, samples)
    return SearchBill(device_s, merge_s, training_s, share, hours, basis)


def _large(answers: int, models: int, samples: Sequence[Sample]) -> tuple[float | None, str]:
    spec = ModelSpec(name=LARGE_NAME, backend="vllm", path=LARGE_NAME)
    tensors = {"weights": TensorFacts("BF16", (LARGE,))}
    facts = CheckpointFacts("", "", "", LARGE_NAME, "BF16", tensors, {})
    rate = rate_of(spec, Identity("", "", "", facts), Need(1.0, 1.0), samples, ACCELERATOR, [])
    if rate.behaviour is None:
        return None, rate.basis
    each = rate.behaviour
    seconds = answers * each.seconds_each + models * each.swap_s * GPUS + each.start_s * GPUS
    basis = f"{rate.basis}; {answers:,} answers, {models} models swapped into {GPUS} warm replicas"
    return seconds / _HOUR_S, basis
