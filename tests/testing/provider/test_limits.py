"""The gate lets through what is permitted, all of it and no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.testing.provider.limits import Gate
from lens_ray.testing.provider.script import ServerLimits

STEPS = st.lists(
    st.tuples(st.floats(0.0, 5.0), st.integers(1, 400), st.integers(0, 3)), max_size=80
)


@given(
    steps=STEPS, requests=st.integers(1, 600), tokens=st.integers(1, 60_000), burst=st.floats(0, 60)
)
def test_a_bucket_never_gives_more_than_its_size_and_what_came_in(
    steps: list[tuple[float, int, int]], requests: int, tokens: int, burst: float
) -> None:
    gate = Gate(ServerLimits(requests=requests, tokens=tokens, burst_s=burst), 0.0)
    size = max(1.0, tokens * burst / 60)
    now, passed, used = 0.0, 0, 0
    for pause, wanted, images in steps:
        now += pause
        if gate.take(wanted, images, now) is None:
            passed, used = passed + 1, used + wanted
            assert passed <= max(1.0, requests * burst / 60) + requests * now / 60 + 1e-6
            # One call may be larger than the bucket; the next waits until the debt is paid.
            assert used - wanted < size + tokens * now / 60 + 1e-6


@given(steps=STEPS, requests=st.integers(1, 60))
def test_a_window_gives_its_part_and_begins_anew(
    steps: list[tuple[float, int, int]], requests: int
) -> None:
    gate = Gate(ServerLimits(requests=requests, kind="window", window_s=10.0), 0.0)
    now, counted = 0.0, dict[int, int]()
    for pause, wanted, images in steps:
        now += pause
        if gate.take(wanted, images, now) is None:
            counted[int(now // 10)] = counted.get(int(now // 10), 0) + 1
    assert all(times <= max(1, requests / 6) for times in counted.values())


@given(wanted=st.integers(1, 1000), limit=st.integers(1, 6000), burst=st.floats(0.1, 30))
def test_who_waits_as_long_as_was_said_goes_through(wanted: int, limit: int, burst: float) -> None:
    gate = Gate(ServerLimits(tokens=limit, burst_s=burst), 0.0)
    assert gate.take(wanted, 0, 0.0) is None
    stopped = gate.take(wanted, 0, 0.0)
    if stopped is not None:
        name, wait_s = stopped
        assert name == "tokens"
        assert gate.take(wanted, 0, wait_s * 0.9) is not None or wait_s < 1e-3
        assert gate.take(wanted, 0, wait_s + 1e-6) is None


def test_a_refused_call_takes_nothing() -> None:
    gate = Gate(ServerLimits(requests=60, images=60, burst_s=10.0), 0.0)
    assert gate.take(1, 10, 0.0) is None
    stopped = gate.take(1, 5, 1.0)
    assert stopped is not None
    assert stopped[0] == "images"
    assert stopped[1] == pytest.approx(4.0)
    assert gate.standings(1.0)["requests"].left == 10  # 10 - 1 + 1
    standing = gate.standings(1.0)["images"]
    assert (standing.limit, standing.left) == (60, 1)
    assert standing.reset_s == pytest.approx(9.0)
