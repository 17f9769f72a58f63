"""Practice pictures: the answers are what the pixels say, and the forms are those of `mini`."""

from __future__ import annotations

import math
import random
import re
from collections import Counter

import numpy as np
import pytest

from jobs.minivlm_practice import practice, verdict
from lens_ray.suites.mini.raster import COLOURS, SIDE, Image

KINDS = ("tiles", "names", "letters", "checks", "signs", "things", "writing")


def colour_at(image: Image, cell: str, sides: tuple[int, ...]) -> set[str]:
    """The nearest named colour in the middle of a cell, for every grid that it can be of."""
    found = set()
    for side in sides:
        row, column, pitch = "ABC".index(cell[0]), int(cell[1]) - 1, SIDE // side
        if max(row, column) < side:
            pixel = image[row * pitch + pitch // 2, column * pitch + pitch // 2].astype(int)
            found.add(min(COLOURS, key=lambda name: math.dist(pixel, COLOURS[name])))
    return found


def sides_of(image: Image) -> tuple[int, ...]:
    """How many tiles there are in a row: the grid whose tiles are each of one colour."""
    for side in (2, 3):
        pitch = SIDE // side
        tiles = [
            image[y * pitch : (y + 1) * pitch, x * pitch : (x + 1) * pitch].reshape(-1, 3)
            for y in range(side)
            for x in range(side)
        ]
        if all((tile == tile[0]).all() for tile in tiles):
            return (side,)
    return ()


@pytest.mark.parametrize("aloud", [False, True])
@pytest.mark.parametrize("kind", ["tiles", "letters", "checks"])
def test_colours_are_those_of_the_pixels(kind: str, aloud: bool) -> None:
    rng = random.Random(5)
    answers: Counter[str] = Counter()
    checked = 0
    for _ in range(300):
        image, ((question, said),) = practice(kind, rng, aloud=aloud)
        sides = sides_of(image)
        seen, _, answer = said.rpartition(" ") if aloud else ("", "", said)
        answers[answer] += 1
        if not sides:
            continue  # a scene of things
        cell = re.search(r"[ABC][123]", question)
        assert cell is not None
        (colour,) = colour_at(image, cell[0], sides)
        assert seen == (colour if aloud and kind != "tiles" else "")
        if kind == "letters":
            assert f"\n{answer}. {colour}\n" in question
        elif kind == "checks":
            assert answer == ("yes" if f" {colour}?" in question else "no")
        else:
            assert answer == colour
        checked += 1
    assert checked > 150
    if kind == "checks":
        assert 110 < answers["yes"] < 190


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_picture_with_questions_in_a_form_of_the_suite(kind: str) -> None:
    rng = random.Random(7)
    forms = ("\nAnswer briefly.", "\nAnswer yes or no.", "\nAnswer with the letter.")
    for _ in range(60):
        image, turns = practice(kind, rng)
        assert image.shape == (SIDE, SIDE, 3)
        assert image.dtype == np.uint8
        assert turns
        assert len({question for question, _ in turns}) == len(turns)
        for question, answer in turns:
            assert question.endswith(forms)
            assert answer
            if question.endswith(forms[1]):
                assert answer in ("yes", "no")
            if question.endswith(forms[2]):
                assert f"\n{answer}. " in question


def test_a_verdict_follows_from_what_is_given() -> None:
    rng = random.Random(3)
    verdicts: Counter[str] = Counter()
    for _ in range(400):
        question, said = verdict(rng)
        seen, _, answer = said.rpartition(" ")
        verdicts[answer] += 1
        if answer in ("yes", "no"):
            asked = question.removesuffix("?\nAnswer yes or no.")
            assert (answer == "yes") == asked.endswith(f" {seen}")
        else:
            assert f"\n{answer}. {seen}\n" in question
            assert question.count(f". {seen}\n") == 1
    assert set(verdicts) == {"yes", "no", *"ABCDEF"}


def test_the_same_seed_draws_the_same() -> None:
    for kind in KINDS:
        (one, asked), (two, again) = (practice(kind, random.Random(9)) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert asked == again
