"""Eight published families, tiny, in the transformers backend."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_torchvision_available

from lens_ray.errors import EnvironmentFailure
from lens_ray.models.prompts import load_processor
from lens_ray.testing.tiny_checkpoint import FAMILIES
from tests.models.families import IMAGE_TOKENS, PALIGEMMA_TOKENS, SEVERAL, family_requests
from tests.models.helpers import answers, bare_loop

Make = Callable[..., Path]
#: Of PaliGemma's processor in transformers 5.19, at every call.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_with_one_image_several_and_none(tiny: Make, family: str) -> None:
    """Shapes and numbers of images mixed in a batch change nothing, and the images are seen."""
    folder = tiny(family)
    requests = family_requests()
    if family == "paligemma":
        requests = [one for one in requests if one.images]
    expected = bare_loop(folder, requests)
    for batch_size in (1, 64):
        found = answers(folder, requests, batch_size=batch_size)
        for name, (text, probability, tokens_in, tokens_out) in expected.items():
            completion = found[name]
            assert completion.error is None
            assert completion.text == text
            assert completion.confidence == pytest.approx(probability, rel=1e-3)
            assert (completion.tokens_in, completion.tokens_out) == (tokens_in, tokens_out)
    assert found["one"].text != found["other"].text
    assert found["two"].text != found["swapped"].text


@pytest.mark.parametrize("family", FAMILIES)
def test_images_take_as_many_tokens_as_counted_by_hand(tiny: Make, family: str) -> None:
    requests = family_requests()
    found = answers(tiny(family), requests)
    if family == "paligemma":
        known, alone = PALIGEMMA_TOKENS, len(requests[0].text)  # a token a letter
    else:
        known, alone = IMAGE_TOKENS[family], found["none"].tokens_in or 0
    seen = [(found[name].tokens_in or 0) - alone for name in ("one", "wide", "two")]
    assert seen == list(known)


def test_a_question_without_an_image_to_paligemma_fails_alone(tiny: Make) -> None:
    found = answers(tiny("paligemma"), family_requests())
    assert "`images` are expected" in str(found.pop("none").error)
    assert {one.error for one in found.values()} == {None}
    assert set(SEVERAL) < found.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stop_text_ends_an_answer(tiny: Make, family: str) -> None:
    requests = [one for one in family_requests() if one.images]
    free = {name: one.text for name, one in answers(tiny(family), requests).items()}
    stop = next(text[1] for text in free.values() if len(text) > 2 and text[1] != "�")
    stopped = [replace(one, generation=replace(one.generation, stop=(stop,))) for one in requests]
    for name, one in answers(tiny(family), stopped).items():
        assert one.text == free[name].split(stop)[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_video_is_left_out_only_where_torchvision_is_missing(tiny: Make, family: str) -> None:
    processor = load_processor(str(tiny(family)), trust_remote_code=False)
    held = json.loads((tiny(family) / "processor_config.json").read_text())
    assert type(processor).__name__ == held["processor_class"]
    pil = type(processor.image_processor).__name__.endswith("Pil")
    assert pil != is_torchvision_available()
    if "video_processor" in held:
        assert (processor.video_processor is None) != is_torchvision_available()


@pytest.mark.skipif(is_torchvision_available(), reason="what it says where torchvision is missing")
def test_an_image_processor_that_needs_torchvision_says_so(tiny: Make, tmp_path: Path) -> None:
    for family in ("idefics3", "qwen3_vl"):
        folder = tmp_path / family
        shutil.copytree(tiny(family), folder)
        path = folder / "processor_config.json"
        held = json.loads(path.read_text())
        held["image_processor"]["image_processor_type"] = "Sam2ImageProcessor"
        path.write_text(json.dumps(held))
        with pytest.raises(EnvironmentFailure, match="pip install torchvision") as caught:
            answers(folder, family_requests())
        assert "\n" not in str(caught.value)
        assert str(folder) in str(caught.value)
