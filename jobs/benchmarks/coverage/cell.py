"""One cell of a table of coverage: `Cell`, and `share_held`, which fills it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cell:
    """A simulated case whose truth is known.

    Attributes:
        kind: What is estimated: ``proportion``, ``composite``, ``difference``, ``dvs``, ...
        name: The case: sizes, truth.
        least: Share of the runs in which the interval must hold the truth.
        most: Share that it must not exceed.
        once: One run: whether the interval holds the truth, and its width; None where the case
            has no interval (with a reason), which is counted apart.
    """

    kind: str
    name: str
    least: float
    most: float
    once: Callable[[np.random.Generator], tuple[bool, float] | None]


@dataclass(frozen=True)
class Held:
    """What a cell came to.

    Attributes:
        kind: As in the cell.
        name: As in the cell.
        runs: Runs with an interval.
        none: Runs without.
        share: Share of the runs whose interval holds the truth.
        error: Standard error of the share.
        width: Mean width.
        least: As in the cell.
        most: As in the cell.
    """

    kind: str
    name: str
    runs: int
    none: int
    share: float
    error: float
    width: float
    least: float
    most: float

    @property
    def sound(self) -> bool:
        """Whether the share is within its limits, but for 2.6 standard errors of the simulation."""
        slack = 2.6 * self.error
        return bool(self.least - slack <= self.share <= self.most + slack)


def share_held(cell: Cell, runs: int, seed: int) -> Held:
    """Run a cell.

    Args:
        cell: The case.
        runs: How often.
        seed: Of the generator.
    """
    rng = np.random.default_rng([seed, *cell.kind.encode(), *cell.name.encode()])
    found = [cell.once(rng) for _ in range(runs)]
    known = [each for each in found if each is not None]
    share = sum(held for held, _ in known) / len(known) if known else math.nan
    width = math.fsum(width for _, width in known) / len(known) if known else math.nan
    error = math.sqrt(max(share * (1 - share), 0.25 / max(len(known), 1)) / max(len(known), 1))
    return Held(
        cell.kind, cell.name, len(known), runs - len(known), share, error, width, cell.least,
        cell.most,
    )  # fmt: skip
