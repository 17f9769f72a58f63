"""The HTML page of a verification."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lens_ray.errors import UserError
from lens_ray.merging.card import card
from lens_ray.merging.checks import Check
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.record import MergeRecord, ParentRecord
from lens_ray.merging.verify.policy import Policy, decide
from lens_ray.merging.verify.verification import Verification
from lens_ray.report.merge_report import render, write_merge_report

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\u202e"
ABILITY = Check(
    "V4", "ability", "pass", "held: 0.700", subject="ocr",
    figures={"outcome": "held", "merge": 0.7, "best": 0.69, "best_parent": "end", "low": -0.004,
             "high": 0.025, "margin": 0.02, "n": 1000},
)  # fmt: skip


class Tags(HTMLParser):
    """What elements and words a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def verification(*checks: Check, path: str = "./end", folder: str = "/merge") -> Verification:
    parents = [{"name": "end", "path": path, "weight": 1.0}]
    record = MergeRecord(
        recipe=Recipe.model_validate({"method": "linear", "parents": parents}),
        parents=(ParentRecord(name="end", path=path, weights_digest="a" * 64, shell_digest="b"),),
        weights_digest="f" * 64, files={"config.json": "c" * 64}, tools={}, made_at="2026-11-27",
    )  # fmt: skip
    policy = Policy(tiers=("V0", "V4"))
    decided = decide(policy, checks)
    return Verification(
        folder=folder, record=record, policy=policy, checks=checks, decisions=decided.each,
        decision=decided.decision, reasons=decided.reasons, made_at="2026-11-27", tools={},
        seconds={"V0": 1.25},
    )  # fmt: skip


def read(found: Verification) -> tuple[Tags, str]:
    page = render(found)
    tags = Tags()
    tags.feed(page)
    return tags, " ".join(" ".join(tags.words).split())


def test_a_reviewer_reads_decision_evidence_and_what_it_does_not_show() -> None:
    _, words = read(verification(Check("V0", "keys", "pass", "all there"), ABILITY))
    assert "GO Everything that the policy demands was looked at" in words
    for wanted in (
        "What was merged", "ocr held 0.7 0.69 (end) +0.010", "[-0.004, +0.025], margin -0.020",
        "1,000", "all there", "1.2 s", "What it does not show", "lens-ray merge verify /merge",
    ):  # fmt: skip
        assert wanted in words, wanted


def test_what_was_lost_against_the_best_parent_is_told_where_it_stops_nobody() -> None:
    lost = replace(ABILITY, verdict="fail", what="regressed: 0.730, start 0.810", subject="entity",
                   figures={**ABILITY.figures, "outcome": "regressed"})  # fmt: skip
    final = replace(ABILITY, name="ability_of_final")
    found = verification(Check("V0", "keys", "pass", "all there"), ABILITY, lost, final)
    _, words = read(found)
    assert found.decision == "go"
    assert found.to_json()["left_behind"] == ["entity: regressed: 0.730, start 0.810"]
    for wanted in (
        "Against the final checkpoint, which would be shipped without the merge",
        "The policy lets this loss stop nobody", "entity: regressed: 0.730, start 0.810",
    ):  # fmt: skip
        assert wanted in words, wanted
    assert "entity: regressed" in " ".join(card(found.record, found).split()).replace("\\", "")
    decisive = verification(Check("V0", "keys", "pass", "all there"), ABILITY, lost)
    assert (decisive.decision, decisive.left_behind()) == ("no_go", ())
    assert "stop nobody" not in read(decisive)[1]


def test_what_stands_against_a_merge_stands_first() -> None:
    _, words = read(verification(Check("V0", "keys", "fail", "one lost"), ABILITY))
    places = [words.rindex(text) for text in ("must not be shipped", "V0 keys: one lost")]
    assert places == sorted(places)
    assert places[1] < words.rindex("What was merged")  # its heading; the first is in the menu
    _, words = read(verification(Check("V0", "keys", "pass", "all")))
    assert "cannot say" in words
    assert "Not looked at, and the policy demands it" in words


def test_nothing_in_a_name_or_a_finding_runs() -> None:
    check = Check("V4", "critical", "fail", EVIL, figures={EVIL: EVIL}, subject=EVIL)
    ability = Check("V4", "ability", "fail", EVIL, figures={"outcome": EVIL, "best_parent": EVIL},
                    subject=EVIL)  # fmt: skip
    tags, words = read(verification(check, ability, path=EVIL, folder=f"/{EVIL}"))
    assert not {"script", "img", "iframe", "link"} & set(tags.tags)
    assert not any(name.startswith("on") or name in ("src", "style") for name, _ in tags.attributes)
    policy = next(value for _, value in tags.attributes if value and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "\x1b" not in words
    assert "\u202e" not in words
    assert "onerror=alert(2)" in words  # shown, as text


def test_the_file_is_there_whole_or_refused_beforehand(tmp_path: Path) -> None:
    found = verification(ABILITY)
    path = write_merge_report(found, tmp_path / "report.html")
    assert path.read_text() == render(found)
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(UserError, match="is a folder"):
        write_merge_report(found, tmp_path)
