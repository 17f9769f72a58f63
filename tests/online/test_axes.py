"""Steps as tokens and GPU-hours, by hand arithmetic."""

from __future__ import annotations

import math

import pytest

from lens_ray.online.axes import Trained, gpu_hours_of, tokens_of
from lens_ray.online.spec import RunSpec

STEPS = (Trained(100), Trained(300))


def run(**changes: object) -> RunSpec:
    return RunSpec.model_validate({"name": "a", "path": "x", **changes})


def test_what_nobody_says_is_unknown() -> None:
    assert tokens_of(run(), STEPS) == gpu_hours_of(run(), STEPS) == ()
    assert gpu_hours_of(run(gpus=8), STEPS) == ()


def test_rates_of_the_file() -> None:
    assert tokens_of(run(tokens_per_step=1000), STEPS) == (100_000.0, 300_000.0)
    # 8 GPUs x 9 s x 100 steps = 7,200 GPU-seconds
    assert gpu_hours_of(run(gpus=8, seconds_per_step=9), STEPS) == pytest.approx((2.0, 6.0))


def test_announced_totals_come_first() -> None:
    told = (
        Trained(100, {"tokens": 5.0, "gpu_hours": 0.5}),
        Trained(300, {"tokens": 9.0, "gpu_hours": 2.0}),
    )
    spec = run(gpus=8, seconds_per_step=9, tokens_per_step=1000)
    assert tokens_of(spec, told) == (5.0, 9.0)
    assert gpu_hours_of(spec, told) == (0.5, 2.0)


@pytest.mark.parametrize("lacking", [{}, {"tokens": math.nan}])
def test_a_total_that_one_checkpoint_lacks_is_no_axis(lacking: dict[str, float]) -> None:
    told = (Trained(100, {"tokens": 5.0}), Trained(300, lacking))
    assert tokens_of(run(), told) == ()
    assert tokens_of(run(tokens_per_step=2), told) == (200.0, 600.0)


def test_announced_pace_else_the_times_of_the_files() -> None:
    told = (Trained(100, {"seconds_per_step": 36.0}), Trained(300, {"seconds_per_step": 36.0}))
    assert gpu_hours_of(run(gpus=2), told) == pytest.approx((2.0, 6.0))
    # 200 steps in 2,000 s, 100 in 1,000 s, and then a pause of a day
    written = [Trained(100, {}, 0.0), Trained(300, {}, 2000.0), Trained(400, {}, 3000.0),
               Trained(500, {}, 89_400.0)]  # fmt: skip
    assert gpu_hours_of(run(gpus=36), written) == pytest.approx((10.0, 30.0, 40.0, 50.0))
    copied = [Trained(100, {}, 7.0), Trained(300, {}, 7.0)]
    assert gpu_hours_of(run(gpus=2), copied) == ()
