"""What a row answers, by hand."""

from __future__ import annotations

import pytest

from lens_ray.stats.answers import answer_of, base_of

BASE = {"sample_id": "t/1", "variant": None, "format": "multiple_choice", "extracted": "A"}
TURNED = BASE | {"sample_id": "t/1#rotate1", "variant": "rotate1"}
CHOICES = {"t/1": ("red", "blue"), "t/1#rotate1": ("blue", "red")}


def test_letters_stand_for_options() -> None:
    assert answer_of(BASE, TURNED, BASE, CHOICES) == "red"
    assert answer_of(TURNED, TURNED, BASE, CHOICES) == "blue"
    with pytest.raises(ValueError, match="give the samples of both suites"):
        answer_of(TURNED, TURNED, BASE, {})


def test_other_answers_are_compared_without_case_and_articles() -> None:
    one = BASE | {"format": "open", "extracted": "The X."}
    assert answer_of(one, one, one, {}) == answer_of(one | {"extracted": "the x"}, one, one, {})
    assert answer_of(one | {"extracted": None}, one, one, {}) is None


def test_the_base_of_a_variant() -> None:
    assert base_of("m/1#r2#jpeg20", "r2#jpeg20") == "m/1#r2"
    assert base_of("m/1#jpeg20", "jpeg20") == "m/1"
    for sample_id, variant in (("m/1", None), ("m/1", "jpeg20"), ("m/1#r2", "jpeg20")):
        with pytest.raises(ValueError, match="is not that of a control"):
            base_of(sample_id, variant)
