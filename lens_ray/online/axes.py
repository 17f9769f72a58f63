"""Steps as tokens and as GPU-hours: `tokens_of`, `gpu_hours_of`.

What a trainer announces comes first: ``tokens`` and ``gpu_hours`` are totals so far, ``seconds``
is training time so far. Else the watch file's rates serve, and for GPU-hours at last the times at
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
    if run.seconds_per_step is None and (seconds := _announced(trained, "seconds")):
        return tuple(run.gpus * each / 3600 for each in seconds)
    rate = run.seconds_per_step or _seconds_per_step(trained)
    return () if rate is None else tuple(run.gpus * rate * one.step / 3600 for one in trained)


def _announced(trained: Sequence[Trained], name: str) -> tuple[float, ...]:
    """A total that the trainer announced with every checkpoint; empty where one lacks it."""
    found = [one.metrics.get(name) for one in trained]
    known = [float(value) for value in found if value is not None and math.isfinite(value)]
    return tuple(known) if len(known) == len(found) else ()


def _seconds_per_step(trained: Sequence[Trained]) -> float | None:
    """The median over neighbours, so that a pause between two checkpoints does not count."""
    written = [(one.step, one.written) for one in trained if one.written is not None]
    rates = [
        (then - now) / (later - step)
        for (step, now), (later, then) in pairwise(written)
        if then > now
    ]
    return median(rates) if rates else None
