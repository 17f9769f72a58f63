"""AbilityLens' recipes."""

from __future__ import annotations

from lens_ray.merging.presets import presets
from lens_ray.merging.recipe import Parent, Recipe

FINAL = Parent(name="end", path="/m/end", step=900)
EARLY = Parent(name="early", path="/m/early", step=300)
MIDDLE = Parent(name="middle", path="/m/middle", step=600)
BEST = {"ocr": FINAL, "counting": EARLY, "entity": MIDDLE, "grounding": EARLY}


def weights(recipe: Recipe) -> dict[str, float | None]:
    return {parent.name: parent.weight for parent in recipe.parents}


def test_half_of_the_final_for_each_checkpoint_that_is_best_at_something() -> None:
    made = {recipe.name: weights(recipe) for recipe in presets(BEST, FINAL)}
    assert made == {
        "abilitylens-counting+grounding": {"early": 0.5, "end": 0.5},
        "abilitylens-entity": {"middle": 0.5, "end": 0.5},
        "abilitylens-all": {"early": 1 / 3, "middle": 1 / 6, "end": 0.5},
    }


def test_the_sensitive_tensors_are_three_tenths_of_the_final() -> None:
    (made,) = presets(
        {"ocr": FINAL, "counting": EARLY}, FINAL,
        which=("abilitylens_sensitivity",), table="scores.json",
    )  # fmt: skip
    assert made.name == "abilitylens_sensitivity-counting"
    assert weights(made) == {"early": 0.0, "end": 1.0}
    assert made.table is not None
    assert (made.table.top, made.table.weights) == (0.3, {"early": 0.7, "end": 0.3})


def test_nothing_to_merge_where_the_final_is_best_at_all() -> None:
    assert presets({"ocr": FINAL, "entity": FINAL}, FINAL) == ()


def test_without_a_table_there_is_no_sensitivity() -> None:
    assert presets(BEST, FINAL, which=("abilitylens_sensitivity",)) == ()
