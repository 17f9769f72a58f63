"""Every control: ids, links, groups and images, by hand; rotation by generated questions."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lens_ray.errors import SuiteError
from lens_ray.suites import Sample, Suite, assign_splits, check_suite, load_suite, write_suite
from lens_ray.suites.controls import CONTROLS, control_samples, find_control, make_control
from lens_ray.suites.controls.rephrase import FRAMES, reframed
from lens_ray.suites.controls.resize import resized
from lens_ray.suites.controls.rotate import rotated
from lens_ray.suites.images import decode_png, image_hash
from lens_ray.suites.templates import LETTERS, render
from tests.suites.makers import pixels, sample

CHOICE = {
    "format": "multiple_choice",
    "choices": ("red", "green", "blue"),
    "answers": ("B",),
    "question": "which colour?",
    "chance": 1 / 3,
}


def suite_of(folder: Path, *facts: dict[str, Any], split: bool = False) -> Suite:
    """One sample a dictionary of changes, each with its own image."""
    samples, images = [], {}
    for number, changes in enumerate(facts):
        made, image = sample(number, **changes)
        samples.append(made)
        images.update(image)
    if split:
        samples = list(assign_splits(samples, 1))
    return write_suite("tiny", samples, images, folder, licence="x", revision="1")


def ids(samples: tuple[Sample, ...]) -> list[str]:
    return [one.sample_id for one in samples]


@pytest.mark.parametrize("name", list(CONTROLS))
def test_a_control_of_mini_is_a_sound_suite_linked_to_its_base(tmp_path: Path, name: str) -> None:
    base = load_suite("mini:quick")
    made = make_control(base, name, tmp_path / "made")
    label = made.name.removeprefix("mini:quick-")
    for one in made.samples:
        own = base.by_id[one.meta["base"]]
        assert one.sample_id.startswith(f"{own.sample_id}#{label}")
        assert one.variant is not None
        assert one.variant.endswith(one.sample_id.rpartition("#")[2])
        for kept in ("ability", "subtask", "cluster_id", "split", "metric", "chance", "upper"):
            assert getattr(one, kept) == getattr(own, kept)
        assert (one.group_id is None) == (own.group_id is None)
    problems = check_suite(made)
    if name == "blind":  # grey images are alike: in every split, and under equal questions
        alike = ("its image is in the split", "it asks the same as")
        problems = [line for line in problems if not any(text in line for text in alike)]
    assert problems == []
    again = make_control(base, name, tmp_path / "again")
    assert again.digest == made.digest


def test_rotations_by_hand(tmp_path: Path) -> None:
    suite = suite_of(tmp_path / "s", CHOICE, {}, {**CHOICE, "choices": ("on", "off")})
    label, made, _ = control_samples(suite, "rotate")
    assert label == "rotate"
    shown = [(one.sample_id, one.choices, one.answers) for one in made]
    assert shown == [
        ("t/0#rotate1", ("green", "blue", "red"), ("A",)),
        ("t/0#rotate2", ("blue", "red", "green"), ("C",)),
        ("t/2#rotate1", ("off", "on"), ("A",)),
    ]
    label, made, _ = control_samples(suite, "rotate", by=2)
    assert (label, ids(made)) == ("rotate2", ["t/0#rotate2"])


@given(st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=26, unique=True), st.data())
def test_the_text_of_the_answer_stays(choices: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(choices) - 1))
    by = data.draw(st.integers(1, len(choices) - 1))
    base, _ = sample(1, **{**CHOICE, "choices": tuple(choices), "answers": (LETTERS[place],)})
    changed = dataclasses.replace(base, **rotated(base, by))
    (letter,) = changed.answers
    assert changed.choices[LETTERS.index(letter)] == choices[place]
    assert sorted(changed.choices) == sorted(choices)
    assert changed.choices[0] == choices[by]
    back = dataclasses.replace(changed, **rotated(changed, len(choices) - by))
    assert back == base


@pytest.mark.parametrize(
    "last", ["None of the above", "both A and B", "A, B and C", "Options A & C", "all of the below"]
)
def test_options_that_speak_of_others_are_not_rotated(tmp_path: Path, last: str) -> None:
    facts = {**CHOICE, "choices": ("red", "green", last)}
    suite = suite_of(tmp_path / "s", facts, {**CHOICE, "choices": ("Vitamin A", "Plan B", "C")})
    _, made, _ = control_samples(suite, "rotate", by=1)
    assert ids(made) == ["t/1#rotate1"]


def test_a_rotation_that_the_suite_asks_is_left_out_with_its_group(tmp_path: Path) -> None:
    one, image = sample(1, **CHOICE, metric="all_right", group_id="g")
    rotations = [
        dataclasses.replace(one, sample_id=f"t/1#r{by}", variant=f"r{by}", **rotated(one, by))
        for by in (1, 2)
    ]
    suite = write_suite("t", [one, *rotations], image, tmp_path / "s", licence="x", revision="1")
    with pytest.raises(SuiteError, match="control rotate: no sample of suite t can have a variant"):
        control_samples(suite, "rotate")


def test_members_without_options_come_along_so_that_a_group_stays_whole(tmp_path: Path) -> None:
    group = {"group_id": "g", "cluster_id": "g"}
    yes = {"format": "true_false", "answers": ("yes",)}
    suite = suite_of(tmp_path / "s", {**CHOICE, **group}, {**yes, **group}, {**group}, yes)
    _, made, _ = control_samples(suite, "rotate", by=1)
    assert ids(made) == ["t/0#rotate1", "t/1#rotate1", "t/2#rotate1"]
    assert {one.group_id for one in made} == {"g#rotate1"}
    assert made[1].question == suite.samples[1].question


def test_shuffled_images_come_from_others_of_the_ability_and_split(tmp_path: Path) -> None:
    names = ["counting", "ocr"] * 20
    facts = [{"ability": name, "subtask": name} for name in names]
    suite = suite_of(tmp_path / "s", *facts, split=True)
    _, made, _ = control_samples(suite, "shuffle")
    owner = {one.images: one for one in suite.samples}
    assert len(made) == 40
    for one in made:
        giver = owner[one.images]
        assert giver.sample_id != one.meta["base"]
        assert (giver.ability, giver.split) == (one.ability, one.split)
    assert len({one.images for one in made}) == 40  # each image is given once
    other = control_samples(suite, "shuffle", seed=1)
    assert other[0] == "shuffle1"
    assert [one.images for one in other[1]] != [one.images for one in made]


def test_samples_that_belong_together_are_shuffled_together(tmp_path: Path) -> None:
    one, image = sample(1)
    twin = dataclasses.replace(one, sample_id="t/1b", question="and how many lines?")
    far, more = sample(2)
    other, last = sample(3, ability="ocr")
    suite = write_suite(
        "t", [one, twin, far, other], {**image, **more, **last}, tmp_path / "s",
        licence="x", revision="1",
    )  # fmt: skip
    _, made, _ = control_samples(suite, "shuffle")
    # The only one of its ability finds no partner; the pair swaps with the third.
    assert [(v.meta["base"], v.images) for v in made] == [
        ("t/1", far.images), ("t/1b", far.images), ("t/2", one.images),
    ]  # fmt: skip


def test_the_only_one_of_its_number_of_images_gets_some_of_a_larger_set(tmp_path: Path) -> None:
    (one, image), (two, more) = sample(1), sample(2)
    three = dataclasses.replace(
        two, sample_id="t/3", cluster_id="t/3", images=tuple(sorted({**image, **more}))
    )
    last, rest = sample(4)
    five = dataclasses.replace(last, sample_id="t/5", images=(*last.images, *last.images))
    suite = write_suite("t", [one, five], {**image, **rest}, tmp_path / "s", licence="x",
                        revision="1")  # fmt: skip
    _, made, _ = control_samples(suite, "shuffle")
    # Nobody has two images to give.
    assert [(v.meta["base"], v.images) for v in made] == [("t/1", last.images)]
    tied = write_suite("u", [one, three], {**image, **more}, tmp_path / "u", licence="x",
                       revision="1")  # fmt: skip
    with pytest.raises(SuiteError, match="no sample of suite u can have a variant"):
        control_samples(tied, "shuffle")  # they share an image


def test_rephrasing_changes_words_around_the_question_only(tmp_path: Path) -> None:
    brace = "what does {x} say?"
    suite = suite_of(tmp_path / "s", {"question": brace}, CHOICE)
    label, made, _ = control_samples(suite, "rephrase", frame=0)
    assert label == "rephrase"
    assert len(made) == 2 * len(FRAMES)
    for one in made:
        base = suite.by_id[one.meta["base"]]
        assert base.question in one.question
        assert (one.choices, one.answers, one.images) == (base.choices, base.answers, base.images)
        assert render(one).endswith(render(base).removeprefix(base.question))
    assert reframed(suite.samples[0], 3) == f"Question about the picture: {brace}"
    assert len({one.question for one in made}) == len(made)


def test_jpeg_is_what_pillow_makes_of_it(tmp_path: Path) -> None:
    suite = suite_of(tmp_path / "s", {})
    made = make_control(suite, "jpeg", tmp_path / "m", quality="5")
    assert made.name == "tiny-jpeg5"
    sink = io.BytesIO()
    Image.fromarray(pixels(0)).save(sink, "JPEG", quality=5)
    expected = np.asarray(Image.open(io.BytesIO(sink.getvalue())).convert("RGB"))
    (key,) = made.samples[0].images
    assert key == image_hash(expected)
    assert np.array_equal(decode_png(made.image_bytes(key), key), expected)


def test_resizing_keeps_or_changes_the_size(tmp_path: Path) -> None:
    suite = suite_of(tmp_path / "s", {})  # 7 x 5 pixels
    blurred = make_control(suite, "resize", tmp_path / "a")
    assert blurred.name == "tiny-resize0.5"
    assert list(blurred.image_sizes().values()) == [(7, 5)]
    scaled = make_control(suite, "resize", tmp_path / "b", factor=2, size="scaled")
    assert scaled.name == "tiny-resize2-scaled"
    assert list(scaled.image_sizes().values()) == [(14, 10)]
    flat = np.full((8, 8, 3), 77, dtype=np.uint8)
    assert np.array_equal(resized(flat, 0.25, back=True), flat)
    edge = np.zeros((8, 8, 3), dtype=np.uint8)
    edge[:, 4:] = 255
    assert len(np.unique(resized(edge, 0.1, back=True))) == 1  # one pixel holds no edge


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("xyz", {}, "control 'xyz' is not known; there are: blind, shuffle, rotate"),
        ("shufle", {}, "did you mean 'shuffle'?"),
        ("blind", {"grey": 3}, "control blind has no option 'grey'; it has none"),
        ("jpeg", {"qualty": 3}, "control jpeg has no option 'qualty'; the nearest is 'quality'"),
        ("jpeg", {"quality": "best"}, "quality 'best': type a whole number from 1 to 95"),
        ("jpeg", {"quality": 0}, "quality 0: type a whole number from 1 to 95"),
        ("resize", {"factor": "nan"}, "factor 'nan': type a number from 0.01 to 8"),
        ("resize", {"factor": 2}, "give a factor below 1"),
        ("resize", {"size": "big"}, "size 'big': type one of same, scaled"),
        ("rephrase", {"frame": 9}, "frame 9: type a whole number from 0 to 4"),
    ],
)
def test_mistakes(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    suite = suite_of(tmp_path / "s", {})
    with pytest.raises(SuiteError) as error:
        make_control(suite, name, tmp_path / "m", **options)
    assert message in str(error.value)
    assert not (tmp_path / "m").exists()


def test_a_control_of_a_control_links_to_what_it_was_made_of(tmp_path: Path) -> None:
    suite = suite_of(tmp_path / "s", CHOICE)
    once = make_control(suite, "rotate", tmp_path / "a", by=1)
    twice = make_control(once, "jpeg", tmp_path / "b")
    (one,) = twice.samples
    assert (one.sample_id, one.variant) == ("t/0#rotate1#jpeg20", "rotate1#jpeg20")
    assert one.meta["base"] == "t/0#rotate1"
    assert find_control("jpeg").label({"quality": 7}) == "jpeg7"
