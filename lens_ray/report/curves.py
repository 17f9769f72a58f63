"""The curves of a watched training run as one Plotly figure: `curves_figure`.

A figure is plain JSON: what Plotly draws, and what its buttons change. Every text in it comes from
`_text`, which leaves Plotly no markup to read.
"""

from __future__ import annotations

import html
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lens_ray.online.findings import Curve, Findings, Interval, Point, Window
from lens_ray.report.found import estimate, signed, verdicts
from lens_ray.report.safe import visible_line

Json = dict[str, Any]

#: Panels beside each other, and the pixels of one.
ACROSS = 2
_HEIGHT = 232
_TOP = 66
_BOTTOM = 44
#: Of its height, what lies between two rows of panels; two lines of words stand there.
_GAP = 84
_GREEN, _RED, _VIOLET, _GREY = "46,125,50", "198,40,40", "106,27,154", "120,120,120"
_LINE = "#1f77b4"
#: Of subtasks, by their place; colours of Okabe and Ito, which differ for every eye.
_THIN = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#0072b2", "#999999", "#b5a300")
_AXES = {"steps": "training step", "tokens": "tokens", "gpu_hours": "GPU-hours"}
#: The least that a panel shows from its lowest to its highest value.
_LEAST_SPAN = 0.2
#: Lower corrected scores are not shown (0 is chance).
_FLOOR = -0.05
#: Characters of a title's two lines that fit above a panel.
_NAME, _WORDS = 32, 88


@dataclass(frozen=True, slots=True)
class _Trace:
    """A line of the figure before an axis is chosen.

    Attributes:
        kind: ``score``, ``subtask``, ``spread`` or ``change`` (of the mix): in which view it shows.
        panel: Place of its panel, from 0.
        points: Of the curve, in order; x is taken from them.
        fields: Everything else that Plotly wants.
        there_and_back: The line goes on backwards, as the edge of a band does.
    """

    kind: str
    panel: int
    points: tuple[Point, ...]
    fields: Json
    there_and_back: bool = False

    def x(self, axis: Axis) -> list[float]:
        """Where its points stand on an axis."""
        places = [axis.of(point) for point in self.points]
        return places + places[::-1] if self.there_and_back else places


@dataclass(frozen=True, slots=True)
class Axis:
    """What the curves are drawn over.

    Attributes:
        name: ``steps``, ``tokens`` or ``gpu_hours``.
        steps: At which it is known, ascending.
        values: The axis' value at each.
    """

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]

    def of(self, point: Point) -> float:
        """Where a point stands."""
        return self.at(point.step)

    def at(self, step: float) -> float:
        """Where a step stands; between two known ones in proportion, beyond them at their rate."""
        steps, values = self.steps, self.values
        if len(steps) < 2:
            return values[0] if values else step
        right = min(max(bisect_left(steps, step), 1), len(steps) - 1)
        share = (step - steps[right - 1]) / (steps[right] - steps[right - 1])
        return values[right - 1] + share * (values[right] - values[right - 1])


def curves_figure(findings: Findings) -> Json:
    """The curves of one run, a panel an ability, with everything that was found marked.

    Returns:
        ``data`` and ``layout`` as Plotly takes them; ``axes`` and ``views``: for each button the
        arguments of ``Plotly.update``; ``height`` in pixels. Where there is no point at all,
        ``data`` is empty.
    """
    panels = [curve for curve in findings.curves if curve.subtask is None]
    if not any(curve.points for curve in panels):
        return {"data": [], "layout": {}, "axes": {}, "views": {}, "height": 0}
    traces = [
        trace for place, curve in enumerate(panels) for trace in _traces(place, curve, findings)
    ]
    axes = _axes(panels)
    steps = axes[0]
    layout = _layout(panels)
    first = _placed(panels, findings, steps)
    views = _views(traces, panels)
    return {
        "data": [
            {
                **trace.fields, "x": trace.x(steps), "visible": views["score"][0]["visible"][at],
                "xaxis": _axis_name("x", trace.panel), "yaxis": _axis_name("y", trace.panel),
            }
            for at, trace in enumerate(traces)
        ],
        "layout": {**layout, **first},
        "axes": {
            axis.name: [
                {"x": [trace.x(axis) for trace in traces]},
                {**_placed(panels, findings, axis), **_axis_titles(panels, axis)},
            ]
            for axis in axes
        },
        "views": views,
        "height": layout["height"],
    }  # fmt: skip


