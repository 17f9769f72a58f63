"""What goes into the merges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.merging.recipe import Parent
from lens_ray.merging.search.pool import Ingredient, average, mixed, pool_of, windows


def run(*steps: int) -> list[Parent]:
    return [Parent(name=f"s{step}", path=f"run/{step}", step=step) for step in steps]


def test_windows_are_neighbours_of_the_run() -> None:
    parents = [*run(300, 100, 200), Parent(name="alien", path="alien")]
    found = windows(parents, 2)
    assert [each.name for each in found] == ["mean.100-200", "mean.200-300"]
    assert found[0].weights == {"s100": 0.5, "s200": 0.5}
    assert windows(parents, 1) == []
    assert [each.name for each in windows(parents, 9)] == ["mean.100-300"]


def test_the_pool_is_by_window_means_not_by_the_luckiest_checkpoint() -> None:
    """OCR's highest single score is at 100, between two low ones; its best window is the last."""
    ocr = [0.2, 0.9, 0.1, 0.6, 0.7]
    parents = run(0, 100, 200, 300, 400)
    scores = {
        each.name: {"ocr": value, "overall": value}
        for each, value in zip(parents, ocr, strict=True)
    }
    found = pool_of(parents, scores, final="s400", abilities=["ocr"], window=2, most=7)
    whys = {each.name: each.why for each in found}
    assert whys == {
        "s400": ("final",),
        "s100": ("best of overall", "best of ocr"),
        "mean.300-400": ("best window of overall", "best window of ocr"),
    }
    assert next(iter(whys)) == "s400"


def test_the_pool_has_an_end() -> None:
    parents = run(*range(8))
    scores = {
        each.name: {**{f"a{k}": float(k == at) for k in range(8)}, "overall": float(at)}
        for at, each in enumerate(parents)
    }
    abilities = [f"a{k}" for k in range(8)]
    found = pool_of(parents, scores, final="s7", abilities=abilities, window=3, most=4)
    assert len(found) == 4
    assert found[0].name == "s7"


def test_mixtures_are_of_checkpoints() -> None:
    soup = Ingredient("soup", {"s1": 0.5, "s2": 0.5})
    assert mixed([Ingredient("s1", {"s1": 1.0}), soup], [0.5, 0.5]) == {"s1": 0.75, "s2": 0.25}


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=7))
def test_weights_of_a_recipe_sum_to_one(raw: list[float]) -> None:
    parents = run(*range(len(raw)))
    weights = {each.name: value / sum(raw) for each, value in zip(parents, raw, strict=True)}
    trial = average("one", weights, parents)
    shares = [each.weight or 0.0 for each in trial.recipe.parents]
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    for each in trial.recipe.parents:
        assert each.weight == pytest.approx(weights[each.name], abs=1e-5)


def test_a_mean_of_one_is_that_checkpoint() -> None:
    trial = average("s2", {"s2": 1.0, "s1": 0.0}, run(1, 2))
    assert trial.single
    assert trial.recipe.parents[0].weight == 1.0
