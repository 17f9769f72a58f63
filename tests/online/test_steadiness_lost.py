"""Stability that is lost while accuracy rises: planted, and not there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lens_ray.online.curves import curves_of
from lens_ray.online.findings import Alarm
from lens_ray.online.series import Series
from lens_ray.online.spec import Rules
from lens_ray.online.steadiness_lost import stability_alarms
from lens_ray.stats.marks import FACETS, Facet, Marks
from lens_ray.stats.units import Floats

SUBTASKS = ("a", "b", "c")
#: Of each ability.
UNITS = 600


def series(level: Callable[[int], Floats], checkpoints: int, seed: int = 1) -> Series:
    """One ability of three subtasks whose true scores at a checkpoint are given; items persist."""
    rng = np.random.default_rng(seed)
    stratum = np.arange(UNITS) % 3
    hard = rng.random(UNITS)
    score = np.empty((checkpoints, UNITS))
    for row in range(checkpoints):
        # A tenth of the items is drawn anew, the rest keeps its difficulty.
        drawn = np.where(rng.random(UNITS) < 0.1, rng.random(UNITS), hard)
        score[row] = drawn < level(row)[stratum]
    zero = np.zeros(UNITS, dtype=np.int64)
    names = {"ability": ("ocr",), "format": ("open",)}
    marks = Marks(
        models=tuple(f"r@{row}" for row in range(checkpoints)), runs=(), suite="", suite_digest="",
        ids=tuple(map(str, range(UNITS))), strata=tuple(("ocr", each) for each in SUBTASKS),
        stratum=stratum, cluster=np.arange(UNITS) // 6 * 3 + stratum, clusters=UNITS // 2,
        chance=np.zeros(UNITS), upper=np.ones(UNITS), score=score, weights={},
        facets={name: Facet(names.get(name, ("",)), zero) for name in FACETS},
    )  # fmt: skip
    steps = 100 * np.arange(1, checkpoints + 1)
    return Series("r", steps, marks, tuple("full" for _ in steps))


def alarms(given: Series, **rules: object) -> list[Alarm]:
    return list(stability_alarms(given, Rules.model_validate(rules), curves_of(given)))


def even(row: int) -> Floats:
    return np.full(3, 0.4 if row < 5 else 0.6)


def uneven(row: int) -> Floats:
    return np.full(3, 0.4) if row < 5 else np.array([0.4, 0.6, 0.9])


def falling(row: int) -> Floats:
    return np.full(3, 0.6) if row < 5 else np.array([0.2, 0.4, 0.7])


def test_a_rise_that_is_uneven_is_told_where_its_window_ends() -> None:
    [alarm] = alarms(series(uneven, 10))
    assert (alarm.kind, alarm.ability, alarm.step) == ("stability_lost", "ocr", 1000)
    assert alarm.effect is not None
    assert alarm.interval is not None
    # The true scores differ with a standard deviation of 0.252 (ddof 1) from then on.
    assert alarm.interval[0] < np.std([0.4, 0.6, 0.9], ddof=1) < alarm.interval[1]
    assert "rose by" in alarm.line


@pytest.mark.parametrize("level", [even, falling, lambda _: np.full(3, 0.5)])
def test_nothing_is_told_of_an_even_rise_a_fall_or_no_change(
    level: Callable[[int], Floats],
) -> None:
    assert alarms(series(level, 10)) == []


def test_it_is_not_told_before_its_window_is_whole() -> None:
    whole = series(uneven, 12)
    assert [alarm.step for alarm in alarms(whole)] == [1000]
    assert alarms(series(uneven, 9)) == []


def test_declared_windows_and_those_that_are_not_there_yet() -> None:
    windows = [{"early": [100, 500], "late": [600, 800]}]
    assert [a.step for a in alarms(series(uneven, 8), windows=windows)] == [800]
    assert alarms(series(uneven, 7), windows=windows) == []
    assert alarms(series(uneven, 8), windows=[{"early": [1, 9], "late": [600, 800]}]) == []


def test_windows_of_one_checkpoint_go_by_their_items_alone() -> None:
    given = series(uneven, 6)
    one = {"windows": [{"early": [500, 500], "late": [600, 600]}]}
    assert [alarm.step for alarm in alarms(given, **one)] == [600]


@pytest.mark.slow
def test_false_alarms_in_flat_and_evenly_rising_runs_are_few() -> None:
    told = 0
    for seed in range(24):
        rise: Callable[[int], Floats] = lambda row: np.array([0.3, 0.5, 0.7]) + 0.01 * row  # noqa: E731
        told += bool(alarms(series(rise, 15, seed), window=5, planned_checkpoints=15))
    # 5 % are allowed of all runs: P(more than 5 of 24) = 0.001
    assert told <= 5