def _axes(panels: Sequence[Curve]) -> list[Axis]:
    """Steps, and what else every point has."""
    points = {point.step: point for curve in panels for point in curve.points}
    steps = tuple(sorted(points))
    axes = [Axis("steps", steps, tuple(float(step) for step in steps))]
    for name in ("tokens", "gpu_hours"):
        values = [getattr(points[step], name) for step in steps]
        if all(value is not None for value in values) and values == sorted(values):
            axes.append(Axis(name, steps, tuple(float(value) for value in values)))
    return axes


# What is drawn.


def _traces(place: int, curve: Curve, findings: Findings) -> Iterator[_Trace]:
    """All lines of one panel; the ability's own comes last, in front."""
    inner = [
        each for each in findings.curves
        if each.subtask is not None and each.ability == curve.ability
    ]  # fmt: skip
    for number, each in enumerate(inner):
        yield from _thin_line(place, number, each)
    sure = tuple(point for point in curve.points if point.interval is not None)
    if sure:
        lows = [point.interval[0] for point in sure if point.interval]
        highs = [point.interval[1] for point in sure if point.interval]
        yield _Trace(
            "score", place, sure,
            {
                "type": "scatter", "mode": "lines", "y": highs + lows[::-1], "fill": "toself",
                "fillcolor": "rgba(31,119,180,0.18)", "line": {"width": 0}, "hoverinfo": "skip",
                "name": "95 % interval",
            },
            there_and_back=True,
        )  # fmt: skip
    known = tuple(point for point in curve.points if point.value is not None)
    yield _Trace(
        "score", place, known,
        {
            "type": "scatter", "mode": "lines+markers", "name": _text(curve.ability),
            "y": [point.value for point in known], "line": {"color": _LINE, "width": 2},
            "marker": {
                "color": _LINE, "size": 7,
                "symbol": ["circle" if p.depth == "full" else "circle-open" for p in known],
            },
            "hovertext": [_hover(curve.ability, point) for point in known], "hoverinfo": "text",
        },
    )  # fmt: skip
    yield from _spread(place, curve)
    yield from _change_marks(place, curve, findings.changes)


def _thin_line(place: int, number: int, curve: Curve) -> Iterator[_Trace]:
    known = tuple(point for point in curve.points if point.value is not None)
    colour = _THIN[number % len(_THIN)]
    if known:
        yield _Trace(
            "subtask", place, known,
            {
                "type": "scatter", "mode": "lines+markers", "name": _text(curve.subtask or ""),
                "y": [point.value for point in known],
                "line": {"color": colour, "width": 1, "dash": "dot"},
                "marker": {"color": colour, "size": 4},
                "hovertext": [_hover(curve.subtask or "", point) for point in known],
                "hoverinfo": "text",
            },
        )  # fmt: skip


def _spread(place: int, curve: Curve) -> Iterator[_Trace]:
    """How unlike its subtasks are: DVS against the pool, and tau without the sampling's noise."""
    for name, colour, dash in (("dvs", "#d55e00", "solid"), ("tau", "#0072b2", "dash")):
        known = tuple(point for point in curve.points if getattr(point, name) is not None)
        if known:
            label = "DVS" if name == "dvs" else name
            words = [
                f"{_text(curve.ability)}, step {p.step:,}: {label} {getattr(p, name):.3f}"
                for p in known
            ]
            yield _Trace(
                "spread", place, known,
                {
                    "type": "scatter", "mode": "lines+markers", "name": label,
                    "y": [getattr(point, name) for point in known],
                    "line": {"color": colour, "width": 1.5, "dash": dash},
                    "marker": {"color": colour, "size": 5}, "hovertext": words,
                    "hoverinfo": "text",
                },
            )  # fmt: skip


def _change_marks(place: int, curve: Curve, changes: Mapping[int, str]) -> Iterator[_Trace]:
    """A mark that says what changed, at the foot of the panel, for the pointer to rest on."""
    steps = [step for step in sorted(changes) if _within(step, curve.points)]
    if steps:
        low, _ = _y_range(curve)
        yield _Trace(
            "change", place, tuple(Point(step, "", 0, None, None) for step in steps),
            {
                "type": "scatter", "mode": "markers", "name": "change of the run",
                "y": [low] * len(steps),
                "marker": {"symbol": "triangle-up", "size": 9, "color": f"rgb({_GREY})"},
                "hovertext": [f"step {step:,}: {_text(changes[step])}" for step in steps],
                "hoverinfo": "text", "cliponaxis": False,
            },
        )  # fmt: skip


