"""The model card of a merge."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from lens_ray.merging.card import card, write_card
from lens_ray.merging.checks import Check
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.record import MergeRecord, ParentRecord, Score
from lens_ray.merging.verify.policy import Policy, decide
from lens_ray.merging.verify.verification import Verification


def record(path: str = "./ckpt/step-10", **given: Any) -> MergeRecord:
    parents = [
        {"name": "early", "path": path, "weight": 0.25, "step": 8700},
        {"name": "late", "path": "org/late", "weight": 0.75},
    ]
    return MergeRecord(
        recipe=Recipe.model_validate({"method": "linear", "name": "quarter", "parents": parents}),
        parents=tuple(
            ParentRecord(
                name=str(one["name"]), path=str(one["path"]), step=8700 if not place else None,
                weights_digest=f"{place}" * 64, shell_digest="e" * 64,
            )
            for place, one in enumerate(parents)
        ),
        weights_digest="f" * 64,
        files={"model.safetensors": "f" * 64, "config.json": "c" * 64},
        tools={"torch": "2.13.0"},
        made_at="2026-11-27T12:00:00+00:00",
        **given,
    )  # fmt: skip


def verified(told: MergeRecord, *checks: Check) -> Verification:
    decided = decide(Policy(), checks)
    return Verification(
        folder="/merge", record=told, policy=Policy(), checks=checks, decisions=decided.each,
        decision=decided.decision, reasons=decided.reasons, made_at=told.made_at, tools={},
    )  # fmt: skip


def test_it_tells_parents_recipe_and_digests() -> None:
    text = card(record())
    front, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    assert yaml.safe_load(front) == {
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["merge", "lens-ray"],
        "base_model": ["org/late"],
    }
    assert "| early | `./ckpt/step-10` | 8,700 | 0.25 | `0000000000000000` |  |" in body
    assert f"| `model.safetensors` | `{'f' * 64}` |" in body
    assert '"method": "linear"' in body
    assert "Not verified yet" in body


def test_scores_stand_with_their_intervals_the_merge_last() -> None:
    scores = {
        "merge": {"ocr": Score(value=0.7, low=0.65, high=0.75, n=90)},
        "final": {"ocr": Score(value=0.6), "counting": Score(value=None)},
    }
    text = card(record(scores=scores, suite="mini:full", confirm="mini:confirm"))
    assert "| ability | final | merge |" in text
    assert "| ocr | 0.600 | 0.700 [0.650, 0.750] |" in text
    assert "| counting | - | - |" in text
    assert "on mini:confirm, which no step of the search has seen" in text


def test_what_was_verified_is_told_with_what_stands_against_it() -> None:
    told = record()
    found = verified(
        told, Check("V0", "keys", "pass", "all"), Check("V2", "likelihood", "fail", "5")
    )
    text = card(told, found)
    assert "**NO-GO** by policy built-in" in text
    assert "- V2 likelihood: 5" in text
    assert re.search(r"\| V0 \| Structure.* \| 1 \| 0 \| 0 \| 0 \|", text)


def test_nothing_in_a_path_becomes_markup(tmp_path: Path) -> None:
    path = "a`|<script>alert(1)</script>\n# heading\n| x | [y](http://evil) \u202e"
    told = record(path)
    text = write_card(tmp_path, told).read_text()
    row = next(line for line in text.splitlines() if line.startswith("| early"))
    spans = re.findall(r"`[^`]*`", row)
    assert any("<script>" in span for span in spans)  # within a code span it is only text
    assert "<script>" not in re.sub(r"`[^`]*`", "", row)
    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert "\u202e" not in row
    assert list(tmp_path.iterdir()) == [tmp_path / "README.md"]


def test_a_reason_is_one_line_of_plain_text() -> None:
    told = record()
    evil = Check("V2", "likelihood", "fail", "<img src=x>\n\n# big [a](b) *c*", subject="a|b")
    text = card(told, verified(told, evil))
    assert "- V2 likelihood (a\\|b): \\<img src=x\\> \\# big \\[a\\](b) \\*c\\*\n" in text
