"""Recipes in mergekit's words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lens_ray.cli.main import main
from lens_ray.errors import UserError
from lens_ray.merging.export import to_mergekit
from lens_ray.merging.recipe import Group, Parent, Recipe, ScoreTable, dump_recipe
from tests.merging.methods.made import recipe


def test_ties_with_a_group_in_all_words() -> None:
    how = recipe(
        "ties", (0.5, 1.0), density=0.4, scale=0.9, dtype="bfloat16",
        groups=(Group(match="*vision_tower*", weights={"a": 1.0, "b": 0.0}),),
    )  # fmt: skip
    assert yaml.safe_load(to_mergekit(how)) == {
        "merge_method": "ties",
        "base_model": "/models/start",
        "models": [
            {
                "model": "/models/a",
                "parameters": {
                    "weight": [{"filter": "vision_tower", "value": 1.0}, {"value": 0.5}],
                    "density": 0.4,
                },
            },
            {
                "model": "/models/b",
                "parameters": {
                    "weight": [{"filter": "vision_tower", "value": 0.0}, {"value": 1.0}],
                    "density": 0.4,
                },
            },
        ],
        "parameters": {"normalize": True, "lambda": 0.9},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }


def test_a_window_is_linear_with_its_weights_written_out() -> None:
    parents = tuple(Parent(name=n, path=f"/m/{n}", step=s) for n, s in (("a", 10), ("b", 20)))
    how = Recipe.model_validate(
        {"method": "window", "average": {"kind": "wma"}, "parents": parents}
    )
    told = yaml.safe_load(to_mergekit(how))
    assert told["merge_method"] == "linear"
    assert [one["parameters"]["weight"] for one in told["models"]] == [1 / 3, 2 / 3]


def test_slerp_has_one_t_of_the_second() -> None:
    told = yaml.safe_load(to_mergekit(recipe("slerp", (0.75, 0.25))))
    assert told["base_model"] == "/models/a"
    assert told["parameters"] == {"t": 0.25}
    assert [one["model"] for one in told["models"]] == ["/models/a", "/models/b"]


def test_model_stock_and_dare() -> None:
    stock = yaml.safe_load(to_mergekit(recipe("model_stock", (None, None))))
    assert stock["models"] == [{"model": "/models/a"}, {"model": "/models/b"}]
    text = to_mergekit(recipe("dare_linear", (1.0, 1.0), seed=4))
    assert "# mergekit draws other numbers" in text
    assert yaml.safe_load(text)["parameters"] == {
        "normalize": False, "lambda": 1.0, "rescale": True,
    }  # fmt: skip


def test_a_revision_and_an_adapter_stand_in_the_name() -> None:
    parent = Parent(name="a", path="org/m", revision="v2", adapter="/ad", weight=1.0)
    told = yaml.safe_load(to_mergekit(Recipe(method="linear", parents=(parent,))))
    assert told["models"][0]["model"] == "org/m@v2+/ad"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (
            recipe("linear", (1.0, 0.0), table=ScoreTable(file="x", weights={"a": 1, "b": 0})),
            "mergekit has no score tables",
        ),
        (
            recipe("linear", (1.0, 0.0), groups=(Group(match="a.*", weights={"a": 1, "b": 0}),)),
            "groups[0].match: 'a.*' is no filter of mergekit",
        ),
        (
            Recipe(method="linear", parents=(Parent(name="a", path="s3://b/m", weight=1.0),)),
            "parent a: mergekit cannot read 's3://b/m'",
        ),
        (
            Recipe(
                method="linear",
                parents=tuple(Parent(name=n, path="/m", weight=0.5) for n in "ab"),
            ),
            "/m: named twice",
        ),
    ],
)
def test_what_mergekit_cannot_do_is_said_in_one_line(how: Recipe, says: str) -> None:
    with pytest.raises(UserError) as caught:
        to_mergekit(how)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe("linear", (0.5, 0.5))))
    assert main(["merge", "export", str(file)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["merge_method"] == "linear"
    assert main(["merge", "export", str(file), "--json"]) == 0
    assert '"format": "mergekit"' in capsys.readouterr().out
    assert main(["merge", "export", str(file), "--format", "other"]) == 2
    assert "write mergekit" in capsys.readouterr().err
