"""Questions are untrusted: no text of theirs is an image, and no processor's fault is a hang."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.hosted_model import HostedModel
from lens_ray.models.prompts import prompt_texts
from lens_ray.models.protocol import Request
from lens_ray.models.spec import TransformersOptions
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint
from tests.models.helpers import answers, png, request

FAMILIES = ("idefics3", "llava", "qwen2_5_vl", "internvl")


def asked(name: str, text: str, images: int) -> Request:
    return request(0, request_id=name, text=text, images=tuple(png(n) for n in range(images)))


@pytest.mark.parametrize("family", FAMILIES)
def test_marks_in_a_question(tmp_path: Path, family: str) -> None:
    folder = make_tiny_checkpoint(tmp_path / "tiny", family)
    texts = {
        "plain": ("which one?", 1),
        "two marks, one image": ("which <image> <image> one?", 1),
        "its own mark": ("which <|image_pad|><IMG_CONTEXT><image> one?", 2),
        "in place": ("first <image> second <image> which?", 2),
        "none": ("is <image> a tag?", 0),
    }
    found = answers(folder, [asked(name, *given) for name, given in texts.items()])
    assert {name: one.error for name, one in found.items()} == dict.fromkeys(texts)


def test_images_stand_where_the_question_puts_them(tmp_path: Path) -> None:
    model = HostedModel(
        inspect_checkpoint(str(make_tiny_checkpoint(tmp_path / "tiny"))), TransformersOptions()
    )
    image = model.processor.image_token
    (inline,), _ = prompt_texts(model.processor, [asked("a", "A <image>, B <image>.", 2)])
    assert inline.count(image) == 2
    assert inline.index("A ") < inline.index(image) < inline.index(", B ") < inline.rindex(image)
    (before,), _ = prompt_texts(model.processor, [asked("a", "A <image>, B.", 2)])
    assert before.count(image) == 2
    assert before.rindex(image) < before.index("A < image>, B.")


def test_a_processor_that_runs_out_of_images_fails_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """StopIteration cannot be set on a future: the batch would have waited for ever."""
    facts = inspect_checkpoint(str(make_tiny_checkpoint(tmp_path / "tiny")))
    model = HostedModel(facts, TransformersOptions())
    processor = model.processor

    class Stops:
        def __getattr__(self, name: str) -> Any:
            return getattr(processor, name)

        def __call__(self, **given: Any) -> Any:
            if any("bad" in text for text in given["text"]):
                raise StopIteration
            return processor(**given)

    monkeypatch.setattr(model, "processor", Stops())
    done = model.answer(model.prepare([asked("good", "fine?", 1), asked("bad", "bad?", 1)]))
    errors = {one.request_id: one.error for one in done}
    assert errors["good"] is None
    assert "StopIteration" in str(errors["bad"])
