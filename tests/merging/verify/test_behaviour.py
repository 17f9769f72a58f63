"""V4: what a merge does against its parents, and against its final checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lens_ray.merging.checks import Check, failed
from lens_ray.merging.verify.behaviour import (
    Compared,
    abilities,
    abilities_of_final,
    behaviour,
    composite,
    outcomes,
)
from lens_ray.merging.verify.churn import churn
from lens_ray.merging.verify.habits import consistency, habits
from lens_ray.merging.verify.policy import BUILT_IN, BehaviourLimits, Policy, decide
from lens_ray.merging.verify.sight import sight
from lens_ray.stats.marks import marks_of
from lens_ray.testing.planted_merges import answer_faults
from tests.merging.verify.grounds import LAST, behaviour_ground, rows, shipped

LIMITS = BehaviourLimits()


def _marks(right: int, of: int) -> list[float]:
    return [1.0] * right + [0.0] * (of - right)


def _named(checks: Sequence[Check], name: str, subject: str | None = None) -> Check:
    return next(one for one in checks if (one.name, one.subject) == (name, subject))


def test_a_subtle_regression_in_one_ability_is_caught_and_named() -> None:
    """Real answers: the final checkpoint as its own merge, six per cent of one ability lost."""
    last = shipped(LAST)
    fault = next(
        one
        for one in answer_faults(["attribute", "structured_data"], {})
        if one.name == "attribute by 6%"
    )
    parents = {"last": last}

    whole = abilities(behaviour_ground(last, parents), LIMITS)
    checks = behaviour(behaviour_ground(fault.plant(last), parents), LIMITS)

    assert {check.verdict for check in whole} == {"pass"}
    assert {(one.name, one.subject) for one in failed(checks)} >= {("ability", "attribute")}
    assert _named(checks, "ability", "structured_data").verdict != "fail"
    assert "regressed" in _named(checks, "ability", "attribute").what


def test_an_ability_is_held_against_the_parent_that_is_best_at_it() -> None:
    """Each parent is right where the other is wrong; the merge has all of both."""
    one = rows({"ocr": _marks(800, 1000), "entity": _marks(600, 1000)})
    other = rows({"ocr": _marks(600, 1000), "entity": _marks(800, 1000)})
    both = rows({"ocr": _marks(800, 1000), "entity": _marks(800, 1000)})
    ground = behaviour_ground(both, {"one": one, "other": other})
    found = {check.subject: check for check in abilities(ground, LIMITS)}
    assert {name: check.figures["best_parent"] for name, check in found.items()} == {
        "ocr": "one", "entity": "other",
    }  # fmt: skip
    assert {check.figures["outcome"] for check in found.values()} == {"held"}
    better = rows({"ocr": _marks(900, 1000), "entity": _marks(700, 1000)})
    ground = behaviour_ground(better, {"one": one, "other": other})
    found = {check.subject: check for check in abilities(ground, LIMITS)}
    assert (found["ocr"].figures["outcome"], found["ocr"].verdict) == ("improved", "pass")
    assert (found["entity"].figures["outcome"], found["entity"].verdict) == ("regressed", "fail")
    assert found["entity"].figures["best"] == pytest.approx(0.8)


def test_few_samples_are_inconclusive_which_is_not_held() -> None:
    parent = rows({"ocr": _marks(60, 100)})
    merge = rows({"ocr": [*_marks(59, 60), *([0.0] * 40)]})
    check = abilities(behaviour_ground(merge, {"one": parent}), LIMITS)[0]
    assert (check.figures["outcome"], check.verdict) == ("inconclusive", "cannot_say")
    same = abilities(behaviour_ground(parent, {"one": parent}), LIMITS)[0]
    assert same.verdict == "cannot_say"  # 3 / 100 losses are possible though none was seen
    few = rows({"ocr": [1.0] * 200}, per_image=20)
    check = abilities(behaviour_ground(few, {"one": few}), LIMITS)[0]
    assert "10 clusters are too few" in check.what


def test_outcomes_are_adjusted_by_holm_within_each_kind_of_claim() -> None:
    """By hand: 0.02 passes alone and fails beside five others that are as large."""

    def with_p(p_held: float = 1.0, p_better: float = 1.0, p_worse: float = 1.0) -> Compared:
        return Compared("x", "one", 0.5, 0.5, -0.1, 0.1, 100, 100, p_held, p_better, p_worse)

    assert outcomes([with_p(p_held=0.02)], 0.05) == ["held"]
    assert outcomes([with_p(p_held=0.02)] * 6, 0.05) == ["inconclusive"] * 6
    assert outcomes([with_p(p_worse=0.008)] * 6, 0.05) == ["regressed"] * 6
    mixed = [with_p(p_held=0.001, p_better=0.3), with_p(p_held=0.0009, p_better=0.001)]
    assert outcomes(mixed, 0.05) == ["held", "improved"]


@pytest.mark.slow
def test_a_loss_of_the_whole_margin_is_seldom_taken_for_held() -> None:
    """False GO at the margin: at most 5 % of the fields, here 60 with three parents."""
    rng = np.random.default_rng(5)
    held = worse = 0
    for _ in range(60):
        latent = rng.random(800)
        noise = rng.random((4, 800)) < 0.1
        truth = [0.70, 0.72, 0.69, 0.71]  # the merge is 0.02 below the best parent

        def drawn(place: int, latent: Any = latent, noise: Any = noise, truth: Any = truth) -> Any:
            again = rng.random(800)
            return (np.where(noise[place], again, latent) < truth[place]).astype(float).tolist()

        tables = [rows({"ocr": drawn(place)}) for place in range(4)]
        ground = behaviour_ground(tables[0], {f"p{n}": t for n, t in enumerate(tables[1:])})
        outcome = abilities(ground, LIMITS)[0].figures["outcome"]
        held += outcome in ("held", "improved")
        worse += outcome == "regressed"
    # Of 60 at 5 %, more than 7 have a probability of 1 %.
    assert held <= 7
    assert worse >= 1


@pytest.mark.slow
def test_a_merge_as_good_as_its_final_checkpoint_is_seldom_called_faulty() -> None:
    """False NO-GO at the edge, of all kinds of tests together: at most 5 % of fields, here 60.

    The merge is a sibling of the final checkpoint: equally good, at other samples.
    """
    rng = np.random.default_rng(12)
    names, size = ("a", "b", "c", "d"), 200
    faulty = 0
    for _ in range(60):
        common = rng.standard_normal(len(names) * size)
        own = rng.standard_normal((3, len(common)))
        right = (common + 0.4 * own + 0.6 > 0).reshape(3, len(names), size).astype(float)
        merge, other, final = (rows(dict(zip(names, each.tolist(), strict=True))) for each in right)
        ground = behaviour_ground(merge, {"other": other, "final": final})
        checks = [
            *abilities_of_final(ground, LIMITS), composite(ground, LIMITS), churn(ground, LIMITS),
        ]  # fmt: skip
        faulty += bool(failed(checks))
    assert faulty <= 7  # of 60 at 5 %, more than 7 have a probability of 1 %


def test_the_composite_must_be_above_the_final_checkpoint() -> None:
    final = rows({"ocr": _marks(700, 1000)})
    for right, verdict in ((760, "pass"), (640, "fail"), (702, "cannot_say")):
        better = rows({"ocr": _marks(right, 1000)})
        assert composite(behaviour_ground(better, {"last": final}), LIMITS).verdict == verdict
    unknown = replace(behaviour_ground(final, {"last": final}), final=None)
    assert composite(unknown, LIMITS).verdict == "cannot_say"


def test_without_a_final_checkpoint_the_composite_is_held_against_the_best_parent() -> None:
    low, high = rows({"ocr": _marks(600, 1000)}), rows({"ocr": _marks(700, 1000)})
    for right, verdict in ((760, "pass"), (640, "fail"), (702, "cannot_say")):
        merge = rows({"ocr": _marks(right, 1000)})
        ground = replace(behaviour_ground(merge, {"high": high, "low": low}), final=None)
        check = composite(ground, LIMITS)
        assert check.verdict == verdict
        assert check.figures["other"] == pytest.approx(0.7)
        assert "against high" in check.what


def test_a_failure_takes_the_share_of_its_kind_of_test() -> None:
    """1.8 % lost of 1,000 with gains beside: p is between 0.05 / 7 and 0.05, so nobody can say."""
    final = rows({"ocr": _marks(700, 1000)})
    merge = rows({"ocr": [*[0.0] * 40, *[1.0] * 660, *[1.0] * 22, *[0.0] * 278]})
    ground = behaviour_ground(merge, {"last": final})
    check = composite(ground, LIMITS)
    assert float(check.figures["high"] or 0) < 0  # at 0.05 alone it would fail
    assert check.verdict == "cannot_say"
    assert composite(ground, BehaviourLimits(fault_level=0.25)).verdict == "fail"
    assert abilities(ground, LIMITS)[0].verdict == "cannot_say"
    assert abilities(ground, BehaviourLimits(fault_level=0.25))[0].verdict == "fail"


def test_a_merge_that_mends_a_conflict_is_decided_by_the_final_checkpoint() -> None:
    """Entity as in the shipped series: 0.81 at the switch, 0.69 at the end, 0.73 in the merge."""
    switch = rows({"entity": _marks(810, 1000), "ocr": _marks(600, 1000)})
    last = rows({"entity": _marks(690, 1000), "ocr": _marks(700, 1000)})
    merge = rows({"entity": _marks(750, 1000), "ocr": _marks(710, 1000)})
    ground = behaviour_ground(merge, {"switch": switch, "last": last})
    checks = behaviour(ground, LIMITS)
    assert _named(checks, "ability", "entity").verdict == "fail"
    policy = Policy(tiers=("V4",))
    found = decide(policy, checks)
    decisions = dict(zip([(c.name, c.subject) for c in checks], found.each, strict=True))
    assert decisions["ability", "entity"] == "go"
    assert decisions["ability_of_final", "entity"] == "go"
    # Without a final checkpoint, or without the rule, the best parent decides.
    unknown = behaviour(replace(ground, final=None), LIMITS)
    assert decide(policy, unknown).decision == "no_go"
    assert decide(Policy(tiers=("V4",), rules=BUILT_IN[1:]), checks).decision == "no_go"


@pytest.mark.parametrize(("status", "name"), [("refused", "refused"), ("unparsed", "unparsed")])
def test_refusals_and_answers_that_cannot_be_read_are_caught(status: str, name: str) -> None:
    parent = rows({"ocr": _marks(700, 1000), "entity": _marks(700, 1000)})
    refusing = rows(
        {"ocr": _marks(700, 1000), "entity": [*([None] * 30), *_marks(670, 970)]}, status=status
    )
    check = _named(
        habits(behaviour_ground(refusing, {"one": parent}), LIMITS), name, subject="entity"
    )
    assert check.verdict == "fail"  # 1.5 % of all, 3 % of one ability
    assert "entity: 3.00% against 0.00%" in check.what
    same = _named(habits(behaviour_ground(refusing, {"one": refusing}), LIMITS), name)
    assert same.verdict == "pass"  # its parent refuses as much
    few = rows({"ocr": _marks(70, 100)})
    check = _named(habits(behaviour_ground(few, {"one": few}), LIMITS), name)
    assert check.verdict == "cannot_say"  # 3 of 100 are possible


def test_consistency_counts_answers_that_all_parents_share() -> None:
    def told(*answers: str) -> pa.Table:
        table = rows({"ocr": [1.0] * len(answers)})
        place = table.column_names.index("extracted")
        return table.set_column(place, "extracted", pa.array(answers))

    ground = behaviour_ground(
        told("A", "b ", "C", "D"),
        {"one": told("a", "B", "X", "E"), "two": told("A", "b", "C", "E")},
    )
    check = consistency(ground, LIMITS)
    assert (check.figures["alike"], check.figures["same"]) == (3, 2)
    assert check.verdict == "pass"
    assert consistency(ground, BehaviourLimits(consistency=0.9)).verdict == "fail"


def test_a_merge_that_no_longer_looks_is_caught_by_the_blind_control() -> None:
    """The parents fall from 0.8 to 0.3 without the image; the merge from 0.8 to 0.75."""
    seeing, dark = rows({"ocr": _marks(800, 1000)}), rows({"ocr": _marks(300, 1000)})
    guessing = rows({"ocr": _marks(750, 1000)})
    for unseen, verdict in ((guessing, "fail"), (dark, "pass")):
        control = marks_of({"merge": unseen, "one": dark}, weights={})
        ground = behaviour_ground(seeing, {"one": seeing}, controls={"blind": control})
        check = sight(ground, LIMITS)
        assert check.verdict == verdict
    assert check.figures["difference"] == pytest.approx(0.0)
    assert sight(behaviour_ground(seeing, {"one": seeing}), LIMITS).verdict == "skipped"
    alone = marks_of({"merge": dark}, weights={})
    ground = behaviour_ground(seeing, {"one": seeing}, controls={"blind": alone})
    assert sight(ground, LIMITS).verdict == "skipped"


def test_the_same_ground_gives_the_same_checks() -> None:
    ground = behaviour_ground(
        rows({"ocr": _marks(70, 100), "entity": _marks(60, 100)}),
        {"one": rows({"ocr": _marks(60, 100), "entity": _marks(70, 100)})},
    )
    assert behaviour(ground, LIMITS) == behaviour(ground, LIMITS)
    names = [check.name for check in behaviour(ground, LIMITS)]
    assert names == [
        "ability", "ability", "ability_of_final", "ability_of_final", "composite", "stability",
        "stability", "churn", "consistency", "refused", "unparsed", "blind",
    ]  # fmt: skip
