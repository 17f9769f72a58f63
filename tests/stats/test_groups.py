"""Groups of models: planted gaps are found, equal groups are not told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lens_ray.errors import UserError
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.groups import Gap, gaps_of
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.suites.sample import ABILITIES
from tests.stats.fields import field_of

GROUPS = {"open": ("o1", "o2", "o3"), "closed": ("c1", "c2")}


def field(rng: np.random.Generator, ahead: dict[str, float], size: int = 100) -> Marks:
    """Six abilities; ``ahead`` is how much likelier closed models are right in some of them."""
    ability = [name for name in ABILITIES for _ in range(size)]
    nothing = {member: np.zeros(len(ability)) for members in GROUPS.values() for member in members}
    marks = field_of(nothing, ability=ability, subtask=["x"] * len(ability))
    return answered(marks, rng, ahead)


def answered(marks: Marks, rng: np.random.Generator, ahead: dict[str, float]) -> Marks:
    """Other answers to the same questions."""
    found = marks.facets["ability"]
    shift = np.array([ahead.get(name, 0.0) for name in found.labels])[found.code]
    closed = np.isin(marks.models, GROUPS["closed"])[:, None]
    ease = rng.normal(0, 1, len(shift))
    return replace(
        marks, score=(ease + rng.normal(0, 1, marks.score.shape) + shift * closed > 0) * 1.0
    )


def gaps(
    marks: Marks, groups: dict[str, tuple[str, ...]] | None = None, replicates: int = 400
) -> dict[tuple[str, str], Gap]:
    draws = draw_jointly(marks, "key", replicates)
    found = gaps_of(marks, draws, ability_figures(marks), groups or dict(GROUPS))
    return {(gap.kind, gap.figure): gap for gap in found}


def test_a_gap_in_one_ability_is_found_there_and_only_there() -> None:
    found = gaps(field(np.random.default_rng(1), {"ocr": 1.0}))
    for kind in ("mean", "best"):
        gap = found[kind, "ocr"]
        assert gap.difference is not None
        assert gap.ci_high is not None
        assert gap.p_holm is not None
        assert gap.difference < gap.ci_high < 0
        assert gap.p_holm < 0.05
    others = [found["mean", name].p_holm for name in ABILITIES if name != "ocr"]
    assert min(p for p in others if p is not None) > 0.05


def test_means_are_a_paired_test_of_the_groups_mean_marks() -> None:
    marks = field(np.random.default_rng(2), {"ocr": 0.3})
    gap = gaps(marks)["mean", "ocr"]
    here = np.array(marks.facets["ability"].labels)[marks.facets["ability"].code] == "ocr"
    score = {name: marks.score[place, here] for place, name in enumerate(marks.models)}
    one, two = (np.mean([score[name] for name in GROUPS[g]], axis=0) for g in ("open", "closed"))
    oracle = stats.ttest_rel(one, two)
    assert gap.difference == pytest.approx(float((one - two).mean()), abs=1e-12)
    # `contrast` adds a share of a pair of units to the test.
    assert gap.p == pytest.approx(float(oracle.pvalue), rel=0.1)
    assert gap.ci_low is not None
    assert gap.ci_high is not None
    bounds = oracle.confidence_interval()
    assert gap.ci_high - gap.ci_low == pytest.approx(float(bounds.high - bounds.low), rel=0.02)
    assert (gap.models_a, gap.models_b) == (GROUPS["open"], GROUPS["closed"])


def test_the_best_are_named_with_their_values() -> None:
    marks = field(np.random.default_rng(3), {})
    gap = gaps(marks)["best", "ocr"]
    draws = draw_jointly(marks, "key", 10)
    values = dict(
        zip(marks.models, draws.values(ability_figures(marks).only(["ocr"])), strict=True)
    )
    for group, models, value in (
        ("open", gap.models_a, gap.value_a), ("closed", gap.models_b, gap.value_b),
    ):  # fmt: skip
        assert value == pytest.approx(max(values[name][0] for name in GROUPS[group]))
        assert values[models[0]][0] == pytest.approx(value)
    assert gap.ci_low is not None
    assert gap.ci_high is not None
    assert gap.difference is not None
    assert gap.ci_low <= gap.difference <= gap.ci_high
    # Two groups of one each: nothing is chosen, so it is the comparison of the two.
    alone = gaps(marks, {"open": ("o1",), "closed": ("c1",)}, 20_000)
    one, two = alone["mean", "ocr"], alone["best", "ocr"]
    assert one.difference == pytest.approx(two.difference)
    assert one.ci_low is not None
    assert two.ci_low == pytest.approx(one.ci_low, abs=0.01)
    # The replicates of right and wrong marks lie on a grid, and those on the bound count.
    assert one.p is not None
    assert two.p is not None
    assert one.p <= two.p <= one.p + 0.06


def test_holm_counts_the_abilities_and_not_overall() -> None:
    found = gaps(field(np.random.default_rng(4), {"counting": 0.5, "ocr": 0.4}))
    p = sorted(found["mean", name].p or 0.0 for name in ABILITIES)
    adjusted = min(found["mean", name].p_holm or 0.0 for name in ABILITIES)
    assert adjusted == pytest.approx(min(1.0, 6 * p[0]))
    assert found["mean", "overall"].p_holm == found["mean", "overall"].p


def test_equal_models_have_no_gap_and_no_interval_is_claimed() -> None:
    score = (np.arange(60) % 2).astype(float)
    marks = field_of(
        {"o1": score, "c1": score}, ability=["ocr"] * 60, subtask=["x"] * 60
    )  # fmt: skip
    found = gaps(marks, {"open": ("o1",), "closed": ("c1",)})
    assert found["mean", "ocr"].difference == 0.0
    best = found["best", "ocr"]
    assert best.difference == 0.0
    assert best.p == 1.0
    assert best.ci_low is not None
    assert best.ci_low < 0 < (best.ci_high or 0)


def test_groups_of_nobody_and_models_in_two_are_refused() -> None:
    marks = field(np.random.default_rng(5), {}, size=10)
    for wrong in ({"open": ("o1",), "closed": ()}, {"open": ("o1", "c1"), "closed": ("c1",)}):
        with pytest.raises(UserError, match="group"):
            gaps(marks, wrong)
    assert gaps(marks, {"open": ("o1", "o2")}) == {}


def test_a_group_without_answers_has_a_reason() -> None:
    marks = field(np.random.default_rng(6), {}, size=20)
    score = marks.score.copy()
    here = marks.facets["ability"].code == marks.facets["ability"].labels.index("ocr")
    for name in GROUPS["closed"]:
        score[marks.place(name), here] = np.nan
    found = gaps(replace(marks, score=score))
    for kind in ("mean", "best"):
        assert found[kind, "ocr"].difference is None
        assert found[kind, "ocr"].reason
        assert found[kind, "overall"].difference is None
        assert found[kind, "counting"].difference is not None


@pytest.mark.slow
def test_planted_gaps_are_found_and_false_ones_are_rare() -> None:
    rng = np.random.default_rng(7)
    marks = field(rng, {}, size=60)
    runs, found, wrong = 100, 0, {"mean": 0, "best": 0}
    for _ in range(runs):
        seen = gaps(answered(marks, rng, {"ocr": 0.8}), replicates=300)
        found += (seen["mean", "ocr"].p_holm or 1.0) < 0.05
        for kind in wrong:
            others = [seen[kind, name].p_holm or 1.0 for name in ABILITIES if name != "ocr"]
            wrong[kind] += min(others) < 0.05
    assert found >= 0.9 * runs
    # Family-wise, with 2.6 standard errors of 100 runs.
    assert max(wrong.values()) <= runs * (0.05 + 2.6 * (0.05 * 0.95 / runs) ** 0.5)
