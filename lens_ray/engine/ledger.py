"""Who works on which sample of one run: `Ledger`, a pure state machine.

The life of a sample::

    queued ──lease──> in flight ──complete──────────────> ended, by its row
      ^                  ├──fail, at the cap────────────> ended, infra_error
      ├──────fail────────┤
      ├──give back───────┤
      ├──its machine died┤
                         └──its replica is lost──> suspect ──leased alone──> in flight, alone
                                                    ^                            │
                                                    ├──fail, give back───────────┤
                                                    └──lost once while alone─────┤
                           ended, infra_error <──────lost twice while alone──────┘

A replica that dies may have been killed by any sample it held, so all of them become suspects and
are tried one at a time; one that dies with its machine was killed by none. A sample that no replica
is needed for any more is dropped from it.

Samples may be held back at the start: `Ledger.release` queues them, `Ledger.leave_out` ends them
without a row.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ATTEMPT_CAP = 3
ALONE_DEATHS = 2
#: A sample is late after so many times of what it should take.
_LATE = 2.0
#: Order of samples that wait behind all others; those of an adaptive stop are far below it.
_LAST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Lease:
    """Samples handed to a replica.

    Attributes:
        samples: Sample id and attempt (from 1), longest expected first.
        alone: Nothing else may be in the engine meanwhile.
    """

    samples: tuple[tuple[str, int], ...]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A sample that ends without an answer.

    Attributes:
        sample_id: Which.
        cause: Why, in one line.
        attempt: The attempt that was its last.
    """

    sample_id: str
    cause: str
    attempt: int


@dataclass(slots=True)
class _Item:
    cost: float
    order: int = 0
    queued: bool = True
    begun: bool = False
    ended: bool = False
    suspect: bool = False
    failures: int = 0
    losses: int = 0
    alone_deaths: int = 0
    #: Replica to the number of the lease by which it holds the sample.
    holders: dict[int, int] = field(default_factory=dict)

    @property
    def attempt(self) -> int:
        return self.failures + self.losses + 1


@dataclass(slots=True)
class _Open:
    samples: set[str]
    alone: bool
    deadline: float
    since: float


