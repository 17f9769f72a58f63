"""The units that a quantity may have: a small closed table, conversions exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from lens_ray.suites.packs.units import UNITS


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: ``base = value * factor + offset`` in the base unit of its dimension.

    Attributes:
        name: As packs write it.
        dimension: What it measures; units convert within one dimension only.
        factor: To the base unit.
        offset: To the base unit, after the factor.
    """

    name: str
    dimension: str
    factor: Fraction
    offset: Fraction

    def of(self, value: Fraction, other: Unit) -> Fraction:
        """A value of another unit of the same dimension, in this one."""
        return (value * other.factor + other.offset - self.offset) / self.factor


def _table() -> tuple[dict[str, Unit], dict[str, Unit]]:
    known, spelt = {}, {}
    for name, (dimension, factor, offset, others) in UNITS.items():
        unit = known[name] = Unit(name, dimension, Fraction(factor), Fraction(offset))
        spelt[name] = unit
        spelt.update(dict.fromkeys(others, unit))
    return known, spelt


#: By the name that packs use, and by every spelling.
KNOWN: Mapping[str, Unit]
KNOWN, _SPELT = _table()
# Case decides between milli and mega; only whole words are folded.
_FOLDED = {spelling.casefold(): unit for spelling, unit in _SPELT.items() if len(spelling) > 3}
_NEXT = re.compile(
    r"\s{0,3}(" + "|".join(map(re.escape, sorted(_SPELT, key=len, reverse=True))) + r")"
    r"(?![A-Za-z0-9])"
)
_NEXT_WORD = re.compile(
    r"\s{0,3}(" + "|".join(map(re.escape, sorted(_FOLDED, key=len, reverse=True))) + r")"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)

#: "3 in the box" are no inches.
_WORD_IN = re.compile(r"\s{0,3}in\s{1,3}[A-Za-z]")


def unit_at(text: str, place: int) -> Unit | None:
    """The unit that stands at a place of a text, or None."""
    found = _NEXT.match(text, place)
    if found and not _WORD_IN.match(text, place):
        return _SPELT[found[1]]
    if found := _NEXT_WORD.match(text, place):
        return _FOLDED[found[1].casefold()]
    return None
