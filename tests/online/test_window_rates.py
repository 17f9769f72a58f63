"""Error rates and power of declines and conflicts in simulated runs.

Many more runs are in ``jobs/benchmarks/bench_online_rates.py``.
"""

from __future__ import annotations

from functools import lru_cache

import pytest

from lens_ray.online.conflicts import conflicts
from lens_ray.online.declines import declines
from lens_ray.online.detect import look_at
from lens_ray.online.shift import Ground
from lens_ray.online.spec import Declared, Rules
from lens_ray.testing.simulated_runs import Design, Kind, simulate

pytestmark = pytest.mark.slow
RUNS = 20


@lru_cache
def found(kind: Kind, effect: float, wobble: float = 0.0) -> dict[str, list[int]]:
    """Runs with: a false decline, a false conflict, the true decline, the true conflict."""
    counts = {"blocks": [0] * 4, "declared": [0] * 4}
    for seed in range(RUNS):
        series, truth = simulate(kind, 900 + seed, Design(wobble=wobble), effect=effect)
        ground = Ground(series)
        true = {(a, b) for a in truth.rises for b in truth.falls}
        declared = Rules(windows=(Declared(early=truth.early, late=truth.late),))
        for name, rules in (("blocks", Rules()), ("declared", declared)):
            looks = look_at(series, rules, ground)
            fell = {one.ability for one in declines(series, rules, looks)}
            pairs = {(one.rises, one.falls) for one in conflicts(series, rules, looks)}
            for place, each in enumerate(
                (fell - set(truth.falls), pairs - true, fell & set(truth.falls), pairs & true)
            ):
                counts[name][place] += bool(each)
    return counts


@pytest.mark.parametrize("windows", ["blocks", "declared"])
@pytest.mark.parametrize(
    ("kind", "effect", "wobble"),
    [("flat", 0.0, 0.01), ("random_walks", 0.005, 0.0)],
)  # fmt: skip
def test_false_alarms_are_rare(kind: Kind, effect: float, wobble: float, windows: str) -> None:
    """At 6 % a run 20 runs have 5 or more in 0.6 % of the cases.

    The other truths: ``jobs/benchmarks/bench_online_rates.py``.
    """
    false_declines, false_conflicts, _, _ = found(kind, effect, wobble)[windows]
    assert false_declines < 5
    assert false_conflicts < 5


@pytest.mark.parametrize(("kind", "place"), [("decline", 2), ("conflict", 3)])
def test_five_points_between_declared_windows_are_found(kind: Kind, place: int) -> None:
    """At a power of 85 % 20 runs find fewer than 13 in 0.6 % of the cases."""
    assert found(kind, 0.05)["declared"][place] >= 13
