"""A merge that is made once and copied for whoever spoils it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lens_ray.merging.apply import apply_recipe
from tests.merging.verify.merges import recipe_of


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two shipped checkpoints; not to be changed."""
    folder = tmp_path_factory.mktemp("merges") / "merge"
    apply_recipe(recipe_of(), folder, durable=False)
    return folder


@pytest.fixture
def merge(pristine: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(pristine, tmp_path / "merge"))
