"""``lens-ray gate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lens_ray
from lens_ray.store import Store
from lens_ray.suites import Suite
from tests.cli.conftest import Cli
from tests.cli.stores import fill, header, make_suite, row


@pytest.fixture
def policy(tmp_path: Path) -> Any:
    """Writes a policy file of some rules."""

    def write(*rules: str, **keys: str) -> Path:
        path = tmp_path / "policy.yaml"
        lines = ["name: release", *(f"{key}: {value}" for key, value in keys.items()), "rules:"]
        path.write_text("\n".join([*lines, *(f"  - {rule}" for rule in rules)]) + "\n")
        return path

    return write


def test_go_is_exit_code_0(cli: Cli, filled: Path, policy: Any) -> None:
    path = policy("max_unparsed: 0.1", "min_coverage: 1", candidate="good")
    done = cli("gate", path, "--store", filled)
    assert (done.code, done.err) == (0, "")
    assert "policy release: good on tiny (" in done.out
    assert "GO: every requirement is met" in done.out


def test_nogo_is_exit_code_3_with_the_evidence(cli: Cli, filled: Path, policy: Any) -> None:
    path = policy("max_unparsed: 0.1", "min_coverage: 1", candidate="hostile")
    done = cli("gate", path, "--store", filled, "--json")
    assert done.code == 3
    assert done.err == "lens-ray: policy release: hostile: NO-GO, by max_unparsed (overall)\n"
    found = done.json
    assert (found["decision"], found["candidate"], found["baseline"]) == ("NO-GO", "hostile", None)
    unparsed, covered = found["checks"]
    assert (unparsed["decision"], unparsed["n"], unparsed["limit"]) == ("NO-GO", 8, 0.1)
    assert unparsed["estimate"] > 0.1
    assert covered["decision"] == "GO"
    assert "NO-GO: not met: max_unparsed (overall)" in cli("gate", path, "--store", filled).out


def test_cannot_say_is_exit_code_4_with_a_reason(cli: Cli, filled: Path, policy: Any) -> None:
    path = policy("noninferior: {margin: 0.1}", candidate="good", baseline="hostile")
    done = cli("gate", path, "--store", filled)
    assert done.code == 4
    assert "- noninferior, counting: 4 clusters are too few to say; 20 are needed" in done.out
    assert done.err.startswith("lens-ray: policy release: good: cannot say, for noninferior (")


def test_options_win_over_the_policy(cli: Cli, filled: Path, policy: Any) -> None:
    path = policy("superior: {}", candidate="hostile", baseline="good")
    found = cli(
        "gate", path, "--store", filled, "--json", "--candidate", "good", "--baseline", "hostile"
    ).json
    assert (found["candidate"], found["baseline"]) == ("good", "hostile")
    assert found["checks"][0]["estimate"] > 0


@pytest.mark.parametrize(
    ("rule", "keys", "says"),
    [
        ("max_unparsd: 0.1", {"candidate": "good"}, ":4:5: rules[0].max_unparsd: unknown key; did"),
        ("superior: {}", {"candidate": "good"}, "names no baseline, which its rule superior needs"),
        ("max_unparsed: 0.1", {}, "names no candidate; write candidate: MODEL or add --candidate"),
        ("max_unparsed: 0.1", {"candidate": "godo"}, "has no model 'godo'; did you mean 'good'?"),
        ("superior: {}", {"candidate": "good", "baseline": "good"}, "is named twice"),
        (
            "max_unparsed: {share: 0.1, abilities: orc}",
            {"candidate": "good"},
            "the suite asks nothing of the ability 'orc'; did you mean 'ocr'?",
        ),
        ("max_unparsed: 0.1", {"candidate": "good", "suite": "mini"}, "has no run of the suite"),
        (
            "stability: {kind: dvs, no_worse_by: 1}",
            {"candidate": "good", "baseline": "hostile", "pool": "nowhere"},
            "pool 'nowhere' is unknown",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    cli: Cli, filled: Path, policy: Any, rule: str, keys: dict[str, str], says: str
) -> None:
    done = cli("gate", policy(rule, **keys), "--store", filled)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1


def test_what_cannot_be_compared_cannot_be_said(
    cli: Cli, tmp_path: Path, tiny_suite: Suite, policy: Any
) -> None:
    url = tmp_path / "store"
    store = fill(url, tiny_suite, {"old": ("3",) * 8})
    log = store.open_run(header("half", "new", tiny_suite))
    log.append([row(log, tiny_suite, place, "3") for place in range(4)])
    path = policy("superior: {}", "max_unparsed: 0.5", candidate="new", baseline="old")
    done = cli("gate", path, "--store", url, "--json")
    assert done.code == 4
    first, second = done.json["checks"]
    assert first["reason"].startswith("new (half) is not finished: 4 rows so far")
    assert "or write on: common in the policy to compare" in first["reason"]
    assert (first["estimate"], first["p"]) == (None, None)
    # Half of a run is no ground for GO.
    assert (second["decision"], second["estimate"]) == ("cannot say", None)
    assert second["reason"] == "new is not finished: 4 rows so far"


def test_stability_without_a_pool_has_a_reason(cli: Cli, filled: Path, policy: Any) -> None:
    rules = ["stability: {kind: dvs, no_worse_by: 1, abilities: ocr}"]
    path = policy(*rules, candidate="good", baseline="hostile")
    done = cli("gate", path, "--store", filled, "--json")
    assert done.code == 4
    assert "no pool for this suite" in done.json["checks"][0]["reason"]


def test_two_suites_are_not_mixed(cli: Cli, tmp_path: Path, tiny_suite: Suite, policy: Any) -> None:
    url = tmp_path / "store"
    other = make_suite(tmp_path / "other")
    store = fill(url, tiny_suite, {"old": ("3",) * 8})
    assert isinstance(store, Store)
    changed = header("run9", "new", other)
    log = store.open_run(changed)
    log.append([row(log, other, place, "3") for place in range(8)])
    path = policy("superior: {}", candidate="new", baseline="old")
    assert cli("gate", path, "--store", url).code == 4


def test_simulation_prints_its_table(cli: Cli, filled: Path, policy: Any) -> None:
    path = policy(
        "superior: {}", candidate="good", baseline="hostile", min_clusters="2", level="0.1"
    )
    options = ["--simulate", "--runs", "20", "--shift", "-0.2", "--shift", "0"]
    done = cli("gate", path, "--store", filled, *options)
    assert done.code == 0
    assert done.out.count("\nall ") == 2
    assert "0.1 allowed (20 runs each)" in done.out
    assert done.err.splitlines()[0] == "simulating 1 of 2: all -0.2, 20 runs"
    found = cli("gate", path, "--store", filled, *options, "--json")
    assert found.err == ""
    assert [each["holds"] for each in found.json["scenarios"]] == [False, False]


def test_the_library_says_the_same(cli: Cli, filled: Path, policy: Any) -> None:
    path = policy("max_unparsed: 0.1", candidate="hostile")
    verdict = lens_ray.gate(path, str(filled))
    shown = cli("gate", path, "--store", filled, "--json").json
    assert (verdict.decision, verdict.policy) == (shown["decision"], shown["policy"])
    frame = verdict.to_frame()
    assert frame["estimate"].tolist() == [check["estimate"] for check in shown["checks"]]
