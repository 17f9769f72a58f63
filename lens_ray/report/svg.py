"""The alphabet of the figures: elements with escaped attributes, a scale, marks and swatches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

#: Colour, shape and dash tell models apart together, so that no reader depends on colour.
COLOURS = 8
SHAPES: tuple[str, ...] = (
    "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0-4 0Z",
    "M-3.6-3.6H3.6V3.6H-3.6Z",
    "M0-5L5 0L0 5L-5 0Z",
    "M0-4.8L4.8 3.8H-4.8Z",
    "M0 4.8L4.8-3.8H-4.8Z",
    "M-1.5-4.8H1.5V-1.5H4.8V1.5H1.5V4.8H-1.5V1.5H-4.8V-1.5H-1.5Z",
)
DASHES: tuple[str, ...] = ("", "6 3", "2 3", "9 3 2 3")


def tag(name: str, *inside: str | Markup, **attributes: object) -> Markup:
    """An element; ``stroke_width`` becomes ``stroke-width``, ``class_`` ``class``; None nothing."""
    head = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _number(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(
        Markup(name), head, Markup("").join(escape(part) for part in inside)
    )


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale from values to places.

    Attributes:
        low: Value at ``start``.
        high: Value at ``end``.
        start: Place of ``low``.
        end: Place of ``high``.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value; values beyond the scale stand at its end."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)


def score_floor(values: Iterable[float | None]) -> float:
    """Where a score axis begins: at 0 (chance), or at the tenth below the lowest value."""
    lowest = min((value for value in values if value is not None), default=0.0)
    return min(0.0, math.floor(lowest * 10) / 10)


def score_ticks(floor: float) -> list[float]:
    """The labelled values of a score axis, 1 (perfect) the last."""
    step = 0.2 if floor > -1 else 0.5
    first = math.ceil(round(floor / step, 6))
    return [round(place * step, 6) for place in range(first, round(1 / step) + 1)]


def mark(slot: int, x: float, y: float, title: str) -> Markup:
    """The mark of a slot's shape, with a text that a pointer or a screen reader finds."""
    shape = SHAPES[slot % len(SHAPES)]
    place = f"translate({x:.1f} {y:.1f})"
    return tag("path", tag("title", title), d=shape, transform=place, class_="mark")


def whisker(x: float, low: float, high: float) -> Markup:
    """An interval at a place: a stem with caps."""
    caps = f"M{x - 3:.1f} {low:.1f}h6M{x - 3:.1f} {high:.1f}h6"
    return tag("path", d=f"M{x:.1f} {low:.1f}V{high:.1f}{caps}", class_="whisker")


def line(slot: int, points: Iterable[tuple[float, float] | None]) -> Markup:
    """A line through points, broken where a point is None."""
    parts: list[str] = []
    pen = "M"
    for point in points:
        if point is not None:
            parts.append(f"{pen}{point[0]:.1f} {point[1]:.1f}")
        pen = "M" if point is None else "L"
    return tag("path", d="".join(parts), class_="line", stroke_dasharray=dash(slot) or None)


def dash(slot: int) -> str:
    """The dash pattern of a slot: a new one each time that colours and shapes begin again."""
    return DASHES[slot // 24 % len(DASHES)]


def swatch(slot: int) -> Markup:
    """The legend's piece of line with a mark."""
    return tag(
        "svg",
        tag("path", d="M1 8H27", class_="line", stroke_dasharray=dash(slot) or None),
        tag("path", d=SHAPES[slot % len(SHAPES)], transform="translate(14 8)", class_="mark"),
        viewBox="0 0 28 16",
        width=28,
        height=16,
        aria_hidden="true",
        class_=f"swatch c{slot % COLOURS}",
    )
