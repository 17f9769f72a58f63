from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lens_ray.errors import CheckpointError
from lens_ray.models.checkpoint import (
    CheckpointFacts,
    TensorFacts,
    assert_swappable,
    inspect_checkpoint,
    model_key,
)
from lens_ray.testing.tiny_checkpoint import FAMILIES, save_sharded

Make = Callable[..., Path]
Break = Callable[[Path], object]


def edit(name: str, change: Callable[[dict[str, Any]], object]) -> Break:
    def apply(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return apply


def cut(name: str, keep: float) -> Break:
    def apply(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return apply


def drop(*names: str) -> Break:
    def apply(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return apply


def write(name: str, data: bytes) -> Break:
    return lambda folder: (folder / name).write_bytes(data)


def several(*steps: Break) -> Break:
    return lambda folder: [step(folder) for step in steps]


def sharded(then: Break) -> Break:
    return several(save_sharded, then)


WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SECOND = "model-00002-of-00002.safetensors"

BAD: dict[str, tuple[Break, str]] = {
    "no config": (drop("config.json"), "no config.json"),
    "config is half": (cut("config.json", 0.5), "no valid JSON"),
    "config is a list": (write("config.json", b"[]"), "JSON object is expected"),
    "config is binary": (write("config.json", bytes(range(256))), "no valid JSON"),
    "config is deep": (write("config.json", b"[" * 200_000), "no valid JSON"),
    "config without model type": (
        edit("config.json", lambda c: c.pop("model_type")),
        "model_type is missing",
    ),
    "adapter only": (
        several(drop("config.json", WEIGHTS), write("adapter_config.json", b"{}")),
        "an adapter",
    ),
    "no weights": (drop(WEIGHTS), "no weights"),
    "pickle only": (
        several(drop(WEIGHTS), write("pytorch_model.bin", b"\x80\x04.")),
        "only pickled weights",
    ),
    "checkpoint folder of a trainer": (
        several(drop(WEIGHTS), write("consolidated.00.pth", b"PK")),
        "only pickled weights",
    ),
    "empty weights": (write(WEIGHTS, b""), "empty"),
    "weights cut in the tensors": (cut(WEIGHTS, 0.9), "truncated"),
    "weights cut in the header": (cut(WEIGHTS, 0.01), "truncated"),
    "weights with a tail": (
        lambda folder: (folder / WEIGHTS).open("ab").write(b"tail"),
        "4 bytes too many",
    ),
    "weights are a page of HTML": (write(WEIGHTS, b"<!DOCTYPE html><html>"), "not a safetensors"),
    "weights are a git-lfs pointer": (
        write(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\n"),
        "not a safetensors",
    ),
    "missing shard": (sharded(drop(SECOND)), f"lacks {SECOND}"),
    "truncated shard": (sharded(cut(SECOND, 0.7)), "truncated"),
    "missing index": (sharded(drop(INDEX)), "half a checkpoint"),
    "index without map": (sharded(write(INDEX, b"{}")), "weight_map"),
    "index leaves the folder": (
        sharded(edit(INDEX, lambda i: i["weight_map"].update(x="../../etc/x.safetensors"))),
        "no name of a file in this folder",
    ),
    "index names a tensor that is nowhere": (
        sharded(edit(INDEX, lambda i: i["weight_map"].update(ghost=SECOND))),
        "'ghost'",
    ),
    "no tokenizer": (drop("tokenizer.json"), "no tokenizer"),
    "half a tokenizer": (cut("tokenizer.json", 0.5), "no valid JSON"),
    "no processor": (drop("processor_config.json"), "no image processor"),
    "processor without images": (
        edit("processor_config.json", lambda p: p.pop("image_processor")),
        "no image processor",
    ),
    "no chat template": (drop("chat_template.jinja"), "no chat template"),
    "remote code": (
        edit("config.json", lambda c: c.update(auto_map={"AutoConfig": "evil.Config"})),
        "trust_remote_code",
    ),
    "kernels from a hub": (
        edit("config.json", lambda c: c["text_config"].update(_attn_implementation="some/kernel")),
        "_attn_implementation asks to run code",
    ),
    "remote code of the image processor": (
        edit("processor_config.json", lambda p: p["image_processor"].update(auto_map={"A": "b"})),
        "auto_map asks to run code",
    ),
    "remote code of the processor": (
        edit("processor_config.json", lambda c: c.update(auto_map={"AutoProcessor": "e.P"})),
        "trust_remote_code",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_checkpoint_is_refused_in_one_line(tiny: Make, tmp_path: Path, kind: str) -> None:
    spoil, expected = BAD[kind]
    folder = tmp_path / "spoilt"
    shutil.copytree(tiny(), folder)
    inspect_checkpoint(str(folder))
    spoil(folder)
    with pytest.raises(CheckpointError) as caught:
        inspect_checkpoint(str(folder))
    message = str(caught.value)
    assert expected in message
    assert str(folder) in message
    assert "\n" not in message


def test_a_folder_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        inspect_checkpoint(str(tmp_path / "none"))
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        inspect_checkpoint(str(tmp_path))


def test_the_folder_above_the_checkpoints_names_one(tiny: Make, tmp_path: Path) -> None:
    shutil.copytree(tiny(), tmp_path / "step-2")
    with pytest.raises(CheckpointError, match=r"did you mean .*step-2"):
        inspect_checkpoint(str(tmp_path))


def test_remote_code_is_accepted_and_digested_when_trusted(tiny: Make, tmp_path: Path) -> None:
    folder = tmp_path / "remote"
    shutil.copytree(tiny(), folder)
    edit("config.json", lambda c: c.update(auto_map={"AutoConfig": "mine.Config"}))(folder)
    (folder / "mine.py").write_text("a = 1")
    one = inspect_checkpoint(str(folder), trust_remote_code=True)
    (folder / "mine.py").write_text("a = 2")
    two = inspect_checkpoint(str(folder), trust_remote_code=True)
    assert one.remote_code
    assert one.shell_digest != two.shell_digest


@pytest.mark.parametrize("family", FAMILIES)
def test_facts(tiny: Make, family: str) -> None:
    from safetensors import safe_open

    facts = inspect_checkpoint(str(tiny(family)))
    data = (tiny(family) / WEIGHTS).read_bytes()
    assert facts.weights_digest == hashlib.sha256(data).hexdigest()
    assert facts.dtype == "BF16"
    assert facts.architecture.endswith("ForConditionalGeneration")
    with safe_open(tiny(family) / WEIGHTS, "pt") as file:
        names = set(file.keys())
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    assert {name: tensor.shape for name, tensor in facts.tensors.items()} == shapes
    assert facts.parameters == sum(tensor.elements for tensor in facts.tensors.values())


def test_digests_tell_weights_and_shell_apart(tiny: Make) -> None:
    a, b = inspect_checkpoint(str(tiny(seed=0))), inspect_checkpoint(str(tiny(seed=1)))
    assert a.weights_digest != b.weights_digest
    assert a.shell_digest == b.shell_digest
    assert_swappable(a, b)


def test_shards_hold_the_same_tensors(tiny: Make, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(tiny(), folder)
    save_sharded(folder, 3)
    facts = inspect_checkpoint(str(folder))
    assert facts.tensors == inspect_checkpoint(str(tiny())).tensors
    both = b"".join(p.read_bytes() for p in sorted(folder.glob("*.safetensors")))
    assert facts.weights_digest == hashlib.sha256(both).hexdigest()


def test_what_saving_again_changes_is_not_part_of_the_shell(tiny: Make, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(tiny(), folder)

    def other_save(config: dict[str, Any]) -> None:
        config["transformers_version"] = "9.9"
        config["_name_or_path"] = "/somewhere/else"
        config["text_config"]["_name_or_path"] = "x"

    edit("config.json", other_save)(folder)
    assert inspect_checkpoint(str(folder)).shell == inspect_checkpoint(str(tiny())).shell


SHELL_CHANGES: dict[str, Break] = {
    "config.json": edit("config.json", lambda c: c.update(scale_factor=4)),
    "generation_config.json": edit("generation_config.json", lambda c: c.update(eos_token_id=9)),
    "tokenizer.json": edit("tokenizer.json", lambda c: c["added_tokens"].pop()),
    "processor_config.json": edit("processor_config.json", lambda c: c.update(image_seq_len=1)),
    "chat_template.jinja": write("chat_template.jinja", b"{{ messages }}"),
    "added_tokens.json": write("added_tokens.json", b"{}"),
}


@pytest.mark.parametrize("name", SHELL_CHANGES)
def test_a_swap_to_another_shell_is_refused(tiny: Make, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "other"
    shutil.copytree(tiny(seed=1), folder)
    SHELL_CHANGES[name](folder)
    a, b = inspect_checkpoint(str(tiny())), inspect_checkpoint(str(folder))
    for one, two in ((a, b), (b, a)):
        with pytest.raises(CheckpointError, match=name) as caught:
            assert_swappable(one, two)
        assert "\n" not in str(caught.value)


def test_a_swap_to_other_tensors_is_refused() -> None:
    def facts(**tensors: TensorFacts) -> CheckpointFacts:
        return CheckpointFacts("f", "w", "s", "A", "F32", tensors, {"config.json": "x"})

    one = TensorFacts("F32", (2, 3))
    assert_swappable(facts(a=one), facts(a=TensorFacts("F32", (2, 3))))
    for other in (
        facts(a=TensorFacts("BF16", (2, 3))),
        facts(a=TensorFacts("F32", (3, 2))),
        facts(b=one),
        facts(a=one, b=one),
        facts(),
    ):
        with pytest.raises(CheckpointError, match=r"tensor '[ab]'"):
            assert_swappable(facts(a=one), other)


def test_the_model_key_depends_on_all_that_decides_answers(tiny: Make) -> None:
    facts = inspect_checkpoint(str(tiny()))
    base = model_key(facts, "transformers", "float32", {"max_pixels": 5})
    assert base == model_key(facts, "transformers", "float32", {"max_pixels": 5})
    others = {
        model_key(
            inspect_checkpoint(str(tiny(seed=1))), "transformers", "float32", {"max_pixels": 5}
        ),
        model_key(
            inspect_checkpoint(str(tiny("llava"))), "transformers", "float32", {"max_pixels": 5}
        ),
        model_key(facts, "vllm", "float32", {"max_pixels": 5}),
        model_key(facts, "transformers", "bfloat16", {"max_pixels": 5}),
        model_key(facts, "transformers", "float32", {"max_pixels": 6}),
        model_key(facts, "transformers", "float32"),
    }
    assert len(others) == 6
    assert base not in others
