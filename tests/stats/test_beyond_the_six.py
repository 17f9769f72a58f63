"""Abilities beyond the six: scored alike, shown apart, not in the overall score."""

from __future__ import annotations

import pytest

from lens_ray.report.tables import APART_NOTE, apart, leaderboard, render_text
from lens_ray.stats.abilities import in_overall
from lens_ray.stats.scores import AbilityScore, ability_scores, scores_table
from tests.stats.tables import row, table

#: Right answers of four, by ability.
RIGHT = {"ocr": 4, "counting": 2, "defect_inspection": 1}


def scored(right: dict[str, int], suite: tuple[str, ...] | None = None) -> list[AbilityScore]:
    rows = [
        row(f"{name}{at}", name, "s", float(at < count))
        for name, count in right.items()
        for at in range(4)
    ]
    return ability_scores(
        table(rows), weights={name: {"s": 1.0} for name in suite or tuple(right)},
        expected=dict.fromkeys(right, 4),
    )  # fmt: skip


def test_overall_is_the_mean_of_the_six_that_there_are() -> None:
    scores = scored(RIGHT)
    assert [(score.ability, score.corrected) for score in scores] == [
        ("counting", 0.5), ("ocr", 1.0), ("defect_inspection", 0.25), ("overall", 0.75),
    ]  # fmt: skip
    assert (scores[-1].n, scores[-1].coverage, scores[-1].accuracy) == (8, 1.0, 0.75)
    alone = scored({"ocr": 4, "counting": 2})[-1]
    assert (alone.ci_low, alone.ci_high) == (scores[-1].ci_low, scores[-1].ci_high)


def test_without_any_of_the_six_it_is_the_mean_of_all() -> None:
    scores = scored({"defect_inspection": 1, "laterality": 3})
    assert scores[-1].corrected == 0.5
    assert scores[-1].n == 8


def test_a_job_of_only_the_others_has_no_overall_score() -> None:
    scores = scored({"defect_inspection": 1}, ("defect_inspection", "ocr"))
    assert [score.corrected for score in scores] == [0.25, None]
    assert scores[-1].reason == "none of the suite's abilities that count for it was asked"


def test_what_counts() -> None:
    assert in_overall(["ocr", "laterality", "overall"]) == {"ocr"}
    assert in_overall(["laterality"]) == {"laterality"}
    assert apart(["zeal", "ocr", "laterality", "overall"]) == ["laterality", "zeal"]
    assert apart(["laterality", "zeal"]) == []


def test_the_leaderboard_shows_them_apart_and_marked() -> None:
    text = render_text(leaderboard(scores_table(scored(RIGHT), run_id="r", model="m", suite="s")))
    lines = text.splitlines()
    assert lines[0].split()[-1] == "defect"
    heads = lines[1].split()
    assert heads[:4] == ["model", "counting", "ocr", "overall"]
    assert heads[-2:] == ["coverage", "inspection*"]
    assert lines[2].split()[:4] == ["m", "0.500", "1.000", "0.750"]
    assert lines[2].split()[-1] == "0.250"
    assert APART_NOTE in text
    only = scores_table(scored({"laterality": 3}), run_id="r", model="m", suite="s")
    assert "*" not in render_text(leaderboard(only))


@pytest.mark.parametrize("others", [("laterality",), ("laterality", "defect_inspection")])
def test_the_six_do_not_depend_on_the_others(others: tuple[str, ...]) -> None:
    whole = scored({"ocr": 3, **dict.fromkeys(others, 1)})
    assert whole[0] == scored({"ocr": 3})[0]
    assert whole[-1] == scored({"ocr": 3})[-1]
