"""What cannot be merged is refused in one line that names the place, and leaves nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lens_ray.errors import CheckpointError, LensError, StoreUnavailable
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.companions import write_companions
from lens_ray.merging.destination import Making
from lens_ray.merging.reader import Reader
from tests.disks import TinyDisk
from tests.merging.folders import CONFIG, checkpoint, linear, numbers, two, weights_of

Numbers = dict[str, torch.Tensor]


def _refused(tmp_path: Path, paths: list[str], match: str, **more: Any) -> str:
    with pytest.raises(LensError, match=match) as refused:
        apply_recipe(linear(paths, [0.5, 0.5], **more), tmp_path / "out")
    line = str(refused.value)
    assert "\n" not in line
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
    return line


def _changed(name: str, tensor: torch.Tensor | None) -> Callable[[Numbers], None]:
    def change(held: Numbers) -> None:
        if tensor is None:
            del held[name]
        else:
            held[name] = tensor

    return change


def _first(name: str, value: float) -> Callable[[Numbers], None]:
    def change(held: Numbers) -> None:
        held[name].view(-1)[-1] = value

    return change


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_changed("model.norm.weight", None), r"only in p0: model\.norm\.weight; no tensor is"),
        (_changed("model.new.weight", torch.ones(2)), r"only in p1: model\.new\.weight"),
        (_changed("lm_head.weight", None), "one ties its head to its embeddings"),
        (
            _changed("model.norm.weight", torch.ones(9).bfloat16()),
            r"'model\.norm\.weight' is BF16 \[8\] in p0 and BF16 \[9\] in p1; merge checkpoints",
        ),
        (
            _changed("model.norm.weight", torch.ones(8)),
            r"is BF16 \[8\] in p0 and F32 \[8\] in p1; save one of them again",
        ),
        (_first("model.embed.weight", NAN), r"p1 \(.*'model\.embed\.weight' holds NaN; take"),
        (_first("model.embed.weight", INF), "holds infinity"),
        (_first("lm_head.weight", -INF), "holds infinity"),
        (_first("model.scale", NAN), r"'model\.scale' holds NaN"),
        (
            _changed("model.positions", torch.arange(6).flip(0)),
            r"'model\.positions' is I64, which cannot be averaged, and differs between p0 and p1",
        ),
    ],
)
def test_tensors(tmp_path: Path, change: Callable[[Numbers], None], match: str) -> None:
    second = numbers(2)
    change(second)
    paths = [checkpoint(tmp_path / "a", numbers(1)), checkpoint(tmp_path / "b", second)]
    _refused(tmp_path, paths, match)


def test_a_parent_of_weight_zero_is_looked_at_too(tmp_path: Path) -> None:
    second = numbers(2)
    second["model.norm.weight"][0] = NAN
    paths = [checkpoint(tmp_path / "a", numbers(1)), checkpoint(tmp_path / "b", second)]
    with pytest.raises(CheckpointError, match="holds NaN"):
        apply_recipe(linear(paths, [1.0, 0.0]), tmp_path / "out")


def test_infinity_may_stand_in_a_mask(tmp_path: Path) -> None:
    made = []
    for seed in (1, 2):
        held = {**numbers(seed), "model.mask": torch.tensor([0.0, -INF])}
        made.append(checkpoint(tmp_path / f"{seed}", held))
    apply_recipe(linear(made, [0.5, 0.5]), tmp_path / "out")
    assert weights_of(tmp_path / "out")["model.mask"].tolist() == [0.0, -INF]


def test_a_type_too_narrow_for_the_numbers(tmp_path: Path) -> None:
    made = []
    for seed in (1, 2):
        held = numbers(seed)
        held["lm_head.weight"][0, 0] = 1e6
        made.append(checkpoint(tmp_path / f"{seed}", held))
    _refused(tmp_path, made, "leave the type's range; write dtype: float32", dtype="float16")


@pytest.mark.parametrize(
    ("file", "text", "match"),
    [
        ("tokenizer.json", '{"model": {"vocab": {"a": 1}}}', r"model\.vocab\.a is 0 in one and 1"),
        ("chat_template.jinja", "{{ other }}", r"line 1 is \"\{\{ messages \}\}\" in one"),
        ("processor_config.json", '{"image_processor": {"size": 32}}', r"image_processor\.size"),
        ("generation_config.json", '{"eos_token_id": [1, 2]}', r"eos_token_id is 1 in one and \["),
        ("special_tokens_map.json", "{}", r"p1 has special_tokens_map\.json, p0 .* has not"),
        ("extra.jinja", "x", r"p1 has extra\.jinja"),
    ],
)
def test_other_files_must_be_equal(tmp_path: Path, file: str, text: str, match: str) -> None:
    paths = [
        checkpoint(tmp_path / "a", numbers(1)),
        checkpoint(tmp_path / "b", numbers(2), files={file: text}),
    ]
    assert file in _refused(tmp_path, paths, match)


def test_what_saving_again_changes_may_differ(tmp_path: Path) -> None:
    again = {**CONFIG, "transformers_version": "5.20.0", "_name_or_path": "/elsewhere"}
    paths = [
        checkpoint(tmp_path / "a", numbers(1)),
        checkpoint(tmp_path / "b", numbers(2), config=again),
    ]
    apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")


@pytest.mark.parametrize("how", ["config", "tensor"])
def test_quantised_weights(tmp_path: Path, how: str) -> None:
    config, held = dict(CONFIG), numbers(1)
    if how == "config":
        config["quantization_config"] = {"quant_method": "bitsandbytes"}
    else:
        held["model.layers.0.weight"] = held["model.layers.0.weight"].to(torch.float8_e4m3fn)
    paths = [checkpoint(tmp_path / name, held, config=config) for name in ("a", "b")]
    _refused(tmp_path, paths, "is quantised")


def test_pickles(tmp_path: Path) -> None:
    paths = two(tmp_path)
    (Path(paths[1]) / "model.safetensors").unlink()
    torch.save(numbers(2), Path(paths[1]) / "pytorch_model.bin")
    _refused(tmp_path, paths, "parent p1: .*only pickled weights")


def test_code(tmp_path: Path) -> None:
    config = {**CONFIG, "auto_map": {"AutoModel": "modeling.Model"}}
    paths = [checkpoint(tmp_path / name, numbers(1), config=config) for name in ("a", "b")]
    _refused(tmp_path, paths, "asks to run code")


@pytest.mark.parametrize("shards", [1, 3])
def test_a_truncated_shard(tmp_path: Path, shards: int) -> None:
    paths = two(tmp_path, shards=shards)
    shard = sorted(Path(paths[1]).glob("*.safetensors"))[-1]
    os.truncate(shard, shard.stat().st_size - 1)
    assert shard.name in _refused(tmp_path, paths, "parent p1: .*truncated")


def test_a_missing_shard(tmp_path: Path) -> None:
    paths = two(tmp_path, shards=3)
    sorted(Path(paths[1]).glob("*.safetensors"))[1].unlink()
    _refused(tmp_path, paths, "parent p1: .*lacks model-00002-of-00003")


def test_another_digest_than_the_recipe_says(tmp_path: Path) -> None:
    paths = two(tmp_path)
    recipe = linear(paths, [0.5, 0.5])
    record = apply_recipe(recipe, tmp_path / "first")
    parents = [
        parent.model_copy(update={"digest": known.weights_digest})
        for parent, known in zip(recipe.parents, record.parents, strict=True)
    ]
    pinned = recipe.model_copy(update={"parents": tuple(parents)})
    apply_recipe(pinned, tmp_path / "pinned")
    held = numbers(9)
    save_file(held, Path(paths[1]) / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"parent p1: the digest of .* the recipe says"):
        apply_recipe(pinned, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _rewritten(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(-2, os.SEEK_END)
        opened.write(b"\1\1")


def _replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.replace(file)


@pytest.mark.parametrize("change", [_truncated, _rewritten, _replaced, Path.unlink])
@pytest.mark.parametrize("late", [False, True], ids=["at the first read", "after the last"])
def test_a_parent_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], late: bool
) -> None:
    paths = two(tmp_path)
    file = Path(paths[1]) / "model.safetensors"
    left = [change]

    def once() -> None:
        if left:
            left.pop()(file)

    real_read, real_write = Reader.read, write_companions

    def read(self: Reader, *arguments: Any) -> int:
        if not late:
            once()
        return real_read(self, *arguments)

    def write(*arguments: Any, **named: Any) -> dict[str, str]:
        once()
        return real_write(*arguments, **named)

    monkeypatch.setattr(Reader, "read", read)
    monkeypatch.setattr("lens_ray.merging.apply.write_companions", write)
    _refused(tmp_path, paths, r"model\.safetensors changed while it was read; wait")


def test_no_room_is_said_before_anything_is_written(tmp_path: Path, tiny_disk: TinyDisk) -> None:
    disk = tiny_disk(tmp_path / "disk", 1)
    paths = _large(tmp_path)
    with pytest.raises(StoreUnavailable, match=r"no room for a merge of 0\.002 GB"):
        apply_recipe(linear(paths, [0.5, 0.5]), disk / "out")
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize("durable", [False, True])
def test_a_disk_that_fills_up_meanwhile(
    tmp_path: Path, tiny_disk: TinyDisk, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    monkeypatch.setattr(Making, "require_room", lambda self, need: None)
    disk = tiny_disk(tmp_path / "disk", 1)
    paths = _large(tmp_path)
    with pytest.raises(StoreUnavailable, match=r"the disk is full .* nothing is left") as full:
        apply_recipe(linear(paths, [0.5, 0.5]), disk / "out", durable=durable)
    assert full.value.exit_code == 5
    assert list(disk.iterdir()) == []


def _large(tmp_path: Path) -> list[str]:
    """2 MB each."""
    return [
        checkpoint(tmp_path / f"{k}", {"w.weight": torch.full((1000, 1000), float(k)).bfloat16()})
        for k in (1, 2)
    ]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    paths = two(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "file" / "out")


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    paths = two(tmp_path)
    with (Path(paths[1]) / "model.safetensors").open("wb") as file:
        file.write((10**12).to_bytes(8, "little") + b"{}")
    _refused(tmp_path, paths, "parent p1: .*not a safetensors file")


def test_an_index_cannot_point_elsewhere(tmp_path: Path) -> None:
    paths = two(tmp_path, shards=2)
    index = Path(paths[1]) / "model.safetensors.index.json"
    told = json.loads(index.read_bytes())
    told["weight_map"]["model.norm.weight"] = "../a/model-00001-of-00002.safetensors"
    index.write_text(json.dumps(told))
    _refused(tmp_path, paths, "is no name of a file in this folder")
