"""Real merges of shipped checkpoints, and what can be done to one.

The fixtures are of whoever names them: ``pristine, merge = merges.pristine, merges.merge``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.checks import Check
from lens_ray.merging.recipe import Recipe
from lens_ray.models.checkpoint import WEIGHTS, CheckpointFacts, inspect_checkpoint
from lens_ray.models.resolve import resolve

ONE, TWO, THREE = (f"builtin:minivlm-a/step-{step}" for step in (8700, 9300, 9600))
UP = "model.text_model.layers.{}.mlp.up_proj.weight"


def recipe_of(**given: Any) -> Recipe:
    """A quarter of one checkpoint and three quarters of a later one, unless told otherwise."""
    facts: dict[str, Any] = {
        "method": "linear",
        "parents": [
            {"name": "switch", "path": ONE, "weight": 0.25, "step": 8700},
            {"name": "end", "path": THREE, "weight": 0.75, "step": 9600},
        ],
    }
    return Recipe.model_validate({**facts, **given})


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two shipped checkpoints; not to be changed."""
    folder = tmp_path_factory.mktemp("merges") / "merge"
    apply_recipe(recipe_of(), folder, durable=False, check=False)
    return folder


@pytest.fixture
def merge(pristine: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(pristine, tmp_path / "merge"))


def folders(recipe: Recipe) -> list[Path]:
    return [Path(resolve(parent.path)) for parent in recipe.parents]


def facts(recipe: Recipe) -> list[CheckpointFacts]:
    return [inspect_checkpoint(str(folder), digest=False) for folder in folders(recipe)]


def tensors(folder: Path) -> dict[str, Tensor]:
    with safe_open(str(folder / WEIGHTS), framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def change(folder: Path, how: Callable[[dict[str, Tensor]], object]) -> None:
    """Write the weights of a folder anew."""
    held = tensors(folder)
    how(held)
    save_file(held, str(folder / WEIGHTS), metadata={"format": "pt"})


def edit(path: Path, **keys: object) -> None:
    """Change some keys of a JSON file."""
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, **keys}))


def verdicts(checks: tuple[Check, ...]) -> Mapping[str, str]:
    return {check.name: check.verdict for check in checks}


def found(checks: tuple[Check, ...], name: str) -> str:
    return next(check.what for check in checks if check.name == name)
