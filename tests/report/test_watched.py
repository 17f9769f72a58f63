"""The page of watched runs, its words and its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lens_ray.errors import UserError
from lens_ray.online.findings import Findings
from lens_ray.report import found as words
from lens_ray.report.watch_json import watch_json
from lens_ray.report.watched import write_watch_page
from tests.report.watched import HOSTILE, findings


def page(folder: Path, *runs: Findings) -> str:
    path = write_watch_page([("w", run) for run in runs], folder / "page.html", "/store")
    return path.read_text(encoding="utf-8")


def without_scripts(text: str) -> str:
    return re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_the_page_has_figure_lists_and_advice(tmp_path: Path) -> None:
    text = page(tmp_path, findings())
    plain = without_scripts(text)
    assert 'data-figure="0"' in plain
    for said in (
        "falling since 8,700", "ocr rises +0.210 [+0.100, +0.300] while entity falls",
        "counting: converged since 8,700; later gain at most +0.012 (95 %), less than 0.02",
        "taken back at 9,000", "3 checkpoints were skipped (falls behind)",
        "8,700: mix: entity out",
    ):  # fmt: skip
        assert said in plain, said
    assert 4_700_000 < len(text.encode()) < 5_500_000  # Plotly's own script is 4.8 MB of it


def test_the_same_findings_give_the_same_bytes(tmp_path: Path) -> None:
    assert page(tmp_path, findings()) == page(tmp_path, findings())


def test_a_run_without_an_answer_needs_no_plotly(tmp_path: Path) -> None:
    text = page(tmp_path, Findings("a", None, notes=("no checkpoint was asked so far",)))
    assert "no checkpoint was asked so far" in text
    assert len(text) < 60_000


def test_a_target_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        write_watch_page([("w", findings())], tmp_path, "/store")


def test_texts_of_others_are_shown_and_are_no_markup(tmp_path: Path) -> None:
    plain = without_scripts(page(tmp_path, findings(HOSTILE)))
    assert "<img" not in plain
    assert "<a href='javascript" not in plain
    assert "&lt;img src=x onerror=window.pwned=1&gt;" in plain


def test_one_object_with_everything() -> None:
    found = watch_json("w", [findings(), Findings("b", None)])
    json.dumps(found, allow_nan=False)
    assert found["watch"] == "w"
    assert found["runs"] == [{"run": "a", "step": 9600}, {"run": "b", "step": None}]
    for kind in ("curves", "convergence", "declines", "conflicts", "alarms", "advice"):
        assert found[kind], kind
        for entry in found[kind]:
            assert entry["run"] == "a"
            assert "ability" in entry
    (clash,) = found["conflicts"]
    assert clash["ability"] == clash["falls"] == "entity"
    assert (clash["effect"], clash["confidence"]) == (-0.14, 0.95)
    assert clash["interval"] == (-0.2, -0.1)
    assert {entry["ability"] for entry in found["advice"]} == {"entity", None}
    assert found["changes"] == [{"run": "a", "step": 8700, "what": "mix: entity out"}]


def test_a_headline_is_the_same_while_it_is_the_same() -> None:
    once, again = dict(words.headlines(findings())), dict(words.headlines(findings()))
    assert once == again
    assert len(once) == 6  # the step, a convergence, a decline, a conflict, an alarm, advice
    assert once["asked:9600:full"].startswith("step 9,600 asked (full, 100 samples): overall 0.693")
