from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import UserError
from lens_ray.stats.gate.policy import (
    MaxShare,
    NonInferior,
    Policy,
    PolicyError,
    as_policy,
    load_policy,
)

SOUND = """\
name: release
candidate: new
baseline: old
rules:
  - noninferior: {abilities: all, margin: 0.05}
  - superior: {weights: {ocr: 2, counting: 1}, by: 0.01}
  - max_unparsed: 0.02
  - max_refused: {share: 0.01, tested: true}
  - max_usd_per_1000: 0.5
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def test_a_policy_is_read(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, SOUND))
    assert [rule.kind for rule in policy.rules] == [
        "noninferior", "superior", "max_unparsed", "max_refused", "max_usd_per_1000"
    ]  # fmt: skip
    first, third = policy.rules[0].value, policy.rules[2].value
    assert isinstance(first, NonInferior)
    assert isinstance(third, MaxShare)
    assert (first.abilities, first.margin) == (("all",), 0.05)
    assert (third.share, third.tested) == (0.02, False)
    assert policy.level == 0.05
    assert [rule.compares for rule in policy.rules] == [True, True, False, False, False]


def test_the_shipped_policy_is_sound() -> None:
    path = Path(__file__).parents[3] / "jobs" / "gate_release.yaml"
    assert load_policy(path).name == "release"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("noninferior:", "noninferor:", ":5:5: rules[0].noninferor: unknown key; did you mean 'no"),
        ("margin", "margn", ":5:35: rules[0].noninferior.margn: unknown key; did you mean 'margin"),
        ("margin: 0.05", "margin: x", "rules[0].noninferior.margin: 'x' was found; write a number"),
        ("margin: 0.05", "margin: -1", "rules[0].noninferior.margin: -1 was found; it should be"),
        ("margin: 0.05", "margin: .nan", "rules[0].noninferior.margin: nan was found"),
        ("candidate:", "candidat:", ":2:1: candidat: unknown key; did you mean 'candidate'"),
        ("max_unparsed: 0.02", "max_unparsed: 2", "rules[2].max_unparsed: 2 was found"),
        ("max_unparsed: 0.02", "max_unparsed: {shar: 1}", "max_unparsed.shar: unknown key"),
        ("{weights:", "{abilities: ocr, weights:", "abilities and weights are both given"),
        ("0.5\n", "0.5\n    max_latency_s: 3\n", "an entry is one rule with its value; write one"),
        ("max_usd_per_1000: 0.5", "max_usd_per_1000:", "an entry is one rule with its value"),
        ("name: release", "", "name: the key is missing"),
        ("tested: true", "tested: 3", "rules[3].max_refused.tested: 3 was found; write true or"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = written(tmp_path, SOUND.replace(old, new, 1))
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert str(caught.value).startswith(f"{path}:")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# nothing yet\n", "the file is empty; start with name:"),
        ("- one\n", "a policy is a mapping"),
        ("name: x\nrules: []\n", "rules: the list is empty; write at least one entry"),
        ("name: x\nrules: [{superir: {}}]\n", "superir: unknown key; did you mean 'superior'"),
        ("name: x\nrules: [superior]\n", "rules.0.: 'superior' was found"),
        ("name: x\nrules: [{superior: {weights: {}}}]\n", "weights is empty"),
        ("name: x\nrules: [{superior: {weights: {all: 1}}}]\n", "weights has 'all'; name the"),
        (
            "name: x\nrules: [{superior: {weights: {ocr: 1.0e+308}}}]\n",
            "weights.ocr: 1e.308 was found",
        ),
        ("name: x\nrules: [{superior: {abilities: []}}]\n", "abilities: the list is empty"),
        ("name: [\n", "not valid YAML"),
        ("a: !!python/object:os.system x\n", "the tag"),
    ],
)
def test_what_is_no_policy(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        load_policy(written(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    written(tmp_path, SOUND)
    with pytest.raises(PolicyError, match=r"no such policy file; did you mean 'policy.yaml'"):
        load_policy(tmp_path / "polcy.yaml")
    with pytest.raises(PolicyError, match="is a folder"):
        load_policy(tmp_path)
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy("a\0b")


def test_a_policy_may_be_given_as_values() -> None:
    policy = as_policy({"name": "x", "rules": [{"min_coverage": 0.9}]})
    assert as_policy(policy) is policy
    with pytest.raises(UserError, match=r"rules\.0\.min_covrage: unknown key; did you mean"):
        as_policy({"name": "x", "rules": [{"min_covrage": 0.9}]})
    assert Policy.model_validate(policy.model_dump(exclude_unset=True)) == policy
