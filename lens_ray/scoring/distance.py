"""How far two texts are apart: `levenshtein`."""

from __future__ import annotations


def levenshtein(left: str, right: str) -> int:
    """The edit distance of two texts, by Myers' bit vectors (one step a character of ``left``)."""
    if not right:
        return len(left)
    places: dict[str, int] = {}
    for index, letter in enumerate(right):
        places[letter] = places.get(letter, 0) | 1 << index
    full, last = (1 << len(right)) - 1, 1 << (len(right) - 1)
    up, down, distance = full, 0, len(right)
    for letter in left:
        match = places.get(letter, 0)
        vertical = match | down
        diagonal = (((match & up) + up) ^ up) | match
        plus = down | ~(diagonal | up) & full
        minus = up & diagonal
        distance += bool(plus & last) - bool(minus & last)
        plus = (plus << 1 | 1) & full
        minus = minus << 1 & full
        up = minus | ~(vertical | plus) & full
        down = plus & vertical
    return distance
