"""Structured data: tables, bar charts, gauges."""

from __future__ import annotations

from lens_ray.suites.mini.item import (
    GRAIN,
    LETTERS,
    Dealer,
    Item,
    Question,
    SubtaskSpec,
    choose,
    yes_no,
)
from lens_ray.suites.mini.raster import (
    COLOURS,
    SIDE,
    canvas,
    grain,
    line,
    rect,
    shade,
    shape_mask,
    stamp,
    text,
)

_ROWS, _COLUMNS = "ABC", "XYZ"
#: 1,000 times cosine and sine of 0, 20, ..., 180 degrees.
_DIAL = (
    (1000, 0), (940, 342), (766, 643), (500, 866), (174, 985),
    (-174, 985), (-500, 866), (-766, 643), (-940, 342), (-1000, 0),
)  # fmt: skip


def _table(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    rows, columns = (2, 2) if level == 0 else (3, 2) if level == 1 else (3, 3)
    values = [[dealer.between(1, 9) for _ in range(columns)] for _ in range(rows)]
    cells = dealer.some([(r, c) for r in range(rows) for c in range(columns)], 2)
    asked = []
    for index, (row, column) in enumerate(cells):
        number, bit = dealer.between(1, 9), dealer.deal(f"bit{index}", 2)
        others = [value for value in range(1, 10) if value != number]
        values[row][column] = number if bit else dealer.pick(others)
        asked.append((row, column, number, bit))
    image = canvas(dealer.rng)
    wide, high = 46 // columns, 46 // rows
    ink = dealer.between(10, (40, 60, 80, 110)[level])
    x, y = 15 + dealer.between(0, 3), 14 + dealer.between(0, 3)
    rect(image, 0, 0, SIDE, y - 2, shade(dealer.rng, (150, 176, 210), 14))
    for index in range(columns + 1):
        rect(image, x - 2 + index * wide, 0, 1, SIDE, (120, 120, 124))
    for index in range(rows + 1):
        rect(image, 0, y - 2 + index * high, SIDE, 1, (120, 120, 124))
    for row in range(rows):
        text(image, _ROWS[row], 4, y + row * high + (high - 9) // 2, (40, 30, 110))
        for column in range(columns):
            spot = (x + column * wide + (wide - 7) // 2, y + row * high + (high - 9) // 2)
            text(image, str(values[row][column]), *spot, (ink, ink, ink))
    for column in range(columns):
        text(image, _COLUMNS[column], x + column * wide + (wide - 7) // 2, 3, (40, 30, 110))
    questions = tuple(
        Question(
            spec.ask(dealer, row=_ROWS[row], column=_COLUMNS[column], number=number),
            yes_no(bit),
            1 / 2,
            shown=str(values[row][column]),
        )
        for row, column, number, bit in asked
    )
    return Item((grain(image, dealer.rng, GRAIN[level]),), questions, level)


def _bars(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    count = 2 + dealer.rng.randrange(5)
    options = dealer.some(list(COLOURS), count)
    right, place = choose(dealer, options)
    highest = dealer.rng.randrange(2)
    margin = (10, 6, 4, 2)[level]
    edge = dealer.between(36, 52) if highest else dealer.between(6, 16)
    heights = {}
    for name in options:
        away = margin + dealer.between(0, 12 + margin)
        heights[name] = max(2, edge - away) if highest else min(56, edge + away)
    heights[right] = edge
    image = canvas(dealer.rng)
    for tick in range(3):
        rect(image, 3, 16 + 15 * tick, 60, 1, (176, 176, 176))
    slot = 56 // count
    for index, name in enumerate(dealer.some(options, count)):
        width = min(slot - 2, dealer.between(6, 12))
        x = 5 + index * slot + (slot - width) // 2
        tint = shade(dealer.rng, COLOURS[name], 8 + 3 * level)
        rect(image, x, 61 - heights[name], width, heights[name], tint)
    rect(image, 3, 61, 60, 1, (40, 40, 40))
    rect(image, 3, 4, 1, 58, (40, 40, 40))
    text_ = spec.templates[0 if highest else 1]
    question = Question(text_, LETTERS[place], 1 / count, tuple(options))
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


def _gauge(spec: SubtaskSpec, dealer: Dealer) -> Item:
    level = dealer.level()
    step = dealer.deal("value", len(_DIAL))
    image = canvas(dealer.rng, dark=dealer.rng.randrange(2) == 0)
    x, y = 32 + dealer.between(-3, 3), 44 + dealer.between(-6, 6)
    reach = dealer.between(24 - level, 27)
    face = shade(dealer.rng, (236, 236, 230), 12)
    stamp(image, shape_mask("circle", 2 * reach + 1), x - reach, y - reach, face)
    for cos, sin in _DIAL:
        near, far = reach - 4, reach - 1
        start = (x - cos * near // 1000, y - sin * near // 1000)
        line(image, start, (x - cos * far // 1000, y - sin * far // 1000), (50, 50, 56))
    rect(image, x - reach, y + 5, 2 * reach + 1, 3, (90, 90, 96))
    text(image, "10", x - reach + 2, y + 9, (128, 128, 128))
    text(image, "100", x + reach - 18, y + 9, (128, 128, 128))
    cos, sin = _DIAL[step]
    length = reach - dealer.between(4, 6 + 2 * level)
    red = shade(dealer.rng, dealer.pick(((200, 40, 40), (30, 30, 36), (40, 80, 190))), 14)
    tip = (x - cos * length // 1000, y - sin * length // 1000)
    line(image, (x, y), tip, red, 3 if level < 2 else 2)
    stamp(image, shape_mask("circle", 7), x - 3, y - 3, (40, 40, 46))
    question = Question(spec.ask(dealer), str(10 + 10 * step), 1 / len(_DIAL))
    return Item((grain(image, dealer.rng, GRAIN[level]),), (question,), level)


SPECS: tuple[SubtaskSpec, ...] = (
    SubtaskSpec(
        "structured_table", "structured_data", "true_false", "table", "exact", "table",
        ("is {number} in row {row}, column {column}?",), _table,
    ),
    SubtaskSpec(
        "structured_bars", "structured_data", "multiple_choice", "chart", "exact", "bars",
        ("which bar is the highest?", "which bar is the lowest?"), _bars,
    ),
    SubtaskSpec(
        "structured_gauge", "structured_data", "open", "gauge", "relaxed_numeric", "gauge",
        ("what value does the gauge show?", "read the gauge."), _gauge,
    ),
)  # fmt: skip
