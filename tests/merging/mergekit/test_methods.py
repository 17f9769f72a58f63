"""Every method that both have, against mergekit 0.1.5 in an environment of its own.

In float32, within four units in the last place of the largest parent: mergekit adds up in float32,
and what nearly cancels keeps the rounding of its terms. What the recipe says goes to mergekit by
`to_mergekit`, so the export is checked too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from jobs.benchmarks.merge_calls import run
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.export import to_mergekit
from lens_ray.merging.recipe import Recipe
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

pytestmark = [pytest.mark.peers, pytest.mark.timeout(900)]

_ROOT = Path(__file__).parents[3]
_PYTHON = Path(
    os.environ.get("LENS_RAY_MERGEKIT_PYTHON", _ROOT / ".venv-mergekit" / "bin" / "python")
)
_ULP, _APART = 2.0**-23, 4

#: Method, and what stands beside the parents; ``base`` takes the first checkpoint as the base.
RECIPES: dict[str, dict[str, Any]] = {
    "linear": {"method": "linear", "weights": (0.6, 0.3, 0.1)},
    "normalized": {"method": "linear", "weights": (3.0, 2.0, 1.0), "normalize": True},
    "window": {"method": "window", "weights": (None, None, None)},
    "groups": {
        "method": "linear", "weights": (0.5, 0.25, 0.25),
        "groups": [{"match": "*visual*", "weights": {"p0": 1.0, "p1": 0.0, "p2": 0.0}}],
    },
    "task_arithmetic": {"method": "task_arithmetic", "weights": (0.7, 0.4), "base": True,
                        "scale": 0.9},
    "ties": {"method": "ties", "weights": (1.0, 1.0), "base": True, "density": 0.5},
    "unequal_ties": {"method": "ties", "weights": (1.0, 0.6), "base": True, "density": 0.3},
    "slerp": {"method": "slerp", "weights": (0.4, 0.6)},
    "model_stock": {"method": "model_stock", "weights": (None, None), "base": True},
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Qwen2.5-VL, which mergekit merges whole; in float32."""
    root = tmp_path_factory.mktemp("mergekit")
    return tuple(
        make_tiny_checkpoint(root / f"p{seed}", "qwen2_5_vl", seed, dtype="float32")
        for seed in range(3)
    )


def recipe_of(name: str, folders: tuple[str, ...]) -> Recipe:
    given = dict(RECIPES[name])
    weights = given.pop("weights")
    if given.pop("base", False):
        given["base"] = {"name": "base", "path": folders[0]}
        folders = folders[1:]
    parents = [
        {"name": f"p{number}", "path": path, **({} if weight is None else {"weight": weight})}
        for number, (path, weight) in enumerate(zip(folders, weights, strict=False))
    ]
    return Recipe.model_validate({"parents": parents, **given})


@pytest.fixture(scope="module")
def theirs(folders: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where mergekit wrote each recipe; all in one process, whose imports take seconds."""
    if not _PYTHON.exists():
        pytest.fail(f"mergekit's Python {_PYTHON} is not there: run `make test-mergekit`")
    root = tmp_path_factory.mktemp("theirs")
    outs = {name: root / name for name in RECIPES}
    calls = []
    for name, out in outs.items():
        config = out.with_suffix(".yaml")
        config.write_text(to_mergekit(recipe_of(name, folders)), encoding="utf-8")
        calls.append({"arguments": [str(config), str(out), "--quiet"], "out": str(out)})
    for name, found in zip(outs, run("mergekit", calls, root / "log", str(_PYTHON)), strict=True):
        assert found["error"] is None, (name, found["error"])
    return outs


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    held: dict[str, torch.Tensor] = {}
    for file in folder.glob("*.safetensors"):
        held |= load_file(file)
    return held


@pytest.mark.parametrize("name", RECIPES)
def test_both_come_to_the_same_numbers(
    tmp_path: Path, folders: tuple[str, ...], theirs: dict[str, Path], name: str
) -> None:
    apply_recipe(recipe_of(name, folders), tmp_path / "ours")
    ours, other = tensors(tmp_path / "ours"), tensors(theirs[name])
    parents = [tensors(Path(folder)) for folder in folders]
    assert ours.keys() == other.keys()
    differing, most, count = 0, 0.0, 0
    for tensor, number in ours.items():
        size = torch.stack([parent[tensor].abs() for parent in parents]).amax(0).clamp(min=1e-30)
        apart = (number - other[tensor]).abs() / size / _ULP
        differing += int((apart > _APART).sum())
        most = max(most, float(apart.max()))
        count += number.numel()
    print(f"{name}: {count} numbers, at most {most:.2f} ulp apart")
    assert differing == 0
