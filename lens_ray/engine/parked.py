"""Replicas between two jobs: `Pool` keeps them with their models, and gives them to the next.

A job's driver leaves its replicas here in the place of killing them; the next job's takes those
that are of the family that it wants, and they take its model by a swap. The pool lives in the
process that owns the actors: when that one ends, so do they.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError

from lens_ray.engine.groups import remove_group
from lens_ray.engine.rooms import Need, Places, Room, Space

log = logging.getLogger("lens_ray.engine")

#: How long a replica may take to say that it is there.
_ANSWER_S = 2.0
#: How long one that was just left here may be at the last answers of its job.
_SETTLE_S = 30.0


@dataclass(slots=True)
class Parked:
    """One replica.

    Attributes:
        actor: It.
        family: Of the model that it keeps.
        need: What it occupies.
        places: Machine of each part.
        group: Its placement group, where it has one.
        settled: Says whether it can take another model; not ready while it is at its last answers.
        since: When it came.
    """

    actor: Any
    family: str
    need: Need
    places: Places
    group: Any
    settled: Any
    since: float


class Pool:
    """Replicas without a job. Of one thread."""

    def __init__(self) -> None:
        """Nobody is here."""
        self._parked: list[Parked] = []

    def __len__(self) -> int:
        return len(self._parked)

    def counts(self) -> Mapping[str, int]:
        """Replicas by family; the dead are forgotten first."""
        self.forget_the_dead()
        return Counter(one.family for one in self._parked)

    def keep(
        self, actor: Any, family: str, need: Need, places: Places, group: Any, *, at_once: bool
    ) -> None:
        """Take in a replica; it settles by itself.

        Args:
            actor: It.
            family: Of its model.
            need: What it occupies.
            places: Machine of each part.
            group: Its placement group, where it has one.
            at_once: Whether what it is at may be cancelled; else its work has to end by itself.
        """
        settled = actor.park.remote(at_once)
        now = time.monotonic()
        self._parked.append(Parked(actor, family, need, places, group, settled, now))

    def take(self, family: str, need: Need, places: Places) -> Parked | None:
        """Give a replica away: one that is settled and lives, at best where it is wanted."""
        alike = [one for one in self._parked if one.family == family and one.need == need]
        for one in sorted(alike, key=lambda one: one.places != places):
            self._parked.remove(one)
            if self._lives(one, _SETTLE_S):
                return one
            self._end(one)
        return None

    def make_room(
        self,
        need: Need,
        places: Places,
        rooms: Sequence[Room],
        taken: Iterable[tuple[Need, Places]],
    ) -> int:
        """End replicas that are in the way of one that is to start; how many were.

        Args:
            need: Of the new one.
            places: Machines that it is to have.
            rooms: Every machine.
            taken: What the job's own replicas occupy.
        """
        taken, ended = list(taken), 0
        while self._parked and not self._fits(need, places, rooms, taken):
            near = [one for one in self._parked if set(one.places) & set(places)]
            one = min(near or self._parked, key=lambda one: one.since)
            self._parked.remove(one)
            self._end(one)
            ended += 1
        return ended

    def _fits(
        self,
        need: Need,
        places: Places,
        rooms: Sequence[Room],
        taken: Sequence[tuple[Need, Places]],
    ) -> bool:
        there = [room for room in rooms if not places or (room.node or "") in places]
        space = Space(there or rooms)
        for other, where in (*taken, *((one.need, one.places) for one in self._parked)):
            space.take(other, where)
        return space.place(need) is not None

    def forget_the_dead(self) -> None:
        """Replicas that died here, with their machine or by themselves, are no error."""
        asked = [(one, one.actor.parked.remote()) for one in self._parked]
        for one, answer in asked:
            if not self._lives(one, 0.0, answer):
                log.info("a warm replica of family %s is gone", one.family)
                self._parked.remove(one)
                self._end(one)

    def _lives(self, one: Parked, patience_s: float, answer: Any = None) -> bool:
        """Whether it is settled, or will be in time, and answers."""
        try:
            ready, _ = ray.wait([one.settled], timeout=patience_s)
            if ready and not ray.get(one.settled):
                return False
            if not ready:  # it is at its last answers
                return patience_s == 0 and time.monotonic() - one.since < _SETTLE_S
            return bool(ray.get(answer or one.actor.parked.remote(), timeout=_ANSWER_S))
        except (RayError, GetTimeoutError):
            return False

    def end_all(self) -> None:
        """Give back what they occupy."""
        for one in self._parked:
            self._end(one)
        self._parked.clear()

    @staticmethod
    def _end(one: Parked) -> None:
        end(one.actor, one.group)


def end(actor: Any, group: Any = None) -> None:
    """Kill an actor, and remove its placement group."""
    with suppress(RayError):
        ray.kill(actor, no_restart=True)
    if group is not None:
        remove_group(group)
