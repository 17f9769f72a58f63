"""V0: what a merge's headers, files and numbers give away."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.verify.structure import structure
from lens_ray.models.checkpoint import INDEX, WEIGHTS, inspect_checkpoint
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint, save_sharded
from tests.merging.verify.merges import UP, change, edit, facts, found, recipe_of, verdicts

NAME = UP.format(0)


def test_a_sound_merge_passes_every_check(pristine: Path) -> None:
    recipe = recipe_of()
    checks = structure(pristine, recipe, facts(recipe), load=True)
    assert {check.verdict for check in checks} == {"pass"}
    assert {check.name for check in checks} == {
        "readable", "keys", "shapes", "dtypes", "index", "tied", "shell", "no_code", "finite",
        "loads",
    }  # fmt: skip


def lose(held: dict[str, Tensor]) -> None:
    del held[NAME]


def add(held: dict[str, Tensor]) -> None:
    held["model.extra.weight"] = torch.zeros(2)


def turn(held: dict[str, Tensor]) -> None:
    held[NAME] = held[NAME].t().contiguous()


def widen(held: dict[str, Tensor]) -> None:
    held[NAME] = held[NAME].float()


def break_last(held: dict[str, Tensor]) -> None:
    held[NAME][-1, -1] = float("nan")


@pytest.mark.parametrize(
    ("how", "check"),
    [
        (lose, "keys"),
        (add, "keys"),
        (turn, "shapes"),
        (widen, "dtypes"),
        (break_last, "finite"),
    ],
)
def test_a_fault_of_one_tensor_is_named(
    merge: Path, how: Callable[[dict[str, Tensor]], None], check: str
) -> None:
    change(merge, how)
    checks = structure(merge, recipe_of(), facts(recipe_of()))
    assert [name for name, verdict in verdicts(checks).items() if verdict == "fail"] == [check]
    wanted = "model.extra.weight" if how is add else NAME
    assert wanted in found(checks, check)


def test_transformers_says_what_it_would_make_anew(merge: Path) -> None:
    """What mergekit 0.1.5 leaves of LLaVA: exit code 0, and tensors made at random on load."""
    change(merge, lose)
    checks = structure(merge, recipe_of(), facts(recipe_of()), load=True)
    assert verdicts(checks)["loads"] == "fail"
    assert "1 missing tensors" in found(checks, "loads")


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("config.json", {"pad_token_id": 77}),
        ("tokenizer_config.json", {"model_max_length": 3}),
        ("generation_config.json", {"temperature": 2.0}),
        ("processor_config.json", {"image_seq_len": 5}),
    ],
)
def test_another_configuration_is_named(merge: Path, file: str, keys: dict[str, object]) -> None:
    edit(merge / file, **keys)
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert verdicts(checks)["shell"] == "fail"
    assert file in found(checks, "shell")


def test_another_or_a_lost_chat_template_is_named(merge: Path) -> None:
    path = merge / "chat_template.jinja"
    path.write_text(path.read_text() + " ")
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert "chat_template.jinja differs" in found(checks, "shell")


def test_what_saving_again_changes_is_no_fault(merge: Path) -> None:
    edit(merge / "config.json", transformers_version="9.9", _name_or_path="/elsewhere")
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert verdicts(checks)["shell"] == "pass"


def test_the_type_that_a_recipe_writes_is_right_and_another_is_not(tmp_path: Path) -> None:
    recipe = recipe_of(dtype="float32")
    apply_recipe(recipe, tmp_path / "merge", durable=False)
    assert verdicts(structure(tmp_path / "merge", recipe, facts(recipe)))["dtypes"] == "pass"
    checks = structure(tmp_path / "merge", recipe_of(), facts(recipe))
    assert verdicts(checks)["dtypes"] == "fail"


def test_a_truncated_file_ends_the_tier(merge: Path) -> None:
    data = (merge / WEIGHTS).read_bytes()
    (merge / WEIGHTS).write_bytes(data[:-7])
    checks = structure(merge, recipe_of(), facts(recipe_of()))
    assert verdicts(checks) == {"readable": "fail"}
    assert "truncated" in found(checks, "readable")


def test_an_index_that_miscounts_is_found(merge: Path) -> None:
    save_sharded(merge)
    size = (merge / "model-00001-of-00002.safetensors").stat().st_size
    index = json.loads((merge / INDEX).read_text())
    (merge / INDEX).write_text(json.dumps({**index, "metadata": {"total_size": size}}))
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert verdicts(checks)["index"] == "fail"
    numbers = sum(tensor.size for tensor in inspect_checkpoint(str(merge)).tensors.values())
    (merge / INDEX).write_text(json.dumps({**index, "metadata": {"total_size": int(numbers)}}))
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert set(verdicts(checks).values()) == {"pass"}


@pytest.mark.parametrize("name", ["optimizer.pt", "training_args.bin", "modeling_mine.py"])
def test_what_runs_code_on_load_is_refused(merge: Path, name: str) -> None:
    (merge / name).write_bytes(b"cos\nsystem\n")
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert verdicts(checks)["no_code"] == "fail"
    assert name in found(checks, "no_code")


def test_a_link_out_of_the_folder_is_refused(merge: Path) -> None:
    (merge / "notes.txt").symlink_to("/etc/hostname")
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert "notes.txt points out of the folder" in found(checks, "no_code")


def test_links_to_nothing_pipes_and_a_torn_index_are_named(merge: Path) -> None:
    (merge / "loop.txt").symlink_to(merge / "loop.txt")
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert "loop.txt points out of the folder, or nowhere" in found(checks, "no_code")
    (merge / "loop.txt").unlink()
    os.mkfifo(merge / "pipe.safetensors")
    (merge / INDEX).write_text("{")
    checks = structure(merge, recipe_of(), facts(recipe_of()), scan=False)
    assert "pipe.safetensors is no file and no folder" in found(checks, "no_code")
    assert "is no JSON" in found(checks, "index")


def test_a_head_that_left_the_embeddings_it_is_tied_to_is_found(tmp_path: Path) -> None:
    """As where both were saved, and one of them was merged with other weights."""
    parent = Path(make_tiny_checkpoint(tmp_path / "parent", "idefics3"))
    edit(parent / "config.json", tie_word_embeddings=True)
    text = json.loads((parent / "config.json").read_text())["text_config"]
    edit(parent / "config.json", text_config={**text, "tie_word_embeddings": True})

    def tie(held: dict[str, Tensor]) -> None:
        inner = next(name for name in held if name.endswith("embed_tokens.weight"))
        held["lm_head.weight"] = held[inner].clone()

    change(parent, tie)
    merge = Path(shutil.copytree(parent, tmp_path / "merge"))
    recipe = recipe_of(parents=[{"name": "one", "path": str(parent), "weight": 1.0}])
    assert verdicts(structure(merge, recipe, facts(recipe)))["tied"] == "pass"
    change(merge, lambda held: held["lm_head.weight"].mul_(2))
    checks = structure(merge, recipe, facts(recipe))
    assert verdicts(checks)["tied"] == "fail"
    assert "lm_head.weight" in found(checks, "tied")
