"""Which windows of checkpoints are compared, when, and how much of alpha each look may spend.

Both are fixed before anybody has looked: by the windows that a watch file declares, or else by
consecutive blocks of ``rules.window`` checkpoints, each held against blocks before it. Nothing here
sees a mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lens_ray.online.spec import Rules
from lens_ray.stats.units import Ints

#: A block is held against the blocks so many before it: all of the near ones, then ever fewer, so
#: that 500 checkpoints need a thousand comparisons and not five.
_BACK = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
#: Share of alpha that the planned looks spend, where more may follow.
PLANNED = 0.8


@dataclass(frozen=True, slots=True)
class Windows:
    """Two windows of a run.

    Attributes:
        early: Places of the checkpoints before, ascending.
        late: Of those after.
    """

    early: tuple[int, ...]
    late: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a run.

    Attributes:
        place: Of the newest checkpoint, at which it is made.
        pairs: What is compared.
        level: Of alpha, for all that is tested at this look.
        declared: Whether a watch file names the windows.
    """

    place: int
    pairs: tuple[Windows, ...]
    level: float
    declared: bool


def looks_of(steps: Ints, rules: Rules) -> tuple[Look, ...]:
    """All looks at the checkpoints so far, in their order.

    Args:
        steps: Of the checkpoints, ascending.
        rules: ``windows``, ``window``, ``planned_checkpoints`` and ``alpha`` count.
    """
    return tuple(_declared(steps, rules) if rules.windows else _blocks(len(steps), rules))


def undeclared(steps: Ints, rules: Rules) -> tuple[str, ...]:
    """Declared windows that hold no checkpoint although the run is past them, one line each."""
    found = []
    for one in rules.windows:
        for name, (first, last) in (("early", one.early), ("late", one.late)):
            inside = (steps >= first) & (steps <= last)
            if len(steps) and steps[-1] >= last and not inside.any():
                found.append(f"no checkpoint lies in the declared {name} window {first}-{last}")
    return tuple(found)


def alpha_at(look: int, planned: int, alpha: float) -> float:
    """What a look may spend of alpha, where looks are alike: an even part of most, then ever less.

    Args:
        look: Its number, from 1.
        planned: How many are planned; 0 leaves all to the others.
        alpha: Of all looks.
    """
    if look <= planned:
        return PLANNED * alpha / planned
    later = look - planned
    return (1 - PLANNED if planned else 1.0) * alpha / (later * (later + 1))


def _declared(steps: Ints, rules: Rules) -> Iterator[Look]:
    """One look at each step that ends a late window."""
    due: dict[int, list[Windows]] = {}
    for one in rules.windows:
        early, late = (
            tuple(np.flatnonzero((steps >= first) & (steps <= last)).tolist())
            for first, last in (one.early, one.late)
        )
        if early and late and steps[-1] >= one.late[1]:
            place = int(np.searchsorted(steps, one.late[1]))
            due.setdefault(place, []).append(Windows(early, late))
    for place, pairs in sorted(due.items()):
        yield Look(place, tuple(pairs), rules.alpha * len(pairs) / len(rules.windows), True)


def _blocks(size: int, rules: Rules) -> Iterator[Look]:
    """One look at the end of each full block but the first."""
    width = rules.window
    planned = rules.planned_checkpoints // width - 1
    comparisons = sum(_held(block) for block in range(1, planned + 1))
    for block in range(1, size // width):
        pairs = tuple(
            Windows(_block(block - back, width), _block(block, width))
            for back in _BACK
            if back <= block
        )
        level = alpha_at(block, max(planned, 0), rules.alpha)
        if block <= planned:  # even by comparison, not by look
            level *= planned * len(pairs) / comparisons
        yield Look((block + 1) * width - 1, pairs, level, False)


def _held(block: int) -> int:
    return sum(back <= block for back in _BACK)


def _block(number: int, width: int) -> tuple[int, ...]:
    return tuple(range(number * width, (number + 1) * width))
