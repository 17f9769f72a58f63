"""Where a model is weaker than its own mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from jobs.benchmarks.coverage.weakness import BESIDE, OWN, Field, draw, ground, on_open
from lens_ray.errors import UserError
from lens_ray.stats.clustered import FEW_CLUSTERS
from lens_ray.stats.looks import Look, looks_of
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats
from tests.stats.fields import field_of


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
    """40 open with 10 right, 60 others with 45 right: 0.25 and 0.75 beside a mean of 0.55.

    Open minus the mean is -0.3 = 0.6 x (0.25 - 0.75). Had open questions no weakness, their share
    would be 0.55 and its variance 0.55 x 0.45 / 39; that of the others stays 0.75 x 0.25 / 59.
    """
    own = np.array([1.0] * 10 + [0.0] * 30 + [1.0] * 45 + [0.0] * 15)
    looks = by_value(looks_of(two_formats(own, first=40), "m"))
    weak, strong = looks["format", "open"], looks["format", "true_false"]
    assert (weak.n, weak.clusters, weak.score, weak.others) == (40, 40, 0.25, None)
    assert weak.mean == pytest.approx(0.55)
    assert weak.difference == pytest.approx(-0.30)
    assert strong.difference == pytest.approx(0.20)
    assert (weak.finding, strong.finding) == ("weaker", "stronger")
    parts = np.array([0.6**2 * 0.55 * 0.45 / 39, 0.6**2 * 0.75 * 0.25 / 59])
    df = parts.sum() ** 2 / (parts**2 / [39, 59]).sum()
    se = parts.sum() ** 0.5
    assert weak.p == pytest.approx(2 * stats.t.sf(0.3 / se, df), rel=1e-9)
    assert weak.ci_low == pytest.approx(-0.3 - stats.t.ppf(0.975, df) * se, rel=1e-9)
    assert weak.ci_high == pytest.approx(-0.3 + stats.t.ppf(0.975, df) * se, rel=1e-9)
    assert weak.p_holm == pytest.approx(2 * stats.t.sf(0.3 / se, df), rel=1e-9)
    # Of the two looks the other has the smaller p: 0.75 - 0.2 = 0.55, too, but of 60.
    parts = np.array([0.4**2 * 0.25 * 0.75 / 39, 0.4**2 * 0.55 * 0.45 / 59])
    df = parts.sum() ** 2 / (parts**2 / [39, 59]).sum()
    assert strong.p == pytest.approx(2 * stats.t.sf(0.2 / parts.sum() ** 0.5, df), rel=1e-9)
    assert strong.p_holm == pytest.approx(2 * (strong.p or 0.0), rel=1e-9)


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
    assert weak.difference is not None
    assert weak.ci_high is not None
    # 75 clusters move the variance (`lens_ray.stats.clustered`) by less than a thousandth.
    assert weak.ci_high - weak.difference == pytest.approx(half, rel=1e-3)


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
    rest = (one + two) / 2
    expected = (own[:200].mean() - own.mean()) - (rest[:200].mean() - rest.mean())
    assert beside.difference == pytest.approx(expected)


def test_a_lead_that_is_lost_at_the_ceiling_is_no_weakness() -> None:
    rng = np.random.default_rng(9)
    own = np.concatenate([rng.random(200) < 0.98, rng.random(200) < 0.7]).astype(float)
    other = np.concatenate([rng.random(200) < 0.98, rng.random(200) < 0.3]).astype(float)
    looks = by_value(looks_of(two_formats(own, other, first=200), "m", ["o0"]))
    opened = looks["format", "open"]
    assert opened.p_holm is not None
    assert opened.p_holm < 0.001
    assert (opened.difference or 0.0) < 0.0
    assert [look.finding for look in looks.values()] == [None, None]


def test_looks_at_the_same_units_are_one() -> None:
    marks = ground(("m",), per=40)
    marks = draw(np.random.default_rng(1), marks, np.full(marks.score.shape, 0.5))
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
        "open": f"19 clusters beside it, fewer than {FEW_CLUSTERS}",
        "true_false": f"19 clusters on it, fewer than {FEW_CLUSTERS}",
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
    assert looks_of(two_formats(own, np.full(100, np.nan), first=40), "m", ["o0"]) == ()
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


@pytest.mark.slow
@pytest.mark.parametrize("field", [OWN, BESIDE], ids=["own", "beside"])
def test_a_planted_weakness_is_found_and_nothing_else(field: Field) -> None:
    """200 fields of 1,440 samples (29 looks) with open questions weaker, 200 without."""
    rng = np.random.default_rng(11)
    calm = replace(field, planted=0.0)
    hits = wrong = idle = 0
    for _ in range(200):
        looks = field.looks(rng)
        hits += on_open(looks).finding == "weaker"
        wrong += bool(field.false_finds(looks))
        idle += bool(calm.false_finds(calm.looks(rng)))
    assert hits / 200 >= 0.9
    assert wrong / 200 <= 0.05
    # 2.6 standard errors of a share of 0.05 in 200 fields.
    assert idle / 200 <= 0.05 + 0.04
