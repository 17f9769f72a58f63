"""V1: identities, and numbers computed once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lens_ray.errors import NoGo
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.kernel import Piece
from lens_ray.merging.recipe import Recipe
from lens_ray.merging.verify.algebra import algebra
from lens_ray.merging.verify.policy import AlgebraLimits
from lens_ray.merging.verify.recompute import by_kernel, reference, rounding, ulps
from lens_ray.merging.weights import Weights
from lens_ray.models.resolve import resolve
from tests.merging.folders import checkpoint, linear
from tests.merging.verify.merges import (
    ONE,
    THREE,
    TWO,
    UP,
    change,
    folders,
    found,
    recipe_of,
    tensors,
    verdicts,
)

PARENTS = [{"name": "a", "path": TWO}, {"name": "b", "path": THREE}]
BASE = {"name": "start", "path": ONE}


def weighted(*weights: float) -> list[dict[str, Any]]:
    return [{**one, "weight": weight} for one, weight in zip(PARENTS, weights, strict=True)]


METHODS: dict[str, dict[str, Any]] = {
    "linear": {"method": "linear", "parents": weighted(0.25, 0.75)},
    "extrapolated": {"method": "linear", "parents": weighted(-0.5, 1.5)},
    "float32": {"method": "linear", "parents": weighted(0.3, 0.7), "dtype": "float32"},
    "window": {"method": "window", "parents": PARENTS},
    "groups": {
        "method": "linear",
        "parents": weighted(0.5, 0.5),
        "groups": [{"match": "model.vision_model.*", "weights": {"a": 1.0, "b": 0.0}}],
    },
    "task_arithmetic": {
        "method": "task_arithmetic", "base": BASE, "parents": weighted(0.4, 0.5), "scale": 0.8,
    },
    "slerp": {"method": "slerp", "parents": weighted(0.4, 0.6)},
    "ties": {"method": "ties", "base": BASE, "parents": weighted(1.0, 1.0)},
    "dare_linear": {"method": "dare_linear", "base": BASE, "parents": weighted(0.5, 0.5)},
    "model_stock": {"method": "model_stock", "base": BASE, "parents": PARENTS},
}  # fmt: skip


def look(folder: Path, recipe: Recipe, **limits: Any) -> Any:
    base = Path(resolve(recipe.base.path)) if recipe.base is not None else None
    return algebra(folder, recipe, folders(recipe), base, AlgebraLimits(**limits))


QUICK = ("linear", "task_arithmetic", "model_stock")


@pytest.mark.parametrize(
    "method", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in METHODS]
)
def test_every_method_keeps_its_identities_and_its_numbers(method: str, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(METHODS[method])
    apply_recipe(recipe, tmp_path / "merge", durable=False, check=False)
    checks = look(tmp_path / "merge", recipe)
    assert {check.verdict for check in checks} == {"pass"}
    assert {"self_merge", "permutation", "recomputed", "delta_norm"} <= verdicts(checks).keys()
    worst = next(check.figures["worst_ulp"] for check in checks if check.name == "recomputed")
    assert worst <= 0.5 + 2**-15  # rounded to float32 on the way


def test_a_tensor_of_another_scale_is_found_whichever_it_is(merge: Path) -> None:
    change(merge, lambda held: held[UP.format(1)].mul_(1.01))
    checks = look(merge, recipe_of(), blocks=1)
    assert verdicts(checks)["recomputed"] == "fail"
    assert UP.format(1) in found(checks, "recomputed")


def test_layers_that_changed_places_are_found(merge: Path) -> None:
    def swap(held: dict[str, Tensor]) -> None:
        held[UP.format(0)], held[UP.format(1)] = held[UP.format(1)], held[UP.format(0)]

    change(merge, swap)
    checks = look(merge, recipe_of())
    assert verdicts(checks)["recomputed"] == "fail"
    assert verdicts(checks)["between"] == "fail"


def test_the_weights_of_another_recipe_are_found(merge: Path) -> None:
    """Every number is still between those of the parents; only arithmetic tells."""
    other = recipe_of(
        parents=[
            {"name": "switch", "path": ONE, "weight": 0.5},
            {"name": "end", "path": THREE, "weight": 0.5},
        ]
    )
    checks = look(merge, other)
    assert verdicts(checks)["recomputed"] == "fail"
    assert verdicts(checks)["between"] == "pass"


def test_a_single_number_of_a_block_is_found_and_one_unit_is_not_a_fault(merge: Path) -> None:
    def nudge(held: dict[str, Tensor], units: int) -> None:
        bits = held["model.text_model.norm.weight"].view(torch.int16)
        bits[0] += units

    change(merge, lambda held: nudge(held, 3))
    checks = look(merge, recipe_of())
    assert "model.text_model.norm.weight" in found(checks, "recomputed")
    change(merge, lambda held: nudge(held, -3))
    assert verdicts(look(merge, recipe_of()))["recomputed"] == "pass"


def test_a_number_that_is_none_is_a_fault_and_no_exception(merge: Path) -> None:
    change(merge, lambda held: held[UP.format(0)].fill_(float("nan")))
    checks = look(merge, recipe_of())
    assert "no number" in found(checks, "recomputed")


def test_how_far_it_went_is_told_by_hand_arithmetic(merge: Path) -> None:
    """A quarter and three quarters: three quarters of the way from the first parent."""
    checks = look(merge, recipe_of())
    ratio = next(check.figures["ratio"] for check in checks if check.name == "delta_norm")
    assert ratio == pytest.approx(0.75, abs=0.01)


def test_the_draws_are_those_of_the_recipe(merge: Path) -> None:
    assert look(merge, recipe_of()) == look(merge, recipe_of())


@given(
    st.floats(-1e30, 1e30, allow_subnormal=False).filter(lambda x: abs(x) > 1e-30),
    st.sampled_from(["F32", "F16", "BF16"]),
    st.integers(-6, 6),
)
def test_units_in_the_last_place_are_those_of_the_type(
    value: float, dtype: str, steps: int
) -> None:
    """Against the neighbours that torch knows: so many steps away is so many units, or half as
    many where a power of two lies between.
    """
    kinds = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    truth = torch.tensor([value], dtype=torch.float64).to(kinds[dtype])
    if not torch.isfinite(truth).all() or truth.abs() < torch.finfo(kinds[dtype]).tiny * 256:
        return
    wide = torch.int32 if dtype == "F32" else torch.int16
    moved = (truth.view(wide) + steps).view(kinds[dtype])
    if not torch.isfinite(moved).all():
        return
    off = ulps(moved, truth.double(), dtype)
    assert abs(steps) / 2 <= off <= 2 * abs(steps)
    assert (off == 0) == (steps == 0)


def test_blocks_cover_every_tensor(merge: Path) -> None:
    checks = look(merge, recipe_of(), blocks=1)
    counted = next(check.figures["tensors"] for check in checks if check.name == "recomputed")
    assert counted == len(tensors(merge))


def test_ties_in_float64_keeps_what_is_equal_in_float32() -> None:
    """1 - 2^-30 is 1 in float32: both are kept, though float64 tells them apart."""
    recipe = Recipe.model_validate({**METHODS["ties"], "density": 0.5})
    base, moved = torch.ones(2), torch.tensor([0.0, 2.0**-30])
    piece = Piece("x", 0, (0, 2), (moved, moved), base)
    written = by_kernel(recipe, Weights.of(recipe), piece, (2,))
    assert torch.equal(written, moved)
    assert torch.equal(reference(recipe, Weights.of(recipe), piece, (2,)), moved.double())


def test_terms_that_cancel_are_no_fault(tmp_path: Path) -> None:
    """0.6 · 0.25 − 0.3 · 0.75 + 0.1 · 0.75 is 0, or 1e-17, as it is added up."""
    values = ((0.25, -0.0537109375), (-0.75, 0.1689453125), (0.75, -0.1845703125))
    paths = [
        checkpoint(tmp_path / name, {"x.weight": torch.tensor([two] * 40).bfloat16()})
        for name, two in zip("abc", values, strict=True)
    ]
    held = [torch.tensor(two).bfloat16().double() for two in values]
    sums = [
        sum((share * one for share, one in order), torch.zeros(2, dtype=torch.float64))
        for terms in [list(zip((0.6, 0.3, 0.1), held, strict=True))]
        for order in (terms, terms[::-1])
    ]
    assert ulps(sums[0].bfloat16(), sums[1], "BF16") > 1  # the orders do differ
    apply_recipe(linear(paths, [0.6, 0.3, 0.1]), tmp_path / "out")


def test_what_is_left_of_cancelling_terms_hides_no_fault() -> None:
    piece = Piece("x", 0, (0, 1), (torch.tensor([0.75]), torch.tensor([-0.25])), None)
    recipe = linear(["/a", "/b"], [0.25, 0.75])
    near = rounding(recipe, Weights.of(recipe), piece)
    assert near is not None
    truth = torch.zeros(1, dtype=torch.float64)
    assert ulps(torch.tensor([1e-17]), truth, "F32", near) == 0
    assert ulps(torch.tensor([1e-13]), truth, "F32", near) > 1


def test_infinity_where_a_number_is_due_is_a_fault_in_any_tensor(tmp_path: Path) -> None:
    """70,000 leaves float16's range; no scan asks what is no weight and no bias."""
    paths = [
        checkpoint(tmp_path / name, {"experts.gate_up_proj": torch.full((4, 8), 70_000.0)})
        for name in "ab"
    ]
    with pytest.raises(NoGo, match=r"does not pass V1 recomputed: experts\.gate_up_proj"):
        apply_recipe(linear(paths, [0.5, 0.5], dtype="float16"), tmp_path / "out")


