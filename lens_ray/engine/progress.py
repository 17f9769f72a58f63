"""What a running job shows: `Progress`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelProgress:
    """One model of the job.

    Attributes:
        model: Its name.
        state: ``waiting``, ``starting``, ``running``, ``done`` or ``failed``.
        abilities: Samples with a row, and samples expected, by ability.
        failures: Samples that ended without an answer.
        rate: Answers a second, lately.
        eta_s: Seconds that it takes still, or None.
    """

    model: str
    state: str
    abilities: Mapping[str, tuple[int, int]]
    failures: int
    rate: float
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """The job.

    Attributes:
        seconds: Since its start.
        replicas: How many are up or starting.
        models: In the order of the job.
    """

    seconds: float
    replicas: int
    models: tuple[ModelProgress, ...]
