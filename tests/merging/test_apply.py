"""A recipe carried out over real files: numbers, names, files, and what is there already."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import torch

from lens_ray.errors import NoGo, RunBusy, UserError
from lens_ray.merging import stream
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.destination import making
from lens_ray.merging.verify.provenance import read_record
from lens_ray.models.checkpoint import inspect_checkpoint
from tests.merging.folders import CONFIG, checkpoint, linear, numbers, same_bits, two, weights_of


def _reference(paths: list[str], weights: list[float]) -> dict[str, torch.Tensor]:
    """In float64, rounded once."""
    held = [weights_of(path) for path in paths]
    return {
        name: sum(
            (weight * one[name].double() for weight, one in zip(weights, held, strict=True)),
            start=torch.zeros(tensor.shape, dtype=torch.float64),
        ).to(tensor.dtype)
        for name, tensor in held[0].items()
        if tensor.is_floating_point()
    }


def test_numbers_are_the_weighted_average(tmp_path: Path) -> None:
    paths = two(tmp_path)
    record = apply_recipe(linear(paths, [0.25, 0.75]), tmp_path / "out")
    found = weights_of(tmp_path / "out")
    for name, wanted in _reference(paths, [0.25, 0.75]).items():
        assert same_bits(found[name], wanted), name  # of two bfloat16 numbers: exact in float64
    assert torch.equal(found["model.positions"], torch.arange(6))
    assert found.keys() == weights_of(paths[0]).keys()
    facts = inspect_checkpoint(str(tmp_path / "out"))
    assert record.weights_digest == facts.weights_digest
    assert [parent.weights_digest for parent in record.parents] == [
        inspect_checkpoint(path).weights_digest for path in paths
    ]
    assert read_record(tmp_path / "out") == record
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_other_types_stay_as_they_are(tmp_path: Path, dtype: torch.dtype) -> None:
    paths = [checkpoint(tmp_path / f"{seed}", numbers(seed, dtype)) for seed in (1, 2)]
    apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    found = weights_of(tmp_path / "out")
    for name, wanted in _reference(paths, [0.5, 0.5]).items():
        assert same_bits(found[name], wanted), name


def test_a_type_of_its_own_is_said_in_the_config(tmp_path: Path) -> None:
    paths = two(tmp_path)
    apply_recipe(linear(paths, [0.5, 0.5], dtype="float32"), tmp_path / "out")
    found = weights_of(tmp_path / "out")
    assert found["model.embed.weight"].dtype == torch.float32
    assert found["model.positions"].dtype == torch.int64
    config = json.loads((tmp_path / "out" / "config.json").read_bytes())
    assert config["dtype"] == config["text_config"]["dtype"] == "float32"
    assert {**config, "dtype": "bfloat16", "text_config": CONFIG["text_config"]} == CONFIG


def test_identities(tmp_path: Path) -> None:
    held = numbers(1)
    held["model.norm.weight"][0] = -0.0
    paths = [checkpoint(tmp_path / "a", held), checkpoint(tmp_path / "b", numbers(2))]
    merges = {
        "self": linear([paths[0]] * 3, [0.1, 0.2, 0.7]),
        "one-hot": linear(paths, [1.0, 0.0]),
        "single": linear([paths[0]], [1.0]),
    }
    for name, recipe in merges.items():
        apply_recipe(recipe, tmp_path / name)
        found = weights_of(tmp_path / name)
        assert all(same_bits(found[tensor], held[tensor]) for tensor in held), name


def test_neither_order_nor_shards_nor_threads_change_a_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = two(tmp_path)
    sharded = [checkpoint(tmp_path / f"s{k}", numbers(k), shards=3) for k in (0, 1)]
    digest = apply_recipe(linear(paths, [0.3, 0.7]), tmp_path / "one", threads=1).weights_digest
    turned = apply_recipe(linear(paths[::-1], [0.7, 0.3]), tmp_path / "turned", threads=4)
    apart = apply_recipe(linear(sharded, [0.3, 0.7]), tmp_path / "apart")
    monkeypatch.setattr(stream, "PIECE", 64)  # of two rows
    small = apply_recipe(linear(paths, [0.3, 0.7]), tmp_path / "small", threads=3)
    assert {turned.weights_digest, apart.weights_digest, small.weights_digest} == {digest}


def test_what_all_parents_share_is_copied_and_not_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = numbers(1), numbers(2)
    second["model.embed.weight"] = first["model.embed.weight"].clone()
    paths = [checkpoint(tmp_path / "a", first), checkpoint(tmp_path / "b", second)]
    computed = []
    real = stream._Bench._merged

    def spy(bench: Any, course: Any, *rest: Any) -> torch.Tensor:
        computed.append(course.place.name)
        return real(bench, course, *rest)

    monkeypatch.setattr(stream._Bench, "_merged", spy)
    apply_recipe(linear(paths, [0.3, 0.7]), tmp_path / "out")
    assert "model.embed.weight" not in computed
    assert "lm_head.weight" in computed
    found = weights_of(tmp_path / "out")
    assert same_bits(found["model.embed.weight"], first["model.embed.weight"])


def test_large_weights_are_sharded(tmp_path: Path) -> None:
    """Of 800 bytes: positions 48, head 640, conv 96; the embeddings, 640, are one too many."""
    paths = two(tmp_path)
    record = apply_recipe(linear(paths, [0.5, 0.5], shard_gb=8e-7), tmp_path / "out")
    files = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert files == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_bytes())
    held = weights_of(paths[0])
    assert index["weight_map"].keys() == held.keys()
    assert index["metadata"] == {
        "total_size": sum(tensor.nbytes for tensor in held.values()),
        "total_parameters": sum(tensor.numel() for tensor in held.values()),
    }
    assert record.weights_digest == inspect_checkpoint(str(tmp_path / "out")).weights_digest
    apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "whole")
    whole = weights_of(tmp_path / "whole")
    assert all(same_bits(whole[name], tensor) for name, tensor in
               weights_of(tmp_path / "out").items())  # fmt: skip


def test_which_files_come_along(tmp_path: Path) -> None:
    paths = two(tmp_path, files={"vocab.txt": "a\n", "LICENSE": "free"})
    for place, path in enumerate(paths):  # what trainers leave, different in each
        for name in (
            "trainer_state.json",
            "lens-ray.json",
            "verification.json",
            "optimizer.pt",
            "x.py",
        ):
            Path(path, name).write_text(str(place))
        Path(path, "global_step").mkdir()
    record = apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "processor_config.json",
        "generation_config.json", "chat_template.jinja", "vocab.txt", "LICENSE",
        "model.safetensors", "merge.json", "README.md",
    }  # fmt: skip
    assert record.files.keys() == names - {"merge.json", "README.md"}
    for name, digest in record.files.items():
        data = (tmp_path / "out" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_others_may_read_it_as_far_as_the_umask_lets_them(
    tmp_path: Path, umask: int, mode: int
) -> None:
    paths = two(tmp_path)
    before = os.umask(umask)
    try:
        apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {mode}


def test_a_second_time_nothing_is_done(tmp_path: Path) -> None:
    paths = two(tmp_path)
    recipe = linear(paths, [0.5, 0.5])
    record = apply_recipe(recipe, tmp_path / "out")
    written = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert apply_recipe(recipe, tmp_path / "out") == record
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == written


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    paths = two(tmp_path)
    out = tmp_path / "out"
    out.mkdir()  # an empty folder is as good as none
    apply_recipe(linear(paths, [0.5, 0.5]), out)
    with pytest.raises(UserError, match="is another merge"):
        apply_recipe(linear(paths, [0.4, 0.6]), out)
    weights = out / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(UserError, match="weights were changed after the merge"):
        apply_recipe(linear(paths, [0.5, 0.5]), out)
    weights.write_bytes(data)
    (out / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="has lost files"):
        apply_recipe(linear(paths, [0.5, 0.5]), out)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is no merge"):
        apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "file")


def test_the_same_recipe_over_other_parents_is_another_merge(tmp_path: Path) -> None:
    paths = two(tmp_path)
    apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    Path(paths[0]).rename(tmp_path / "old")
    checkpoint(tmp_path / "a", numbers(9))
    with pytest.raises(UserError, match="is another merge"):
        apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")


def test_not_into_a_parent(tmp_path: Path) -> None:
    paths = two(tmp_path)
    for out in (Path(paths[1]) / "merge", Path(paths[1])):
        with pytest.raises(UserError, match="lies in the folder of parent p1"):
            apply_recipe(linear(paths, [0.5, 0.5]), out)
    assert sorted(path.name for path in Path(paths[1]).iterdir()) == sorted(
        path.name for path in Path(paths[0]).iterdir()
    )


def test_two_at_once(tmp_path: Path) -> None:
    paths = two(tmp_path)
    recipe = linear(paths, [0.5, 0.5])
    with making(tmp_path / "out", durable=False):
        with pytest.raises(RunBusy, match="another process is merging to it"):
            apply_recipe(recipe, tmp_path / "out")
        assert (tmp_path / "out.partial").is_dir()
    apply_recipe(recipe, tmp_path / "out")


def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    paths = two(tmp_path)
    (tmp_path / "out.partial" / "deep").mkdir(parents=True)
    (tmp_path / "out.partial" / "model.safetensors").write_text("half")
    apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    assert not (tmp_path / "out" / "deep").exists()
    assert not (tmp_path / "out.partial").exists()


def test_what_does_not_pass_gets_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = two(tmp_path)
    real = stream._Bench._merged

    def spoilt(bench: Any, course: Any, *rest: Any) -> torch.Tensor:
        merged = real(bench, course, *rest)
        return merged * 1.05 if course.place.name == "lm_head.weight" else merged

    monkeypatch.setattr(stream._Bench, "_merged", spoilt)
    with pytest.raises(NoGo, match=r"does not pass V1 .*lm_head\.weight"):
        apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()
    apply_recipe(linear(paths, [0.5, 0.5]), tmp_path / "out", check=False)


def test_progress_ends_at_all_bytes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    recipe = linear(two(tmp_path), [0.5, 0.5])
    apply_recipe(recipe, tmp_path / "out", progress=lambda done, whole: told.append((done, whole)))
    size = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert told[-1] == (size, size)


def test_facts_for_the_record(tmp_path: Path) -> None:
    recipe = linear(two(tmp_path), [0.5, 0.5])
    record = apply_recipe(recipe, tmp_path / "out", told={"suite": "mini:quick", "store": "./s"})
    assert (record.suite, record.store) == ("mini:quick", "./s")
    assert read_record(tmp_path / "out").suite == "mini:quick"
