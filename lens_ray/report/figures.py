"""The report's figures, as inline SVG: profiles of abilities, curves over steps, interval bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from lens_ray.report.safe import visible_line
from lens_ray.report.svg import (
    COLOURS,
    Scale,
    line,
    mark,
    score_floor,
    score_ticks,
    tag,
    whisker,
)
from lens_ray.report.tables import LeaderboardRow, figure, in_order, interval

if TYPE_CHECKING:
    from lens_ray.stats import AbilityScore

_PROFILE = (960, 380)
_PANEL = (312, 196)
_ACROSS = 3


@dataclass(frozen=True, slots=True)
class Series:
    """The checkpoints of one training run.

    Attributes:
        name: What their names share.
        points: Step and scores, by step; no step twice.
    """

    name: str
    points: tuple[tuple[int, LeaderboardRow], ...]


def axis_floor(rows: Sequence[LeaderboardRow]) -> float:
    """Where the score axes of these rows begin."""
    return score_floor(
        value for row in rows for each in row.scores for value in (each.corrected, each.ci_low)
    )


def interval_bar(score: AbilityScore, floor: float) -> Markup | None:
    """A small bar: the estimate and its interval between the axis' ends; None without a score."""
    if score.corrected is None or score.ci_low is None or score.ci_high is None:
        return None
    x = Scale(floor, 1.0, 4, 76)
    low, high = x(score.ci_low), x(score.ci_high)
    return tag(
        "svg",
        tag("path", d="M4 4H76", class_="track"),
        tag("path", d=f"M{x(0.0):.1f} 1V7", class_="zero") if floor < 0 else "",
        tag("rect", x=low, y=2, width=max(high - low, 1.0), height=4, rx=2, class_="span"),
        tag("circle", cx=x(score.corrected), cy=4, r=3, class_="dot"),
        viewBox="0 0 80 8",
        width=80,
        height=8,
        aria_hidden="true",
        class_="bar",
    )


def profile(rows: Sequence[LeaderboardRow], slots: Sequence[int], name: str) -> Markup:
    """Every model's corrected scores over the abilities, with intervals.

    Args:
        rows: The leaderboard of one suite; a row's place is its ``data-model``.
        slots: Slot of each row, which decides its colour, shape and dash.
        name: Prefix of the ids in it, unique in the page.
    """
    width, height = _PROFILE
    abilities = in_order(ability for row in rows for ability in row.abilities)
    floor = axis_floor(rows)
    y = Scale(floor, 1.0, height - 44, 14)
    step = (width - 64) / max(len(abilities), 1)
    places = {ability: 52 + step * (at + 0.5) for at, ability in enumerate(abilities)}
    columns = [
        tag("text", _words(ability), x=x, y=height - 18, class_="ability", text_anchor="middle")
        for ability, x in places.items()
    ]
    guides = [
        tag("path", d=f"M{x:.1f} {y(1.0):.1f}V{y(floor):.1f}", class_="guide")
        for x in places.values()
    ]
    return tag(
        "svg",
        tag("title", "Profile of the abilities", id=f"{name}-title"),
        tag("desc", _profile_text(rows, abilities), id=f"{name}-desc"),
        *_score_axis(floor, y, 52, width - 12),
        *guides,
        *columns,
        *(_model(at, slots[at], row, places, y) for at, row in enumerate(rows)),
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="figure profile",
    )


def _model(
    number: int, slot: int, row: LeaderboardRow, places: Mapping[str, float], y: Scale
) -> Markup:
    points: list[tuple[float, float] | None] = []
    marks: list[Markup] = []
    for ability, x in places.items():
        score = row.abilities.get(ability)
        if score is None or score.corrected is None:
            points.append(None)
            continue
        points.append((x, y(score.corrected)))
        marks += _point(slot, x, score, y, f"{row.label}, {_words(ability)}")
    return tag(
        "g", line(slot, points), *marks, class_=f"model c{slot % COLOURS}", data_model=number
    )


def _point(slot: int, x: float, score: AbilityScore, y: Scale, what: str) -> list[Markup]:
    assert score.corrected is not None
    parts = []
    if score.ci_low is not None and score.ci_high is not None:
        parts.append(whisker(x, y(score.ci_low), y(score.ci_high)))
    text = f"{what}: {figure(score.corrected)} {interval(score)}, n {score.n}"
    return [*parts, mark(slot, x, y(score.corrected), visible_line(text))]


