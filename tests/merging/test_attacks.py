"""Recipes and folders that a user should be told of in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from lens_ray.errors import CheckpointError, LensError, UserError
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.recipe import load_recipe
from lens_ray.merging.verify.weights import Weights
from tests.merging.folders import checkpoint, linear, numbers, two


def test_weights_beyond_what_can_be_added_up_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    parents = "".join(f"  - {{name: p{n}, path: /p{n}, weight: 1.0e308}}\n" for n in range(2))
    file.write_text(f"method: linear\nnormalize: true\nparents:\n{parents}")
    with pytest.raises(LensError, match=r"weight: 1e\+308 is too large; write weights of at most"):
        load_recipe(file)


PARENT = "{name: p, path: /p, weight: 1.0}"
TRUTHS = {
    "weight": "method: linear\nparents: [{name: p, path: /p, weight: true}]",
    "step": "method: window\nparents: [{name: p, path: /p, step: true}]",
    "scale": f"method: task_arithmetic\nbase: {{name: b, path: /b}}\nscale: true\n"
    f"parents: [{PARENT}]",
    "shard_gb": f"method: linear\nshard_gb: true\nparents: [{PARENT}]",
    "weights.p": f"method: linear\nparents: [{PARENT}]\n"
    "groups: [{match: a*, weights: {p: true}}]",
}  # fmt: skip


@pytest.mark.parametrize("key", TRUTHS)
def test_a_truth_value_is_no_number(tmp_path: Path, key: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(TRUTHS[key])
    with pytest.raises(LensError, match=rf"{key}: true is a truth value; write a number$"):
        load_recipe(file)


def test_numbers_may_be_written_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "method: linear\nparents:\n"
        "  - {name: p, path: /p, weight: 1e-1}\n  - {name: q, path: /q, weight: .9}\n"
    )
    assert load_recipe(file).weights == (0.1, 0.9)


@pytest.mark.parametrize("out", ["", " ", "file://"])
def test_no_name_is_not_the_folder_that_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    recipe = linear(two(tmp_path), [0.5, 0.5])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="--out is empty; name the folder"):
        apply_recipe(recipe, out)
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize("name", ["vocab.txt", "additional_chat_templates/x.jinja"])
def test_a_link_out_of_a_parent_is_not_copied_into_the_merge(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of nobody's business")
    paths = two(tmp_path)
    for path in paths:
        Path(path, name).parent.mkdir(exist_ok=True)
        Path(path, name).symlink_to(secret)
    with pytest.raises(CheckpointError, match=rf"a/{name} is a link to {secret}, out of the"):
        apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_link_out_of_a_parent_is_one_too(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.jinja").write_text("of nobody's business")
    path = two(tmp_path)[0]
    Path(path, "additional_chat_templates").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="is a link to"):
        apply_recipe(linear([path], [1.0]), tmp_path / "out")


def test_links_of_the_hub_s_cache_are_followed(tmp_path: Path) -> None:
    cache = tmp_path / "models--me--model"
    paths = []
    for seed, commit in enumerate(("a" * 40, "b" * 40)):
        folder = cache / "snapshots" / commit
        paths.append(checkpoint(folder, numbers(seed)))
        for path in list(folder.iterdir()):
            blob = cache / "blobs" / f"{seed}-{path.name}"
            blob.parent.mkdir(exist_ok=True)
            path.rename(blob)
            path.symlink_to(Path("..", "..", "blobs", blob.name))
    apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    copied = tmp_path / "out" / "tokenizer.json"
    assert copied.read_text() == Path(paths[0], "tokenizer.json").read_text()
    assert not copied.is_symlink()


def test_links_within_a_parent_are_followed(tmp_path: Path) -> None:
    paths = two(tmp_path)
    for path in paths:
        Path(path, "vocab.txt").symlink_to("tokenizer.json")
    apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    assert (tmp_path / "out" / "vocab.txt").is_file()


def test_a_parent_that_shrinks_while_it_is_verified_is_an_error_and_no_signal(
    tmp_path: Path,
) -> None:
    path = Path(two(tmp_path)[0])
    with Weights(path) as weights:
        assert weights.rows("model.positions", 0, 6).view(torch.int64).tolist() == [*range(6)]
        os.truncate(path / "model.safetensors", 8)
        with pytest.raises(CheckpointError, match="changed while it was read"):
            weights.rows("lm_head.weight", 0, 40)
