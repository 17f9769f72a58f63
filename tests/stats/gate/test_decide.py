from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lens_ray.errors import UserError
from lens_ray.stats.gate import Check, Decision, judge
from lens_ray.stats.gate.evidence import any_of, decided, held_against, overall
from lens_ray.stats.units import Floats
from tests.stats.gate.grounds import cost_of, ground_of, marks_from, policy_of, rows_of

GO, NO_GO, CANNOT_SAY = Decision.GO, Decision.NO_GO, Decision.CANNOT_SAY


def pair(size: int, old: float, new: float) -> Floats:
    """Marks of a candidate and a baseline that are right in shares of the same samples."""
    place = (np.arange(size) * 0.6180339887) % 1.0
    return np.array([place < new, place < old], dtype=np.float64)


def only(check: Check | list[Check] | tuple[Check, ...]) -> Check:
    (found,) = check if not isinstance(check, Check) else (check,)
    return found


@pytest.mark.parametrize(
    ("new", "margin", "decision"),
    [(0.70, 0.05, GO), (0.69, 0.05, GO), (0.66, 0.05, CANNOT_SAY), (0.55, 0.05, NO_GO)],
)
def test_noninferiority_has_three_answers(new: float, margin: float, decision: Decision) -> None:
    ground = ground_of(marks_from(pair(800, 0.7, new)))
    verdict = judge(policy_of({"noninferior": {"margin": margin}}), ground)
    check = only(verdict.checks)
    assert (verdict.decision, check.decision) == (decision, decision)
    assert check.estimate == pytest.approx(new - 0.7, abs=0.01)
    assert check.limit == -margin
    assert check.ci_low is not None
    assert check.ci_high is not None
    # GO exactly where the lower bound is above the limit.
    assert (check.decision is GO) == (check.ci_low > -margin)
    assert (check.decision is NO_GO) == (check.ci_high < -margin)


def test_superiority_of_a_composite_with_weights() -> None:
    score = pair(1200, 0.5, 0.5)
    score[0, ::2] = 1.0  # the units of ocr
    ground = ground_of(marks_from(score, ability=("ocr", "counting")))
    rule = {"superior": {"weights": {"ocr": 3, "counting": 1}, "by": 0.2}}
    check = only(judge(policy_of(rule), ground).checks)
    assert check.figure == "3 ocr + 1 counting"
    assert check.estimate == pytest.approx(0.75 * 0.5, abs=0.01)
    assert check.decision is GO
    plain = judge(policy_of({"superior": {"abilities": ["ocr", "counting"]}}), ground)
    assert [each.decision for each in plain.checks] == [GO, CANNOT_SAY]
    assert plain.decision is CANNOT_SAY
    any_rule = {"superior": {"abilities": ["ocr", "counting"], "any": True}}
    either = only(judge(policy_of(any_rule), ground).checks)
    assert (either.decision, either.figure) == (GO, "any of 2: ocr")
    assert either.requirement == "difference > 0 in one of ocr, counting"


def test_a_least_score_is_held_against_the_chance_corrected_one() -> None:
    ground = ground_of(marks_from(pair(600, 0.7, 0.7)[:1], chance=0.25))
    for least, decision in ((0.5, GO), (0.6, CANNOT_SAY), (0.7, NO_GO)):
        check = only(judge(policy_of({"min_score": {"score": least}}), ground).checks)
        assert check.candidate == pytest.approx((0.7 - 0.25) / 0.75, abs=0.01)
        assert check.baseline is None
        assert check.decision is decision


def test_counted_rules_need_no_interval() -> None:
    marks = marks_from(pair(100, 0.7, 0.7)[:1])
    ground = ground_of(
        marks, rows=rows_of(["unparsed"] * 2 + ["ok"] * 98), coverage={"overall": 0.98, "ocr": 1.0},
        cost=cost_of(None, 0.5),
    )  # fmt: skip
    policy = policy_of(
        {"max_unparsed": 0.02}, {"max_unparsed": 0.019}, {"max_refused": 0},
        {"min_coverage": 0.99}, {"min_coverage": {"share": 0.99, "abilities": "all"}},
        {"max_usd_per_1000": 1}, {"max_latency_s": 0.5},
    )  # fmt: skip
    verdict = judge(policy, ground)
    assert [check.decision for check in verdict.checks] == [
        GO, NO_GO, GO, NO_GO, GO, CANNOT_SAY, GO
    ]  # fmt: skip
    assert verdict.checks[5].reason == "no price of CPU"
    assert all(check.p is None for check in verdict.checks)
    assert verdict.decision is NO_GO


def test_a_share_may_be_tested_instead() -> None:
    marks = marks_from(pair(100, 0.7, 0.7)[:1])
    rule = {"max_refused": {"share": 0.02, "tested": True}}
    for refused, decision in ((0, CANNOT_SAY), (1, CANNOT_SAY), (9, NO_GO)):
        rows = rows_of(["refused"] * refused + ["ok"] * (100 - refused))
        check = only(judge(policy_of(rule), ground_of(marks, rows=rows)).checks)
        assert check.decision is decision
    clean = judge(policy_of(rule), ground_of(marks, rows=rows_of(["ok"] * 400)))
    assert clean.decision is GO


