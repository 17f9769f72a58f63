"""The curves in a terminal."""

from __future__ import annotations

from dataclasses import replace

from lens_ray.online.findings import Curve, Findings
from lens_ray.report.curves_text import LEGEND, lines_of
from tests.report.watched import HOSTILE, VALUES, curve, findings, point


def test_bars_marks_and_words() -> None:
    lines = lines_of(findings())
    assert lines[0] == "          steps 500 to 9,600, 7 asked"
    assert lines[1] == (
        "counting  ▁▄▆▇▇▇▇  0.810 [0.760, 0.860]  +0.010 [-0.020, +0.040]  converged since 8,700"
    )
    assert lines[2] == "             c"
    assert lines[3].startswith("ocr       ▁▂▅▅▆▇▇  0.770 ")
    assert lines[4] == "             |  x"
    assert lines[-1] == LEGEND


def test_without_marks_there_is_no_legend() -> None:
    assert lines_of(Findings("a", 9600, curves=(curve("ocr", VALUES["ocr"]),)))[-1] != LEGEND


def test_nothing_asked() -> None:
    assert lines_of(Findings("a", None)) == ["no checkpoint was asked so far"]


def test_many_checkpoints_are_thinned_and_the_last_one_stays() -> None:
    points = tuple(point(step, step / 1000, None) for step in range(1, 1001))
    lines = lines_of(Findings("a", 1000, curves=(Curve("ocr", None, points),)), width=40)
    bars = lines[1].split("  ")[1]
    assert len(bars) == 40
    assert (bars[0], bars[-1]) == ("▁", "█")
    assert list(bars) == sorted(bars)


def test_a_value_that_is_not_known_is_a_gap() -> None:
    one = curve("ocr", VALUES["ocr"])
    points = tuple(replace(p, value=None) if p.step == 3000 else p for p in one.points)
    bars = lines_of(Findings("a", 9600, curves=(replace(one, points=points),)))[1][5:12]
    assert bars == "▁ ▅▅▆▇▇"


def test_below_chance_is_the_lowest_bar_and_all_right_the_highest() -> None:
    low_high = curve("ocr", (-0.5, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0))
    assert lines_of(Findings("a", 9600, curves=(low_high,)))[1][5:12] == "▁▁█████"


def test_no_text_of_others_moves_the_cursor() -> None:
    assert all(
        character.isprintable() for line in lines_of(findings(HOSTILE)) for character in line
    )
