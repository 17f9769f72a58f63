"""A scripted model finds the question it is asked, and is as good as it was told to be."""

from __future__ import annotations

import base64
import io
from math import sqrt

import pytest
from PIL import Image

from lens_ray.scoring.mark import mark
from lens_ray.suites.sample import ABILITIES, Sample
from lens_ray.suites.suite import Suite, load_suite
from lens_ray.suites.templates import render
from lens_ray.testing.provider.truth import Says, SuiteTruth
from lens_ray.testing.provider.wire import Asked, Picture, picture


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("mini:quick")


def shown(suite: Suite, sample: Sample, scale: float = 1.0) -> tuple[Picture, ...]:
    pictures = []
    for name in sample.images:
        data = suite.image_bytes(name)
        if scale != 1.0:
            buffer = io.BytesIO()
            with Image.open(io.BytesIO(data)) as image:
                size = (round(image.width * scale), round(image.height * scale))
                image.convert("RGB").resize(size).save(buffer, "JPEG", quality=90)
            data = buffer.getvalue()
        pictures.append(picture(base64.b64encode(data).decode()))
    return tuple(pictures)


def asked(suite: Suite, sample: Sample, template: str = "default", model: str = "m") -> Asked:
    text = render(sample, template)
    return Asked(model, text, "", shown(suite, sample), 16, (), False, frozenset())


def score(sample: Sample, text: str) -> float:
    return mark(sample, text, "stop").score


def test_full_skill_is_always_right_and_none_always_wrong(suite: Suite) -> None:
    good, bad = SuiteTruth(suite, 1.0), SuiteTruth(suite, 0.0)
    for sample in suite.samples:
        question = asked(suite, sample)
        assert good.find(question.text, question.images) == sample
        assert score(sample, good.answer(question)) == 1.0
        assert score(sample, bad.answer(question)) == 0.0
    assert good.unknown == bad.unknown == 0


def test_skill_is_a_share_and_may_differ_between_abilities(suite: Suite) -> None:
    skill = {"counting": 0.3, "ocr": 0.9}
    truth = SuiteTruth(suite, skill, seed=3)
    for ability in ABILITIES:
        samples = [one for one in suite.samples if one.ability == ability]
        right = sum(score(one, truth.answer(asked(suite, one))) for one in samples)
        p, n = skill.get(ability, 0.5), len(samples)
        assert abs(right - n * p) < 4 * sqrt(n * p * (1 - p))


def test_models_err_apart_and_one_model_always_alike(suite: Suite) -> None:
    samples = suite.samples[:100]
    first = [SuiteTruth(suite, 0.5).answer(asked(suite, one)) for one in samples]
    again = [SuiteTruth(suite, 0.5).answer(asked(suite, one)) for one in samples]
    other = [SuiteTruth(suite, 0.5).answer(asked(suite, one, model="n")) for one in samples]
    assert first == again
    assert first != other


@pytest.mark.parametrize("template", ["bare", "vlmevalkit"])
def test_other_wordings_are_known_too(suite: Suite, template: str) -> None:
    truth = SuiteTruth(suite, 1.0)
    for sample in suite.samples[::10]:
        assert score(sample, truth.answer(asked(suite, sample, template))) == 1.0


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_images_that_were_scaled_and_written_anew_are_still_told_apart(
    suite: Suite, scale: float
) -> None:
    truth = SuiteTruth(suite)
    samples = suite.samples[::9]
    found = [truth.find(render(one), shown(suite, one, scale)) for one in samples]
    assert sum(one == sample for one, sample in zip(found, samples, strict=True)) >= 0.97 * len(
        samples
    )


def test_a_question_of_no_suite_gets_some_answer(suite: Suite) -> None:
    truth = SuiteTruth(suite, 1.0)
    question = Asked("m", "Which?\nA. one\nB. two", "", (), 16, (), False, frozenset())
    assert truth.answer(question) in ("A", "B")
    assert truth.unknown == 1


def test_says_takes_a_text_or_a_function() -> None:
    question = Asked("m", "Which?", "", (), 16, (), False, frozenset())
    assert Says("yes").answer(question) == "yes"
    assert Says(lambda given: given.text * 2).answer(question) == "Which?Which?"
