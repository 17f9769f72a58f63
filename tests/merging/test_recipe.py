"""Recipes: what they may say, and where every mistake is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from lens_ray.errors import JobError
from lens_ray.merging.recipe import Parent, Recipe, dump_recipe, load_recipe

PARENTS = """\
parents:
  - {name: a, path: /models/a, weight: 0.25}
  - {name: b, path: /models/b, weight: 0.75}
"""
BASE = "base: {name: start, path: /models/start}\n"
STEPS = """\
parents:
  - {name: a, path: /models/a, step: 100}
  - {name: b, path: /models/b, step: 300}
  - {name: c, path: /models/c, step: 200}
"""


def load(folder: Path, text: str) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return load_recipe(path)


def mistake(folder: Path, text: str) -> str:
    """The one line, without the file's name."""
    with pytest.raises(JobError) as caught:
        load(folder, text)
    line = str(caught.value)
    assert line.startswith(f"{folder / 'recipe.yaml'}:")
    assert "\n" not in line
    return line.removeprefix(f"{folder / 'recipe.yaml'}:")


def test_the_example_of_the_module(tmp_path: Path) -> None:
    recipe = load(tmp_path, "version: 1\nmethod: linear\n" + PARENTS)
    assert recipe.weights == (0.25, 0.75)
    assert not recipe.normalizes


FULL = (
    "name: everything\nmethod: dare_ties\n" + PARENTS + BASE + "scale: 0.9\ndensity: 0.5\nseed: 3\n"
    "normalize: false\ndtype: bfloat16\nshard_gb: 2\n"
    "groups:\n  - {match: 'model.vision_model.*', weights: {a: 1, b: 0}}\n"
    "table: {file: scores.json, top: 0.2, weights: {a: 0.5, b: 0.5}}\n"
)


@pytest.mark.parametrize(
    "text",
    [
        "method: linear\n" + PARENTS,
        "method: window\naverage: {kind: ema, decay: 0.7}\n" + STEPS,
        "method: model_stock\n" + STEPS + BASE,
        FULL,
        "method: linear\n"
        + PARENTS.replace("name: a", "name: '08'").replace("name: b", "name: '1e5'"),
        "method: linear\n" + PARENTS.replace("weight: 0.25", "weight: 0.25, digest: '123e4567'"),
    ],
)
def test_what_is_written_is_read_back_equal(tmp_path: Path, text: str) -> None:
    recipe = load(tmp_path, text)
    assert load(tmp_path, dump_recipe(recipe)) == recipe


def test_json_is_a_recipe_too(tmp_path: Path) -> None:
    recipe = load(tmp_path, FULL)
    assert load(tmp_path, json.dumps(recipe.model_dump(mode="json"))) == recipe


def test_variables_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNS", "/runs")
    recipe = load(tmp_path, "method: linear\nparents: [{name: a, path: '${RUNS}/a', weight: 1}]")
    assert recipe.parents[0].path == "/runs/a"
    assert "only expanded in" in mistake(
        tmp_path, "method: linear\nname: '${RUNS}'\nparents: [{name: a, path: x, weight: 1}]"
    )


@pytest.mark.parametrize(
    ("average", "weights"),
    [
        ("{kind: sma}", (1, 1, 1)),
        ("{kind: wma}", (1, 3, 2)),
        ("{kind: ema, decay: 0.5}", (0.25, 1, 0.5)),
    ],
)
def test_windows_weigh_by_step_not_by_place(
    tmp_path: Path, average: str, weights: tuple[float, ...]
) -> None:
    recipe = load(tmp_path, f"method: window\naverage: {average}\n{STEPS}")
    assert recipe.weights == weights


