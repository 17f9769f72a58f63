"""One region of an image: `box_iou`, `box_hit`.

`Sample.meta`: ``corners`` (``xyxy``: left, top, right, bottom; ``xywh``: left, top, width,
height) and ``iou`` (from where `box_hit` counts). An accepted answer is four numbers with commas
between. Whether they are pixels or shares of the image is said in the question; accepted and given
boxes are in the same coordinates, so their overlap needs no image.
"""

from __future__ import annotations

import re

from lens_ray.errors import UserError
from lens_ray.scoring.formats.said import said
from lens_ray.scoring.plain import plain
from lens_ray.suites.sample import Sample

#: Left, top, right, bottom.
Box = tuple[float, float, float, float]

_NUMBER = r"[-+]?(?:[0-9]{1,7}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})"
# Names of coordinates may stand before the numbers: x1=3, "left": 3.
_NAME = r"(?:[\"']?[A-Za-z][A-Za-z_]{0,9}[0-9]?[\"']?\s{0,2}[:=]\s{0,2})?"
_FOUR = re.compile(
    rf"(?<![0-9.]){_NAME}({_NUMBER})"
    + rf"\s{{0,3}}[,;]?\s{{0,3}}(?:\)\s{{0,2}},?\s{{0,2}}\()?{_NAME}({_NUMBER})" * 3
    + r"(?![0-9]|\.[0-9])"
)
#: Boxes are looked for in this many characters at the end.
_REACH = 4_000


def box_iou(sample: Sample, text: str) -> tuple[str | None, float]:
    """Intersection over union of the last box of a text and the accepted one."""
    given = _last_box(text)
    if given is None:
        return None, 0.0
    form = sample.meta.get("corners", "xyxy")
    return _text(given), max(_overlap(given, _gold(sample, gold), form) for gold in sample.answers)


def box_hit(sample: Sample, text: str) -> tuple[str | None, float]:
    """1 where the overlap reaches ``iou`` (0.5 unless given), else 0."""
    answer, overlap = box_iou(sample, text)
    return answer, float(overlap >= float(sample.meta.get("iou", "0.5")))


def _last_box(text: str) -> Box | None:
    answer = said(text)
    if answer is None:
        return None
    found = [*_FOUR.finditer(plain(answer)[-_REACH:])]
    if not found:
        return None
    left, top, right, bottom = (float(value) for value in found[-1].groups())
    return left, top, right, bottom


def _gold(sample: Sample, gold: str) -> Box:
    try:
        values = [float(part) for part in gold.split(",")]
    except ValueError:
        values = []
    if len(values) != 4:
        raise UserError(f"sample {sample.sample_id}: its answer {gold!r} is no box of four numbers")
    return values[0], values[1], values[2], values[3]


def _overlap(given: Box, gold: Box, form: str) -> float:
    """Intersection over union; a box without an inside overlaps nothing."""
    one, other = _corners(given, form), _corners(gold, form)
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if min(_area(one), _area(other)) <= 0 or wide <= 0 or high <= 0:
        return 0.0
    return min(1.0, wide * high / (_area(one) + _area(other) - wide * high))


def _corners(box: Box, form: str) -> Box:
    left, top, third, fourth = box
    return (left, top, left + third, top + fourth) if form == "xywh" else box


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _text(box: Box) -> str:
    return ", ".join(f"{value:g}" for value in box)
