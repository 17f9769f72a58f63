"""LoRA adapters, folded in: the formula written down again, names in memory, refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import sqrt
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lens_ray.errors import CheckpointError
from lens_ray.merging.adapters import CONFIG, WEIGHTS, Adapter, open_adapter
from lens_ray.merging.memory_names import names_in_memory
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

PREFIX = "base_model.model."
QUERY = "model.text_model.layers.0.self_attn.q_proj"
CONFIGURATION: dict[str, object] = {
    "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none",
    "lora_dropout": 0.1, "inference_mode": True, "use_rslora": False, "use_dora": False,
    "init_lora_weights": True, "fan_in_fan_out": False, "megatron_core": "megatron.core",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_tiny_checkpoint(tmp_path_factory.mktemp("model"), "idefics3"))


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def save(folder: Path, tensors: Mapping[str, Tensor], **keys: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({**CONFIGURATION, **keys}))
    save_file({PREFIX + name: tensor for name, tensor in tensors.items()}, folder / WEIGHTS)
    return folder


def opened(adapter: Path, model: Path) -> Adapter:
    return open_adapter(adapter, model, inspect_checkpoint(str(model), digest=False).tensors)


def query(model: Path) -> Tensor:
    return load_file(model / "model.safetensors")[f"{QUERY}.weight"]


def pair(weight: Tensor, rank: int = 4) -> dict[str, Tensor]:
    return {
        f"{QUERY}.lora_A.weight": numbers(rank, weight.shape[1]),
        f"{QUERY}.lora_B.weight": numbers(weight.shape[0], rank, seed=1),
    }


@pytest.mark.parametrize(
    ("keys", "rank", "scale"),
    [
        ({}, 4, 8 / 4),
        ({"use_rslora": True}, 4, 8 / sqrt(4)),
        ({"rank_pattern": {"q_proj": 2}}, 2, 8 / 2),
        ({"alpha_pattern": {"q_proj": 3}}, 4, 3 / 4),
        ({"alpha_pattern": {"layers.0.self_attn.q_proj": 3, "q_proj": 5}}, 4, 3 / 4),
        ({"alpha_pattern": {"^q_proj": 3, "j_proj": 5}}, 4, 8 / 4),
        ({"alpha_pattern": {f"^{QUERY}".replace(".", "\\."): 3}}, 4, 3 / 4),
    ],
)
def test_w_plus_scale_times_b_a(
    tmp_path: Path, model: Path, keys: dict[str, object], rank: int, scale: float
) -> None:
    weight = query(model)
    factors = pair(weight, rank)
    adapter = opened(save(tmp_path / "a", factors, **keys), model)
    b, a = (factors[f"{QUERY}.lora_{side}.weight"].double() for side in "BA")
    exact = (weight.double() + scale * (b @ a)).float()
    name = f"{QUERY}.weight"
    found = adapter.adapted(name, (0, len(weight)), weight.flatten())
    assert torch.equal(found, exact.flatten())
    for row in range(0, len(weight), 5):
        some = adapter.adapted(name, (row, row + 5), weight[row : row + 5].flatten())
        assert torch.equal(some, exact[row : row + 5].flatten())
    assert adapter.adapts(name)
    assert not adapter.adapts("lm_head.weight")
    other = adapter.adapted("model.text_model.norm.weight", (0, 4), torch.ones(4))
    assert torch.equal(other, torch.ones(4))


def test_weights_that_are_stored_input_first(tmp_path: Path, model: Path) -> None:
    name = "model.text_model.layers.0.mlp.up_proj"
    weight = load_file(model / "model.safetensors")[f"{name}.weight"]
    rows, columns = weight.shape
    a, b = numbers(4, rows), numbers(columns, 4, seed=1)
    tensors = {f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}
    adapter = opened(save(tmp_path / "a", tensors, fan_in_fan_out=True), model)
    delta = adapter.delta(f"{name}.weight", (0, rows))
    assert delta is not None
    exact = 2 * (b.double() @ a.double()).T
    assert torch.allclose(delta.reshape(rows, columns), exact, rtol=1e-12)


def test_a_convolution_and_an_embedding(tmp_path: Path, model: Path) -> None:
    held = load_file(model / "model.safetensors")
    patch = "model.vision_model.embeddings.patch_embedding"
    place = "model.vision_model.embeddings.position_embedding"
    kernel, embedding = held[f"{patch}.weight"], held[f"{place}.weight"]
    out, channels, high, wide = kernel.shape
    tensors = {
        f"{patch}.lora_A.weight": numbers(4, channels, high, wide),
        f"{patch}.lora_B.weight": numbers(out, 4, 1, 1, seed=1),
        f"{place}.lora_embedding_A": numbers(4, embedding.shape[0], seed=2),
        f"{place}.lora_embedding_B": numbers(embedding.shape[1], 4, seed=3),
    }
    adapter = opened(save(tmp_path / "a", tensors), model)
    found = adapter.delta(f"{patch}.weight", (0, out))
    a, b = (tensors[f"{patch}.lora_{side}.weight"].double() for side in "AB")
    assert found is not None
    exact = 2 * torch.einsum("or,rchw->ochw", b[:, :, 0, 0], a)
    assert torch.allclose(found.reshape(kernel.shape), exact)
    found = adapter.delta(f"{place}.weight", (1, 3))
    a, b = (tensors[f"{place}.lora_embedding_{side}"].double() for side in "AB")
    assert found is not None
    assert torch.allclose(found.reshape(2, -1), 2 * (b @ a).T[1:3])


def test_modules_that_come_whole(tmp_path: Path, model: Path) -> None:
    name = "model.text_model.norm"
    tensors = {f"{name}.modules_to_save.weight": numbers(64), **pair(query(model))}
    adapter = opened(save(tmp_path / "a", tensors, modules_to_save=["norm"]), model)
    found = adapter.adapted(f"{name}.weight", (8, 16), torch.zeros(8, dtype=torch.bfloat16))
    assert torch.equal(found, numbers(64)[8:16])


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl"])
def test_names_in_memory_are_found_on_disk(tmp_path: Path, family: str) -> None:
    """An adapter is named by the live model's modules, which these families store otherwise."""
    from transformers import AutoModelForImageTextToText

    folder = Path(make_tiny_checkpoint(tmp_path / "model", family, dtype="float32"))
    live = AutoModelForImageTextToText.from_pretrained(folder)
    module = next(n for n, m in live.named_modules() if n.endswith("layers.0.self_attn.v_proj"))
    weight = live.get_parameter(f"{module}.weight").detach()
    tensors = {
        f"{module}.lora_A.weight": numbers(4, weight.shape[1]),
        f"{module}.lora_B.weight": numbers(weight.shape[0], 4, seed=1),
    }
    adapter = opened(save(tmp_path / "a", tensors), folder)
    (name,) = adapter.factors
    on_disk = load_file(folder / "model.safetensors")[name]
    assert name != f"{module}.weight"
    assert torch.equal(on_disk, weight)


