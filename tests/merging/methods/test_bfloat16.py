"""What is compiled against numpy in float64, and against torch's operations, bit by bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lens_ray.merging.methods import bfloat16
from lens_ray.merging.methods.bfloat16 import counted, weighted_sum
from tests.merging.methods.made import merged, recipe, related

PATTERNS = st.integers(0, 0xFFFF).filter(lambda bits: bits & 0x7F80 != 0x7F80)
WEIGHTS = st.floats(-4, 4, allow_subnormal=False)


def _tensor(patterns: list[int]) -> Tensor:
    return torch.tensor(patterns, dtype=torch.uint16).view(torch.bfloat16)


def _wanted(terms: list[tuple[float, Tensor]]) -> Tensor:
    """Summed by numpy, rounded to even by torch."""
    total = None
    for weight, numbers in terms:
        term = np.float64(weight) * numbers.float().numpy().astype(np.float64)
        total = term if total is None else total + term
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.asarray(total).astype(np.float32)).bfloat16()


@given(st.data(), st.integers(1, 4), st.sampled_from([1, 7, 1023, 1024, 1025, 2500]))
def test_it_is_the_sum_in_float64(data: st.DataObject, terms: int, count: int) -> None:
    few = [data.draw(st.lists(PATTERNS, min_size=1, max_size=9)) for _ in range(terms)]
    made = [
        (data.draw(WEIGHTS), _tensor((patterns * count)[:count])) for patterns in few
    ]  # each as long, and out of step with the others
    wanted = _wanted(made)
    found = weighted_sum(made)
    if bool(torch.isfinite(wanted).all()):
        assert found is not None
        assert torch.equal(found.view(torch.uint16), wanted.view(torch.uint16))
    else:
        assert found is None


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 1024, 2999])
def test_one_odd_number_anywhere_is_seen(odd: float, place: int) -> None:
    numbers = [torch.ones(3000, dtype=torch.bfloat16) for _ in range(3)]
    numbers[1][place] = odd
    assert weighted_sum([(0.5, numbers[0]), (0.3, numbers[1]), (0.2, numbers[2])]) is None


def test_what_overflows_is_seen() -> None:
    largest = torch.full((5,), torch.finfo(torch.bfloat16).max, dtype=torch.bfloat16)
    assert weighted_sum([(1.0, largest)]) is not None
    assert weighted_sum([(1.0, largest), (0.01, largest)]) is None


def test_it_goes_into_the_room_it_is_given_and_through_many_threads() -> None:
    generator = torch.Generator().manual_seed(1)
    terms = [(w, torch.randn(100_000, generator=generator).bfloat16()) for w in (0.3, 0.5, 0.2)]
    room = torch.zeros(300_000, dtype=torch.uint8)
    found = weighted_sum(terms, room)
    assert found is not None
    assert found.data_ptr() == room.data_ptr()
    assert not room[200_000:].any()
    with ThreadPoolExecutor(4) as many:
        others = list(many.map(lambda _: weighted_sum(terms), range(16)))
    assert all(other is not None and torch.equal(found, other) for other in others)


@pytest.mark.parametrize("weights", [(1.0, 0.0, 0.0), (0.0, 0.4, 0.6), (0.2, 0.3, 0.5)])
def test_a_parent_that_weighs_nothing_hides_no_nan(weights: tuple[float, ...]) -> None:
    """Then the merge is not rounded already, and whoever writes it looks at every parent."""
    parents = [torch.full((4, 8), k + 1.0, dtype=torch.bfloat16) for k in range(3)]
    sound = merged(recipe("linear", weights), parents)
    assert sound.dtype == torch.bfloat16
    parents[0][2, 3] = float("nan")
    assert merged(recipe("linear", weights), parents).dtype == torch.float32


def test_what_is_written_in_another_type_is_not_rounded_first() -> None:
    parents = [torch.full((2, 2), value, dtype=torch.bfloat16) for value in (1.0, 1.0078125)]
    wide = merged(recipe("linear", (0.5, 0.5), dtype="float32"), parents)
    assert wide.dtype == torch.float32
    assert float(wide[0, 0]) == 1.00390625


@given(
    st.sampled_from(["task_arithmetic", "ties"]),
    st.lists(WEIGHTS, min_size=1, max_size=4),
    st.sampled_from([0.01, 0.3, 0.5, 1.0]),
    st.sampled_from([(1, 3), (7, 300), (40, 60)]),
    st.booleans(),
    st.integers(0, 99),
)
def test_task_vectors_come_out_as_from_torch(
    method: str, weights: list[float], density: float, shape: tuple[int, int], coarse: bool,
    seed: int,
) -> None:  # fmt: skip
    """In float32 they go through torch: rounded, every bit must be the same."""
    keys = {"density": density} if method == "ties" else {}
    base, *parents = related(shape, len(weights), torch.bfloat16, seed)
    if coarse:  # many equal differences, and sums that are nothing but their rounding
        base, *parents = [(tensor * 4).round() / 4 for tensor in (base, *parents)]
    short = merged(recipe(method, weights, **keys), parents, base)
    wide = merged(recipe(method, weights, dtype="float32", **keys), parents, base)
    assert (short.dtype, wide.dtype) == (torch.bfloat16, torch.float32) or not any(weights)
    found, wanted = short.bfloat16(), wide.bfloat16()
    assert torch.equal(found.view(torch.uint16), wanted.view(torch.uint16))


@pytest.mark.parametrize("keys", [{}, {"density": 1.0}], ids=["sum", "election"])
@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_task_vectors_hide_no_odd_number(odd: float, keys: dict[str, float]) -> None:
    method = "ties" if keys else "task_arithmetic"
    for spoilt in range(3):
        base, *parents = related((3, 50), 2, torch.bfloat16)
        (base, *parents)[spoilt][1, 7] = odd
        assert merged(recipe(method, (0.5, 0.7), **keys), parents, base).dtype == torch.float32


@given(
    st.lists(PATTERNS, min_size=1, max_size=3000),
    st.integers(0, 5),
    st.floats(0, 8, width=32),
    st.floats(0, 8, width=32),
)
def test_counts_are_numpys(patterns: list[int], turned: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    base = _tensor(patterns)
    values = base.roll(turned)
    sizes = np.abs(base.float().numpy() - values.float().numpy())
    between = sizes[(sizes > low) & (sizes < high)] if low < high else sizes[:0]
    above, at_high, at_low, inside = counted(base, values, low, high, len(patterns))
    assert (above, at_high) == (int((sizes > high).sum()), int((sizes == high).sum()))
    assert at_low == (int((sizes == low).sum()) if low < high else 0)
    assert inside is not None
    assert inside.tolist() == between.tolist()


def test_more_than_asked_for_is_not_collected() -> None:
    generator = torch.Generator().manual_seed(2)
    base = torch.randn(50_000, generator=generator).bfloat16()
    values = torch.randn(50_000, generator=generator).bfloat16()
    sizes = (base.float() - values.float()).abs()
    within = int(((sizes > 0.5) & (sizes < 2)).sum())
    full, short = (counted(base, values, 0.5, 2.0, most) for most in (within, within - 1))
    assert full[3] is not None
    assert len(full[3]) == within
    assert short == (*full[:3], None)


def test_a_cache_that_cannot_be_written_costs_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bfloat16._sum._cache, "save_overload", full)  # type: ignore[attr-defined]
    numbers = [torch.full((3,), float(k)).bfloat16() for k in range(7)]  # not compiled before
    found = weighted_sum([(1.0, one) for one in numbers])
    assert found is not None
    assert found.tolist() == [21.0] * 3


def test_a_negative_zero_of_the_base_stays_one() -> None:
    base = torch.tensor([-0.0, -0.0, 0.0]).bfloat16()
    for method, keys in (("task_arithmetic", {}), ("ties", {"density": 1.0})):
        for dtype in (None, "float32"):
            made = recipe(method, (-0.5, -0.25), dtype=dtype, **keys)
            found = merged(made, [base, base], base)
            assert torch.signbit(found).tolist() == [True, True, False]
