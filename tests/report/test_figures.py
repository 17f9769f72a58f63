from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from markupsafe import Markup

from lens_ray.report.figures import Series, curves, interval_bar, profile
from lens_ray.report.svg import COLOURS, SHAPES, Scale, score_floor, score_ticks, swatch, tag
from lens_ray.report.tables import LeaderboardRow
from lens_ray.stats import AbilityScore


def row(label: str, **values: float | None) -> LeaderboardRow:
    scores = {
        name: AbilityScore(name, 20, 1.0, value, value,
                           None if value is None else value - 0.1,
                           None if value is None else value + 0.1, None, None, None, None)
        for name, value in values.items()
    }  # fmt: skip
    return LeaderboardRow("r", label, label, "s", scores, None)


def parsed(figure: Markup | None) -> ET.Element:
    assert figure is not None
    return ET.fromstring(figure)


def of_class(figure: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in figure.iter() if name in each.get("class", "").split()]


def test_a_tag_escapes_what_it_is_given() -> None:
    made = tag("text", "<b>&", Markup("<i/>"), class_='"x"', stroke_width=1.50, fill=None)
    assert made == '<text class="&#34;x&#34;" stroke-width="1.5">&lt;b&gt;&amp;<i/></text>'


def test_a_profile_has_one_mark_a_score_and_reads_as_text() -> None:
    rows = [row("one", counting=0.5, ocr=None, entity=0.25), row("two", counting=0.75, ocr=0.5)]
    figure = parsed(profile(rows, [1, 0], "p"))
    models = of_class(figure, "model")
    assert [each.get("data-model") for each in models] == ["0", "1"]
    assert [each.get("class") for each in models] == ["model c1", "model c0"]
    assert [len(of_class(each, "mark")) for each in models] == [2, 2]
    assert [len(of_class(each, "whisker")) for each in models] == [2, 2]
    titles = [each.findtext("title") for each in of_class(models[0], "mark")]
    assert titles[0] == "one, counting: 0.500 [0.400, 0.600], n 20"
    assert figure.findtext("title") == "Profile of the abilities"
    assert "counting two (0.750)" in str(figure.findtext("desc"))
    assert {figure.find("title").get("id"), figure.find("desc").get("id")} == set(  # type: ignore[union-attr]
        figure.get("aria-labelledby", "").split()
    )


def test_a_null_breaks_the_line() -> None:
    figure = parsed(profile([row("one", counting=0.5, ocr=None, attribute=0.25)], [0], "p"))
    (path,) = of_class(figure, "line")
    assert path.get("d", "").count("M") == 2
    assert "L" not in path.get("d", "")


def test_a_higher_score_stands_higher_and_below_chance_has_room() -> None:
    figure = parsed(profile([row("m", counting=0.9, ocr=-0.3)], [0], "p"))
    high, low = (
        float(each.get("transform", "").split()[1].rstrip(")")) for each in of_class(figure, "mark")
    )
    (zero,) = of_class(figure, "zero")
    assert high < float(zero.get("d", "").split()[1].split("H")[0]) < low


@pytest.mark.parametrize("count", [1, 2, 7])
def test_curves_have_a_panel_an_ability(count: int) -> None:
    names = ["counting", "ocr", "attribute", "entity", "grounding", "structured_data", "defect"]
    values = dict.fromkeys(names[:count], 0.5)
    series = [Series("a", ((100, row("a1", **values)), (200, row("a2", **values)))),
              Series("b", ((100, row("b1", **values)), (900, row("b2", **values))))]  # fmt: skip
    figure = parsed(curves(series, "c"))
    assert len(of_class(figure, "panel-title")) == count
    assert len(of_class(figure, "series")) == 2 * count
    assert len(of_class(figure, "mark")) == 4 * count


def test_names_cannot_break_out_of_a_figure() -> None:
    name = '"><script>alert(1)</script>\x1b'
    for figure in (profile([row(name, **{name: 0.5})], [0], "p"),
                   curves([Series(name, ((1, row(name, ocr=0.5)),))], "c")):  # fmt: skip
        assert not [each for each in parsed(figure).iter() if each.tag == "script"]


def test_an_interval_bar_holds_its_dot() -> None:
    score = row("m", ocr=0.95).abilities["ocr"]
    bar = parsed(interval_bar(score, 0.0))
    span, dot = bar.find("rect"), bar.find("circle")
    assert span is not None
    assert dot is not None
    left = float(span.get("x", ""))
    assert left < float(dot.get("cx", "")) < left + float(span.get("width", "")) <= 80
    assert interval_bar(row("m", ocr=None).abilities["ocr"], 0.0) is None


def test_scales_and_ticks() -> None:
    assert score_floor([0.4, None]) == 0.0
    assert score_floor([]) == 0.0
    assert score_floor([-0.12]) == pytest.approx(-0.2)
    assert score_ticks(0.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert score_ticks(-0.2)[0] == -0.2
    assert score_ticks(-3.0)[0] == -3.0
    assert Scale(0, 1, 0, 10)(2) == 10
    assert Scale(5, 5, 0, 10)(5) == 5


def test_no_two_of_twenty_four_slots_look_alike() -> None:
    looks = {(slot % COLOURS, slot % len(SHAPES)) for slot in range(24)}
    assert len(looks) == 24
    assert swatch(0) != swatch(24)
