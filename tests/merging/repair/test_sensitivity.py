"""Scores of tensors, against gradients of the model's own loss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lens_ray.errors import CheckpointError, UserError
from lens_ray.merging.answers import Example, labelled
from lens_ray.merging.live import load_live
from lens_ray.merging.sensitivity import sensitivity, write_table
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.testing.tiny_checkpoint import FAMILIES

Make = Callable[..., Path]
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_the_score_is_the_mean_of_abs_weight_times_gradient(
    tiny: Make, examples: list[Example]
) -> None:
    """Two batches of two; names in memory are those on disk in this family, but for none."""
    found = sensitivity(tiny(), examples[:4], batch=2)
    live = load_live(tiny())
    expected: dict[str, float] = {}
    for some in (examples[:2], examples[2:4]):
        live.model.zero_grad()
        live.model(
            **labelled(live.processor, some, ends=live.ends, max_pixels=10**6)
        ).loss.backward()
        for name, weight in live.model.named_parameters():
            if weight.grad is not None:
                score = float((weight.detach() * weight.grad).abs().double().mean()) / 2
                expected[name] = expected.get(name, 0.0) + score
    assert {name: found.scores[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert found.examples == 4
    ranked = list(found.scores.values())
    assert ranked == sorted(ranked, reverse=True)
    assert len(found.top(0.3)) == round(0.3 * len(ranked))


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=[] if f == "llava" else [pytest.mark.slow]) for f in FAMILIES],
)
def test_tensors_are_called_as_on_disk(tiny: Make, examples: list[Example], family: str) -> None:
    found = sensitivity(tiny(family), examples[:2])
    assert set(found.scores) == set(inspect_checkpoint(str(tiny(family))).tensors)
    # Whatever the model is called in memory, something of every part of it matters.
    for part in {name.split(".")[0] for name in found.scores}:
        assert any(score > 0 for name, score in found.scores.items() if name.startswith(part))


def test_the_same_again_is_the_same_table(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    one, two = (sensitivity(tiny(), examples, batch=5) for _ in range(2))
    assert one == two
    write_table(one, tmp_path / "table.json")
    assert json.loads((tmp_path / "table.json").read_text()) == dict(one.scores)
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]


def test_tied_weights_that_are_on_disk_twice_have_one_score(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    folder = tmp_path / "tied"
    shutil.copytree(tiny(), folder)
    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    embedding = next(name for name in tensors if "embed_tokens" in name)
    tensors["lm_head.weight"] = tensors[embedding].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    found = sensitivity(folder, examples[:2])
    assert found.scores["lm_head.weight"] == found.scores[embedding] > 0


def test_what_cannot_be_scored_is_said_in_one_line(
    tiny: Make, examples: list[Example], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no example"):
        sensitivity(tiny(), [])
    folder = tmp_path / "nan"
    shutil.copytree(tiny(), folder)
    tensors = load_file(folder / "model.safetensors")
    embedding = next(name for name in tensors if "embed_tokens" in name)
    tensors[embedding][0, 0] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="its loss is nan on the batch of sample made/0"):
        sensitivity(folder, examples[:2])
    quantised = {**tensors, embedding: torch.zeros(4, 4, dtype=torch.uint8)}
    save_file(quantised, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="some weights are U8, so quantised"):
        sensitivity(folder, examples[:2])
    with pytest.raises(UserError, match="cannot be written"):
        write_table(sensitivity(tiny(), examples[:1]), tmp_path / "no" / "table.json")
