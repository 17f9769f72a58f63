"""The benchmark of error rates: what it counts as false, and that few runs keep the limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from jobs.benchmarks.bench_online_rates import (
    LEAST_POWER,
    MOST,
    TRUTHS,
    Run,
    figures,
    one,
    share_of,
    unforeseen,
)
from jobs.benchmarks.online_truths import said_of
from lens_ray.online.spec import Rules
from lens_ray.testing.simulated_runs import Design, Truth, simulate

DESIGN = Design(abilities=("ocr",), items=1000)


def test_a_declaration_is_false_where_the_truth_rises_by_more() -> None:
    """The marks of a flat run, held against truths that they do not come from."""
    series, truth = simulate("flat", 1, DESIGN)
    (said,) = said_of(series, truth, DESIGN, Rules())
    assert said.declared
    assert not said.false
    rising = Truth("slow_rise", 0.5 + 0.01 * np.arange(30.0)[:, None])
    (wrong,) = said_of(series, rising, DESIGN, Rules())
    assert wrong.false
    assert wrong.false_of_step
    assert wrong.lost > 0.1
    assert wrong.delay is None
    assert not wrong.plateau


def test_a_dip_at_the_step_alone_is_counted_apart() -> None:
    """The step's own truth is low; those ending at it are as high as the later ones."""
    series, truth = simulate("flat", 2, DESIGN)
    (said,) = said_of(series, truth, DESIGN, Rules())
    assert said.off is not None
    dip = truth.skill.copy()
    dip[said.off] -= 0.025
    (found,) = said_of(series, replace(truth, skill=dip), DESIGN, Rules())
    assert found.false_of_step
    assert not found.false


def test_a_late_rise_must_not_be_foretold() -> None:
    series, truth = simulate("flat", 1, DESIGN)
    late = replace(truth, kind="late_rise", rises_at={"ocr": 20})
    assert said_of(series, late, DESIGN, Rules())[0].false


def test_shares_and_their_limits() -> None:
    assert share_of([]) is None
    found = share_of([True] * 10 + [False] * 90, most=0.06)
    assert found is not None
    assert (found.share, found.count) == (0.1, 100)
    # 0.1 is beyond 0.06 by 1.3 standard errors of 0.03.
    assert found.sound
    beyond = share_of([True] * 20 + [False] * 80, most=0.06)
    assert beyond is not None
    assert not beyond.sound
    assert "BEYOND" in str(beyond)
    below = share_of([True] * 60 + [False] * 40, least=0.85)
    assert below is not None
    assert not below.sound


@pytest.mark.slow
@pytest.mark.parametrize("name", ["early plateau", "conflict 5", "walks 0.5"])
def test_few_runs_keep_the_limits(name: str) -> None:
    """Each count is within what 12 runs at the limit show in 99.9 % of all cases."""
    runs_of = 12
    truths = next(truths for truths in TRUTHS if truths.name == name)
    runs: list[Run] = [one(number, truths) for number in range(runs_of)]
    most = binom.ppf(0.999, runs_of, MOST)
    assert sum(any(said.false for said in run.said) for run in runs) <= most
    for wrong in ("false_decline", "false_conflict"):
        assert sum(getattr(run.declared, wrong) for run in runs) <= most
    shares = figures(truths, runs)
    if truths.least_power:
        found = shares["conflicts found"]
        assert found is not None
        assert found.share * runs_of >= binom.ppf(0.001, runs_of, LEAST_POWER)
    if name == "early plateau":
        near = shares["step within six"]
        assert near is not None
        assert near.share > 0.75
    assert set(unforeseen(runs)) == {"declared", "taken back", "points lost"}