def test_the_sign_of_a_zero_is_no_fault_of_negative_weights(tmp_path: Path) -> None:
    held = {"x.weight": torch.tensor([[-0.0, 1.0], [0.0, -2.0]]).bfloat16()}
    other = {"x.weight": torch.tensor([[-0.0, 3.0], [-0.0, -2.0]]).bfloat16()}
    paths = [checkpoint(tmp_path / "a", held), checkpoint(tmp_path / "b", other)]
    apply_recipe(linear(paths, [-0.5, 1.5]), tmp_path / "out")


@pytest.mark.parametrize("weights", [(0.0, 1.0), (-0.5, 1.5)])
def test_a_mask_of_infinity_that_all_share_is_no_fault(
    tmp_path: Path, weights: tuple[float, float]
) -> None:
    mask = torch.tensor([[0.0, -torch.inf], [0.0, 0.0]])
    paths = [
        checkpoint(tmp_path / name, {"mask": mask, "x.weight": torch.full((2, 2), float(k))})
        for k, name in enumerate("ab")
    ]
    apply_recipe(linear(paths, list(weights)), tmp_path / "out")
    moved = {"name": "p0", "path": paths[1], "weight": -0.5}
    recipe = Recipe.model_validate({
        "method": "task_arithmetic", "base": {"name": "start", "path": paths[0]}, "parents": [moved]
    })  # fmt: skip
    apply_recipe(recipe, tmp_path / "moved")


def test_a_tolerance_without_end_tolerates_nothing() -> None:
    far = torch.tensor([torch.inf], dtype=torch.float64)
    assert ulps(torch.tensor([1.0]), torch.tensor([2.0], dtype=torch.float64), "F32", far) > 1
