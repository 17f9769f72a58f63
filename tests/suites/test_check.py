from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lens_ray.suites.digest import source_digest
from lens_ray.suites.suite import check_suite, write_suite
from tests.suites.makers import pixels, sample, suite_of


def problems(tmp_path: Path, *changes: dict[str, Any]) -> list[str]:
    samples, images = suite_of(2)
    for number, change in enumerate(changes, 10):
        made, image = sample(number, **change)
        samples.append(made)
        images.update(image)
    return check_suite(
        write_suite("tiny", samples, images, tmp_path / "s", licence="x", revision="1")
    )


def test_a_sound_suite_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


CHOICE = {"format": "multiple_choice", "choices": ("a", "b"), "answers": ("A",)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": ()}, "it has no image"),
        ({"question": " "}, "its question is empty"),
        ({"answers": ()}, "it has no answer"),
        ({"split": "train"}, "its split is 'train'"),
        ({"chance": 1.0}, "leave no room"),
        ({"upper": 1.5}, "leave no room"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        (CHOICE | {"choices": ("a",)}, "it has 1 choices"),
        (CHOICE | {"choices": ("a", "a")}, "two of its choices are equal"),
        (CHOICE | {"answers": ("C",)}, "its answer 'C' is none of its letters"),
        ({"choices": ("a", "b")}, "it has choices, but its format is open"),
        ({"format": "true_false", "answers": ("true",)}, "neither yes nor no"),
        ({"metric": "all_right"}, "needs a group_id"),
        ({"group_id": "alone"}, "group alone: has one member"),
    ],
)
def test_each_problem_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    found = problems(tmp_path, change)
    assert any(message in problem for problem in found), found


def test_ties_over_splits_and_subtasks(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {"cluster_id": "c", "group_id": "g", "split": "anchor"},
        {"cluster_id": "c", "group_id": "g", "split": "sealed", "subtask": "boxes"},
    )
    assert "cluster_id c: lies in more than one split (anchor, sealed)" in found
    assert "group_id g: lies in more than one split (anchor, sealed)" in found
    assert "group g: goes over more than one subtask" in found


def test_duplicates_shared_images_and_unused_ones(tmp_path: Path) -> None:
    samples, images = suite_of(2)
    twin, _ = sample(5, images=samples[0].images, split="anchor")
    extra, unused = sample(6)
    made = write_suite(
        "tiny", [*samples, twin], images | unused, tmp_path / "s", licence="x", revision="1"
    )
    found = check_suite(made)
    assert "t/5: it asks the same as t/0" in found
    assert "t/5: its image is in the split sealed too" in found
    assert f"image {extra.images[0][:12]}: no sample uses it" in found
    assert pixels(6).shape == (5, 7, 3)


def test_uneven_splits_are_a_problem_in_a_large_suite(tmp_path: Path) -> None:
    samples, images = suite_of(500)
    made = write_suite("big", samples, images, tmp_path / "s", licence="x", revision="1")
    assert "split anchor: holds 0%, not 20%" in check_suite(made)


def turned(number: int, right: str, choices: tuple[str, ...], turn: int = 0) -> dict[str, Any]:
    """A rotation of question 10: the options in an order, the letter of the right one."""
    return {
        "format": "multiple_choice", "choices": choices, "answers": (right,), "group_id": "g",
        "cluster_id": "g", "metric": "all_right", "variant": f"rotation-{turn}" if turn else None,
        "images": (), "sample_id": f"t/{number}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([turned(10, "A", ("x", "y")), turned(11, "B", ("y", "x"), 1)], None),
        ([turned(10, "A", ("x", "y", "z")), turned(11, "B", ("z", "x", "y"), 1)],
         "group g: has 2 of 3 rotations"),
        ([turned(10, "A", ("x", "y")), turned(11, "A", ("y", "x"), 1)],
         "group g: its rotations have different answers"),
        ([turned(10, "A", ("x", "y")), turned(11, "B", ("z", "x"), 1)],
         "group g: its rotations have different options"),
    ],
)  # fmt: skip
def test_rotations_are_whole(
    tmp_path: Path, changes: list[dict[str, Any]], message: str | None
) -> None:
    found = [one for one in problems(tmp_path, *changes) if one.startswith("group g")]
    assert found == ([] if message is None else [message])


@pytest.mark.parametrize(
    ("metric", "members", "message"),
    [
        ("yes_no_pairs", 2, None),
        ("mme", 3, "group g: has 3 of 2 questions"),
        ("conbench", 2, "group g: has 2 of 3 questions"),
        ("triples_right", 3, None),
    ],
)
def test_pairs_and_triples_are_whole(
    tmp_path: Path, metric: str, members: int, message: str | None
) -> None:
    one = {"metric": metric, "group_id": "g", "cluster_id": "g"}
    found = [line for line in problems(tmp_path, *[one] * members) if line.startswith("group g")]
    assert found == ([] if message is None else [message])


def test_abilities_share_no_question(tmp_path: Path) -> None:
    samples, images = suite_of(2)
    twin, _ = sample(5, images=samples[0].images, ability="ocr", metric="numeric")
    made = write_suite("tiny", [*samples, twin], images, tmp_path / "s", licence="x", revision="1")
    found = check_suite(made)
    assert "t/5: is in ocr, and its question in counting too (t/0)" in found


def test_a_source_with_other_samples_than_it_was_built_of(tmp_path: Path) -> None:
    samples, images = suite_of(2)
    made = write_suite("tiny", samples, images, tmp_path / "s", licence="x", revision="1")
    right = {"t": {"digest": source_digest(samples)}}
    assert check_suite(replace(made, info=replace(made.info, sources=right))) == []
    wrong = {"t": {"digest": source_digest(samples[:1])}}
    found = check_suite(replace(made, info=replace(made.info, sources=wrong)))
    assert len(found) == 1
    assert found[0].startswith(
        f"source t: its samples have digest {source_digest(samples)[:12]}, suite.json says"
    )
