from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.stats.detectable import detectable, power_of


def test_no_effect_is_found_as_often_as_the_level_says() -> None:
    assert power_of(0.0, 0.02, 37) == pytest.approx(0.05, abs=1e-12)
    assert power_of(0.0, 0.02, math.inf, 0.01) == pytest.approx(0.01, abs=1e-12)


def test_the_textbook_sum_of_quantiles() -> None:
    # 1.959964 + 0.841621; the wrong side adds less than 2e-6.
    assert detectable(0.01, math.inf) == pytest.approx(0.02801585, abs=1e-7)


def test_an_effect_far_off_is_found_for_sure() -> None:
    assert power_of(-1.0, 0.001, 12) == 1.0


@given(
    st.floats(1e-4, 1e3), st.floats(1, 1e5) | st.just(math.inf), st.floats(0.001, 0.2),
    st.floats(0.3, 0.99),
)  # fmt: skip
def test_the_detectable_effect_has_the_power(
    se: float, df: float, level: float, power: float
) -> None:
    effect = detectable(se, df, level, power)
    assert power_of(effect, se, df, level) == pytest.approx(power, abs=1e-8)
    assert power_of(-effect, se, df, level) == power_of(effect, se, df, level)


@pytest.mark.parametrize(
    ("se", "df", "level", "power"),
    [
        (0.0, 9, 0.05, 0.8), (math.nan, 9, 0.05, 0.8), (math.inf, 9, 0.05, 0.8),
        (0.1, 0.5, 0.05, 0.8), (0.1, math.nan, 0.05, 0.8), (0.1, 9, 1.0, 0.8),
        (0.1, 9, 0.05, 0.05), (0.1, 9, 0.05, 1.0),
    ],
)  # fmt: skip
def test_what_has_no_power(se: float, df: float, level: float, power: float) -> None:
    with pytest.raises(ValueError, match=r"standard error|degrees|level"):
        detectable(se, df, level, power)
