"""The whole search, over simulated merges whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import pytest

from lens_ray.errors import BudgetReached, UserError
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.search.found import Found
from lens_ray.merging.search.pool import average
from lens_ray.merging.search.search import final_of, search
from lens_ray.merging.search.trial import Ground, Trial
from lens_ray.merging.spec import MergeSpec, SearchRules
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.marks import Marks
from lens_ray.testing.simulated_merges import Kind, MergeDesign, SimulatedMerges

#: Gains of three points and more, which 500 samples an ability show.
CLEAR = MergeDesign(bend=1.2, conflict=0.06, confirm=2000)


class Watched(SimulatedMerges):
    """Remembers every call."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.calls: list[tuple[tuple[str, ...], Ground]] = []

    def ask(self, trials: Sequence[Trial], ground: Ground) -> Marks:
        self.calls.append((tuple(each.name for each in trials), ground))
        assert len({each.name for each in trials}) == len(trials)
        assert len({each.key for each in trials}) == len(trials)
        return super().ask(trials, ground)


def spec_of(asker: SimulatedMerges, **more: object) -> MergeSpec:
    values = {"name": "s", "suite": "-", "store": "-", "search": SearchRules(margin=0.03), **more}
    return MergeSpec.model_validate({**values, "parents": asker.parents})


def searched(kind: Kind, seed: int, **more: object) -> tuple[Found, Watched]:
    asker = Watched(kind, seed, CLEAR)
    found = search(spec_of(asker, **more), asker.parents, asker, confirm_samples=12_000)
    return found, asker


@lru_cache
def helped() -> tuple[Found, Watched]:
    """One search that ends well, for whoever only looks at it."""
    return searched("conflict", 1)


def test_a_merge_that_helps_is_found_and_confirmed() -> None:
    found, asker = helped()
    assert found.verdict == "merge", found.why
    truth = asker.truth(found.recommended.recipe)
    for name in (found.final, found.best_single):
        assert truth[OVERALL] > asker.truth(one(asker, name))[OVERALL] + 0.01
    assert found.recommended == found.chosen
    assert found.confirmation is not None
    assert found.confirmation.holds
    assert set(found.confirmation.scores) >= {"merge", "final", found.best_single}
    assert not found.recommended.single


def one(asker: SimulatedMerges, name: str) -> Recipe:
    return average(name, {name: 1.0}, asker.parents).recipe


@pytest.mark.parametrize("seed", range(3))
def test_where_every_merge_loses_the_best_checkpoint_is_recommended(seed: int) -> None:
    found, asker = searched("worse", seed)
    assert found.verdict == "single"
    assert found.recommended.single
    assert found.recommended.name == found.best_single
    assert found.chosen is None
    assert all(ground != "confirm" for _, ground in asker.calls)
    assert found.best_single in found.why


def test_what_confirms_is_looked_at_once_and_last() -> None:
    _, asker = helped()
    grounds = [ground for _, ground in asker.calls]
    first = grounds.index("confirm")
    # The claims' trials, then the same with the merge's other parents, who decide nothing.
    decided, shown = (names for names, ground in asker.calls if ground == "confirm")
    assert set(decided) < set(shown)
    assert all(ground != "anchor" or at < first for at, ground in enumerate(grounds[:first]))
    asked_anew = {
        name for names, ground in asker.calls[first:] if ground != "confirm" for name in names
    }
    before = {name for names, _ in asker.calls[:first] for name in names}
    assert asked_anew <= before


def test_the_same_marks_give_the_same_search() -> None:
    (one_, first), (two, second) = helped(), searched("conflict", 1)
    assert first.calls == second.calls
    assert one_.to_json() == two.to_json()


def test_everything_is_told_as_json() -> None:
    found, _ = helped()
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["verdict"] == "merge"
    assert told["recommended"]["recipe"]["method"] == "linear"
    assert sum(each["weight"] for each in told["recommended"]["recipe"]["parents"]) == (
        pytest.approx(1)
    )
    assert len(told["tried"]) == len(found.tried)
    assert told["surfaces"]["surfaces"]["ocr"]["terms"]
    assert told["confirmation"]["scores"]["merge"]["overall"]["value"] > 0
    assert all(each["why"] or each["verdict"] != "chosen" for each in told["tried"])


