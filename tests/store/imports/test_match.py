"""Which sample a row answers, by hand: names, positions, texts, and where nothing is believed."""

from __future__ import annotations

from typing import Any

import pytest

from lens_ray.store.imports.answers import Evidence
from lens_ray.store.imports.match import Matcher
from lens_ray.suites import Sample
from tests.suites.makers import sample


def asked(sample_id: str, question: str = "how many?", **facts: Any) -> Sample:
    source = sample_id.split("/")[0]
    made, _ = sample(1, sample_id=sample_id, source=source, question=question,
                     **{"cluster_id": sample_id} | facts)  # fmt: skip
    return made


def found(samples: list[Sample], **says: Any) -> tuple[str, bool] | None:
    match = Matcher(samples).find(Evidence(**says))
    return None if match is None else (match[0].sample_id, match[1])


SEED = [asked("seed_bench/5", "who?"), asked("seed_bench/6", "where?")]


@pytest.mark.parametrize(
    ("says", "result"),
    [
        ({"ids": ("5",)}, ("seed_bench/5", True)),
        ({"ids": ("5",), "question": "Who?\nA. me"}, ("seed_bench/5", True)),
        # The id is another's, the text is unique: likely, and not sure.
        ({"ids": ("5",), "question": "So, WHERE?"}, ("seed_bench/6", False)),
        ({"ids": ("5",), "question": "when?"}, None),
        ({"ids": ("7",)}, None),
        ({}, None),
    ],
)
def test_ids_and_texts(says: dict[str, Any], result: object) -> None:
    assert found(SEED, **says) == result


def test_positions_where_the_suite_says_them() -> None:
    pair = [asked(f"x/{n}", "same?", meta={"row": str(n + 10)}) for n in range(2)]
    assert found(pair, row=11, question="same?") == ("x/1", True)
    assert found(pair, row=1, question="same?") is None  # x/1 is an id, not a position
    assert found(pair, row=11, question="other?") is None


def test_ids_that_are_positions() -> None:
    pair = [asked(f"chartqa/{n}", "same?") for n in range(2)]
    assert found(pair, row=1, question="same?") == ("chartqa/1", True)


def test_a_shared_id_and_the_text_or_the_answer() -> None:
    pair = [
        asked(f"mme/count/0001.png/{n}", f"is it {n}?", answers=(("yes", "no")[n - 1],),
              cluster_id="mme/count/0001.png")
        for n in (1, 2)
    ]  # fmt: skip
    for name in ("count/0001.png", "0001.png"):
        assert found(pair, ids=(name,), question="Is it 2? Please answer") == (
            "mme/count/0001.png/2", True,
        )  # fmt: skip
    assert found(pair, ids=("0001.png",), gold="Yes") == ("mme/count/0001.png/1", True)
    assert found(pair, ids=("0001.png",)) is None


def test_rotations() -> None:
    base = asked("mmbench/241", choices=("a", "b"))
    turned = asked("mmbench/241#rotation-1", choices=("b", "a"), variant="rotation-1",
                   cluster_id="mmbench/241")  # fmt: skip
    both = [turned, base]
    assert found(both, ids=("241",)) == ("mmbench/241", True)
    assert found(both, ids=("1000241",)) == ("mmbench/241#rotation-1", True)
    # Options decide where ids are of another version.
    assert found(both, ids=("9",), question="how many?", options=("B", "A")) == (
        "mmbench/241#rotation-1", False,
    )  # fmt: skip
    assert found(both, ids=("241",), question="how many?", options=("x", "y")) is None


def test_marks_of_images_do_not_count() -> None:
    one = [asked("m/1", "what is in [image 1] and [image 2]?", choices=("[image 3]", "none"))]
    says = {"question": "What is in <image> and <image 2>?", "options": ("<image>", "None")}
    assert found(one, ids=("1",), **says) == ("m/1", True)


def test_options_that_the_question_holds() -> None:
    one = [asked("mmstar/4", "which? A) red; B) blue", choices=("A", "B"))]
    says = {"question": "which?\nOptions: A: red\nB: blue", "options": ("red", "blue")}
    assert found(one, ids=("4",), **says) is None  # "Options" stands between
    says["question"] = "which? A) red; B) blue"
    assert found(one, ids=("4",), **says) == ("mmstar/4", True)
