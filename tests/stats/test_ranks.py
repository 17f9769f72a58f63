"""Ranks: what is sure is ranked, what is not is tied, and the intervals hold the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.benchmarks.coverage.cell import Cell, share_held
from jobs.benchmarks.coverage.ranks import CELLS, Field
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.ranks import Pairs, Rank, critical, ranks_of
from lens_ray.stats.units import Floats
from tests.stats.fields import field_of


def ranked(marks: Marks, figure: str = "ocr", replicates: int = 500) -> dict[str, Rank]:
    found = ranks_of(draw_jointly(marks, "key", replicates), ability_figures(marks))
    return {rank.model: rank for rank in found if rank.figure == figure}


def ocr(scores: dict[str, Floats], cluster: list[str] | None = None) -> Marks:
    size = len(next(iter(scores.values())))
    return field_of(scores, ability=["ocr"] * size, subtask=["x"] * size, cluster=cluster)


def test_models_far_apart_have_one_rank_each() -> None:
    marks = Field((0.2, 0.8, 0.5), clusters=100, size=2).marks(np.random.default_rng(1))
    found = ranked(marks)
    assert {name: (r.rank_low, r.rank, r.rank_high) for name, r in found.items()} == {
        "m0": (3, 3, 3), "m1": (1, 1, 1), "m2": (2, 2, 2),
    }  # fmt: skip
    assert [found[name].tied for name in ("m0", "m1", "m2")] == [False, True, False]
    assert found["m1"].p_best == 1.0


def test_the_standard_error_of_a_difference_is_the_paired_clustered_one() -> None:
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(80), 3)
    ease = rng.normal(0, 1, 80)[cluster]
    a, b = ((ease + rng.normal(shift, 1, 240) > 0).astype(float) for shift in (0.4, 0.0))
    marks = ocr({"a": a, "b": b}, cluster=[f"c{n:02d}" for n in cluster])
    figures = ability_figures(marks)
    apart = Pairs(draw_jointly(marks, "key", 20_000), figures).apart("ocr", np.array([True, True]))
    # By hand: sum of squared cluster totals of the centred differences, C / (C - 1), over n^2.
    totals = np.bincount(cluster, weights=(a - b) - (a - b).mean())
    by_hand = (80 / 79 * (totals**2).sum()) ** 0.5 / 240
    assert apart.se[0, 1] == pytest.approx(by_hand, rel=0.02)
    assert apart.freedom[0, 1] == pytest.approx(79)


def test_equal_answers_are_tied_and_share_the_probability() -> None:
    score = (np.arange(60) % 3 > 0).astype(float)
    found = ranked(ocr({"a": score, "b": score, "c": score}))
    for rank in found.values():
        assert (rank.rank, rank.rank_low, rank.rank_high, rank.tied) == (1, 1, 3, True)
        assert rank.p_best == pytest.approx(1 / 3)


def test_one_model_has_the_only_rank() -> None:
    (rank,) = ranked(ocr({"a": np.array([0.0, 1.0] * 20)})).values()
    assert (rank.rank, rank.rank_low, rank.rank_high, rank.p_best, rank.tied) == (
        1,
        1,
        1,
        1.0,
        True,
    )


def test_all_right_against_all_wrong_needs_clusters() -> None:
    right, wrong = np.ones(40), np.zeros(40)
    few = ranked(ocr({"a": right, "b": wrong}, cluster=["c0"] * 40))
    assert (few["a"].rank_high, few["b"].rank_low) == (2, 1)
    many = ranked(ocr({"a": right, "b": wrong}))
    assert (many["a"].rank_high, many["b"].rank_low) == (1, 2)


def test_a_model_without_a_value_is_not_ranked_and_the_others_are() -> None:
    rng = np.random.default_rng(2)
    one, two = (rng.random(50) < 0.5).astype(float), (rng.random(50) < 0.5).astype(float)
    found = ranked(ocr({"a": one, "b": np.full(50, np.nan), "c": two}))
    assert found["b"].rank is None
    assert "no answered sample" in str(found["b"].reason)
    assert found["a"].rank_high in (1, 2)
    assert {found["a"].rank, found["c"].rank} <= {1, 2}


def test_a_reason_from_outside_takes_a_value_away() -> None:
    marks = Field((0.2, 0.8), clusters=30, size=1).marks(np.random.default_rng(1))
    found = ranks_of(
        draw_jointly(marks, "k", 100), ability_figures(marks).only(["ocr"]),
        unknown={("m1", "ocr"): "coverage 0.5 is below 0.99"},
    )  # fmt: skip
    assert [(r.rank, r.reason) for r in found] == [(1, None), (None, "coverage 0.5 is below 0.99")]


def test_a_figure_that_cannot_be_known_has_its_reason() -> None:
    marks = ocr({"a": np.ones(10), "b": np.zeros(10)})
    spoilt = replace(marks, upper=np.zeros(10))
    found = ranks_of(draw_jointly(spoilt, "k", 100), ability_figures(spoilt))
    assert all(rank.rank is None and "upper" in str(rank.reason) for rank in found[:2])


def test_the_critical_value_is_never_less_than_of_one_difference() -> None:
    assert critical(np.zeros(100), 0.95) == pytest.approx(1.959964, abs=1e-6)
    assert critical(np.full(100, 3.0), 0.95) == 3.0


@settings(max_examples=25, deadline=None)
@given(
    truth=st.lists(st.sampled_from([0.1, 0.3, 0.5, 0.9]), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_ranks_are_consistent(truth: list[float], seed: int) -> None:
    marks = Field(tuple(truth), clusters=6, size=2).marks(np.random.default_rng(seed))
    found = list(ranked(marks, replicates=100).values())
    for rank in found:
        assert rank.rank is not None
        assert rank.rank_low is not None
        assert rank.rank_high is not None
        assert 1 <= rank.rank_low <= rank.rank <= rank.rank_high <= len(found)
    best = [rank for rank in found if rank.rank == 1]
    assert all(rank.tied for rank in best)
    assert sum(rank.p_best or 0 for rank in found) == pytest.approx(1)


def test_the_order_of_models_does_not_matter() -> None:
    marks = Field((0.3, 0.5, 0.55, 0.8), clusters=30, size=2).marks(np.random.default_rng(5))
    turned = marks.only(list(reversed(marks.models)))
    one, two = ranked(marks), ranked(turned)
    assert {m: (r.rank, r.rank_low, r.rank_high) for m, r in one.items()} == {
        m: (r.rank, r.rank_low, r.rank_high) for m, r in two.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.kind}: {cell.name}")
def test_intervals_hold_the_truth(cell: Cell) -> None:
    found = share_held(cell, 150, seed=11)
    assert found.none == 0
    assert found.sound, f"{found.share:.3f} of {found.runs}"