def _hover(name: str, point: Point) -> str:
    lines = [f"{_text(name)}, step {point.step:,}", estimate(point.value, point.interval)]
    lines.append(f"{point.n:,} samples ({_text(point.depth)})")
    if point.change is not None:
        change = signed(point.change, point.change_interval)
        lines.append(f"{change} to the checkpoint before, paired")
    if point.tokens is not None:
        lines.append(f"{point.tokens:,.0f} tokens")
    if point.gpu_hours is not None:
        lines.append(f"{point.gpu_hours:,.2f} GPU-hours")
    return "<br>".join(lines)


# What is marked: shades and words, whose places hang on the axis.


def _placed(panels: Sequence[Curve], findings: Findings, axis: Axis) -> Json:
    shapes: list[Json] = []
    words: list[Json] = []
    for place, curve in enumerate(panels):
        shapes += _shades(place, curve, findings, axis)
        shapes += [
            _upright(place, axis.at(step), f"rgba({_GREY},0.8)", "dot")
            for step in sorted(findings.changes)
            if _within(step, curve.points)
        ]
        words += _title(place, curve, findings)
    return {"shapes": shapes, "annotations": words}


def _shades(place: int, curve: Curve, findings: Findings, axis: Axis) -> Iterator[Json]:
    last = curve.points[-1].step if curve.points else 0
    for found in findings.convergence:
        if found.ability == curve.ability and found.phase == "converged" and found.step is not None:
            yield _shade(place, axis.at(found.step), axis.at(last), _GREEN, 0.12)
            yield _upright(place, axis.at(found.step), f"rgb({_GREEN})", "dash")
    for flat in findings.plateaus:
        if flat.ability == curve.ability:
            yield _foot(place, flat.window, axis)
    for fall in findings.declines:
        if fall.ability == curve.ability:
            yield from _windows(place, fall.early, fall.late, axis, _RED)
    for clash in findings.conflicts:
        if curve.ability in (clash.rises, clash.falls):
            yield from _windows(place, clash.early, clash.late, axis, _VIOLET)


def _windows(place: int, early: Window, late: Window, axis: Axis, rgb: str) -> Iterator[Json]:
    """Two windows that were compared: the earlier one lighter; both have an edge."""
    for window, strength in ((early, 0.06), (late, 0.16)):
        # A window of one checkpoint has no width of its own.
        pad = 0.008 * (axis.values[-1] - axis.values[0]) if window[0] == window[1] else 0.0
        left, right = axis.at(window[0]) - pad, axis.at(window[1]) + pad
        shade = _shade(place, left, right, rgb, strength)
        yield shade | {"line": {"width": 1.5, "color": f"rgba({rgb},0.55)"}}


def _shade(place: int, left: float, right: float, rgb: str, strength: float) -> Json:
    return {
        "type": "rect", "xref": _axis_name("x", place), "yref": f"{_axis_name('y', place)} domain",
        "x0": left, "x1": right, "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0},
        "fillcolor": f"rgba({rgb},{strength})",
    }  # fmt: skip


def _upright(place: int, x: float, colour: str, dash: str) -> Json:
    return {
        "type": "line", "xref": _axis_name("x", place), "yref": f"{_axis_name('y', place)} domain",
        "x0": x, "x1": x, "y0": 0, "y1": 1,
        "line": {"color": colour, "width": 1.5, "dash": dash},
    }  # fmt: skip


def _foot(place: int, window: Window, axis: Axis) -> Json:
    """A bar at the foot of the panel: a stretch without change."""
    shade = _shade(place, axis.at(window[0]), axis.at(window[1]), _GREEN, 0.7)
    return shade | {"y1": 0.025}


