"""Eight vision-language families, as published and as transformers saves them, through a merge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.recipe import Recipe
from lens_ray.testing.resaved import resave
from lens_ray.testing.tiny_checkpoint import FAMILIES, make_tiny_checkpoint, save_sharded
from tests.models.helpers import answers, bare_loop, request

#: The shipped one, and one whose tower transformers and the hub name differently.
FIRST = ("idefics3", "llava")
EVERY = [
    pytest.param(family, marks=() if family in FIRST else pytest.mark.slow) for family in FAMILIES
]
#: One file with the hub's names; two of ours with an index; several as `save_pretrained` splits
#: them, with its own names; a head that is not tied.
FORMS = ("published", "indexed", "saved", "untied")
Pair = tuple[Path, Path]
Tensors = dict[str, torch.Tensor]
#: Of PaliGemma's processor in transformers 5.19, at every call.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Pair]:
    """Two checkpoints of a family in a form; never write into one."""
    root = tmp_path_factory.mktemp("families")
    made: dict[tuple[str, str], Pair] = {}

    def make(family: str, form: str) -> Pair:
        if (family, form) not in made:
            one, other = (_checkpoint(root / f"{family}-{form}-{n}", family, form) for n in (0, 1))
            made[family, form] = one, other
        return made[family, form]

    return make


def _checkpoint(folder: Path, family: str, form: str) -> Path:
    seed = int(folder.name[-1])
    if form in ("saved", "untied"):
        tiny = make_tiny_checkpoint(folder.with_suffix(".tiny"), family, seed)
        size = "100KB" if form == "saved" else "5GB"
        return Path(resave(tiny, folder, tied=form == "saved", shard_size=size))
    make_tiny_checkpoint(folder, family, seed)
    if form == "indexed":
        save_sharded(folder)
    return folder


def merged(out: Path, weights: dict[Path, float]) -> Path:
    """A linear merge."""
    parents = [
        {"name": f"p{number}", "path": str(folder), "weight": weight}
        for number, (folder, weight) in enumerate(weights.items())
    ]
    apply_recipe(Recipe.model_validate({"method": "linear", "parents": parents}), out)
    return out


def tensors(folder: Path) -> Tensors:
    """Everything in its weight files."""
    held: Tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        held |= load_file(file)
    return held


def same(one: Tensors, other: Tensors) -> bool:
    """Names, types and every bit."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(_bits(one[name]), _bits(other[name]))
        for name in one
    )


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(-1).view(torch.uint8)


def loading_info(folder: Path) -> dict[str, Any]:
    """What transformers has to say of the names and shapes of its tensors."""
    from transformers import AutoModelForImageTextToText

    loaded: Any = AutoModelForImageTextToText.from_pretrained(
        folder, dtype="auto", output_loading_info=True
    )
    info: dict[str, Any] = loaded[1]
    return info


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("form", FORMS)
def test_a_merge_loads_with_no_tensor_missing_or_too_many(
    tmp_path: Path, pair: Callable[[str, str], Pair], family: str, form: str
) -> None:
    one, other = pair(family, form)
    out = merged(tmp_path / "out", {one: 0.25, other: 0.75})
    assert {key: list(found) for key, found in loading_info(out).items()} == {
        "missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": [],
    }  # fmt: skip
    a, b, found = tensors(one), tensors(other), tensors(out)
    for name, tensor in found.items():
        wanted = (0.25 * a[name].double() + 0.75 * b[name].double()).to(tensor.dtype)
        assert torch.equal(tensor, wanted), name  # quarters of bfloat16 are exact in float32


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("form", FORMS)
def test_a_checkpoint_merged_with_itself_is_itself(
    tmp_path: Path, pair: Callable[[str, str], Pair], family: str, form: str
) -> None:
    """In the unequal shares 0.7 and 0.3, whose sum of products rounds."""
    one, _ = pair(family, form)
    again = tmp_path / "again"
    again.symlink_to(one)
    assert same(tensors(merged(tmp_path / "out", {one: 0.7, again: 0.3})), tensors(one))


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("form", FORMS)
def test_all_weight_on_one_parent_is_that_parent(
    tmp_path: Path, pair: Callable[[str, str], Pair], family: str, form: str
) -> None:
    one, other = pair(family, form)
    assert same(tensors(merged(tmp_path / "first", {one: 1.0, other: 0.0})), tensors(one))
    assert same(tensors(merged(tmp_path / "last", {one: 0.0, other: 1.0})), tensors(other))


@pytest.mark.parametrize("family", EVERY)
def test_every_other_file_of_the_model_comes_along(
    tmp_path: Path, pair: Callable[[str, str], Pair], family: str
) -> None:
    one, other = pair(family, "saved")
    out = merged(tmp_path / "out", {one: 0.5, other: 0.5})
    for file in one.iterdir():
        if "safetensors" not in file.name:
            assert (out / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("family", EVERY)
def test_a_merge_answers_as_transformers_alone_has_it_answer(
    tmp_path: Path, pair: Callable[[str, str], Pair], family: str
) -> None:
    one, other = pair(family, "published")
    out = merged(tmp_path / "out", {one: 0.5, other: 0.5})
    asked = [request(1)]
    (text, *_), completion = bare_loop(out, asked)["r001"], answers(out, asked)["r001"]
    assert completion.error is None
    assert completion.text == text
    assert {answers(folder, asked)["r001"].text for folder in (one, other)} != {text}


def test_the_index_of_a_sharded_merge_counts_what_is_there(
    tmp_path: Path, pair: Callable[[str, str], Pair]
) -> None:
    one, other = pair("idefics3", "saved")
    parents = [{"name": "a", "path": str(one), "weight": 0.5},
               {"name": "b", "path": str(other), "weight": 0.5}]  # fmt: skip
    recipe = {"method": "linear", "parents": parents, "shard_gb": 1e-4}
    apply_recipe(Recipe.model_validate(recipe), tmp_path / "out")
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    found = tensors(tmp_path / "out")
    assert index["weight_map"].keys() == found.keys()
    assert index["metadata"]["total_size"] == sum(one.nbytes for one in found.values())
    assert len(set(index["weight_map"].values())) > 1
    assert loading_info(tmp_path / "out")["missing_keys"] == set()
