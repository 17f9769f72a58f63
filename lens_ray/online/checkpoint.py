"""One state of a training run: `Checkpoint`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: Which samples of the suite a checkpoint is asked: its split ``anchor``, or all.
Depth = Literal["anchor", "full"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint of a run.

    Attributes:
        run: Name of its training run, as in the watch file.
        step: Optimiser steps so far.
        path: Folder or ``s3://`` URL.
        mark: Fingerprint of its files (names, sizes, times or etags), so that a rewritten one is
            seen to be another.
        seen_at: When it was first seen to be whole, ISO 8601 in UTC.
        metrics: What the trainer said of it (loss, learning rate, tokens, ...).
    """

    run: str
    step: int
    path: str
    mark: str
    seen_at: str
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tables show: ``RUN@STEP``."""
        return f"{self.run}@{self.step}"
