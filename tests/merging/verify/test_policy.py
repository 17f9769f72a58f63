"""What a policy makes of checks, and what is wrong with a policy file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import JobError
from lens_ray.merging.checks import Check, Tier, Verdict
from lens_ray.merging.verify.policy import TIERS, CheckRule, Policy, decide, load_policy

SHIPPED = Path(__file__).parents[3] / "jobs" / "verify_policy.yaml"


def check(tier: Tier, verdict: Verdict, name: str = "one", subject: str | None = None) -> Check:
    return Check(tier, name, verdict, f"{name} came out {verdict}", subject=subject)


def all_pass() -> list[Check]:
    return [check(tier, "pass") for tier in TIERS]


def test_go_takes_every_demanded_tier() -> None:
    found = decide(Policy(), all_pass())
    assert (found.decision, found.reasons) == ("go", ())
    for tier in Policy().tiers:
        less = [one for one in all_pass() if one.tier != tier]
        found = decide(Policy(), less)
        assert found.decision == "cannot_say"
        assert tier in found.reasons[0]


def test_a_failure_is_a_no_go_whatever_else_is_not_decided() -> None:
    checks = [*all_pass(), check("V4", "cannot_say", "ability"), check("V2", "fail", "likelihood")]
    found = decide(Policy(), checks)
    assert found.decision == "no_go"
    assert found.reasons == (
        "V2 likelihood: likelihood came out fail",
        "V4 ability: cannot say: ability came out cannot_say",
    )
    assert found.each[-2:] == ("cannot_say", "no_go")


def test_what_was_skipped_counts_where_its_tier_is_demanded() -> None:
    assert decide(Policy(), [*all_pass(), check("V3", "skipped")]).decision == "go"
    demanding = Policy(tiers=("V0", "V3"))
    assert decide(demanding, [*all_pass(), check("V3", "skipped")]).decision == "cannot_say"


def test_the_first_rule_that_matches_decides() -> None:
    policy = Policy(
        rules=(
            CheckRule(checks="V4.ability:ocr", cannot_say="go"),
            CheckRule(checks="V4.*", fail="cannot_say", cannot_say="no_go"),
        )
    )
    held = [*all_pass(), check("V4", "cannot_say", "ability", "ocr")]
    assert decide(policy, held).decision == "go"
    held = [*all_pass(), check("V4", "cannot_say", "ability", "counting")]
    assert decide(policy, held).decision == "no_go"
    assert decide(policy, [*all_pass(), check("V4", "fail", "churn")]).decision == "cannot_say"


def test_a_rule_beside_a_check_counts_only_where_that_one_was_made() -> None:
    lost = check("V4", "fail", "ability", "ocr")
    final = check("V4", "pass", "ability_of_final", "ocr")
    assert decide(Policy(), [*all_pass(), lost]).decision == "no_go"
    assert decide(Policy(), [*all_pass(), lost, final]).decision == "go"
    worse = check("V4", "fail", "ability_of_final", "entity")
    assert decide(Policy(), [*all_pass(), lost, worse]).decision == "no_go"
    skipped = check("V4", "skipped", "ability_of_final")
    assert decide(Policy(), [*all_pass(), lost, skipped]).decision == "no_go"


def test_only_a_repair_that_fits_its_record_excuses_v1() -> None:
    others = [check(tier, "pass") for tier in TIERS if tier != "V1"]
    trained = check("V1", "skipped", "repaired")
    assert decide(Policy(), [*others, trained]).decision == "cannot_say"
    assert decide(Policy(), [*others, trained, check("V5", "pass", "repair")]).decision == "go"
    assert decide(Policy(), [*others, trained, check("V5", "fail", "repair")]).decision == "no_go"
    other = check("V1", "skipped", "looked_at")
    assert decide(Policy(), [*others, other, check("V5", "pass", "repair")]).decision == (
        "cannot_say"
    )


def test_churn_alone_is_no_no_go() -> None:
    assert decide(Policy(), [*all_pass(), check("V4", "fail", "churn")]).decision == "cannot_say"


@given(st.lists(st.tuples(st.sampled_from(TIERS), st.sampled_from(
    ["pass", "fail", "cannot_say", "skipped"]))))  # fmt: skip
def test_a_failure_never_passes_by_the_built_in_policy(pairs: list[Any]) -> None:
    checks = [check(tier, verdict) for tier, verdict in pairs]
    found = decide(Policy(), checks)
    assert (found.decision == "no_go") == any(one.verdict == "fail" for one in checks)
    if found.decision == "go":
        assert set(Policy().tiers) <= {one.tier for one in checks}
        assert not found.reasons


def test_the_shipped_policy_is_the_built_in_one_written_out() -> None:
    shipped = load_policy(SHIPPED).model_dump(exclude={"name"})
    assert shipped == Policy().model_dump(exclude={"name"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tiers: [V0, V9]\n", ":1:13: tiers[1]: "),
        ("tiers: []\n", "tiers is empty"),
        ("tiers: [V0, V0]\n", "V0 stands twice in tiers"),
        ("behavior: {margin: 0.1}\n", "did you mean 'behaviour'?"),
        ("behaviour: {margn: 0.1}\n", "did you mean 'margin'?"),
        ("behaviour: {margin: 2}\n", "behaviour.margin: "),
        ("rules: [{checks: ability, fail: go}]\n", "is of no tier"),
        ("rules: [{checks: V4.*, beside: ability}]\n", "is of no tier"),
        ("rules: [{checks: V4.*, fail: maybe}]\n", "rules[0].fail: "),
        ("critical: {samples: a}\n", "critical.samples: "),
        ("", "the file is empty"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(JobError) as caught:
        load_policy(path)
    line = str(caught.value)
    assert line.startswith(f"{path}:")
    assert wanted in line
    assert "\n" not in line
