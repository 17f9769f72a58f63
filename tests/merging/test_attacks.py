"""Recipes that a user should be told of in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import LensError
from lens_ray.merging.recipe import load_recipe


def test_weights_beyond_what_can_be_added_up_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    parents = "".join(f"  - {{name: p{n}, path: /p{n}, weight: 1.0e308}}\n" for n in range(2))
    file.write_text(f"method: linear\nnormalize: true\nparents:\n{parents}")
    with pytest.raises(LensError, match="weights"):
        load_recipe(file)


def test_a_truth_value_is_no_weight(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("method: linear\nparents: [{name: p, path: /p, weight: true}]\n")
    with pytest.raises(LensError, match="weight"):
        load_recipe(file)
