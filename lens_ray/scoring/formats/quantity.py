"""A number with its unit, within a tolerance: `quantity`.

`Sample.meta`: ``unit`` (a name of `lens_ray.suites.packs.units.UNITS`; without it the answer is a
bare number), ``tolerance`` (in that unit) or ``relative_tolerance`` (share of the accepted value),
``unit_required`` (``true``, which is meant where it is missing, or ``false``).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from lens_ray.errors import UserError
from lens_ray.scoring.formats.said import said
from lens_ray.scoring.formats.units import KNOWN, Unit, unit_at
from lens_ray.scoring.numbers import Number, find_numbers
from lens_ray.scoring.plain import plain
from lens_ray.suites.sample import Sample

#: Quantities are looked for in this many characters at the end.
_REACH = 20_000


@dataclass(frozen=True, slots=True)
class _Given:
    """A number of a text and the unit beside it."""

    number: Number
    unit: Unit | None

    @property
    def value(self) -> Fraction:
        return Fraction(self.number.value)

    def __str__(self) -> str:
        figures = f"{self.number.value:f}"
        return figures if self.unit is None else f"{figures} {self.unit.name}"


def quantity(sample: Sample, text: str) -> tuple[str | None, float]:
    """The quantity that a text gives and whether it lies within the tolerance, bounds included.

    The last number in the asked unit is the answer; where there is none, the last in a unit that
    converts to it; then the last bare number, which counts only where ``unit_required`` is
    ``false``; then any other number, which is wrong.
    """
    answer = said(text)
    if answer is None:
        return None, 0.0
    asked = _asked(sample)
    given = _best(list(_quantities(answer)), asked)
    if given is None:
        return None, 0.0
    return str(given), float(any(_close(sample, given, gold, asked) for gold in sample.answers))


def _asked(sample: Sample) -> Unit | None:
    name = sample.meta.get("unit", "")
    if name and name not in KNOWN:
        raise UserError(f"sample {sample.sample_id}: unit {name!r} is not known")
    return KNOWN[name] if name else None


def _quantities(text: str) -> list[_Given]:
    clean = plain(text)[-_REACH:]
    found = []
    for number in find_numbers(clean):
        unit = KNOWN["%"] if number.percent else unit_at(clean, number.end)
        found.append(_Given(number, unit))
    return found


def _best(found: list[_Given], asked: Unit | None) -> _Given | None:
    """The one that answers; see `quantity`."""

    def rank(given: _Given) -> int:
        if asked is None or given.unit is None:
            return 1 if asked is not None else 3 if given.unit is None else 2
        return 3 if given.unit is asked else 2 if given.unit.dimension == asked.dimension else 0

    # Of equal rank the last one: `max` keeps the first it meets.
    return max(reversed(found), key=rank, default=None)


def _close(sample: Sample, given: _Given, gold: str, asked: Unit | None) -> bool:
    target = next(iter(_quantities(gold)), None)
    if target is None:
        raise UserError(f"sample {sample.sample_id}: its answer {gold!r} is no number")
    value, wanted = given.value, target.value
    if asked is not None:
        if given.unit is None:
            if sample.meta.get("unit_required") != "false":
                return False
        elif given.unit.dimension != asked.dimension:
            return False
        else:
            value = asked.of(value, given.unit)
        if target.unit is not None:
            wanted = asked.of(wanted, target.unit)
    allowed = Fraction(sample.meta.get("tolerance", "0"))
    relative = Fraction(sample.meta.get("relative_tolerance", "0"))
    return abs(value - wanted) <= max(allowed, relative * abs(wanted))