def _profile_text(rows: Sequence[LeaderboardRow], abilities: Sequence[str]) -> str:
    best = []
    for ability in abilities:
        known = [
            (score.corrected, row.label)
            for row in rows
            if (score := row.abilities.get(ability)) and score.corrected is not None
        ]
        if known:
            value, label = max(known)
            best.append(f"{_words(ability)} {visible_line(label)} ({figure(value)})")
    return (
        f"Chance-corrected score with 95 % interval of {len(rows)} models on {len(abilities)} "
        f"abilities; 0 is chance, 1 is perfect. Best of each ability: {', '.join(best)}. "
        "The leaderboard has every figure."
    )


def curves(series: Sequence[Series], name: str) -> Markup:
    """Each ability over the training steps of each series, one panel an ability.

    Args:
        series: At least one; a series' place is its slot.
        name: Prefix of the ids in it, unique in the page.
    """
    rows = [row for each in series for _, row in each.points]
    steps = sorted({step for each in series for step, _ in each.points})
    abilities = in_order(ability for row in rows for ability in row.abilities)
    across = min(_ACROSS, max(len(abilities), 1))
    down = -(-len(abilities) // across)
    panels = [
        tag(
            "g",
            *_panel(series, ability, axis_floor(rows), steps),
            transform=f"translate({at % across * (_PANEL[0] + 12)} {at // across * _PANEL[1]})",
        )
        for at, ability in enumerate(abilities)
    ]
    names = ", ".join(visible_line(each.name) for each in series)
    return tag(
        "svg",
        tag("title", "Abilities over training steps", id=f"{name}-title"),
        tag(
            "desc",
            f"Chance-corrected score with 95 % interval by training step of {names}, one panel "
            "an ability; 0 is chance, 1 is perfect. The leaderboard has every figure.",
            id=f"{name}-desc",
        ),
        *panels,
        viewBox=f"0 0 {across * (_PANEL[0] + 12) - 12} {down * _PANEL[1]}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="figure curves",
    )


def _panel(
    series: Sequence[Series], ability: str, floor: float, steps: Sequence[int]
) -> list[Markup]:
    width, height = _PANEL
    x = Scale(steps[0], steps[-1], 44, width - 10)
    y = Scale(floor, 1.0, height - 34, 26)
    parts = [
        tag("text", _words(ability), x=34, y=14, class_="panel-title"),
        *_score_axis(floor, y, 34, width),
    ]
    parts += [
        tag("text", f"{step:,}", x=x(step), y=height - 18, text_anchor=anchor, class_="tick")
        for step, anchor in _step_ticks(steps)
    ]
    for slot, each in enumerate(series):
        points: list[tuple[float, float] | None] = []
        marks: list[Markup] = []
        for step, row in each.points:
            score = row.abilities.get(ability)
            if score is None or score.corrected is None:
                points.append(None)
                continue
            points.append((x(step), y(score.corrected)))
            marks += _point(slot, x(step), score, y, f"{each.name}, step {step:,}")
        parts.append(tag("g", line(slot, points), *marks, class_=f"series c{slot % COLOURS}"))
    return parts


def _step_ticks(steps: Sequence[int]) -> list[tuple[int, str]]:
    """The first step, the last one, and the one nearest the middle where it is apart from both."""
    first, last = steps[0], steps[-1]
    middle = min(steps, key=lambda step: abs(step - (first + last) / 2))
    ticks = [(first, "start"), (last, "end")]
    if 0.25 <= (middle - first) / max(last - first, 1) <= 0.75:
        ticks.append((middle, "middle"))
    return ticks


def _score_axis(floor: float, y: Scale, left: float, right: float) -> list[Markup]:
    parts = []
    for value in score_ticks(floor):
        place = y(value)
        kind = "grid zero" if value == 0 else "grid"
        parts.append(tag("path", d=f"M{left:.1f} {place:.1f}H{right:.1f}", class_=kind))
        label = f"{value:.1f}"
        parts.append(tag("text", label, x=left - 6, y=place + 4, text_anchor="end", class_="tick"))
    return parts


def _words(ability: str) -> str:
    return visible_line(ability).replace("_", " ")