def test_every_tensor_of_a_family_has_one_name_in_memory(tmp_path: Path) -> None:
    folder = Path(make_tiny_checkpoint(tmp_path, "llava_onevision"))
    tensors = inspect_checkpoint(str(folder), digest=False).tensors
    assert sorted(names_in_memory(folder, tensors).values()) == sorted(tensors)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only LORA can be folded in"),
        ({"use_dora": True}, "use_dora is True, which cannot be folded in"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa', which changes the base"),
        ({"from_the_future": [1]}, "from_the_future is [1], which cannot be folded in"),
        ({"alpha_pattern": {"(a+)+b": 3}}, "'(a+)+b' is a regular expression"),
        ({"alpha_pattern": {"q_proj": "3"}}, "alpha_pattern.q_proj is '3'; a number is expected"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan; a number is expected"),
    ],
)
def test_a_configuration_that_cannot_be_folded_in(
    tmp_path: Path, model: Path, keys: dict[str, object], says: str
) -> None:
    refused(save(tmp_path / "a", pair(query(model)), **keys), model, says)


def refused(adapter: Path, model: Path, says: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        opened(adapter, model)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensors_that_do_not_fit(tmp_path: Path, model: Path) -> None:
    weight = query(model)
    whole = pair(weight)
    a, b = f"{QUERY}.lora_A.weight", f"{QUERY}.lora_B.weight"
    folder = tmp_path / "a"
    refused(save(folder, {a: whole[a]}), model, "only one factor is there")
    refused(save(folder, {**whole, b: whole[b][:3]}), model, "it is an adapter of another model")
    refused(save(folder, {**whole, b: whole[b][:, :3].contiguous()}), model, "another model")
    refused(save(folder, {**whole, a: whole[a] / 0}), model, "holds NaN, infinity")
    moved = {name.replace("layers.0", "layers.90"): tensor for name, tensor in whole.items()}
    refused(save(folder, moved), model, "1 of its 1 tensors are not in")
    magnitude = {f"{QUERY}.lora_magnitude_vector.weight": numbers(64)}
    refused(save(folder, {**whole, **magnitude}), model, "is of DoRA that cannot be folded in")
    bias = {f"{QUERY}.lora_B.bias": numbers(64)}
    refused(save(folder, {**whole, **bias}), model, "cannot be folded in")
    embedding = {"model.text_model.embed_tokens.weight": numbers(3, 4)}
    refused(save(folder, embedding), model, "model.text_model.embed_tokens.weight makes [3, 4]")
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-8])
    refused(folder, model, str(folder / WEIGHTS))


def test_embeddings_that_are_the_head_too(tmp_path: Path, model: Path) -> None:
    """The tiny checkpoint ties its head, which the adapter would change unasked."""
    held = load_file(model / "model.safetensors")
    name = "model.text_model.embed_tokens.weight"
    refused(save(tmp_path / "a", {name: held[name] * 1.5}), model, "which is the head too")


def test_folders_that_hold_no_adapter(tmp_path: Path, model: Path) -> None:
    refused(tmp_path, model, "a PEFT adapter is a folder with")
    (tmp_path / CONFIG).write_text(json.dumps(CONFIGURATION))
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80\x02")
    refused(tmp_path, model, "it has pickled weights, which could run code")
    (tmp_path / CONFIG).write_text("[]")
    refused(tmp_path, model, "a JSON object is expected")
    (tmp_path / CONFIG).write_text("{")
    refused(tmp_path, model, "no valid JSON")


def test_the_digest_is_of_both_files(tmp_path: Path, model: Path) -> None:
    whole = pair(query(model))
    digests = {
        opened(save(tmp_path / "a", whole), model).digest,
        opened(save(tmp_path / "b", whole), model).digest,
        opened(save(tmp_path / "c", whole, lora_alpha=9), model).digest,
        opened(save(tmp_path / "d", pair(query(model) * 0 + 1, 2), r=2), model).digest,
    }
    assert len(digests) == 3
