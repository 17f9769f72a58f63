"""A pretended engine: `Engine`, a window of samples that share what it computes on.

With n samples in flight each advances at the rate of one alone (``alone_s`` seconds of a sample)
until ``seconds_each`` seconds of a sample is all that the engine gives. So a wide engine with few
samples left is not slower than a real one.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the replicas of one model behave.

    Attributes:
        seconds_each: Of a sample of mean cost, the window full.
        start_s: Of a cold start.
        swap_s: Of a swap of weights.
        batch: Requests of one call.
        parallel: Calls in flight; ``batch * parallel`` samples are in the engine.
        alone_s: Of a sample of mean cost that is alone in the engine; None is a window's time,
            which is what an engine takes whose samples do not help each other.
        sigma: Spread of the log-normal time of a sample around what its cost says.
        can_load_weights: Whether a replica takes another model of its family.
    """

    seconds_each: float
    start_s: float = 60.0
    swap_s: float = 2.0
    batch: int = 1
    parallel: int = 1
    alone_s: float | None = None
    sigma: float = 0.0
    can_load_weights: bool = True


def work_of(behaviour: Behaviour, cost: float, name: str, seed: int) -> float:
    """What a sample takes, 1 on average: its cost, and the spread that its cost does not say.

    It is the same on every replica.
    """
    if not behaviour.sigma:
        return cost
    draw = random.Random(f"{seed}/{name}").gauss(0, behaviour.sigma)
    return cost * math.exp(draw - behaviour.sigma**2 / 2)


class Engine:
    """What is in one engine: samples that share it.

    Attributes:
        window: Samples that it answers at once.
        queue: Samples that are not begun, with their work.
        held: Those and the ones being answered.
        now: Up to when it has been followed.
        busy_s: Seconds in which it answered anything.
    """

    def __init__(self, behaviour: Behaviour, speed: float) -> None:
        """Empty.

        Args:
            behaviour: Of the model.
            speed: Divides its times.
        """
        self.window = behaviour.batch * behaviour.parallel
        self._alone = behaviour.alone_s or behaviour.seconds_each * self.window
        self._each = behaviour.seconds_each
        self._speed = speed
        self.queue: deque[tuple[str, float]] = deque()
        self._ends: list[tuple[float, str]] = []  # in work that each has had
        self.held: set[str] = set()
        self._had = 0.0
        self.now = 0.0
        self.busy_s = 0.0

    @property
    def working(self) -> int:
        """How many samples are being answered."""
        return len(self._ends)

    def add(self, samples: Iterable[tuple[str, float]]) -> None:
        """Sample and its cost, in work."""
        for sample, cost in samples:
            self.held.add(sample)
            self.queue.append((sample, cost))
        self._fill()

    def drop(self, samples: Sequence[str]) -> None:
        """Forget what is not begun."""
        gone = set(samples)
        dropped = {name for name, _ in self.queue if name in gone}
        if dropped:
            self.queue = deque(item for item in self.queue if item[0] not in dropped)
            self.held -= dropped

    def advance(self, until: float) -> list[str]:
        """The samples that end by then."""
        ended = []
        while self._ends:
            at = self.next_end()
            if at > until:
                break
            self._go(at)
            sample = heapq.heappop(self._ends)[1]
            self.held.discard(sample)
            ended.append(sample)
            self._fill()
        self._go(until)
        return ended

    def next_end(self) -> float:
        """When the next sample ends; infinity where none is in the engine."""
        if not self._ends:
            return math.inf
        return self.now + max(0.0, self._ends[0][0] - self._had) / self._rate()

    def _rate(self) -> float:
        """Work a second that each sample in the engine has."""
        alone, shared = 1 / self._alone, 1 / (self._each * len(self._ends))
        return min(alone, shared) * self._speed

    def _go(self, until: float) -> None:
        if self._ends and until > self.now:
            self._had += (until - self.now) * self._rate()
            self.busy_s += until - self.now
        self.now = max(self.now, until)

    def _fill(self) -> None:
        while self.queue and len(self._ends) < self.window:
            sample, cost = self.queue.popleft()
            heapq.heappush(self._ends, (self._had + cost, sample))
