"""Steps as tokens and as GPU-hours: `tokens_of`, `gpu_hours_of`.

What a trainer announces as a total so far (``tokens``, ``gpu_hours``) comes first. Else the watch
file's rates serve; for GPU-hours then the announced ``seconds_per_step``, and at last the times at
which the checkpoints were written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from lens_ray.online.spec import RunSpec


@dataclass(frozen=True, slots=True)
class Trained:
    """How far a training run was at one checkpoint.

    Attributes:
        step: Its step.
        metrics: What the trainer said of it.
        written: When its files were written, in seconds since 1970.
    """

    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    written: float | None = None


def tokens_of(run: RunSpec, trained: Sequence[Trained]) -> tuple[float, ...]:
    """Tokens up to each checkpoint; empty where nobody says.

    Args:
        run: With ``tokens_per_step``, where it is known.
        trained: The checkpoints by ascending step.
    """
    said = _announced(trained, "tokens")
    if said or run.tokens_per_step is None:
        return said
    return tuple(one.step * run.tokens_per_step for one in trained)


def gpu_hours_of(run: RunSpec, trained: Sequence[Trained]) -> tuple[float, ...]:
    """GPU-hours up to each checkpoint; empty where nobody says.

    Args:
        run: With ``gpus``, and ``seconds_per_step`` where it is known.
        trained: The checkpoints by ascending step.
    """
    if said := _announced(trained, "gpu_hours"):
        return said
    if not run.gpus:
        return ()
    rate = run.seconds_per_step or _pace(trained)
    return () if rate is None else tuple(run.gpus * rate * one.step / 3600 for one in trained)


def _announced(trained: Sequence[Trained], name: str) -> tuple[float, ...]:
    """A total that the trainer announced with every checkpoint; empty where one lacks it."""
    found = [one.metrics.get(name) for one in trained]
    known = [float(value) for value in found if value is not None and math.isfinite(value)]
    return tuple(known) if len(known) == len(found) else ()


def _pace(trained: Sequence[Trained]) -> float | None:
    """Seconds a step: the median, so that neither a pause nor a checkpoint copied late counts."""
    said = [one.metrics.get("seconds_per_step") for one in trained]
    told = [rate for rate in said if rate is not None and math.isfinite(rate) and rate > 0]
    if told:
        return median(told)
    written = [(one.step, one.written) for one in trained if one.written is not None]
    rates = [
        (then - now) / (later - step)
        for (step, now), (later, then) in pairwise(written)
        if then > now
    ]
    return median(rates) if rates else None
