"""`lens-ray merge verify`: exit codes, JSON, the page, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lens_ray.cli.main import main
from tests.merging.verify import merges
from tests.merging.verify.merges import UP, change

POLICY = "tiers: [V1, V5]\n"


merge, pristine = merges.merge, merges.pristine


@pytest.fixture
def policy(tmp_path: Path) -> str:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return str(tmp_path / "policy.yaml")


def verify(*arguments: object) -> int:
    return main(["merge", "verify", *map(str, arguments)])


def test_go_prints_the_evidence_and_writes_the_page(
    merge: Path, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = merge.parent / "report.html"
    assert verify(merge, "--policy", policy, "--tiers", "v1,V5", "--report", page) == 0
    out = capsys.readouterr().out
    assert "V1 Algebra: are the numbers what the recipe says?" in out
    assert "ok          recomputed: 108 blocks of 84 tensors" in out
    assert "\nGO by policy built-in\n" in out
    assert "<h1>merge</h1>" in page.read_text()


def test_no_go_is_3_and_json_has_everything(
    merge: Path, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(merge, lambda held: held[UP.format(0)].mul_(1.5))
    assert verify(merge, "--policy", policy, "--tiers", "V1,V5", "--json", "--no-write") == 3
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["decision"] == "NO-GO"
    assert [one["name"] for one in told["checks"] if one["verdict"] == "fail"] == [
        "recomputed", "between", "files", "weights",
    ]  # fmt: skip
    last = captured.err.splitlines()[-1]
    assert last.startswith(f"lens-ray: NO-GO: {merge}: V1 recomputed: {UP.format(0)}")
    assert not (merge / "verification.json").exists()


def test_what_is_not_decided_is_4(merge: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(merge, "--tiers", "V1") == 4
    assert "V0 is demanded by policy built-in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--tiers", "V7"], "there are V0, V1"),
        (["--tiers", ","], "--tiers names none"),
        (["--split", "middle"], "there are anchor, search, sealed"),
        (["--parent", "end"], "write NAME=PATH"),
        (["--parent", "end=a", "--parent", "end=b"], "twice"),
        (["--parent", "ende=a"], "no parent is called 'ende'"),
        (["--final", "ende"], "no parent is called 'ende'"),
        (["--policy", "nowhere.yaml"], "there is no such policy file"),
        (["--report", "/nowhere/page.html"], "is not a folder"),
        (["--recipe", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_mistake_is_one_line_and_2(
    merge: Path, arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(merge, *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert wanted in lines[-1]
    assert "Traceback" not in "".join(lines)


def test_a_folder_that_is_no_merge_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("builtin:minivlm-a/step-9600") == 2
    assert "has no merge.json" in capsys.readouterr().err
    assert verify(tmp_path / "nothing") == 2
    assert "no checkpoint folder" in capsys.readouterr().err
