"""Who may spend how much of a budget: `Purse`. Pure: no store, no clock, no Ray.

Each run has an `Account`. Dollars go out in blocks: a holder (a replica that asks a provider, or
the GPUs of a run) is granted a block before it spends anything, and says with each call what it
has spent. At every moment::

    committed = seen + presumed + sum over holders of (granted - back)   <=   budget

where a holder spends no more than it was granted. What exceeds the budget in the end is only what
a call cost beyond the worst case that was reserved for it.

A holder that died may have spent all that it had. Until somebody looks (`reconciled`), all of it
counts as spent; then it is what durable answers cost, and the most that can have been in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

#: Sums of floats differ by less than that; far below the price of any call.
EPSILON = 1e-9
#: More than anybody is granted.
ALL = 1e12


@dataclass(frozen=True, slots=True)
class Money:
    """What a holder says of its dollars. Sums are since it began and never fall.

    Attributes:
        granted: That it has heard of.
        back: That it has given back.
        spent: On calls whose price is known.
        doubt: On calls that may have been paid (a timeout): their worst case.
        flying: Reserved for calls that are on their way.
        waits: That the first waiting call needs; 0 where none waits.
        wants: That it would like to be granted, ``waits`` included.
        risk: The most that can be in flight at once.
        patient: Whether a call may wait for what those in flight give back.
    """

    granted: float = 0.0
    back: float = 0.0
    spent: float = 0.0
    doubt: float = 0.0
    flying: float = 0.0
    waits: float = 0.0
    wants: float = 0.0
    risk: float = 0.0
    patient: bool = True


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a holder is told.

    Attributes:
        granted: In all, since it began.
        risk: The largest ``Money.risk`` that is written down: no larger call may begin.
        scarce: Whether it is to give back what no call has reserved.
        over: Why nothing more will be granted; None while something may be.
    """

    granted: float
    risk: float
    scarce: bool = False
    over: str | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What one holder has of an account; see `Money`.

    Attributes:
        granted: In all.
        back: Given back.
        spent: For certain.
        doubt: Perhaps.
        risk: The most that was in flight at once.
        lost: Whether it died.
    """

    granted: float = 0.0
    back: float = 0.0
    spent: float = 0.0
    doubt: float = 0.0
    risk: float = 0.0
    lost: bool = False

    @property
    def committed(self) -> float:
        """That may have been spent by it, or may yet be."""
        return max(self.granted - self.back, self.spent + self.doubt)

    @property
    def left(self) -> float:
        """Of it, what is not spent for all that is known."""
        return max(0.0, self.committed - self.spent - self.doubt)


@dataclass(frozen=True, slots=True)
class Account:
    """What a run has cost so far.

    Attributes:
        seen: For certain, by holders that are gone.
        presumed: Perhaps, by holders that are gone.
        holdings: By holder.
    """

    seen: float = 0.0
    presumed: float = 0.0
    holdings: Mapping[str, Holding] = field(default_factory=dict)

    @property
    def spent(self) -> float:
        """So far, what may have been spent included."""
        gone = self.seen + self.presumed
        return gone + sum(one.spent + one.doubt for one in self.holdings.values())

    @property
    def committed(self) -> float:
        """Spent, or granted and not given back."""
        gone = self.seen + self.presumed
        return gone + sum(one.committed for one in self.holdings.values())


def reconciled(
    account: Account, evidence: float | None, lost: Iterable[str] | None = None
) -> Account:
    """An account without its lost holders, which have spent what the store shows and a little more.

    Args:
        account: The account.
        evidence: What all durable answers of the run cost, whoever asked for them; None is not
            known. No holder that is not lost has anything in flight, or has spent what it did not
            say.
        lost: Holders that are lost; None is those that are marked so.
    """
    names = set(lost) if lost is not None else {k for k, v in account.holdings.items() if v.lost}
    gone = [one for name, one in account.holdings.items() if name in names]
    kept = {name: one for name, one in account.holdings.items() if name not in names}
    here = sum(one.spent for one in kept.values())
    told = account.seen + sum(one.spent for one in gone)
    seen = told if evidence is None else max(told, evidence - here)
    flying = sum(min(one.risk, one.left) for one in gone)
    presumed = account.presumed + sum(one.doubt for one in gone) + flying
    if gone:  # they cannot have spent more than they had
        most = account.seen + account.presumed + sum(one.committed for one in gone)
        presumed = max(account.presumed, min(presumed, most - seen))
    return Account(seen, presumed, kept)


@dataclass(frozen=True, slots=True)
class Over:
    """A budget that is reached.

    Attributes:
        whose: ``model`` or ``job``.
        usd: The budget.
        spent: Of it.
        needed: What the next call may cost.
    """

    whose: Literal["model", "job"]
    usd: float
    spent: float
    needed: float


@dataclass(frozen=True, slots=True)
class _Limit:
    """A budget that limits a run.

    Attributes:
        whose: Its.
        usd: It.
        spent: Of it.
        room: Of it, what is free to be granted.
    """

    whose: Literal["model", "job"]
    usd: float
    spent: float
    room: float


class Purse:
    """The budgets of a job and its models, and what is granted of them.

    Attributes:
        accounts: By run, as they are to be written.
        over: Runs of which nothing more is to be asked, and why.
        unsettled: Whether a budget seems to be reached, and lost holders may not have spent all
            that they had: the store is to be looked at (`settle`).
    """

    def __init__(
        self,
        job: float | None,
        models: Mapping[str, float | None],
        accounts: Mapping[str, Account],
        before: float = 0.0,
    ) -> None:
        """Take over what was spent.

        Args:
            job: Its budget in US dollars; None is not limited.
            models: By run, the budget of its model.
            accounts: By run.
            before: What further runs of the job have cost, of which nothing is asked now.
        """
        self.accounts = {run: accounts.get(run, Account()) for run in models}
        self.over: dict[str, Over] = {}
        self.unsettled = False
        self._job = job
        self._models = dict(models)
        self._before = before
        self._said: dict[tuple[str, str], Money] = {}

    @property
    def spent(self) -> float:
        """By the whole job."""
        return self._before + sum(account.spent for account in self.accounts.values())

    def pool(self, run: str) -> float:
        """What could be granted to a run now; infinite where nothing limits it."""
        return min((limit.room for limit in self._limits(run)), default=float("inf"))

    def hear(self, run: str, holder: str, money: Money) -> None:
        """A holder says how it stands."""
        before = self.accounts[run].holdings.get(holder, Holding())
        self._said[run, holder] = money
        told = replace(
            before,
            granted=max(before.granted, money.granted),
            back=max(before.back, money.back),
            spent=max(before.spent, money.spent),
            doubt=max(before.doubt, money.doubt),
            lost=False,
        )
        self._put(run, holder, told)

    def grant(self, run: str, holder: str) -> bool:
        """Give a holder what it wants, as far as there is; whether it is to be written first."""
        money = self._said[run, holder]
        holding = self.accounts[run].holdings[holder]
        risk = max(holding.risk, money.risk)
        amount = 0.0 if run in self.over else self._amount(run, money)
        if amount <= 0:
            self._look_whether_over(run, money)
        if amount <= 0 and risk <= holding.risk:
            return False
        self._put(run, holder, replace(holding, granted=holding.granted + amount, risk=risk))
        if amount > 0:  # it waits no more
            self._said[run, holder] = replace(money, waits=0.0, wants=0.0)
        return True

    def allowance(self, run: str, holder: str, why: str | None = None) -> Allowance:
        """What a holder is to be told, once its account is written.

        Args:
            run: Its run.
            holder: Who.
            why: In words, where the run is over its budget.
        """
        holding = self.accounts[run].holdings[holder]
        over = why if run in self.over else None
        return Allowance(holding.granted, holding.risk, self._scarce(run), over)

    def charge(self, run: str, holder: str, spent: float, ahead: float) -> bool:
        """Count what is spent whether granted or not (GPUs, answers of unattached backends).

        Args:
            run: Whose.
            holder: Who spends it.
            spent: US dollars since it began.
            ahead: That it will have spent before it is stopped.

        Returns:
            Whether it is to be written.
        """
        before = self.accounts[run].holdings.get(holder, Holding())
        left = replace(before, spent=max(before.spent, spent)).left
        low = ahead <= 0 or left <= ahead / 2
        self.hear(
            run,
            holder,
            Money(
                spent=spent,
                waits=2 * EPSILON if low else 0.0,
                wants=max(ahead - left, 2 * EPSILON) if low else 0.0,
                risk=ALL,  # it goes on while nobody counts
                patient=False,
            ),
        )
        if ahead > 0:
            return self.grant(run, holder)
        self._look_whether_over(run, self._said[run, holder])
        return False

    def leave(self, run: str, holder: str) -> None:
        """A holder has ended in order, with nothing in flight."""
        account = self.accounts[run]
        holding = account.holdings.get(holder)
        self._said.pop((run, holder), None)
        if holding is not None:
            rest = {name: one for name, one in account.holdings.items() if name != holder}
            self.accounts[run] = Account(
                account.seen + holding.spent, account.presumed + holding.doubt, rest
            )

    def lose(self, run: str, holder: str) -> None:
        """A holder has died; what it had counts as spent until `settle`."""
        self._said.pop((run, holder), None)
        self._put(run, holder, replace(self.accounts[run].holdings[holder], lost=True))

    def lost(self) -> frozenset[str]:
        """Runs of which holders are lost."""
        return frozenset(
            name
            for name, account in self.accounts.items()
            if any(one.lost for one in account.holdings.values())
        )

    def settle(self, run: str, evidence: float) -> None:
        """What lost holders of a run had is what the store shows; see `reconciled`."""
        self.accounts[run] = reconciled(self.accounts[run], evidence)
        self.unsettled = False

    def close(self, run: str) -> None:
        """Nothing more is asked of a run, and nothing of it is in flight."""
        for holder, holding in list(self.accounts[run].holdings.items()):
            if not holding.lost:
                self.leave(run, holder)

    def alive(self, run: str) -> tuple[str, ...]:
        """The holders of a run that are not lost."""
        holdings = self.accounts[run].holdings.items()
        return tuple(name for name, one in holdings if not one.lost)

    def _put(self, run: str, holder: str, holding: Holding) -> None:
        account = self.accounts[run]
        self.accounts[run] = replace(account, holdings={**account.holdings, holder: holding})

    def _limits(self, run: str) -> list[_Limit]:
        limits = []
        model = self._models[run]
        if model is not None:
            account = self.accounts[run]
            limits.append(_Limit("model", model, account.spent, model - account.committed))
        if self._job is not None:
            committed = sum(account.committed for account in self.accounts.values())
            room = self._job - self._before - committed
            limits.append(_Limit("job", self._job, self.spent, room))
        return limits

    def _amount(self, run: str, money: Money) -> float:
        """A part of what is left, so that others get some too, but enough for one call."""
        room = self.pool(run)
        if money.wants <= 0 or room + EPSILON < max(money.waits, EPSILON):
            return 0.0
        if self._scarce(run):
            return money.waits
        part = room / (2 * max(1, len(self._said)))
        return min(room, max(money.waits, min(money.wants, part)))

    def _scarce(self, run: str) -> bool:
        """Whether a call waits for money that others have, of a budget that this run shares."""
        return any(
            limit.whose == "job" or other == run
            for (other, _), money in self._said.items()
            if money.waits > 0
            for limit in self._limits(other)
            if limit.room + EPSILON < money.waits
        )

    def _look_whether_over(self, run: str, money: Money) -> None:
        """Nothing more comes where a call waits and nobody has anything to give back."""
        if run in self.over or money.waits <= 0:
            return
        for limit in self._limits(run):
            if limit.room + EPSILON >= money.waits:
                continue
            shared = self.accounts if limit.whose == "job" else {run}
            out = sum(self._comes_back(other, patient=money.patient) for other in shared)
            if out > 10 * EPSILON:  # hosts drip
                continue
            if self.lost().intersection(shared):
                self.unsettled = True
            else:
                self.over[run] = Over(limit.whose, limit.usd, limit.spent, money.waits)
            return

    def _comes_back(self, run: str, *, patient: bool) -> float:
        """What holders of a run may still give back; who is not patient waits for what is free."""
        total = 0.0
        for name, holding in self.accounts[run].holdings.items():
            if not holding.lost:  # of some, nothing was heard since a restart
                said = self._said.get((run, name), Money())
                total += holding.left - (0.0 if patient else said.flying)
        return total
