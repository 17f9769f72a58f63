"""Pictures of the pack `medical`: drawn, of no person and no device."""

from __future__ import annotations

from lens_ray.suites.mini.item import Dealer
from lens_ray.suites.mini.raster import canvas, frame, rect, shape_mask, stamp, text, text_width
from lens_ray.suites.packs.demo.drawing import INK, finish

NAMES: tuple[str, ...] = ("ADA", "BEN", "EVA", "IAN", "KIM", "LEA", "MAX", "NIA", "SAM", "TOM")
WARDS: tuple[str, ...] = ("A", "B", "C")
#: What a monitor shows: its word, the question, the unit, the lowest and highest value.
VITALS: tuple[tuple[str, str, str, int, int], ...] = (
    ("HR", "What heart rate does the monitor show?", "bpm", 40, 159),
    ("SYS", "What systolic pressure does the monitor show?", "mmHg", 80, 199),
    ("TEMP", "What temperature does the monitor show?", "C", 34, 42),
)


def display(dealer: Dealer) -> dict[str, object]:
    """A monitor with one value."""
    word, question, unit, low, high = VITALS[dealer.deal("vital", len(VITALS))]
    value = dealer.between(low, high)
    image = canvas(dealer.rng, dark=True)
    rect(image, 3, 6, 58, 50, (10, 14, 14))
    frame(image, 3, 6, 58, 50, (120, 126, 130))
    text(image, word, 7, 10, (90, 220, 120))
    text(image, str(value), 32 - text_width(str(value), 3) // 2, 24, (90, 230, 130), 3)
    text(image, unit.upper(), 7, 47, (60, 150, 90))
    chance = 1 / (high - low + 1)
    return {
        "image": finish(image, dealer), "question": question, "reading": value, "unit": unit,
        "chance": chance,
    }  # fmt: skip


def form(dealer: Dealer) -> dict[str, object]:
    """A form with a name, an age and a ward."""
    name, ward = NAMES[dealer.deal("name", len(NAMES))], WARDS[dealer.deal("ward", len(WARDS))]
    age = dealer.between(20, 89)
    image = canvas(dealer.rng)
    rect(image, 4, 4, 56, 56, (246, 246, 242))
    for line, (key, value) in enumerate((("NAME", name), ("AGE", str(age)), ("WARD", ward))):
        text(image, key, 7, 10 + 17 * line, (90, 110, 150))
        text(image, value, 37, 10 + 17 * line, INK)
        rect(image, 35, 19 + 17 * line, 22, 1, (150, 150, 154))
    return {"image": finish(image, dealer), "name": name, "age": age, "ward": ward}


def sides(dealer: Dealer) -> dict[str, object]:
    """Two lungs, a spot in one of them, and an L on the patient's left, which may be mirrored."""
    left, mirrored = dealer.deal("side", 2), dealer.rng.randrange(2)
    image = canvas(dealer.rng, dark=True)
    for x in (8, 36):
        stamp(image, shape_mask("circle", 21), x, 12, (96, 100, 108))
        stamp(image, shape_mask("circle", 21), x, 30, (96, 100, 108))
    # As usual the patient's left is at the right of the picture, unless it is mirrored.
    patients_left = 8 if mirrored else 36
    spot = patients_left if left else 44 - patients_left
    stamp(image, shape_mask("circle", 8), spot + dealer.between(3, 9), dealer.between(18, 38),
          (232, 234, 238))  # fmt: skip
    text(image, "L", 3 if mirrored else 56, 3, (250, 250, 250))
    return {"image": finish(image, dealer), "side": "left" if left else "right"}