def test_equal_answers_are_not_inferior_and_not_superior() -> None:
    score = pair(300, 0.7, 0.7)
    policy = policy_of({"noninferior": {"margin": 0.05}}, {"superior": {}})
    checks = judge(policy, ground_of(marks_from(score))).checks
    assert [check.decision for check in checks] == [GO, CANNOT_SAY]
    assert checks[1].estimate == 0.0
    assert checks[1].times is None


def test_few_clusters_cannot_say() -> None:
    score = pair(400, 0.5, 0.9)
    ground = ground_of(marks_from(score, size=50))
    check = only(judge(policy_of({"superior": {}}), ground).checks)
    assert (check.decision, check.clusters, check.p) == (CANNOT_SAY, 8, None)
    assert check.reason == "8 clusters are too few to say; 20 are needed"
    assert check.ci_low is not None
    assert judge(policy_of({"superior": {}}, min_clusters=8), ground).decision is GO


def test_without_marks_or_answers_there_is_a_reason() -> None:
    score = pair(100, 0.7, 0.7)
    score[0] = np.nan
    lost = judge(policy_of({"noninferior": {"margin": 0.1}}), ground_of(marks_from(score)))
    assert lost.decision is CANNOT_SAY
    assert only(lost.checks).reason == "ocr/t0 has no unit that both models answered"
    ground = ground_of(marks_from(score))
    ground = replace(ground, abilities=("counting", "ocr"), rows=rows_of([]), coverage={})
    policy = policy_of(
        {"noninferior": {"abilities": "counting", "margin": 0.1}}, {"max_unparsed": 0.1},
        {"min_coverage": 0.9}, {"max_latency_s": 1},
    )  # fmt: skip
    verdict = judge(policy, ground)
    assert [check.reason for check in verdict.checks] == [
        "none of its samples was answered", "no sample was answered",
        "none of its samples was expected",
        "what its answers cost was not read",
    ]  # fmt: skip
    assert "NaN" not in json.dumps(verdict.rows())


def test_an_ability_that_the_suite_lacks_is_a_mistake() -> None:
    ground = ground_of(marks_from(pair(100, 0.7, 0.7)))
    for rule in ({"noninferior": {"abilities": "orc", "margin": 0.1}},
                 {"superior": {"weights": {"orc": 1}}}):  # fmt: skip
        with pytest.raises(UserError, match="asks nothing of the ability 'orc'; did you mean"):
            judge(policy_of(rule), ground)


def test_more_samples_are_advised_where_nothing_can_be_said() -> None:
    rng = np.random.default_rng(5)
    old = (rng.random(400) < 0.5).astype(float)
    new = np.where(rng.random(400) < 0.06, 1 - old, old)
    new[:8] = 1.0
    ground = ground_of(marks_from(np.array([new, old])))
    check = only(judge(policy_of({"superior": {}}), ground).checks)
    assert check.decision is CANNOT_SAY
    assert check.estimate is not None
    assert check.ci_low is not None
    assert check.ci_high is not None
    se = (check.ci_high - check.ci_low) / 2 / 1.6448536
    assert check.times == pytest.approx(((1.6448536 + 0.8416212) * se / check.estimate) ** 2)


# Decisions from p-values.


def with_p(p: float, against: float) -> Check:
    return Check("superior", "ocr", "", CANNOT_SAY, estimate=0.0, limit=0.0, p=p, p_against=against)


def test_nogo_is_adjusted_by_holm_and_go_is_not() -> None:
    checks = [with_p(0.04, 0.96), with_p(0.97, 0.03), with_p(0.99, 0.01)]
    found = decided(checks, 0.05)
    assert [check.decision for check in found] == [GO, CANNOT_SAY, NO_GO]
    assert [check.p_against for check in found] == pytest.approx([0.96, 0.06, 0.03])


def test_a_policy_is_go_only_where_every_check_is() -> None:
    def come_to(*decisions: Decision) -> Decision:
        return overall([Check("x", "y", "", decision) for decision in decisions])

    assert come_to(GO, GO) is GO
    assert come_to(GO, CANNOT_SAY) is CANNOT_SAY
    assert come_to(GO, CANNOT_SAY, NO_GO) is NO_GO


def test_any_of_several_is_tested_by_holm_and_fails_where_all_do() -> None:
    found = any_of([with_p(0.03, 0.97), with_p(0.6, 0.4)])
    assert (found.p, found.p_against) == (0.06, 0.97)
    unknown = replace(with_p(0.0, 1.0), p=None, p_against=None, reason="lost")
    assert any_of([with_p(0.9, 0.1), unknown]).p_against == 1.0
    assert any_of([unknown, unknown]).reason == "lost"


def test_p_values_belong_to_the_bounds() -> None:
    from scipy import stats

    check = Check("superior", "ocr", "", CANNOT_SAY, estimate=0.1, limit=0.0)

    def bounds(tail: float) -> tuple[float, float]:
        half = 0.05 * float(stats.norm.isf(tail))
        return 0.1 - half, 0.1 + half

    found = held_against(check, bounds, 0.05)
    assert found.p == pytest.approx(float(stats.norm.sf(2.0)), rel=2e-3)
    assert found.p_against == pytest.approx(1 - float(stats.norm.sf(2.0)), rel=1e-4)
    under = held_against(replace(check, above=False), bounds, 0.05)
    assert (under.p, under.p_against) == (found.p_against, found.p)
