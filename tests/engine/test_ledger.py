"""The ledger, step by step and by a state machine that tries everything."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lens_ray.engine.ledger import ALONE_DEATHS, ATTEMPT_CAP, Lease, Ledger


def ledger(*names: str, **given: object) -> Ledger:
    costs = {name: float(len(names) - place) for place, name in enumerate(names)}
    return Ledger(costs, timeout_s=10.0, **given)  # type: ignore[arg-type]


def ids(lease: object) -> list[str]:
    assert lease is not None
    return [name for name, _ in lease.samples]  # type: ignore[attr-defined]


def test_longest_expected_goes_first() -> None:
    book = Ledger({"short": 1.0, "long": 9.0, "middle": 4.0}, timeout_s=10.0)
    assert ids(book.lease(1, 2, 0.0)) == ["long", "middle"]
    assert ids(book.lease(2, 5, 0.0)) == ["short"]
    assert book.lease(3, 5, 0.0) is None
    assert (book.waiting, book.waiting_cost, book.unfinished) == (0, 0.0, 3)


def test_what_is_held_back_comes_in_its_order_once_it_is_released() -> None:
    costs = {"long": 9.0, "late": 5.0, "soon": 1.0, "never": 7.0}
    book = Ledger(costs, timeout_s=10.0, held_back={"long": 2, "late": 1, "soon": 0, "never": 3})
    assert (book.lease(1, 9, 0.0), book.waiting, book.unfinished) == (None, 0, 4)
    book.release(["long", "late", "soon"])
    assert (book.waiting, book.waiting_cost) == (3, 15.0)
    assert ids(book.lease(1, 2, 0.0)) == ["soon", "late"]
    book.leave_out(["soon", "long", "never"])
    assert [book.begun(name) for name in ("soon", "late", "other")] == [True, True, False]
    assert (book.waiting, book.unfinished, book.lease(2, 9, 0.0)) == (0, 2, None)
    for name in ("soon", "late"):
        assert book.complete(1, name, 1.0)
    assert book.finished
    assert not book.complete(1, "never", 2.0)


def test_first_answer_counts_and_the_twin_is_dropped() -> None:
    book = ledger("a")
    assert book.lease(1, 1, 0.0)
    assert ids(book.duplicate(2, 1, 1.0)) == ["a"]
    assert book.complete(2, "a", 2.0)
    assert not book.complete(1, "a", 3.0)
    assert book.drops(1) == ("a",)
    assert book.drops(1) == ()
    assert book.drops(2) == ()
    assert book.finished


def test_nothing_is_duplicated_while_something_waits_or_where_it_is_paid_for() -> None:
    book = ledger("a", "b")
    book.lease(1, 1, 0.0)
    assert book.duplicate(2, 1, 0.0) is None
    paid = ledger("a", duplicates=False)
    paid.lease(1, 1, 0.0)
    assert paid.duplicate(2, 1, 0.0) is None


def test_newest_lease_is_duplicated_first_and_only_once() -> None:
    book = ledger("a", "b")
    book.lease(1, 1, 0.0)
    book.lease(1, 1, 0.0)
    assert ids(book.duplicate(2, 1, 1.0)) == ["b"]
    assert ids(book.duplicate(3, 5, 1.0)) == ["a"]
    assert book.duplicate(4, 5, 1.0) is None


def test_lost_replica_makes_suspects_that_are_tried_alone() -> None:
    book = ledger("a", "b", "c")
    book.lease(1, 2, 0.0)
    assert book.lost(1, "killed") == []
    lease = book.lease(2, 5, 1.0)
    assert lease is not None
    assert lease.alone
    assert lease.samples == (("a", 2),)
    assert book.lease(2, 5, 1.0) is None  # nothing else beside it
    assert book.complete(2, "a", 2.0)
    assert ids(book.lease(2, 5, 2.0)) == ["b"]


def test_a_busy_replica_is_given_no_suspect() -> None:
    book = ledger("a", "b", "c")
    book.lease(1, 1, 0.0)
    book.lease(2, 1, 0.0)
    book.lost(1, "killed")
    assert ids(book.lease(2, 1, 1.0)) == ["c"]
    assert book.lease(2, 1, 1.0) is None


def test_a_sample_that_kills_two_engines_alone_ends() -> None:
    book = ledger("a")
    book.lease(1, 1, 0.0)
    assert book.lost(1, "first") == []
    book.lease(2, 1, 0.0)
    assert book.lost(2, "second") == []
    assert book.attempt("a") == 3
    book.lease(3, 1, 0.0)
    (ended,) = book.lost(3, "exit 70")
    assert (ended.sample_id, ended.attempt) == ("a", 3)
    assert ended.cause == "2 engines died while it was alone in them: exit 70"
    assert book.finished


def test_a_twin_goes_on_when_one_of_two_replicas_dies() -> None:
    book = ledger("a")
    book.lease(1, 1, 0.0)
    book.duplicate(2, 1, 0.0)
    assert book.lost(1, "killed") == []
    assert book.waiting == 0
    assert book.duplicate(3, 1, 0.0) is None  # suspect now
    assert book.complete(2, "a", 1.0)


def test_error_answers_are_capped() -> None:
    book = ledger("a")
    for attempt in range(1, ATTEMPT_CAP + 1):
        lease = book.lease(1, 1, 0.0)
        assert lease is not None
        assert lease.samples == (("a", attempt),)
        assert book.fail(1, "a", 1.0) == (attempt == ATTEMPT_CAP)
    assert book.finished


def test_a_lease_expires_unless_it_or_an_older_one_is_heard_of() -> None:
    book = ledger("a", "b", "c")
    book.lease(1, 2, 0.0)
    book.lease(1, 1, 5.0)
    assert book.expired(10.0) == []
    book.complete(1, "a", 9.0)  # "c" queues behind it
    assert book.expired(18.0) == []
    book.complete(1, "c", 18.0)  # says nothing of "b"
    assert book.expired(19.5) == [1]
    book.lost(1, "hung")
    assert book.expired(99.0) == []


def test_late_answers_of_a_dead_replica_are_welcome() -> None:
    book = ledger("a")
    book.lease(1, 1, 0.0)
    book.lost(1, "hung")
    assert book.complete(1, "a", 1.0)
    assert book.finished
    assert book.lease(2, 1, 1.0) is None


def test_a_replica_is_believed_about_what_it_holds() -> None:
    book = ledger("a", "b", "c")
    book.lease(1, 2, 0.0)
    book.adopt(1, ["b", "c", "unknown"], 1.0)
    assert book.held(1) == {"b", "c"}
    assert ids(book.lease(2, 5, 1.0)) == ["a"]


def test_give_back_is_no_attempt() -> None:
    book = ledger("a")
    book.lease(1, 1, 0.0)
    book.give_back(1)
    lease = book.lease(2, 1, 0.0)
    assert lease is not None
    assert not lease.alone
    assert lease.samples == (("a", 1),)


def test_a_machine_that_dies_is_an_attempt_and_no_suspicion() -> None:
    book = ledger("a", "b")
    book.lease(1, 2, 0.0)
    book.interrupted(1)
    lease = book.lease(2, 2, 0.0)
    assert lease is not None
    assert not lease.alone
    assert lease.samples == (("a", 2), ("b", 2))


def test_a_suspect_stays_one_when_its_machine_dies() -> None:
    book = ledger("a")
    book.lease(1, 1, 0.0)
    book.lost(1, "killed")
    for replica, attempt in ((2, 2), (3, 3), (4, 4)):  # however many machines die
        lease = book.lease(replica, 1, 0.0)
        assert lease is not None
        assert lease.alone
        assert lease.samples == (("a", attempt),)
        book.interrupted(replica)
    assert not book.finished


class LedgerMachine(RuleBasedStateMachine):
    """Replicas that lease, answer, fail, die, hang and come back, in any order."""

    @initialize(count=st.integers(1, 12), paid=st.booleans(), held=st.integers(0, 6))
    def begin(self, count: int, paid: bool, held: int) -> None:
        self.now = 0.0
        self.paid = paid
        self.names = [f"s{number}" for number in range(count)]
        self.book = Ledger(
            {name: float(number % 3) for number, name in enumerate(self.names)},
            timeout_s=10.0,
            duplicates=not paid,
            held_back={name: number for number, name in enumerate(self.names[:held])},
        )
        #: Waiting for their turn: never handed out so far.
        self.back = set(self.names[:held])
        self.out: set[str] = set()
        self.begun: set[str] = set()
        self.next_replica = 0
        #: What each live replica holds, as it knows it itself.
        self.live: dict[int, set[str]] = {}
        self.alone: dict[int, str] = {}
        self.rows: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.alone_deaths: Counter[str] = Counter()
        self.suspects: set[str] = set()

    def open(self) -> list[str]:
        return [name for name in self.names if not self.rows[name] and name not in self.out]

    def _took(self, replica: int, lease: object) -> None:
        if lease is None:
            return
        taken = ids(lease)
        assert taken
        assert not self.live[replica].intersection(taken)
        assert not self.rows.keys() & set(taken)
        assert not (self.back | self.out) & set(taken)
        if lease.alone:  # type: ignore[attr-defined]
            assert len(taken) == 1
            assert not self.book.held(replica) - set(taken)
            self.alone[replica] = taken[0]
        else:
            assert replica not in self.alone
            assert not self.suspects.intersection(taken)
        self.live[replica] |= set(taken)
        self.begun |= set(taken)

    def _end(self, name: str) -> None:
        self.rows[name] += 1
        self.back.discard(name)
        for held in self.live.values():
            held.discard(name)
        for replica in [r for r, alone in self.alone.items() if alone == name]:
            del self.alone[replica]

    @rule()
    def join(self) -> None:
        if len(self.live) < 4:
            self.live[self.next_replica] = set()
            self.next_replica += 1

    @precondition(lambda self: self.live)
    @rule(data=st.data(), n=st.integers(1, 4))
    def lease(self, data: st.DataObject, n: int) -> None:
        replica = data.draw(st.sampled_from(sorted(self.live)))
        self._took(replica, self.book.lease(replica, n, self.now))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), n=st.integers(1, 4))
    def duplicate(self, data: st.DataObject, n: int) -> None:
        replica = data.draw(st.sampled_from(sorted(self.live)))
        lease = self.book.duplicate(replica, n, self.now)
        assert lease is None or not self.paid
        self._took(replica, lease)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), n=st.integers(1, 4), each=st.sampled_from([0.1, 2.0]))
    def rescue(self, data: st.DataObject, n: int, each: float) -> None:
        replica = data.draw(st.sampled_from(sorted(self.live)))
        lease = self.book.rescue(replica, n, self.now, each_s=each, left_s=1.0)
        assert lease is None or not self.paid
        self._took(replica, lease)

    @precondition(lambda self: any(self.live.values()))
    @rule(data=st.data(), error=st.booleans())
    def answer(self, data: st.DataObject, error: bool) -> None:
        replica = data.draw(st.sampled_from(sorted(r for r, held in self.live.items() if held)))
        name = data.draw(st.sampled_from(sorted(self.live[replica])))
        self.live[replica].discard(name)
        self.alone.pop(replica, None)
        if not error:
            assert self.book.complete(replica, name, self.now)
            self._end(name)
            return
        self.errors[name] += 1
        if self.book.fail(replica, name, self.now):
            assert self.errors[name] == ATTEMPT_CAP
            self._end(name)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self._lose(data.draw(st.sampled_from(sorted(self.live))))

    def _lose(self, replica: int) -> None:
        held = self.live.pop(replica)
        alone = self.alone.pop(replica, None)
        if alone is not None:
            self.alone_deaths[alone] += 1
        self.suspects |= held
        for ended in self.book.lost(replica, "killed"):
            assert ended.sample_id == alone
            assert self.alone_deaths[ended.sample_id] == ALONE_DEATHS
            self._end(ended.sample_id)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        replica = data.draw(st.sampled_from(sorted(self.live)))
        self.book.give_back(replica)
        del self.live[replica]
        self.alone.pop(replica, None)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def machine_dies(self, data: st.DataObject) -> None:
        replica = data.draw(st.sampled_from(sorted(self.live)))
        self.book.interrupted(replica)
        del self.live[replica]
        self.alone.pop(replica, None)

    @precondition(lambda self: self.back)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        names = data.draw(st.sets(st.sampled_from(self.names)))
        self.book.release(names)
        self.back -= names

    @rule(data=st.data())
    def leave_out(self, data: st.DataObject) -> None:
        names = data.draw(st.sets(st.sampled_from(self.names), max_size=2))
        self.book.leave_out(names)
        self.out |= {name for name in names if name in self.open() and name not in self.begun}
        self.back -= self.out

    @rule(seconds=st.floats(0.1, 11.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for replica in self.book.expired(self.now):
            assert self.live[replica]
            self._lose(replica)

    @precondition(lambda self: self.open())
    @rule(data=st.data())
    def late_answer(self, data: st.DataObject) -> None:
        """A replica that was given up, or one of before a restart, answers after all."""
        name = data.draw(st.sampled_from(self.open()))
        assert self.book.complete(10_000, name, self.now)
        self._end(name)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def introduce(self, data: st.DataObject) -> None:
        """A replica says what it holds, some of which it was never given."""
        replica = data.draw(st.sampled_from(sorted(self.live)))
        if replica in self.alone or self.paid:
            return
        free = [name for name in self.open() if name not in self.suspects]
        more = data.draw(st.lists(st.sampled_from(free), max_size=2)) if free else []
        kept = (
            data.draw(st.sets(st.sampled_from(sorted(self.live[replica]))))
            if self.live[replica]
            else set()
        )
        says = kept | set(more)
        self.book.adopt(replica, says, self.now)
        self.live[replica] = says
        self.begun |= says
        self.back -= says

    @invariant()
    def every_sample_is_somewhere(self) -> None:
        held = set().union(*self.live.values()) if self.live else set()
        waiting = [n for n in self.open() if n not in held and n not in self.back]
        assert self.book.waiting == len(waiting)
        assert self.book.unfinished == len(self.open())
        assert self.book.finished == (not self.open())

    @invariant()
    def nothing_ends_twice(self) -> None:
        assert all(count == 1 for count in self.rows.values())
        assert all(self.book.is_open(name) == (name in self.open()) for name in self.names)

    @invariant()
    def caps_hold(self) -> None:
        assert all(count <= ATTEMPT_CAP for count in self.errors.values())
        assert all(count <= ALONE_DEATHS for count in self.alone_deaths.values())

    @invariant()
    def both_books_agree(self) -> None:
        for replica, held in self.live.items():
            assert self.book.held(replica) == held

    @invariant()
    def at_most_two_copies_and_one_where_paid(self) -> None:
        copies = Counter(name for held in self.live.values() for name in held)
        if self.paid:
            assert all(count == 1 for count in copies.values())

    def teardown(self) -> None:
        """Whatever happened, one calm replica brings it to an end."""
        if not hasattr(self, "book"):
            return
        for replica in list(self.live):
            self.book.give_back(replica)
        self.book.release(self.names)
        for _ in range(3 * len(self.names)):
            lease = self.book.lease(-1, 2, self.now)
            if lease is None:
                break
            for name in ids(lease):
                assert self.book.complete(-1, name, self.now)
                self.rows[name] += 1
        assert self.book.finished
        kept = [name for name in self.names if name not in self.out]
        assert dict(self.rows) == dict.fromkeys(kept, 1)


LedgerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase


def test_a_late_sample_is_handed_out_again_before_it_is_the_last() -> None:
    """The longest sample takes 10 s and lies on a slow replica; 8 s of others are waiting."""
    ledger = Ledger({"long": 10.0, **{f"s{n}": 1.0 for n in range(8)}}, timeout_s=300.0)
    assert ledger.lease(0, 1, now=0.0) == Lease((("long", 1),))
    assert ledger.rescue(1, 1, 15.0, each_s=1.0, left_s=8.0) is None  # not late yet
    assert ledger.rescue(1, 1, 21.0, each_s=1.0, left_s=12.0) is None  # there is time
    assert ledger.rescue(0, 1, 21.0, each_s=1.0, left_s=8.0) is None  # it has it itself
    assert ledger.rescue(1, 1, 21.0, each_s=1.0, left_s=8.0) == Lease((("long", 1),))
    assert ledger.rescue(2, 1, 21.0, each_s=1.0, left_s=8.0) is None  # two have it
    assert ledger.complete(1, "long", 31.0)
    assert not ledger.complete(0, "long", 50.0)


def test_a_paid_sample_is_never_handed_out_again_for_being_late() -> None:
    ledger = Ledger({"a": 1.0, "b": 1.0}, timeout_s=300.0, duplicates=False)
    ledger.lease(0, 1, now=0.0)
    assert ledger.rescue(1, 1, 99.0, each_s=1.0, left_s=0.5) is None
