"""What machines have and replicas need, and how needs are packed into machines: `Space`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Shares of a core add up with rounding.
_EPS = 1e-9

#: Names of machines, one for each part of a replica.
Places = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Need:
    """What one replica occupies.

    Attributes:
        cpus: CPUs of all its parts together.
        gpus: GPUs of all its parts together.
        parts: Equal parts that may lie on different machines; each lies on one.
    """

    cpus: float
    gpus: float = 0.0
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Room:
    """What one machine of the cluster has.

    Attributes:
        cpus: Its CPUs.
        gpus: Its GPUs.
        node: Ray's id of it; empty where Ray is not started.
        accelerator: What its GPUs are, as Ray names them; empty where that is not known.
        draining: Whether it is about to be taken away: nothing may start there any more.
    """

    cpus: float
    gpus: float = 0.0
    node: str = ""
    accelerator: str = ""
    draining: bool = False


def accelerator_of(rooms: Sequence[Room]) -> str:
    """What the GPUs of a cluster are; empty where that is not known, or they are not all one."""
    kinds = {room.accelerator for room in rooms if room.gpus}
    return kinds.pop() if len(kinds) == 1 else ""


class Space:
    """What is free on each machine.

    Attributes:
        names: Of the machines: their node ids, or their numbers where they have none.
    """

    def __init__(self, rooms: Sequence[Room]) -> None:
        """Everything is free."""
        self.names = [room.node or f"#{number}" for number, room in enumerate(rooms)]
        self._free = {
            name: (room.cpus, room.gpus) for name, room in zip(self.names, rooms, strict=True)
        }

    def take(self, need: Need, places: Places) -> None:
        """Occupy; a machine that is not there any more has nothing to occupy."""
        cpus, gpus = need.cpus / need.parts, need.gpus / need.parts
        for name in places:
            if name in self._free:
                free = self._free[name]
                self._free[name] = (free[0] - cpus, free[1] - gpus)

    def place(self, need: Need, also: Space | None = None) -> Places | None:
        """The machine of each part, the fullest that has room, or None; nothing is occupied.

        Args:
            need: Of the replica.
            also: It has to fit there too, on the same machines.
        """
        cpus, gpus = need.cpus / need.parts, need.gpus / need.parts
        free = dict(self._free)
        more = dict(also._free) if also is not None else free
        places = []
        for _ in range(need.parts):
            fitting = [
                name
                for name in free
                if _holds(free[name], cpus, gpus) and _holds(more[name], cpus, gpus)
            ]
            if not fitting:
                return None
            # GPUs are the scarce thing: whole machines of them are kept free for the large.
            best = min(fitting, key=lambda name: (free[name][1], free[name][0]))
            for left in [free] if more is free else [free, more]:
                left[best] = (left[best][0] - cpus, left[best][1] - gpus)
            places.append(best)
        return tuple(places)


def _holds(free: tuple[float, float], cpus: float, gpus: float) -> bool:
    return free[0] >= cpus - _EPS and free[1] >= gpus - _EPS
