"""The tables of ``jobs/benchmarks/bench_marks.py`` in small: fewer runs, the same limits."""

from __future__ import annotations

import pytest

from jobs.benchmarks.coverage import differences, means
from jobs.benchmarks.coverage.cell import Cell, share_held

RUNS = 400
#: Each with its own slack of 2.6 standard errors: one in a hundred would fail by chance.
SEED = 6


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*means.CELLS, *differences.CELLS], ids=lambda cell: cell.name)
def test_cells(cell: Cell) -> None:
    held = share_held(cell, RUNS, SEED)
    assert held.none == 0
    assert held.sound, held


def test_a_plan_is_drawn_as_it_says() -> None:
    import numpy as np

    from jobs.benchmarks.coverage.answers import Plan, kinds_of, sizes_of

    rng = np.random.default_rng(1)
    plan = Plan(4000, 3, 0.4)
    sizes = sizes_of(rng, plan)
    assert sorted(set(sizes.tolist())) == [1, 2, 3]
    kind, cluster = kinds_of(rng, plan, (0.2, 0.5, 0.3), sizes)
    assert np.bincount(kind) / len(kind) == pytest.approx([0.2, 0.5, 0.3], abs=0.02)
    right = (kind == 1).astype(float)
    pairs = [right[cluster == place][:2] for place in np.flatnonzero(sizes > 1).tolist()]
    assert np.corrcoef(np.array(pairs).T)[0, 1] == pytest.approx(0.4, abs=0.06)
