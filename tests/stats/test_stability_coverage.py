"""A smaller run of the table of coverage: the intervals of DVS, RES, tau and their differences."""

from __future__ import annotations

import pytest

from jobs.benchmarks.coverage.cell import Cell, share_held
from jobs.benchmarks.coverage.stability import CELLS


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.kind}: {cell.name}")
def test_intervals_hold_the_truth(cell: Cell) -> None:
    held = share_held(cell, 60, seed=2)
    assert held.none == 0
    assert held.sound, held