class Ledger:
    """The samples of one run that still need a row.

    Attributes:
        timeout_s: A lease of which nothing is heard for so long has expired.
        duplicates: Whether a sample may be in flight twice; never where answers cost money.
        retry_last: Whether a sample that failed waits behind all that did not.
        tolerated: So many replicas may be lost with a sample before it is suspect. Where a replica
            only asks others, its samples are hardly ever what killed it.
    """

    def __init__(
        self,
        costs: Mapping[str, float],
        *,
        timeout_s: float,
        attempt_cap: int = ATTEMPT_CAP,
        duplicates: bool = True,
        held_back: Mapping[str, int] | None = None,
    ) -> None:
        """Queue every sample that is not held back.

        Args:
            costs: Expected cost by sample id, in any unit.
            timeout_s: See the class.
            attempt_cap: Error answers after which a sample ends as ``infra_error``.
            duplicates: Whether a sample may be in flight twice; never where answers cost money.
            held_back: Samples that wait for `release`, with their order: lower ones are handed out
                first, whatever they cost.
        """
        self.timeout_s = timeout_s
        self.duplicates = duplicates
        self.retry_last = False
        self.tolerated = 0
        self._attempt_cap = attempt_cap
        later = held_back or {}
        self._items = {
            sample_id: _Item(cost, later.get(sample_id, 0), queued=sample_id not in later)
            for sample_id, cost in costs.items()
        }
        queued = {name: item for name, item in self._items.items() if item.queued}
        self._queue = [(item.order, -item.cost, name) for name, item in queued.items()]
        heapq.heapify(self._queue)
        self._suspects: deque[str] = deque()
        self._leases: dict[int, dict[int, _Open]] = {}
        self._drops: dict[int, set[str]] = {}
        self._numbers = 0
        self._unfinished = len(self._items)
        self._waiting = len(queued)
        self._waiting_cost = sum(item.cost for item in queued.values())

    @property
    def finished(self) -> bool:
        """Whether every sample has ended."""
        return self._unfinished == 0

    @property
    def unfinished(self) -> int:
        """Samples that have not ended."""
        return self._unfinished

    @property
    def waiting(self) -> int:
        """Samples that nobody works on, suspects included."""
        return self._waiting

    @property
    def waiting_cost(self) -> float:
        """Their expected cost."""
        return max(0.0, self._waiting_cost)

    def held(self, replica: int) -> frozenset[str]:
        """What a replica works on."""
        leases = self._leases.get(replica, {}).values()
        return frozenset(sample for lease in leases for sample in lease.samples)

    def is_open(self, sample_id: str) -> bool:
        """Whether a sample of this ledger still needs a row."""
        return sample_id in self._items and not self._items[sample_id].ended

    def attempt(self, sample_id: str) -> int:
        """The number of the attempt that a sample is in or that comes next."""
        return self._items[sample_id].attempt

    def begun(self, sample_id: str) -> bool:
        """Whether a sample was handed out, or has ended."""
        item = self._items.get(sample_id)
        return item is not None and (item.begun or item.ended)

    def release(self, sample_ids: Iterable[str]) -> None:
        """Queue samples that were held back; others are passed over."""
        for sample_id in sample_ids:
            item = self._items.get(sample_id)
            if item is not None and not (item.queued or item.begun or item.ended):
                self._requeue(sample_id)

    def leave_out(self, sample_ids: Iterable[str]) -> None:
        """End samples without a row; those that were handed out stay."""
        for sample_id in sample_ids:
            item = self._items.get(sample_id)
            if item is not None and not (item.begun or item.ended):
                self._end(sample_id)

    def end_waiting(self) -> list[tuple[str, int]]:
        """End what nobody works on; each sample and the attempt that comes no more."""
        waiting = [name for name, item in self._items.items() if item.queued and not item.ended]
        attempts = [(name, self._items[name].attempt) for name in waiting]
        for name in waiting:
            self._end(name)
        return attempts

    def lease(self, replica: int, n: int, now: float) -> Lease | None:
        """Hand out up to ``n`` samples, longest first; None where there is nothing to hand out.

        A replica that holds nothing is given a suspect first, alone.
        """
        if self._is_alone(replica):
            return None
        if not self._leases.get(replica) and (suspect := self._next_suspect()) is not None:
            return self._grant(replica, [suspect], now, alone=True)
        taken: list[str] = []
        while len(taken) < n and self._queue:
            sample_id = heapq.heappop(self._queue)[2]
            item = self._items[sample_id]
            if item.queued and not item.ended and not item.suspect:
                self._unqueue(item)
                taken.append(sample_id)
        return self._grant(replica, taken, now) if taken else None

    def duplicate(self, replica: int, n: int, now: float) -> Lease | None:
        """Hand out samples that another replica works on, where none are waiting.

        The newest leases come first, as their samples are the likeliest not to be begun. A
        suspect is never in two engines.
        """
        if not self.duplicates or self._waiting or self._leases.get(replica):
            return None
        single = (
            (-number, self._items[sample].cost, sample)
            for holder, leases in self._leases.items()
            if holder != replica
            for number, lease in leases.items()
            for sample in lease.samples
            if len(self._items[sample].holders) == 1 and not self._items[sample].suspect
        )
        taken = [sample for _, _, sample in heapq.nsmallest(n, single)]
        return self._grant(replica, taken, now) if taken else None

    def rescue(
        self, replica: int, n: int, now: float, *, each_s: float, left_s: float
    ) -> Lease | None:
        """Hand out again what another replica has for too long, before it delays the end.

        That is a sample that is late, and that would take longer than all that is waiting: begun
        after that, it would be the last. A slow replica that holds the longest sample is the case.

        Args:
            replica: Who takes it.
            n: At most so many.
            now: The time.
            each_s: Seconds that a sample of cost 1 should take.
            left_s: Seconds in which all that is waiting will be done.
        """
        if not self.duplicates or not self._waiting or self._is_alone(replica):
            return None
        late = [
            (-self._items[sample].cost, sample)
            for holder, leases in self._leases.items()
            if holder != replica
            for lease in leases.values()
            for sample in lease.samples
            if (should := self._items[sample].cost * each_s) >= left_s
            and now - lease.since > _LATE * should
            and len(self._items[sample].holders) == 1
            and not self._items[sample].suspect
        ]
        taken = [sample for _, sample in heapq.nsmallest(n, late)]
        return self._grant(replica, taken, now) if taken else None

    def adopt(self, replica: int, sample_ids: Iterable[str], now: float) -> None:
        """Believe a replica that says which samples it works on, whatever was handed out to it."""
        says = set(sample_ids)
        for sample_id in self.held(replica) - says:
            self._let_go(replica, sample_id)
            if not self._items[sample_id].holders:
                self._requeue(sample_id)
        taken = sorted(
            sample_id
            for sample_id in says
            if self.is_open(sample_id) and replica not in self._items[sample_id].holders
        )
        for sample_id in taken:
            if self._items[sample_id].queued:
                self._unqueue(self._items[sample_id])
        if taken:
            self._grant(replica, taken, now)

    def complete(self, replica: int, sample_id: str, now: float) -> bool:
        """A sample has its row; False where it had one already, and this one is to be dropped."""
        self._heard(replica, sample_id, now)
        if not self.is_open(sample_id):
            return False
        if replica in self._items[sample_id].holders:
            self._let_go(replica, sample_id)
        self._end(sample_id)
        return True

    def fail(self, replica: int, sample_id: str, now: float) -> bool:
        """A sample's answer was an error; whether this ends it as ``infra_error``."""
        self._heard(replica, sample_id, now)
        if not self.is_open(sample_id) or replica not in self._items[sample_id].holders:
            return False
        item = self._items[sample_id]
        item.failures += 1
        if self.retry_last:
            item.order = _LAST + item.failures
        self._let_go(replica, sample_id)
        if item.failures >= self._attempt_cap:
            self._end(sample_id)
            return True
        if not item.holders:
            self._requeue(sample_id)
        return False

    def give_back(self, replica: int) -> None:
        """Take everything from a replica that is alive and will not do it."""
        for sample_id in self._taken_from(replica):
            if not self._items[sample_id].holders:
                self._requeue(sample_id)

    def lost(self, replica: int, cause: str) -> list[Ended]:
        """A replica is dead; what it held is suspect. Returns the samples that end by this."""
        alone = {
            sample
            for lease in self._leases.get(replica, {}).values()
            if lease.alone
            for sample in lease.samples
        }
        ended = []
        for sample_id in sorted(self._taken_from(replica)):
            item = self._items[sample_id]
            attempt = item.attempt
            item.losses += 1
            item.suspect = item.losses > self.tolerated
            if sample_id in alone:
                item.alone_deaths += 1
            if item.alone_deaths >= ALONE_DEATHS:
                self._end(sample_id)
                why = f"{item.alone_deaths} engines died while it was alone in them: {cause}"
                ended.append(Ended(sample_id, why, attempt))
            elif not item.holders:
                self._requeue(sample_id)
        return ended

    def interrupted(self, replica: int) -> None:
        """A replica has died with its machine: that was an attempt, and nothing is suspect."""
        for sample_id in self._taken_from(replica):
            self._items[sample_id].losses += 1
            if not self._items[sample_id].holders:
                self._requeue(sample_id)

    def expired(self, now: float) -> list[int]:
        """Replicas that hold a lease of which nothing was heard for too long; they are to die."""
        return [
            replica
            for replica, leases in self._leases.items()
            if any(lease.deadline < now for lease in leases.values())
        ]

    def drops(self, replica: int) -> tuple[str, ...]:
        """Samples that a replica holds and that have meanwhile ended elsewhere; told once."""
        return tuple(sorted(self._drops.pop(replica, ())))

    def _is_alone(self, replica: int) -> bool:
        """Whether a replica works on something beside which nothing may be."""
        return any(lease.alone for lease in self._leases.get(replica, {}).values())

    def _next_suspect(self) -> str | None:
        while self._suspects:
            sample_id = self._suspects.popleft()
            item = self._items[sample_id]
            if item.queued and not item.ended:
                self._unqueue(item)
                return sample_id
        return None

    def _grant(self, replica: int, taken: list[str], now: float, *, alone: bool = False) -> Lease:
        self._numbers += 1
        for sample_id in taken:
            self._items[sample_id].begun = True
            self._items[sample_id].holders[replica] = self._numbers
        lease = _Open(set(taken), alone, now + self.timeout_s, now)
        self._leases.setdefault(replica, {})[self._numbers] = lease
        return Lease(tuple((name, self._items[name].attempt) for name in taken), alone)

    def _heard(self, replica: int, sample_id: str, now: float) -> None:
        """A sign of life of one lease is one of those that queue behind it, not of older ones."""
        item = self._items.get(sample_id)
        number = item.holders.get(replica) if item else None
        if number is not None:
            for later, lease in self._leases[replica].items():
                if later >= number:
                    lease.deadline = now + self.timeout_s

    def _let_go(self, replica: int, sample_id: str) -> None:
        number = self._items[sample_id].holders.pop(replica)
        lease = self._leases[replica][number]
        lease.samples.discard(sample_id)
        if not lease.samples:
            del self._leases[replica][number]
            if not self._leases[replica]:
                del self._leases[replica]

    def _taken_from(self, replica: int) -> list[str]:
        self._drops.pop(replica, None)
        held = sorted(self.held(replica))
        for sample_id in held:
            self._let_go(replica, sample_id)
        return held

    def _unqueue(self, item: _Item) -> None:
        item.queued = False
        self._waiting -= 1
        self._waiting_cost -= item.cost

    def _requeue(self, sample_id: str) -> None:
        item = self._items[sample_id]
        item.queued = True
        self._waiting += 1
        self._waiting_cost += item.cost
        if item.suspect:
            self._suspects.append(sample_id)
        else:
            heapq.heappush(self._queue, (item.order, -item.cost, sample_id))

    def _end(self, sample_id: str) -> None:
        item = self._items[sample_id]
        for replica in list(item.holders):
            self._let_go(replica, sample_id)
            self._drops.setdefault(replica, set()).add(sample_id)
        if item.queued:
            self._unqueue(item)
        item.ended = True
        self._unfinished -= 1
