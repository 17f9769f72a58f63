"""Critical samples: zero tolerance, the bound of new failures, and what a stricter limit needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.merging.verify.critical import critical, samples_needed, upper_bound
from lens_ray.merging.verify.policy import CriticalSamples
from tests.merging.verify.grounds import behaviour_ground, rows

ALL = CriticalSamples(samples=("ocr/*",))


def test_one_new_failure_is_one_too_many() -> None:
    parent = rows({"ocr": [1.0] * 300, "entity": [1.0] * 10})
    sound = rows({"ocr": [1.0] * 300, "entity": [0.0] * 10})
    coverage, check = critical(behaviour_ground(sound, {"one": parent}), ALL)
    assert (coverage.verdict, check.verdict) == ("pass", "pass")
    # 1 - 0.05^(1/300), which the rule of three puts at 1 %.
    assert check.figures["upper_bound"] == pytest.approx(1 - 0.05 ** (1 / 300))

    bad = rows({"ocr": [1.0] * 299 + [0.0], "entity": [1.0] * 10})
    coverage, check = critical(behaviour_ground(bad, {"one": parent}), ALL)
    assert (coverage.verdict, check.verdict) == ("pass", "fail")
    assert "ocr/00299" in check.what
    allowed = ALL.model_copy(update={"max_new_failures": 1})
    assert critical(behaviour_ground(bad, {"one": parent}), allowed)[1].verdict == "pass"


def test_what_no_parent_knew_is_no_new_failure_and_what_one_knew_is() -> None:
    one = rows({"ocr": [1.0, 1.0, 0.0] * 20})
    final = rows({"ocr": [1.0, 0.0, 0.0] * 20})
    merge = rows({"ocr": [1.0, 0.0, 0.0] * 20})
    ground = behaviour_ground(merge, {"one": one, "final": final})
    check = critical(ground, ALL)[1]
    assert (check.figures["new_failures"], check.figures["failures"]) == (20, 40)
    assert "20 more fail as before" in check.what
    against_final = ALL.model_copy(update={"against": "final"})
    check = critical(ground, against_final)[1]
    assert (check.figures["new_failures"], check.verdict) == (0, "pass")
    assert check.figures["passed_before"] == 20


def test_samples_of_one_image_are_one_trial() -> None:
    parent = rows({"ocr": [1.0] * 300}, per_image=3)
    check = critical(behaviour_ground(parent, {"one": parent}), ALL)[1]
    assert check.figures["images"] == 100
    assert check.figures["upper_bound"] == pytest.approx(1 - 0.05 ** (1 / 100))


def test_a_bound_that_is_too_wide_cannot_say_and_tells_how_many_are_needed() -> None:
    parent = rows({"ocr": [1.0] * 100})
    strict = ALL.model_copy(update={"bound": 0.01})
    check = critical(behaviour_ground(parent, {"one": parent}), strict)[1]
    assert check.verdict == "cannot_say"
    assert check.figures["samples_for_0.01"] == 299
    assert 0.99**299 <= 0.05 < 0.99**298


def test_a_critical_sample_that_was_not_asked_is_not_passed_over() -> None:
    parent = rows({"ocr": [1.0] * 100})
    merge = rows({"ocr": [1.0] * 90})
    coverage, _ = critical(behaviour_ground(merge, {"one": parent}), ALL)
    assert coverage.verdict == "cannot_say"
    assert "10 of 100 critical samples have no mark" in coverage.what
    typo = CriticalSamples(samples=("ocr/*", "valves/*"))
    coverage, _ = critical(behaviour_ground(parent, {"one": parent}), typo)
    assert coverage.verdict == "cannot_say"
    assert "valves/*" in coverage.what
    assert critical(behaviour_ground(parent, {"one": parent}), CriticalSamples()) == ()


@given(st.integers(1, 400), st.data())
def test_the_bound_is_where_so_few_failures_have_a_probability_of_five_per_cent(
    trials: int, data: st.DataObject
) -> None:
    """Against the binomial distribution itself."""
    from scipy.stats import binom

    failures = data.draw(st.integers(0, trials))
    bound = upper_bound(failures, trials)
    if failures == trials:
        assert bound == 1.0
    else:
        assert binom.cdf(failures, trials, bound) == pytest.approx(0.05, abs=1e-6)


@given(st.floats(1e-6, 0.5))
def test_the_samples_needed_are_the_fewest_that_reach_the_bound(rate: float) -> None:
    count = samples_needed(rate)
    assert upper_bound(0, count) <= rate * (1 + 1e-9)
    assert count == 1 or upper_bound(0, count - 1) > rate * (1 - 1e-9)
