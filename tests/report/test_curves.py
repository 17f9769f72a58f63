"""The figure of a watched run: what is drawn where, on every axis and in every view."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.online.findings import Curve, Findings
from lens_ray.report.curves import Axis, curves_figure
from tests.report.watched import HOSTILE, STEPS, VALUES, curve, findings


@pytest.fixture(scope="module")
def figure() -> dict[str, Any]:
    return curves_figure(findings())


def drawn(figure: dict[str, Any], view: str) -> list[dict[str, Any]]:
    """The lines that show in a view."""
    shown = figure["views"][view][0]["visible"]
    return [line for line, is_shown in zip(figure["data"], shown, strict=True) if is_shown]


def test_plotly_takes_all_of_it(figure: dict[str, Any]) -> None:
    made = go.Figure({"data": figure["data"], "layout": figure["layout"]})
    for traces, layout in (*figure["axes"].values(), *figure["views"].values()):
        made.update_layout(layout)
        for line, x in zip(made.data, traces.get("x", []), strict=bool(traces.get("x"))):
            line.x = x
    json.dumps(figure, allow_nan=False)


def test_a_panel_an_ability_and_overall(figure: dict[str, Any]) -> None:
    titles = [each["text"].split("  ")[0] for each in figure["layout"]["annotations"][::2]]
    assert titles == ["counting", "ocr", "entity", "overall"]
    lines = [line for line in drawn(figure, "score") if line["name"] in VALUES]
    assert [line["yaxis"] for line in lines] == ["y", "y2", "y3"]
    for line in lines:
        assert tuple(line["y"]) == VALUES[line["name"]]
        assert line["x"] == list(STEPS)
        assert line["marker"]["symbol"] == [
            "circle" if step in (500, 6000, 9600) else "circle-open" for step in STEPS
        ]


def test_the_band_is_the_interval(figure: dict[str, Any]) -> None:
    band = next(line for line in figure["data"] if line.get("fill") == "toself")
    n = len(STEPS)
    assert band["x"] == [*STEPS, *STEPS[::-1]]
    assert band["y"][:n] == [pytest.approx(value + 0.05) for value in VALUES["counting"]]
    assert band["y"][n:][::-1] == [pytest.approx(value - 0.05) for value in VALUES["counting"]]


def test_what_was_found_is_marked_in_its_panels(figure: dict[str, Any]) -> None:
    def places(panel: str, rgb: str) -> list[tuple[float, float]]:
        return [
            (shape["x0"], shape["x1"]) for shape in figure["layout"]["shapes"]
            if shape["xref"] == panel and rgb in shape.get("fillcolor", "")
        ]  # fmt: skip

    assert places("x", "46,125,50") == [(8700, 9600), (8700, 9600)]  # converged, and a plateau
    assert places("x2", "106,27,154") == [(6000, 8700), (9300, 9600)]  # conflict
    assert places("x3", "106,27,154") == [(6000, 8700), (9300, 9600)]
    assert places("x3", "198,40,40") == [(6000, 8700), (9300, 9600)]  # decline
    assert places("x4", "46,125,50") == []
    words = [each["text"] for each in figure["layout"]["annotations"][1::2]]
    assert words == [
        "converged since 8,700",
        "rising · rose +0.210 while entity fell",
        "undecided · fell -0.140 by 9,600 · fell -0.140 while ocr rose",
        "",
    ]
    uprights = [
        shape for shape in figure["layout"]["shapes"]
        if shape["type"] == "line" and shape["line"]["dash"] == "dot"
    ]  # fmt: skip
    assert [shape["x0"] for shape in uprights] == [8700] * 4
    assert any("step 8,700: mix: entity out" in line["hovertext"][0] for line in figure["data"]
               if line.get("hovertext"))  # fmt: skip


def test_an_axis_moves_lines_and_marks_together(figure: dict[str, Any]) -> None:
    assert list(figure["axes"]) == ["steps", "tokens", "gpu_hours"]
    traces, layout = figure["axes"]["gpu_hours"]
    for before, after in zip(figure["data"], traces["x"], strict=True):
        assert after == [pytest.approx(step / 100) for step in before["x"]]
    for before, after in zip(figure["layout"]["shapes"], layout["shapes"], strict=True):
        assert after["x0"] == pytest.approx(before["x0"] / 100)
    assert layout["xaxis3.title.text"] == "GPU-hours"


def test_views(figure: dict[str, Any]) -> None:
    assert list(figure["views"]) == ["score", "subtasks", "stability"]
    names = {line["name"] for line in drawn(figure, "stability")}
    assert names == {"DVS", "tau", "change of the run"}
    assert "counting_0" in {line["name"] for line in drawn(figure, "subtasks")}
    assert "counting_0" not in {line["name"] for line in drawn(figure, "score")}


def test_what_is_unknown_has_no_button() -> None:
    bare = findings()
    plain = tuple(
        Curve(
            each.ability, None,
            tuple(
                replace(p, tokens=None if p.step == 500 else p.tokens, dvs=None, tau=None)
                for p in each.points
            ),
        )
        for each in bare.curves if each.subtask is None
    )  # fmt: skip
    figure = curves_figure(replace(bare, curves=plain))
    assert list(figure["axes"]) == ["steps", "gpu_hours"]
    assert list(figure["views"]) == ["score"]


def test_nothing_asked_draws_nothing() -> None:
    assert curves_figure(Findings("a", None))["data"] == []
    empty = Findings("a", None, curves=(Curve("ocr", None, (), reason="why"),))
    assert curves_figure(empty)["data"] == []


def test_a_value_that_is_not_known_is_left_out() -> None:
    one = curve("ocr", VALUES["ocr"])
    holes = replace(
        one,
        points=tuple(
            replace(p, value=None, interval=None) if p.step == 3000 else p for p in one.points
        ),
    )
    figure = curves_figure(Findings("a", 9600, curves=(holes,)))
    line = next(each for each in figure["data"] if each["name"] == "ocr")
    assert 3000 not in line["x"]
    assert None not in line["y"]


def test_scores_far_below_chance_do_not_press_the_rest_together() -> None:
    deep = curve("ocr", (-0.5, 0.2, 0.4, 0.5, 0.6, 0.6, 0.6))
    low, high = curves_figure(Findings("a", 9600, curves=(deep,)))["layout"]["yaxis"]["range"]
    assert -0.1 < low < 0
    assert high > 0.65
    under = curve("ocr", (-0.5, -0.45, -0.4, -0.4, -0.4, -0.4, -0.4))
    low, _ = curves_figure(Findings("a", 9600, curves=(under,)))["layout"]["yaxis"]["range"]
    assert low < -0.55


def test_no_text_of_others_is_markup_for_plotly() -> None:
    text = json.dumps(curves_figure(findings(HOSTILE)), ensure_ascii=False)
    for bad in ("<img", "<a ", "\x1b", "\u202e"):
        assert bad not in text


@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=20, unique=True).map(sorted),
    st.data(),
)
def test_the_axis_passes_through_what_is_known_and_never_turns_back(
    steps: list[int], data: st.DataObject
) -> None:
    gains = data.draw(st.lists(st.floats(0, 1e6), min_size=len(steps), max_size=len(steps)))
    values = [sum(gains[: place + 1]) for place in range(len(gains))]
    axis = Axis("tokens", tuple(steps), tuple(values))
    scale = max(1.0, abs(values[-1]))
    for step, value in zip(steps, values, strict=True):
        assert axis.at(step) == pytest.approx(value, abs=1e-6 * scale)
    several = sorted(data.draw(st.lists(st.integers(steps[0], steps[-1]), min_size=2)))
    places = [axis.at(step) for step in several]
    assert all(b >= a - 1e-6 * scale for a, b in pairwise(places))