def _title(place: int, curve: Curve, findings: Findings) -> list[Json]:
    """The ability with its last value, and what was found in words below."""
    last = next((p for p in reversed(curve.points) if p.value is not None), None)
    value = f"  {estimate(last.value, last.interval)}" if last else ""
    reason = f"  ({_text(_cut(curve.reason, _WORDS))})" if curve.reason and last is None else ""
    found = _text(_cut(" · ".join(verdicts(curve.ability, findings)), _WORDS))
    anchor = {
        "xref": f"{_axis_name('x', place)} domain", "yref": f"{_axis_name('y', place)} domain",
        "x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "showarrow": False,
        "align": "left",
    }  # fmt: skip
    name = _text(_cut(curve.ability.replace("_", " "), _NAME))
    head = f"{name}{value}{reason}"
    return [
        {**anchor, "text": head, "yshift": 20, "font": {"size": 14, "weight": 600}},
        {**anchor, "text": found, "yshift": 3, "font": {"size": 12}},
    ]


# The frame.


def _layout(panels: Sequence[Curve]) -> Json:
    down = math.ceil(len(panels) / ACROSS)
    plot = down * _HEIGHT + (down - 1) * _GAP
    layout: Json = {
        "height": plot + _TOP + _BOTTOM, "showlegend": False, "hovermode": "closest",
        "margin": {"l": 56, "r": 16, "t": _TOP, "b": _BOTTOM}, "font": {"size": 12},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "hoverlabel": {"align": "left"}, "dragmode": "zoom",
    }  # fmt: skip
    for place, curve in enumerate(panels):
        row, column = divmod(place, ACROSS)
        left = column / ACROSS + (0.035 if column else 0.0)
        right = (column + 1) / ACROSS - (0.0 if column else 0.02)
        top = 1 - row * (_HEIGHT + _GAP) / plot
        layout[_long_name("x", place)] = {
            "domain": [left, right], "anchor": _axis_name("y", place), "gridcolor": "rgba(0,0,0,0)",
            "zeroline": False, "title": {"text": _AXES["steps"], "standoff": 4},
            "separatethousands": True, **({"matches": "x"} if place else {}),
        }  # fmt: skip
        layout[_long_name("y", place)] = {
            "domain": [max(top - _HEIGHT / plot, 0.0), min(top, 1.0)],
            "anchor": _axis_name("x", place),
            "gridcolor": f"rgba({_GREY},0.25)", "zerolinecolor": f"rgba({_GREY},0.8)",
            "range": list(_y_range(curve)), "autorange": False, "tickformat": ".2f",
        }  # fmt: skip
    return layout


def _axis_titles(panels: Sequence[Curve], axis: Axis) -> Json:
    return {f"{_long_name('x', at)}.title.text": _AXES[axis.name] for at in range(len(panels))}


def _views(traces: Sequence[_Trace], panels: Sequence[Curve]) -> dict[str, list[Json]]:
    """What each view shows; one that would show nothing of its own is left out."""
    places = range(len(panels))
    kept: Json = {f"{_long_name('y', at)}.range": list(_y_range(panels[at])) for at in places}
    kept |= {f"{_long_name('y', at)}.autorange": False for at in places}
    free: Json = {f"{_long_name('y', at)}.autorange": True for at in places}
    kinds = {trace.kind for trace in traces}
    views: dict[str, tuple[frozenset[str], Json]] = {"score": (frozenset({"score"}), kept)}
    if "subtask" in kinds:
        views["subtasks"] = frozenset({"score", "subtask"}), free
    if "spread" in kinds:
        views["stability"] = frozenset({"spread"}), free
    return {
        name: [{"visible": [t.kind in shown or t.kind == "change" for t in traces]}, layout]
        for name, (shown, layout) in views.items()
    }


def _y_range(curve: Curve) -> Interval:
    """From a little below the lowest to a little above the highest value with its interval.

    What is far below chance says nothing about an ability and would press the rest together, so it
    is cut off, unless nothing else is there.
    """
    values = [
        value
        for point in curve.points
        for value in (point.value, *(point.interval or ()))
        if value is not None
    ]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high > 0:
        low = max(low, _FLOOR)
    lack = max(_LEAST_SPAN - (high - low), 0.0) / 2
    pad = 0.04 * max(high - low, _LEAST_SPAN)
    return low - lack - pad, high + lack + pad


def _within(step: int, points: Sequence[Point]) -> bool:
    return bool(points) and points[0].step <= step <= points[-1].step


def _axis_name(letter: str, place: int) -> str:
    return letter if place == 0 else f"{letter}{place + 1}"


def _long_name(letter: str, place: int) -> str:
    return f"{letter}axis{'' if place == 0 else place + 1}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(text: str) -> str:
    """A text that others wrote, as Plotly shows it letter by letter."""
    return html.escape(visible_line(text))
