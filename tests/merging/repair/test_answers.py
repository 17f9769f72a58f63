"""Answers as they are trained on, in all families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lens_ray.errors import SuiteError
from lens_ray.merging.answers import (
    IGNORED,
    TARGET,
    Example,
    alike,
    answer_loss,
    examples_of,
    labelled,
)
from lens_ray.merging.live import load_live
from lens_ray.models.images import decode_image
from lens_ray.models.prompts import model_inputs
from lens_ray.suites.suite import Suite
from lens_ray.testing.tiny_checkpoint import FAMILIES

Make = Callable[..., Path]
#: Of PaliGemma's processor in transformers 5.19, at every call.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
#: What each family's own template writes behind the prompt of the answer "7".
SAID = {
    "idefics3": " 7<end_of_utterance>", "llava": " 7 </s>", "llava_onevision": "7<|im_end|>",
    "qwen2_5_vl": "7<|im_end|>", "qwen3_vl": "7<|im_end|>", "internvl": "7<|im_end|>",
    "gemma3": "7<end_of_turn>", "paligemma": "7<eos>",
}  # fmt: skip
EACH = [
    pytest.param(family, marks=[] if family in ("idefics3", "qwen3_vl") else [pytest.mark.slow])
    for family in FAMILIES
]


@pytest.mark.parametrize("family", EACH)
def test_labels_are_the_answer_and_its_end_and_nothing_else(
    tiny: Make, examples: list[Example], family: str
) -> None:
    live = load_live(tiny(family))
    some = examples[7:9]
    made = labelled(live.processor, some, ends=live.ends, max_pixels=10**6)
    learned = [row[row != IGNORED] for row in made["labels"]]
    assert live.processor.tokenizer.decode(learned[0]) == SAID[family]
    assert live.processor.tokenizer.decode(learned[1]) == SAID[family].replace("7", "8")
    images = [[decode_image(data, 10**6) for data in one.request.images] for one in some]
    asked = model_inputs(live.processor, [one.request for one in some], images)
    for row, mask in enumerate(asked["attention_mask"]):
        prompt = asked["input_ids"][row][mask == 1]
        told = made["input_ids"][row][made["attention_mask"][row] == 1]
        assert told.tolist() == [*prompt.tolist(), *learned[row].tolist()]
        # Nothing of the prompt is learned.
        assert (made["labels"][row] != IGNORED).sum() == len(learned[row])


@pytest.mark.parametrize("family", EACH)
def test_the_loss_is_the_one_that_the_model_computes_itself(
    tiny: Make, examples: list[Example], family: str
) -> None:
    live = load_live(tiny(family))
    made = labelled(live.processor, examples[:3], ends=live.ends, max_pixels=10**6)
    with torch.no_grad():
        said = live.model(**made)
    total, tokens = answer_loss(said.logits, made["labels"])
    assert float(total) / tokens == pytest.approx(float(said.loss), rel=1e-5)


def test_a_sample_may_say_more_than_its_answer(suite: Suite) -> None:
    first = suite.samples[0]
    told = replace(first, meta={TARGET: "dots 0"})
    assert [one.answer for one in examples_of(suite, [first, told])] == ["0", "dots 0"]
    with pytest.raises(SuiteError, match="sample made/0 of suite made has no answer"):
        examples_of(suite, [replace(first, answers=())])


def test_batches_keep_questions_without_a_picture_apart(examples: list[Example]) -> None:
    bare = [
        replace(one, request=replace(one.request, images=())) if number % 3 == 0 else one
        for number, one in enumerate(examples)
    ]
    batches = alike(bare, 3)
    assert [len(batch) for batch in batches] == [3, 3, 2, 3, 1]
    assert all(len({bool(one.request.images) for one in batch}) == 1 for batch in batches)
    assert sorted(one.answer for batch in batches for one in batch) == sorted(
        one.answer for one in bare
    )
