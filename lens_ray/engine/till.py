"""The coordinator's side of a budget: `Till`, a `Purse` whose grants are in the store first."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, fields
from typing import Any

from lens_ray.engine.messages import Row
from lens_ray.engine.plan import EnginePlan, ModelPlan
from lens_ray.engine.purse import Account, Allowance, Holding, Money, Over, Purse, reconciled
from lens_ray.engine.seats import Seated
from lens_ray.models import backend_entry
from lens_ray.store import RunLog, Store
from lens_ray.store.book import Book

#: GPU time that is granted ahead: after a crash it counts as spent.
_AHEAD_S = 30.0
#: How often what was spent is written down where nothing is granted meanwhile.
_WRITE_S = 5.0
_HOUR = 3600.0
#: Holders that are no replicas.
_HOSTS, _ROWS = "hosts", "rows"


def account_of(record: Mapping[str, object] | None) -> Account:
    """The account in a store's record.

    Raises:
        ValueError: It is damaged.
    """
    if record is None:
        return Account()
    seen, presumed, held = (record.get(name) for name in ("seen", "presumed", "holdings"))
    if not isinstance(held, dict):
        raise ValueError("holdings is no object")
    return Account(
        _dollars(seen), _dollars(presumed), {str(name): _holding(one) for name, one in held.items()}
    )


def record_of(account: Account) -> dict[str, object]:
    """An account as the store keeps it."""
    holdings = {name: asdict(one) for name, one in account.holdings.items()}
    return {"seen": account.seen, "presumed": account.presumed, "holdings": holdings}


def spent_on(log: RunLog) -> float:
    """What a run has cost so far, for all that the store knows; blocks.

    Raises:
        StoreUnavailable: The store is out of reach or damaged.
    """
    account = account_of(log.book("").read())
    return reconciled(account, paid_for(log), account.holdings).spent


def paid_for(log: RunLog) -> float:
    """What the durable answers of a run cost; blocks.

    Raises:
        StoreUnavailable: The store is out of reach or damaged.
    """
    import pyarrow.compute as pc

    done = log.refresh().done
    total = pc.sum(log.rows(["cost_usd"])["cost_usd"]).as_py()
    # Paid, and no row yet; what has its row is counted by that.
    journal = [
        answer.cost_usd or 0.0
        for _, entry in log.paid().read_new()
        for answer in entry
        if answer.sample_id not in done
    ]
    return math.fsum([total or 0.0, *journal])


class Till:
    """Takes in what replicas say of their dollars, and grants more.

    Attributes:
        purse: The state.
    """

    def __init__(self, plan: EnginePlan, store: Store) -> None:
        """Read the accounts of the runs and take them over; blocks.

        Args:
            plan: The job; its budgets are given.
            store: Where the accounts are.

        Raises:
            StoreUnavailable: It is out of reach or damaged.
            RunBusy: Another driver writes them.
        """
        assert plan.budgets is not None
        self._budgets = plan.budgets
        self._store = store
        self._models = {
            model.run_id: model for model in plan.models if plan.budgets.limit(model.number)
        }
        self._books: dict[str, Book] = {}
        accounts = {}
        for run_id in self._models:
            log = store.run(run_id)
            book = self._books[run_id] = log.book(self._budgets.session)
            account = account_of(book.read())
            gone = {name for name in account.holdings if not self._mine(name)}
            gone.add(self._name(_ROWS))  # what they say is what the store says
            alive = account.holdings.keys() - gone - {self._name(_HOSTS)}
            # Replicas that are alive say themselves what they have spent.
            evidence = None if alive else paid_for(log)
            account = reconciled(account, evidence, gone & account.holdings.keys())
            book.write(record_of(account))
            accounts[run_id] = account
        limits = {
            run_id: self._budgets.models.get(model.number) for run_id, model in self._models.items()
        }
        self.purse = Purse(self._budgets.job, limits, accounts, self._budgets.before)
        self._written = dict(accounts)
        self._writing = asyncio.Lock()
        self._closed: set[str] = set()
        self._ticked: float | None = None
        self._wrote = 0.0
        self._hosted = {run_id: self._held(run_id, _HOSTS).spent for run_id in self._models}
        self._rows = dict.fromkeys(self._models, 0.0)

    def limits(self, run_id: str) -> bool:
        """Whether a run's spending is limited."""
        return run_id in self._models

    async def exchange(
        self, run_id: str, seat: int, money: Money, threads: Executor
    ) -> Allowance | None:
        """Take in what a replica says; what it is told is written down before.

        Args:
            run_id: Its run.
            seat: Its number.
            money: What it says.
            threads: For the store.

        Raises:
            StoreUnavailable: The store is out of reach.
            RunBusy: Another driver writes the account.
        """
        if run_id not in self._models or run_id in self._closed:
            return None
        holder = self._name(str(seat))
        self.purse.hear(run_id, holder, money)
        first = self.purse.grant(run_id, holder)
        if self.purse.unsettled:
            await self._look(threads)
            first = self.purse.grant(run_id, holder)
        if first:
            await self._write(run_id, threads)
        return self.purse.allowance(run_id, holder, self.why(run_id))

    def leave(self, run_id: str, seat: int, money: Money) -> None:
        """A replica is told to end; nothing of it is in flight."""
        if run_id in self._models and run_id not in self._closed:
            self.purse.hear(run_id, self._name(str(seat)), money)
            self.purse.leave(run_id, self._name(str(seat)))

    def answered(self, rows: Iterable[Row]) -> None:
        """Count what answers cost of backends that do not ask for dollars first."""
        for row in rows:
            run_id, cost = str(row["run_id"]), row.get("cost_usd")
            model = self._models.get(run_id)
            if model is None or not isinstance(cost, float) or not _pays_by_rows(model):
                continue
            self._rows[run_id] += cost
            self.purse.charge(run_id, self._name(_ROWS), self._rows[run_id], 0.0)

    def tick(self, seats: Mapping[int, Seated], now: float) -> None:
        """Count the time of hosts, and lose who is gone.

        Args:
            seats: The replicas that there are.
            now: The time.
        """
        elapsed = now - self._ticked if self._ticked is not None else 0.0
        self._ticked = now
        names = {self._name(str(number)) for number in seats}
        for run_id, model in self._models.items():
            if run_id in self._closed:
                continue
            own = {self._name(_HOSTS), self._name(_ROWS)}
            for holder in self.purse.alive(run_id):
                if holder not in names and holder not in own:
                    self.purse.lose(run_id, holder)
            if _pays_by_rows(model):
                self.purse.charge(run_id, self._name(_ROWS), self._rows[run_id], 0.0)
            hourly = self._budgets.hourly.get(model.number, 0.0)
            if hourly:
                hosts = sum(seat.model == model.number for seat in seats.values())
                self._hosted[run_id] += hosts * hourly * elapsed / _HOUR
                ahead = hosts * hourly * _AHEAD_S / _HOUR
                self.purse.charge(run_id, self._name(_HOSTS), self._hosted[run_id], ahead)

    def why(self, run_id: str) -> str | None:
        """Why nothing more is to be asked of a run; None where something is."""
        over = self.purse.over.get(run_id)
        return None if over is None else _words(over, self._models[run_id].spec.name)

    def ends(self, run_id: str) -> str | None:
        """As `why`, of models whose replicas do not find out by themselves."""
        model = self._models.get(run_id)
        return None if model is None or _attached(model) else self.why(run_id)

    def spent(self, run_id: str) -> float | None:
        """What a run has cost; None where that is not counted."""
        model = self._models.get(run_id)
        if model is None or not (
            _attached(model) or _pays_by_rows(model) or model.number in self._budgets.hourly
        ):
            return None
        return self.purse.accounts[run_id].spent

    async def close(self, run_id: str, threads: Executor, *, failed: bool) -> None:
        """A run has ended.

        Args:
            run_id: Which.
            threads: For the store.
            failed: Whether calls may be in flight.
        """
        if run_id in self._models and run_id not in self._closed:
            self._closed.add(run_id)
            if failed:
                for holder in self.purse.alive(run_id):
                    self.purse.lose(run_id, holder)
            else:
                self.purse.close(run_id)
            await self._write(run_id, threads)

    async def write_due(self, now: float, threads: Executor) -> None:
        """Write down what was spent, once in a while."""
        if now - self._wrote >= _WRITE_S:
            self._wrote = now
            await self.write_all(threads)

    async def write_all(self, threads: Executor) -> None:
        """Write down what has changed."""
        for run_id in self._models:
            await self._write(run_id, threads)

    async def _write(self, run_id: str, threads: Executor) -> None:
        async with self._writing:
            account = self.purse.accounts[run_id]
            if account != self._written[run_id]:
                loop = asyncio.get_running_loop()
                book = self._books[run_id]
                await loop.run_in_executor(threads, book.write, record_of(account))
                self._written[run_id] = account

    async def _look(self, threads: Executor) -> None:
        """What dead replicas have spent, as the store shows it."""
        loop = asyncio.get_running_loop()
        for lost in self.purse.lost():
            log = self._store.run(lost)
            evidence = await loop.run_in_executor(threads, paid_for, log)
            self.purse.settle(lost, evidence)

    def _held(self, run_id: str, name: str) -> Holding:
        return self.purse.accounts[run_id].holdings.get(self._name(name), Holding())

    def _name(self, what: str) -> str:
        return f"{self._budgets.session}/{what}"

    def _mine(self, holder: str) -> bool:
        return holder.startswith(f"{self._budgets.session}/")


def _attached(model: ModelPlan) -> bool:
    return backend_entry(model.spec.backend).attached


def _pays_by_rows(model: ModelPlan) -> bool:
    """Whether its answers cost money, and it does not ask for it first."""
    entry = backend_entry(model.spec.backend)
    return not entry.attached and not entry.needs_checkpoint


def _words(over: Over, model: str) -> str:
    whose = "of the job" if over.whose == "job" else f"of model {model}"
    may = f", and the next call may cost ${over.needed:.3g}" if over.needed else ""
    return (
        f"the budget {whose} is reached: ${over.spent:.4g} of ${over.usd:g} spent{may}; "
        "raise budget: {usd: ...} and run the job again"
    )


def _dollars(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e15:
        raise ValueError(f"{value!r} where US dollars belong")
    return float(value)


def _holding(record: Any) -> Holding:
    if not isinstance(record, dict):
        raise ValueError("a holding is no object")
    known = {one.name for one in fields(Holding)} - {"lost"}
    return Holding(
        **{name: _dollars(record.get(name, 0.0)) for name in known}, lost=bool(record.get("lost"))
    )
