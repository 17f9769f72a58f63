"""Which windows are compared and what each look may spend, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.online.spec import Declared, Rules
from lens_ray.online.windows import Windows, alpha_at, looks_of, undeclared


def steps(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return 100 * np.arange(1, count + 1, dtype=np.int64)


def test_a_block_is_held_against_those_before_it() -> None:
    looks = looks_of(steps(11), Rules(window=3, planned_checkpoints=9))
    assert [look.place for look in looks] == [5, 8]
    assert looks[0].pairs == (Windows((0, 1, 2), (3, 4, 5)),)
    assert looks[1].pairs == (
        Windows((3, 4, 5), (6, 7, 8)), Windows((0, 1, 2), (6, 7, 8)),
    )  # fmt: skip


def test_planned_comparisons_share_four_fifths_of_alpha_evenly() -> None:
    """One comparison at the first look, two at the second; then 1 / 2 and 1 / 6 of the rest."""
    looks = looks_of(steps(15), Rules(window=3, planned_checkpoints=9, alpha=0.06))
    assert [look.level for look in looks] == pytest.approx([0.016, 0.032, 0.006, 0.002])


def test_declared_windows_share_all_of_alpha() -> None:
    windows = (
        Declared(early=(100, 200), late=(400, 500)), Declared(early=(100, 200), late=(700, 900)),
    )  # fmt: skip
    looks = looks_of(steps(6), Rules(windows=windows, alpha=0.05))
    [look] = looks
    assert look.declared
    assert look.level == pytest.approx(0.025)
    assert (look.place, look.pairs) == (4, (Windows((0, 1), (3, 4)),))


def test_a_late_window_is_due_at_the_first_checkpoint_past_its_end() -> None:
    rules = Rules(windows=(Declared(early=(100, 100), late=(350, 450)),))
    assert looks_of(steps(4), rules) == ()
    [look] = looks_of(steps(6), rules)
    assert (look.place, look.pairs[0].late) == (4, (3,))


def test_a_declared_window_without_a_checkpoint_is_told() -> None:
    rules = Rules(windows=(Declared(early=(110, 190), late=(400, 500)),))
    assert looks_of(steps(6), rules) == ()
    why = "no checkpoint lies in the declared early window 110-190"
    assert undeclared(steps(6), rules) == (why,)


@given(
    st.integers(0, 400), st.integers(1, 12), st.integers(2, 200),
    st.floats(0.001, 0.4),
)  # fmt: skip
def test_alpha_is_never_overspent_and_looks_never_change(
    count: int, window: int, planned: int, alpha: float
) -> None:
    rules = Rules(window=window, planned_checkpoints=planned, alpha=alpha)
    looks = looks_of(steps(count), rules)
    assert sum(look.level for look in looks) <= alpha * (1 + 1e-9)
    fewer = looks_of(steps(count // 2), rules)
    assert looks[: len(fewer)] == fewer
    for look in looks:
        assert all(max(pair.early) < min(pair.late) for pair in look.pairs)
        assert all(pair.late[-1] == look.place for pair in look.pairs)


def test_without_a_plan_the_later_looks_have_all() -> None:
    assert alpha_at(1, 0, 0.05) == pytest.approx(0.025)
    assert alpha_at(3, 2, 0.05) == pytest.approx(0.005)


@given(st.integers(2, 200), st.integers(0, 2000))
def test_all_looks_together_spend_no_more_than_there_is(planned: int, looks: int) -> None:
    spent = [alpha_at(look + 1, planned, 1.0) for look in range(looks)]
    assert sum(spent) <= 1 + 1e-12
    assert min(spent, default=1) > 0
