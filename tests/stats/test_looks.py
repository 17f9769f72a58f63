"""Where a model is weaker than its own mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from lens_ray.errors import UserError
from lens_ray.stats.looks import LEAST_CLUSTERS, Look, looks_of
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats
from tests.stats.fields import field_of
from tests.stats.simulated import draw, ground


def by_value(looks: Sequence[Look]) -> dict[tuple[str, str], Look]:
    return {(look.facet, look.value): look for look in looks}


def two_formats(own: Floats, *others: Floats, first: int, cluster: int = 1) -> Marks:
    """Units of one stratum, the first of them open, the rest true or false."""
    size = len(own)
    scores = {"m": own, **{f"o{place}": each for place, each in enumerate(others)}}
    return field_of(
        scores, ability=["ocr"] * size, subtask=["x"] * size,
        format=["open"] * first + ["true_false"] * (size - first),
        cluster=[f"c{number // cluster:03d}" for number in range(size)],
    )  # fmt: skip


def test_against_the_own_mean_by_hand() -> None:
    """40 open with 10 right, 60 others with 45 right: 0.25 and 0.75 beside a mean of 0.55."""
    own = np.array([1.0] * 10 + [0.0] * 30 + [1.0] * 45 + [0.0] * 15)
    looks = by_value(looks_of(two_formats(own, first=40), "m"))
    weak, strong = looks["format", "open"], looks["format", "true_false"]
    assert (weak.n, weak.clusters, weak.score, weak.others) == (40, 40, 0.25, None)
    assert weak.mean == pytest.approx(0.55)
    assert weak.difference == pytest.approx(-0.30)
    assert strong.difference == pytest.approx(0.20)
    assert (weak.finding, strong.finding) == ("weaker", "stronger")
    # One and the same question: open minus the rest is -0.5, and minus the mean 0.6 of that.
    assert weak.p == pytest.approx(strong.p)
    # Variance of the means, each with C / (C - 1); Satterthwaite's degrees of freedom.
    welch = stats.ttest_ind(own[:40], own[40:], equal_var=False)
    assert weak.p == pytest.approx(welch.pvalue, rel=1e-9)
    low, high = welch.confidence_interval()
    assert weak.ci_low == pytest.approx(0.6 * low, rel=1e-9)
    assert weak.ci_high == pytest.approx(0.6 * high, rel=1e-9)
    assert weak.p_holm == pytest.approx(2 * weak.p)


def test_clusters_that_reach_over_the_values_equal_the_cluster_robust_regression() -> None:
    rng = np.random.default_rng(5)
    size, cluster = 300, np.arange(300) % 75
    ease = rng.normal(0, 1, 75)[cluster]
    own, other = ((ease + rng.normal(shift, 1, size) > 0).astype(float) for shift in (0.2, 0.0))
    opened = np.arange(size) < 120
    marks = field_of(
        {"m": own, "o": other}, ability=["ocr"] * size, subtask=["x"] * size,
        format=["open" if each else "true_false" for each in opened],
        cluster=[f"c{number:03d}" for number in cluster],
    )  # fmt: skip
    weak = by_value(looks_of(marks, "m", ["o"]))["format", "open"]
    design = np.column_stack([opened, ~opened]).astype(float)
    fit = OLS(own - other, design).fit(
        cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False}, use_t=True
    )
    test = fit.t_test(np.array([[0.6, -0.6]]))
    scale = (75 / 74) ** 0.5  # C / (C - 1), without the regression's (n - 1) / (n - k)
    assert weak.difference == pytest.approx(test.effect.item(), abs=1e-12)
    half = stats.t.ppf(0.975, 74) * test.sd.item() * scale
    assert weak.ci_high == pytest.approx(weak.difference + half, abs=1e-9)


def test_what_is_hard_for_everybody_is_no_weakness_of_one() -> None:
    rng = np.random.default_rng(7)
    own, one, two = (
        np.concatenate([(rng.random(200) < 0.3), (rng.random(200) < 0.8)]).astype(float)
        for _ in range(3)
    )
    marks = two_formats(own, one, two, first=200)
    alone = by_value(looks_of(marks, "m"))["format", "open"]
    assert alone.finding == "weaker"
    beside = by_value(looks_of(marks, "m", ["o0", "o1"]))["format", "open"]
    assert beside.finding is None
    assert beside.others == pytest.approx((one[:200].mean() + two[:200].mean()) / 2)
    assert beside.others_mean == pytest.approx((one.mean() + two.mean()) / 2)
    expected = (own[:200].mean() - own.mean()) - (beside.others - beside.others_mean)
    assert beside.difference == pytest.approx(expected)


def test_looks_at_the_same_units_are_one() -> None:
    marks = ground(("m",), per=40)
    marks = replace(marks, score=np.random.default_rng(1).integers(0, 2, marks.score.shape) * 1.0)
    whole = looks_of(marks, "m", facets=("ability", "format", "subtask", "metric"))
    twice = replace(marks, facets={**marks.facets, "domain": marks.facets["subtask"]})
    again = looks_of(twice, "m", facets=("ability", "format", "subtask", "domain", "metric"))
    assert len(again) == len(whole)
    assert by_value(again)["subtask", "ocr_open"].same_as == ("domain=ocr_open",)
    tested = [look for look in whole if look.p is not None]
    oracle = multipletests([look.p for look in tested], method="holm")[1]
    assert [look.p_holm for look in tested] == pytest.approx(list(oracle), abs=1e-12)
    assert [look.difference for look in tested] == sorted(look.difference or 0 for look in tested)


@pytest.mark.parametrize(
    ("first", "cluster", "reason"),
    [
        (20, 1, None),
        (19, 1, "19 clusters on it, fewer than 20"),
        (38, 2, "19 clusters on it, fewer than 20"),
        (75, 1, "it holds 75% of all units: see the others of its facet"),
    ],
)
def test_what_is_not_looked_at_counts_as_no_test(
    first: int, cluster: int, reason: str | None
) -> None:
    own = np.random.default_rng(2).integers(0, 2, 100).astype(float)
    looks = by_value(looks_of(two_formats(own, first=first, cluster=cluster), "m"))
    opened = looks["format", "open"]
    assert opened.reason == reason
    figures = (opened.score, opened.difference, opened.ci_low, opened.p, opened.p_holm, opened.mde)
    assert (None in figures) == (reason is not None)
    tested = [look for look in looks.values() if look.p is not None]
    if len(tested) == 1:
        assert tested[0].p_holm == tested[0].p


def test_too_few_clusters_beside_it() -> None:
    own = np.random.default_rng(2).integers(0, 2, 100).astype(float)
    cluster = [f"c{number}" if number < 60 else f"d{number % 19}" for number in range(100)]
    marks = field_of(
        {"m": own}, ability=["ocr"] * 100, subtask=["x"] * 100, cluster=cluster,
        format=["open"] * 60 + ["true_false"] * 40,
    )  # fmt: skip
    reasons = {look.value: look.reason for look in looks_of(marks, "m", facets=["format"])}
    assert reasons == {
        "open": f"19 clusters beside it, fewer than {LEAST_CLUSTERS}",
        "true_false": f"19 clusters on it, fewer than {LEAST_CLUSTERS}",
    }


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_all_answers_equal_find_nothing_and_divide_by_nothing(level: float) -> None:
    looks = looks_of(two_formats(np.full(100, level), first=40), "m")
    assert {look.finding for look in looks} == {None}
    for look in looks:
        assert look.difference == pytest.approx(0.0)
        assert look.p == pytest.approx(1.0)
        assert look.ci_low is not None
        assert look.ci_low < 0.0
    assert looks_of(two_formats(np.full(100, level), first=100), "m") == ()


def test_an_unlucky_run_of_zeros_has_its_variance() -> None:
    """20 units all wrong beside 80 with 6 right are no sure weakness: p = 0.35 by Fisher."""
    own = np.array([0.0] * 20 + [1.0] * 6 + [0.0] * 74)
    weak = by_value(looks_of(two_formats(own, first=20), "m"))["format", "open"]
    assert weak.p is not None
    assert weak.p > 0.05


def test_units_that_not_all_answered_do_not_count() -> None:
    own = np.array([1.0, 0.0] * 50)
    other = own.copy()
    other[:10] = np.nan
    looks = by_value(looks_of(two_formats(own, other, first=40), "m", ["o0"]))
    assert looks["format", "open"].n == 30
    with pytest.raises(UserError, match="the model 'm' is among the others"):
        looks_of(two_formats(own, other, first=40), "m", ["m"])


def test_a_value_without_range_has_a_reason() -> None:
    own = np.random.default_rng(4).integers(0, 2, 100).astype(float)
    marks = field_of(
        {"m": own}, ability=["ocr"] * 100, subtask=["x"] * 50 + ["y"] * 50,
        format=["open"] * 50 + ["true_false"] * 50, chance=[1.0] * 50 + [0.5] * 50,
    )  # fmt: skip
    looks = by_value(looks_of(marks, "m"))
    assert looks["format", "open"].reason == "ocr/x has chance 1 and upper 1"
    assert looks["format", "true_false"].difference == pytest.approx(0.0)


PEERS = ("m", "a", "b", "c", "d", "e")


def expectations(rng: np.random.Generator, marks: Marks, planted: float, apart: float) -> Floats:
    """Expected marks of six models; the first is weaker on open questions by ``planted``.

    Subtasks differ in difficulty by up to ``apart`` for all models alike.
    """
    level = np.array([0.5, 0.45, 0.55, 0.4, 0.6, 0.5])[: len(marks.models), None]
    hard = rng.uniform(-apart, apart, len(marks.strata))[marks.stratum]
    opened = marks.facets["format"].code == marks.facets["format"].labels.index("open")
    corrected = np.clip(level + hard - planted * opened * (np.arange(len(level)) == 0)[:, None],
                        0.0, 0.99)  # fmt: skip
    expected: Floats = marks.chance + (1 - marks.chance) * corrected
    return expected


def false_finds(looks: Sequence[Look], truth: Sequence[Look]) -> bool:
    """Whether something was found that is not so."""
    true = {(look.facet, look.value): look.difference or 0.0 for look in truth}
    wrong = [
        look for look in looks
        if (look.finding == "weaker" and true[look.facet, look.value] > -1e-9)
        or (look.finding == "stronger" and true[look.facet, look.value] < 1e-9)
    ]  # fmt: skip
    return bool(wrong)


@pytest.mark.slow
@pytest.mark.parametrize(("others", "apart"), [((), 0.0), (PEERS[1:], 0.2)])
def test_a_planted_weakness_is_found_and_nothing_else(
    others: tuple[str, ...], apart: float
) -> None:
    """200 fields of 1,440 samples (29 looks), open questions 0.25 or 0.2 weaker; 200 without."""
    rng = np.random.default_rng(11)
    marks = ground(PEERS if others else PEERS[:1], per=80)
    planted = 0.2 if others else 0.25
    # What is hard for all alike is no part of the truth: one field's truth is that of all.
    truth = looks_of(replace(marks, score=expectations(rng, marks, planted, apart)), "m", others)
    found = wrong = idle = 0
    for _ in range(200):
        expected = expectations(rng, marks, planted, apart)
        looks = looks_of(draw(rng, marks, expected), "m", others)
        found += by_value(looks)["format", "open"].finding == "weaker"
        wrong += false_finds(looks, truth)
        same = expectations(rng, marks, 0.0, apart)
        idle += any(look.finding for look in looks_of(draw(rng, marks, same), "m", others))
    assert found / 200 >= 0.9
    assert wrong / 200 <= 0.05
    # 2.6 standard errors of a share of 0.05 in 200 fields.
    assert idle / 200 <= 0.05 + 0.04
