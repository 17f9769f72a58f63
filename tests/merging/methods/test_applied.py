"""Every method on real checkpoint folders, through `apply_recipe`, against the kernel alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.recipe import Recipe
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.merging.methods.made import merged
from tests.merging.methods.test_identities import RECIPES


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("family")
    return {
        name: Path(make_tiny_checkpoint(root / name, "idefics3", seed))
        for seed, name in enumerate(("start", "a", "b"))
    }


def over(recipe: Recipe, folders: dict[str, Path]) -> Recipe:
    """A recipe with these folders in the place of its paths."""
    told = recipe.model_dump()
    for parent in [*told["parents"], *([told["base"]] if told["base"] else [])]:
        parent["path"] = str(folders[parent["name"]])
    return Recipe.model_validate(told)


@pytest.mark.parametrize("method", RECIPES)
def test_a_folder_holds_what_the_kernels_give(
    tmp_path: Path, folders: dict[str, Path], method: str
) -> None:
    recipe = over(RECIPES[method], folders)
    apply_recipe(recipe, tmp_path / "out", threads=2, durable=False)
    start, a, b, out = (
        load_file(folder / "model.safetensors")
        for folder in (folders["start"], folders["a"], folders["b"], tmp_path / "out")
    )
    assert out.keys() == start.keys()
    for name, tensor in out.items():
        base = start[name] if recipe.base else None
        expected = merged(recipe, [a[name], b[name]], base, tensor=name).to(tensor.dtype)
        assert torch.equal(tensor, expected), name
