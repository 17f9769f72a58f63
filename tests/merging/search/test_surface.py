"""Mixture designs and their surfaces."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from lens_ray.merging.search.lattice import fine_grid, lattice
from lens_ray.merging.search.pool import average, mixed, single
from lens_ray.merging.search.surface import Surface, Surfaces, fit_surfaces
from lens_ray.merging.search.table import table_of
from lens_ray.stats.abilities import OVERALL
from lens_ray.testing.simulated_merges import MergeDesign, SimulatedMerges

EVEN = dict.fromkeys(
    ("counting", "ocr", "attribute", "entity", "grounding", "structured_data"), 1 / 6
)


@pytest.mark.parametrize(("parts", "degree"), [(1, 3), (2, 3), (3, 3), (3, 2), (4, 3), (5, 2)])
def test_a_lattice_has_every_mixture_once(parts: int, degree: int) -> None:
    found = lattice(parts, degree)
    assert len(found) == comb(parts + degree - 1, degree)
    assert len(np.unique(found, axis=0)) == len(found)
    assert np.allclose(found.sum(axis=1), 1)
    assert np.allclose(found * degree, np.round(found * degree))
    assert np.array_equal(found[:parts], np.eye(parts))


def test_fine_grids_are_looked_through_at_once() -> None:
    assert max(len(fine_grid(parts)) for parts in range(1, 6)) < 2000


def logit(value: float) -> float:
    return float(np.log(value / (1 - value)))


def surfaces_of(**terms: tuple[float, ...]) -> Surfaces:
    """Two checkpoints, scores from 0 to 1, hardly any noise."""
    found = {name: Surface(name, each, 0.0, 1.0, 10**9, 1e-6, 8.0) for name, each in terms.items()}
    design = tuple(map(tuple, lattice(2, 3).tolist()))
    asker = SimulatedMerges("equal", 0, MergeDesign(parents=2))
    return Surfaces(tuple(single(each) for each in asker.parents), design, found, 0.95, True)


def test_other_weights_have_another_mixture_and_nothing_is_asked() -> None:
    """OCR is 0.4 and 0.8 at the ends, entity 0.8 and 0.4, both without a bend."""
    low, high = logit(0.4), logit(0.8)
    found = surfaces_of(ocr=(low, high, 0.0), entity=(high, low, 0.0))
    assert found.best({"ocr": 1.0, "entity": 0.0}).shares == (0.0, 1.0)
    assert found.best({"ocr": 0.0, "entity": 1.0}).shares == (1.0, 0.0)
    even = found.best({"ocr": 0.5, "entity": 0.5})
    share = np.linspace(0, 1, 101)
    ocr = 1 / (1 + np.exp(-(low + (high - low) * share)))
    assert even.scores[OVERALL].value == pytest.approx(max(ocr + ocr[::-1]) / 2, abs=1e-6)


def test_needed_scores_hold_where_they_can() -> None:
    low, high = logit(0.4), logit(0.8)
    found = surfaces_of(ocr=(low, high, 0.0), entity=(high, low, 0.0))
    least = {"entity": 0.7}
    chosen = found.best({"ocr": 1.0, "entity": 0.0}, least)
    assert chosen.short == ()
    assert 0.7 <= (chosen.scores["entity"].value or 0) < 0.71
    both = found.best({"ocr": 1.0, "entity": 0.0}, {"entity": 0.75, "ocr": 0.75})
    assert both.short


def test_a_surface_of_its_own_kind_is_found_again() -> None:
    """10,000 items an ability: the fitted surface is within two points of the truth everywhere."""
    asker = SimulatedMerges("conflict", 3, MergeDesign(parents=3, anchor=2000, search=8000))
    parents = asker.parents
    ingredients = [single(each) for each in parents]
    design = lattice(3, 3)
    trials = [average(f"t{at}", mixed(ingredients, row), parents) for at, row in enumerate(design)]
    table = table_of(asker.ask(trials, "search"), None, 0.95)
    found = fit_surfaces(table.marks, table.figures, design, ingredients)
    grid = fine_grid(3)
    predicted = found.scores(grid)
    worst = 0.0
    for at, row in enumerate(grid):
        truth = asker.truth(average("grid", mixed(ingredients, row), parents).recipe)
        worst = max(worst, *(abs(predicted[name][at] - truth[name]) for name in predicted))
    assert worst < 0.02


def test_scores_below_chance_have_a_place() -> None:
    """An ability at chance scores below 0 as often as above; the surface holds such scores."""
    asker = SimulatedMerges("equal", 5, MergeDesign(parents=2))
    asker._levels[:] = -9.0
    parents = asker.parents
    ingredients = [single(each) for each in parents]
    design = lattice(2, 3)
    trials = [average(f"t{at}", mixed(ingredients, row), parents) for at, row in enumerate(design)]
    table = table_of(asker.ask(trials, "search"), None, 0.95)
    found = fit_surfaces(table.marks, table.figures, design, ingredients)
    measured = [table.values[each.name]["ocr"] for each in trials]
    predicted = found.scores(design)["ocr"]
    assert min(min(each.values()) for each in table.values.values()) < 0
    assert np.isfinite(predicted).all()
    assert float(predicted.mean()) == pytest.approx(float(np.mean(measured)), abs=0.01)