def test_other_needs_are_answered_from_the_surfaces() -> None:
    found, asker = helped()
    assert found.surfaces is not None
    before = len(asker.calls)
    ocr = found.surfaces.best({"ocr": 1.0})
    even = found.surfaces.best(found.weights)
    assert len(asker.calls) == before
    assert (ocr.scores["ocr"].value or 0) >= (even.scores["ocr"].value or 0)


def test_needs_decide_what_overall_is() -> None:
    found, _ = searched("conflict", 1, needs=Needs(weights={"ocr": 3, "counting": 1}))
    assert found.weights["ocr"] == 0.75
    assert found.weights["entity"] == 0
    one_ = found.tried[0].scores
    assert one_[OVERALL].value == pytest.approx(
        0.75 * (one_["ocr"].value or 0) + 0.25 * (one_["counting"].value or 0)
    )


@pytest.mark.parametrize("budget", [20_000, 35_000, 52_000])
def test_a_spent_budget_keeps_what_is_known(budget: int) -> None:
    asker = Watched("conflict", 1, CLEAR, budget=budget)
    found = search(spec_of(asker), asker.parents, asker)
    assert found.stopped is not None
    assert found.spent.samples <= budget
    assert found.verdict in ("unconfirmed", "single")
    assert found.recommended.name == found.best_single


def test_a_budget_for_nothing_at_all_is_told() -> None:
    asker = Watched("conflict", 1, CLEAR, budget=100)
    with pytest.raises(BudgetReached):
        search(spec_of(asker), asker.parents, asker)


def test_parts_and_published_recipes_are_tried() -> None:
    asker = Watched("conflict", 1, CLEAR)
    rules = SearchRules(margin=0.03, groups={"vision": "model.vision_model.*"})

    def published(best: Mapping[str, Parent], final: Parent) -> list[Trial]:
        assert set(best) == set(asker.truth(one(asker, final.name))) - {OVERALL}
        others = {each.name for each in best.values()} - {final.name}
        return [
            average(f"half.{name}", {name: 0.5, final.name: 0.5}, asker.parents)
            for name in sorted(others)
        ]

    found = search(spec_of(asker, search=rules), asker.parents, asker, published=published)
    steps = {each.step for each in found.tried}
    assert {"single", "screen", "lattice", "surface", "groups", "published"} <= steps
    for each in found.tried:
        for group in each.trial.recipe.groups:
            names = {parent.name for parent in each.trial.recipe.parents}
            assert set(group.weights) == names
            assert sum(group.weights.values()) == pytest.approx(1)


def test_task_vectors_need_an_ancestor() -> None:
    asker = Watched("conflict", 1, CLEAR)
    rules = SearchRules(methods=("task_arithmetic", "ties", "model_stock"), scales=(0.7, 1.0, 1.2))
    spec = spec_of(asker, search=rules, ancestor="run/0").model_copy(update={"ancestor": None})
    with pytest.raises(UserError, match="ancestor"):  # a candidates file may have none either
        search(spec, asker.parents, asker)
    found = search(
        spec_of(asker, search=rules, ancestor="run/0"), asker.parents, asker, confirm_samples=12_000
    )
    tried = {each.trial.name: each for each in found.tried if each.step == "scales"}
    assert {"task_arithmetic.0.7", "ties.1.2", "model_stock"} <= set(tried)
    assert sum(each.ground == "search" for each in tried.values()) == 5


def test_which_checkpoint_is_the_final_one() -> None:
    asker = SimulatedMerges("equal", 0)
    spec = spec_of(asker)
    assert final_of(spec, asker.parents).name == "step-1400"
    assert final_of(spec, asker.parents, "step-1100").name == "step-1100"
    with pytest.raises(UserError, match="step-9"):
        final_of(spec, asker.parents, "step-9")


def test_one_checkpoint_is_no_merge() -> None:
    asker = SimulatedMerges("equal", 0)
    with pytest.raises(UserError, match="two checkpoints"):
        search(spec_of(asker), asker.parents[:1], asker)
    with pytest.raises(UserError, match="one name"):
        search(spec_of(asker), [asker.parents[0], asker.parents[0]], asker)


@pytest.mark.slow
def test_a_merge_is_hardly_ever_recommended_where_none_helps() -> None:
    """All are equal: 20 searches, each with an error of at most 5 %; four or more have p < 0.02."""
    wrong = 0
    for seed in range(20):
        asker = SimulatedMerges("equal", seed)
        found = search(spec_of(asker), asker.parents, asker)
        wrong += found.verdict == "merge"
    assert wrong < 4