LINEAR, WINDOW, SLERP, TIES = (f"method: {m}\n" for m in ("linear", "window", "slerp", "ties"))
SHARED = STEPS.replace("step", "weight").replace("00", ".0")  # 1, 3, 2
AFTER = "{match: x, weights: {a: 1, b: 0, c: 0}}"


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        (LINEAR + "scale: 2\n" + PARENTS, "2:8: scale: ", "or write method: task_arithmetic"),
        (LINEAR + PARENTS + BASE, "5:7: base: ", "or write method: task_arithmetic"),
        (TIES + PARENTS, "1:9: method: ", "write base: {name: ..., path: ...}"),
        (LINEAR + "parents: []", "2:10: parents: ", "takes at least 1; 0 are named"),
        (SLERP + SHARED, "3:3: parents: ", "takes exactly 2; 3 are named"),
        (LINEAR + PARENTS.replace("0.75", "0.7"), "3:3: parents: ", "sum to 0.95"),
        (LINEAR + PARENTS.replace("0.75", "0.7"), "3:3: parents: ", "or normalize: true"),
        (SLERP + PARENTS.replace("0.75", "0.7"), "3:3: parents: ", "write weights that sum to 1"),
        (
            LINEAR + "normalize: true\n" + PARENTS.replace("0.75", "-0.25"),
            "4:3: parents: ", "the weights sum to 0, by which nothing can be divided",
        ),
        (LINEAR + PARENTS.replace(" b,", " a,"), "4:12: parents[1].name: ", "name of parents[0]"),
        (LINEAR + PARENTS.replace(" b,", " merge,"), "4:12: parents[1].name: ", "the merge is"),
        (LINEAR + PARENTS.replace(" b,", " base,"), "4:12: parents[1].name: ", "the base is"),
        (LINEAR + "shard_gb: 1e300\n" + PARENTS, "2:11: shard_gb: ", "less than or equal to"),
        (TIES + PARENTS + BASE.replace("start,", "a,"), "3:12: parents[0].name: ", "the base is"),
        (TIES + PARENTS + BASE.replace("}", ", weight: 1}"), "5:50: base.weight: ", "no weight"),
        (LINEAR + PARENTS.replace(", weight: 0.75", ""), "4:5: parents[1]: ", "write weight: ..."),
        (WINDOW + SHARED, "3:40: parents[0].weight: ", "makes the weights itself"),
        (
            WINDOW + "average: {kind: wma}\n" + STEPS.replace(", step: 300", ""),
            "5:5: parents[1]: ", "wma makes weights from steps; write step: ...",
        ),
        (
            WINDOW + "average: {kind: ema}\n" + STEPS.replace("300", "100"),
            "5:38: parents[1].step: ", "'100' is the step of parents[0] too",
        ),
        (
            WINDOW + "average: {decay: 0.5}\n" + STEPS,
            "2:18: average.decay: ", "no effect with kind: sma",
        ),
        (
            LINEAR + PARENTS + "groups: [{match: x, weights: {a: 1}}]",
            "5:30: groups[0].weights: ", "'b' is not named; name each of a, b once",
        ),
        (
            LINEAR + PARENTS + f"groups: [{AFTER}]",
            "5:30: groups[0].weights: ", "'c' is no parent; name each of a, b once",
        ),
        (
            LINEAR + PARENTS + "table: {file: x, weights: {a: 1, b: 1}}",
            "5:27: table.weights: ", "the weights sum to 2",
        ),
        (
            f"method: model_stock\n{STEPS}{BASE}groups: [{AFTER}]",
            "7:9: groups: ", "no effect with method: model_stock",
        ),
        (LINEAR + "metod: x\n" + PARENTS, "2:1: metod: ", "did you mean 'method'?"),
        (LINEAR + PARENTS.replace("0.75", ".nan"), "4:40: parents[1].weight: ", "a finite number"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_its_place(
    tmp_path: Path, text: str, where: str, says: str
) -> None:
    line = mistake(tmp_path, text)
    assert line.startswith(where)
    assert says in line


def test_thirds_are_shares(tmp_path: Path) -> None:
    thirds = "parents:\n" + "".join(
        f"  - {{name: {name}, path: /m, weight: 0.333333{last}}}\n"
        for name, last in (("a", 3), ("b", 3), ("c", 4))
    )
    assert load(tmp_path, LINEAR + thirds).weights == (0.3333333, 0.3333333, 0.3333334)


def test_recipes_that_programs_make_are_held_to_the_same_rules() -> None:
    parent = Parent(name="a", path="x", weight=1.0)
    with pytest.raises(ValidationError, match="sum to 2"):
        Recipe(method="linear", parents=(parent, parent.model_copy(update={"name": "b"})))
    # A default that is written out has no effect either way.
    assert Recipe(method="linear", parents=(parent,), scale=1.0, density=0.7).scale == 1.0
