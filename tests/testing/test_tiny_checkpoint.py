from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.testing.tiny_checkpoint import FAMILIES, make_tiny_checkpoint

#: ``architectures`` of a published checkpoint of each family.
ARCHITECTURES = {
    "idefics3": "Idefics3ForConditionalGeneration",
    "llava": "LlavaForConditionalGeneration",
    "llava_onevision": "LlavaOnevisionForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "internvl": "InternVLForConditionalGeneration",
    "gemma3": "Gemma3ForConditionalGeneration",
    "paligemma": "PaliGemmaForConditionalGeneration",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_decides_the_weights_and_nothing_else(tmp_path: Path, family: str) -> None:
    one, again, other = (
        inspect_checkpoint(make_tiny_checkpoint(tmp_path / name, family, seed))
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    assert one.architecture == ARCHITECTURES[family]
    assert (one.weights_digest, one.shell) == (again.weights_digest, again.shell)
    assert one.weights_digest != other.weights_digest
    assert (one.shell, one.tensors) == (other.shell, other.tensors)
    assert 50_000 < (tmp_path / "one" / "model.safetensors").stat().st_size < 400_000


def test_dtype_and_width(tmp_path: Path) -> None:
    for family in FAMILIES:
        folder = Path(make_tiny_checkpoint(tmp_path / family, family, dtype="float32", width=128))
        assert inspect_checkpoint(str(folder)).dtype == "F32"
        config = json.loads((folder / "config.json").read_text())
        assert config["text_config"]["hidden_size"] == 128


@pytest.mark.parametrize("family", ["llava", "llava_onevision", "gemma3", "paligemma"])
def test_towers_are_named_as_published(tmp_path: Path, family: str) -> None:
    tensors = load_file(Path(make_tiny_checkpoint(tmp_path / "a", family)) / "model.safetensors")
    towers = [name for name in tensors if name.startswith("vision_tower.")]
    assert towers
    assert all(name.startswith("vision_tower.vision_model.") for name in towers)


def test_an_unknown_family(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one of idefics3, llava, .*, not 'flamingo'"):
        make_tiny_checkpoint(tmp_path / "no", "flamingo")
    assert not (tmp_path / "no").exists()
