"""Permits on a clock of their own: what a provider's limit lets through, and what it refuses."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.engine.holder import Holder
from lens_ray.engine.lease import Amount, Ask, Lease, Throttle
from lens_ray.engine.permits import Bucket, Limiter
from lens_ray.models.api.ports import Ceilings, Limits, Load, Permit, Settled
from tests.engine.permit_stage import SCOPE, Client, Provider, World

N = 600
CEILINGS = Ceilings(64)


def lognormal(seed: int) -> Callable[[], float]:
    draw = random.Random(seed)
    return lambda: draw.lognormvariate(math.log(0.5), 0.5)


def asked(
    provider: Provider,
    ceilings: Ceilings = CEILINGS,
    *,
    clients: int = 1,
    warm: float = 60.0,
    until: float = 180.0,
) -> tuple[float, float, World]:
    """Accepted a second and the share refused after the warm-up."""
    world = World(provider)
    for number in range(clients):
        Client(world, ceilings, latency=lognormal(number))
    world.run(until)
    return *world.rates(warm, until), world


def test_a_server_that_admits_64_at_once_is_kept_full() -> None:
    world = World(Provider(at_once=64))
    Client(world, Ceilings(64))
    world.run(60.0)
    accepted, refused = world.rates(5.0, 60.0)
    assert accepted >= 0.99 * 128
    assert refused == 0
    # Leases, not calls: some 7000 calls were made.
    assert world.tells < 150


@pytest.mark.parametrize("windows", [False, True], ids=["bucket", "minutes"])
@pytest.mark.parametrize("burst", [None, N / 60], ids=["large", "small"])
@pytest.mark.parametrize("clients", [1, 3])
def test_a_limit_that_the_user_states_is_used_and_never_passed(
    windows: bool, burst: float | None, clients: int
) -> None:
    provider = Provider(N, windows=windows, burst=burst)
    accepted, refused, world = asked(
        provider, Ceilings(64, requests=N), clients=clients, warm=10.0, until=130.0
    )
    assert accepted >= 0.95 * N / 60
    assert refused == 0
    assert not world.provider.refused


@pytest.mark.parametrize("windows", [False, True], ids=["bucket", "minutes"])
@pytest.mark.parametrize("burst", [None, N / 60], ids=["large", "small"])
def test_a_limit_that_the_headers_tell_is_used_and_never_passed(
    windows: bool, burst: float | None
) -> None:
    accepted, refused, _ = asked(Provider(N, windows=windows, burst=burst, says=True), warm=10.0)
    assert accepted >= 0.95 * N / 60
    assert refused == 0


@pytest.mark.parametrize("retry_after", [True, False], ids=["says when", "says nothing"])
@pytest.mark.parametrize("burst", [None, N / 60], ids=["large", "small"])
@pytest.mark.parametrize("a_minute", [N, 5 * N])
def test_a_limit_that_nobody_tells_is_found(
    a_minute: int, burst: float | None, retry_after: bool
) -> None:
    size = None if burst is None else a_minute / 60
    provider = Provider(a_minute, burst=size, retry_after=retry_after)
    accepted, refused, _ = asked(provider, warm=120.0, until=360.0)
    assert accepted >= 0.95 * a_minute / 60
    assert refused <= 0.01


def test_fixed_minutes_that_nobody_tells_are_used_up_and_then_waited_for() -> None:
    # Whole minutes, as the first seconds of each take all.
    provider = Provider(N, windows=True, offset=0.0)
    accepted, refused, _ = asked(provider, warm=60.0, until=300.0)
    assert accepted >= 0.99 * N / 60
    assert refused <= 0.01
    # Without a Retry-After it takes a few more refusals to see when the next minute begins.
    silent = Provider(N, windows=True, offset=0.0, retry_after=False)
    accepted, refused, _ = asked(silent, warm=60.0, until=300.0)
    assert accepted >= 0.95 * N / 60
    assert refused <= 0.03


def test_a_number_at_once_that_nobody_tells_is_found() -> None:
    accepted, refused, world = asked(Provider(at_once=64), Ceilings(256), warm=60.0, until=160.0)
    full = 64 / (0.5 * math.exp(0.125))  # a lognormal's mean
    assert accepted >= 0.93 * full
    assert refused <= 0.01
    assert world.provider.most == 64


@pytest.mark.parametrize("chance", [0.01, 0.05])
def test_refusals_by_chance_do_not_slow_it_down_for_good(chance: float) -> None:
    world = World(Provider(chance=chance, retry_after=False))
    Client(world, Ceilings(64))
    world.run(260.0)
    accepted, _ = world.rates(200.0, 260.0)
    assert accepted >= 0.9 * 128


def test_a_storm_is_waited_out_and_what_was_known_is_known_after_it() -> None:
    world = World(Provider())
    Client(world, Ceilings(64))
    world.run(30.0)
    world.provider.at_once = 0  # refuses all
    world.run(60.0)
    assert len(world.provider.refused) < 100
    world.provider.at_once = None
    world.run(160.0)
    accepted, refused = world.rates(120.0, 160.0)
    assert accepted >= 0.95 * 128
    assert refused == 0


def test_nothing_is_asked_before_retry_after_has_passed() -> None:
    limiter = Limiter()
    first, other = Holder("a", SCOPE, Ceilings(8)), Holder("b", SCOPE, Ceilings(8))
    permit = lent(limiter, first, 0.0)
    lent(limiter, other, 0.0, first)
    first.settle(permit, Settled("throttled", retry_after_s=7.0), 1.0)
    for holder in (first, other):
        for now in (1.0, 4.0, 7.9):
            holder.hear(limiter.tell(holder.ask([Load(1, 0)], now), now), now)
            assert holder.take(Load(1, 0), now) is None
    lent(limiter, first, 9.0)  # 7 s, and some jitter


def test_a_wait_after_another_failure_is_kept_too() -> None:
    limiter, holder = Limiter(), Holder("a", SCOPE, Ceilings(8))
    permit = lent(limiter, holder, 0.0)
    holder.settle(permit, Settled("failed", retry_after_s=5.0), 1.0)
    assert holder.take(Load(1, 0), 5.9) is None
    assert holder.take(Load(1, 0), 6.1) is not None


def test_tokens_and_images_are_counted_as_requests_are() -> None:
    for ceilings in (Ceilings(64, tokens=60_000), Ceilings(64, images=600)):
        world = World(Provider())
        Client(world, ceilings)  # 100 tokens and one image a call: 600 calls a minute
        world.run(130.0)
        accepted, _ = world.rates(10.0, 130.0)
        assert 0.95 * 10 <= accepted <= 10


def test_a_question_of_more_tokens_than_come_in_a_second_is_asked_in_its_time() -> None:
    world = World(Provider())
    client = Client(world, Ceilings(4, tokens=60_000), tokens=lambda: 5000, calls=12)
    world.run(70.0)
    assert client.answered == 12
    first, last = client.granted[0], client.granted[-1]
    assert last - first >= 11 * 5 - 1


def test_who_shares_a_key_shares_its_limit_fairly() -> None:
    world = World(Provider(N))
    first = Client(world, Ceilings(64, requests=N))
    world.run(20.0)
    second = Client(world, Ceilings(64, requests=N))
    world.run(30.0)
    before = first.answered, second.answered
    world.run(130.0)
    mine, its = first.answered - before[0], second.answered - before[1]
    assert 0.95 * N * 100 / 60 <= mine + its <= N * 100 / 60
    assert 0.8 < mine / its < 1.25
    assert not world.provider.refused


def test_calls_in_flight_are_shared_and_given_back_by_who_ends_or_dies() -> None:
    world = World(Provider(at_once=64))
    first, second = Client(world, Ceilings(64)), Client(world, Ceilings(64))
    world.run(20.0)
    accepted, _ = world.rates(10.0, 20.0)
    assert accepted >= 0.95 * 128
    assert 0.8 < first.answered / second.answered < 1.25
    second.stopped = True  # dead: its calls end, and nobody hears of it
    world.run(60.0)
    accepted, _ = world.rates(40.0, 60.0)
    assert accepted >= 0.98 * 128
    assert world.provider.most <= 64


def test_more_clients_than_calls_at_once_all_have_their_turn() -> None:
    world = World(Provider(at_once=2))
    clients = [Client(world, Ceilings(2)) for _ in range(5)]
    world.run(120.0)
    assert all(client.answered > 20 for client in clients)
    assert world.provider.most <= 2


def test_a_new_limiter_begins_at_half_of_what_its_clients_know() -> None:
    world = World(Provider(N))
    client = Client(world, Ceilings(64))
    world.run(200.0)
    world.limiter = Limiter()  # its death and restart
    world.run(200.5)
    lane = world.limiter._lanes[SCOPE.model]
    assert lane.pace.rate == pytest.approx(0.5 * N / 60, rel=0.2)
    world.run(400.0)
    accepted, refused = world.rates(230.0, 400.0)
    assert accepted >= 0.95 * N / 60
    assert refused <= 0.01
    assert client.answered


def test_without_a_limiter_it_goes_on_at_half_the_pace() -> None:
    world = World(Provider())
    Client(world, Ceilings(64, requests=N))
    world.run(20.0)
    world.reach = False
    world.run(60.0)
    accepted, _ = world.rates(25.0, 60.0)
    assert 0.4 * N / 60 <= accepted <= 0.6 * N / 60
    world.reach = True
    world.run(100.0)
    accepted, _ = world.rates(65.0, 100.0)
    assert accepted >= 0.95 * N / 60


def lent(limiter: Limiter, holder: Holder, now: float, *others: Holder) -> Permit:
    for one in (holder, *others, holder):  # who came first gives back what it has too much
        one.hear(limiter.tell(one.ask([Load(1, 0)] * 2, now), now), now)
    permit = holder.take(Load(1, 0), now)
    assert permit is not None
    return permit


@pytest.mark.parametrize(
    ("line", "others_too"),
    [
        ("credit_exhausted: no credit is left", True),
        ("openai gpt: key_refused: 401", True),
        ("openai gpt: unknown_model: 404 key_refused", False),
    ],
)
def test_a_dead_key_ends_all_and_a_dead_model_itself(line: str, others_too: bool) -> None:
    limiter = Limiter()
    first, other = Holder("a", SCOPE, Ceilings(8)), Holder("b", SCOPE, Ceilings(8))
    elsewhere = Holder("c", type(SCOPE)("openai", "localhost", SCOPE.key, "model-2"), Ceilings(8))
    permit = lent(limiter, first, 0.0)
    lent(limiter, other, 0.0, first)
    lent(limiter, elsewhere, 0.0)
    first.settle(permit, Settled("dead", line=line), 1.0)
    assert first.dead == line
    assert first.take(Load(1, 0), 1.0) is None
    limiter.tell(first.ask([], 1.0), 1.0)
    other.hear(limiter.tell(other.ask([Load(1, 0)], 2.0), 2.0), 2.0)
    assert other.dead == line
    elsewhere.hear(limiter.tell(elsewhere.ask([Load(1, 0)], 2.0), 2.0), 2.0)
    assert (elsewhere.dead == line) is others_too


def test_a_later_job_tries_a_dead_key_with_one_call() -> None:
    limiter = Limiter()
    first = Holder("a", SCOPE, Ceilings(8))
    permit = lent(limiter, first, 0.0)
    first.settle(permit, Settled("dead", line="key_refused: 401"), 1.0)
    limiter.tell(first.ask([], 1.0), 1.0)
    later, waits = Holder("b", SCOPE, Ceilings(8)), Holder("c", SCOPE, Ceilings(8))
    permit = lent(limiter, later, 60.0)
    assert later.take(Load(1, 0), 60.0) is None  # one call, no more
    waits.hear(limiter.tell(waits.ask([Load(1, 0)], 60.0), 60.0), 60.0)
    assert waits.take(Load(1, 0), 60.0) is None
    assert waits.dead is None
    later.settle(permit, Settled("answered"), 61.0)
    later.hear(limiter.tell(later.ask([Load(1, 0)] * 3, 61.0), 61.0), 61.0)
    assert later.take(Load(1, 0), 61.0) is not None
    assert later.take(Load(1, 0), 61.0) is not None
    waits.hear(limiter.tell(waits.ask([Load(1, 0)], 62.0), 62.0), 62.0)
    assert waits.take(Load(1, 0), 62.0) is not None


@pytest.mark.parametrize("model", [SCOPE.model, "model-2"])
def test_the_try_of_a_client_that_dies_passes_to_the_next(model: str) -> None:
    limiter = Limiter()
    first = Holder("a", SCOPE, Ceilings(8))
    first.settle(lent(limiter, first, 0.0), Settled("dead", line="key_refused: 401"), 1.0)
    limiter.tell(first.ask([], 1.0), 1.0)
    lent(limiter, Holder("b", replace(SCOPE, model=model), Ceilings(8)), 60.0)  # and never again
    lent(limiter, Holder("c", SCOPE, Ceilings(8)), 71.0)


def test_others_who_spend_the_same_limit_are_noticed_by_what_is_left() -> None:
    limiter, holder = Limiter(), Holder("a", SCOPE, Ceilings(64))
    permit = lent(limiter, holder, 0.0)
    much = Limits(requests=6000, requests_left=5900)
    holder.settle(permit, Settled("answered", limits=much), 1.0)
    wait = [Load(1, 0)] * 64
    holder.hear(limiter.tell(holder.ask(wait, 1.0), 1.0), 1.0)
    ask = holder.ask(wait, 3.0)
    full = Limiter.tell(limiter, ask, 3.0).more.requests
    assert full > 40
    none = Ask("a", SCOPE.model, Ceilings(64), limits=Limits(requests_left=0), want=Amount(90))
    assert limiter.tell(none, 6.0).more.requests == 0


@settings(max_examples=200)
@given(
    rate=st.floats(0.01, 500),
    steps=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 300), st.integers(1, 5)), max_size=60),
)
def test_a_bucket_never_lends_more_than_comes_in(
    rate: float, steps: list[tuple[float, float, int]]
) -> None:
    bucket = Bucket()
    bucket.fill(0.0, rate)
    passed = given_out = 0.0
    for seconds, want, clients in steps:
        bucket.fill(seconds, rate)
        passed += seconds
        given_out += bucket.take(want, 1 / clients)
        assert given_out <= rate * passed + 1e-6
    assert math.isfinite(given_out)


@settings(max_examples=20)
@given(
    a_minute=st.integers(30, 6000),
    width=st.integers(1, 40),
    clients=st.integers(1, 3),
    calls=st.integers(1, 20),
    provider=st.builds(
        Provider,
        a_minute=st.sampled_from([math.inf, 120, 900]),
        windows=st.booleans(),
        at_once=st.sampled_from([None, 1, 7]),
        retry_after=st.booleans(),
        chance=st.sampled_from([0.0, 0.1, 0.5]),
        says=st.booleans(),
    ),
    outage=st.tuples(st.floats(0, 20), st.floats(0, 20)),
    restart=st.floats(0, 20),
)
def test_every_call_is_answered_once_and_no_permit_is_lost(
    a_minute: int,
    width: int,
    clients: int,
    calls: int,
    provider: Provider,
    outage: tuple[float, float],
    restart: float,
) -> None:
    world = World(provider)
    them = [
        Client(world, Ceilings(width, requests=a_minute), latency=lognormal(n), calls=calls)
        for n in range(clients)
    ]
    for when in sorted((restart, *outage)):
        world.run(when)
        if when == restart:
            world.limiter = Limiter()
        if when in outage:
            world.reach = not world.reach
    world.reach = True
    while world.now < 20_000 and any(client.answered < calls for client in them):
        world.run(world.now + 20.0)
    assert [client.answered for client in them] == [calls] * clients
    assert all(client.holder.in_flight == 0 for client in them)
    grants = sorted(when for client in them for when in client.granted)
    # Within any stretch no more calls than come in, a second's worth that was saved up, and what
    # each client still held: a second's worth, and one.
    rate = a_minute / 60
    saved = (2 + clients) * (1 + rate)
    for begin in range(0, len(grants), 7):
        for end in range(begin + 1, len(grants), 7):
            assert end - begin <= rate * (grants[end] - grants[begin]) + saved


def test_a_lease_is_plain_data() -> None:
    lease = Lease(4)
    assert lease.more == Amount()
    assert Amount(math.inf, 3, 1).emptied() == Amount(math.inf, 0, 0)
    assert Amount(2, 2).lent(Amount(math.inf, 1)) == Amount(math.inf, 3, 0)
    assert Amount(1, 1) - Amount(5, 0.5) == Amount(0, 0.5)


def test_refusals_of_calls_made_before_a_cut_do_not_cut_again() -> None:
    limiter = Limiter(0)
    ask = Ask("a", "m", CEILINGS, in_flight=20, want=Amount(10.0), level=10)
    limiter.tell(ask, 0.0)
    first = limiter.tell(
        replace(ask, spent=Amount(100.0), answered=90, throttles=(Throttle(0, None, 5),)), 10.0
    )
    assert first.epoch == 1
    assert first.known.ceiling is not None
    late = (Throttle(0, None, 5),) * 5
    again = limiter.tell(replace(ask, spent=Amount(20.0), answered=15, throttles=late), 10.5)
    assert (again.epoch, again.known.ceiling) == (1, first.known.ceiling)
    new = (Throttle(1, None, 5),)
    third = limiter.tell(replace(ask, spent=Amount(20.0), answered=19, throttles=new), 11.5)
    assert third.epoch == 2
    assert third.known.ceiling != first.known.ceiling
