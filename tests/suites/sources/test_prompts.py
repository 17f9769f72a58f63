"""Prompts written by hand from what the two harnesses are known to send (reference 1.3 and 4.2)."""

from __future__ import annotations

import dataclasses

import pytest

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Options
from lens_ray.suites.sources.registry import ELEVEN, SOURCES
from lens_ray.suites.templates import TEMPLATES, render
from tests.suites.makers import OPEN
from tests.suites.sources import rows
from tests.suites.sources.rows import only

PLAIN = Options(mmbench="plain", conbench="each", mme="each")
SELECT = "Please select the correct answer from the options above. \n"
LETTER = "Answer with the option's letter from the given choices directly."
PAGE = (
    "OCR this image section by section, from top to bottom, and left to right. Do not insert line "
    "breaks in the output text. If a word is split due to a line break in the image, use a space "
    "instead."
)

GOLDEN = [
    (
        only("mme", rows.mme()),
        "Are there two dogs in this image?\nAnswer the question using a single word or phrase.",
        "Are there two dogs in this image? Please answer yes or no.",
        "Are there two dogs in this image?\nAnswer yes or no.",
    ),
    (
        only("mme", rows.mme(question=" Is it  red?\nPlease answer yes or no. ")),
        "Is it  red?\nPlease answer yes or no.\nAnswer the question using a single word or phrase.",
        " Is it  red?\nPlease answer yes or no. ",
        "Is it  red?\nPlease answer yes or no.\nAnswer yes or no.",
    ),
    (
        only("mme", rows.mme(question="Is it red?")),
        "Is it red?\nAnswer the question using a single word or phrase.",
        "Is it red?",
        "Is it red?\nAnswer yes or no.",
    ),
    (
        only("seed_bench", rows.seed()),
        f"How many towels are in the image?\nA. One\nB. Two\nC. Three\nD. Four\n{LETTER}",
        "Question: How many towels are in the image?\nOptions:\nA. One\nB. Two\nC. Three\nD. Four\n"
        + SELECT,
        "How many towels are in the image?\nA. One\nB. Two\nC. Three\nD. Four\n"
        "Answer with the letter.",
    ),
    (
        only("mirb", rows.mirb()),
        "Answer with a single number.How many cups are there in all images?",
        "How many cups are there in all images?\n"
        "Answer the question using a single word or phrase.",
        "How many cups are there in all images?\nAnswer briefly.",
    ),
    (
        only("mmstar", rows.mmstar()),
        "How many boats can be seen?\nOptions: A: 1, B: 2, or so, C: 3, D: None\n" + LETTER[:-1],
        "Question: How many boats can be seen?\nOptions:\nA. 1\nB. 2, or so\nC. 3\nD. None\n"
        + SELECT,
        "How many boats can be seen?\nA. 1\nB. 2, or so\nC. 3\nD. None\nAnswer with the letter.",
    ),
    (  # Options that cannot be told apart stay where they are.
        only("mmstar", rows.mmstar(question=" Boats? A: 1 B: 2 C: 3 Please answer yes or no. ")),
        "Boats? A: 1 B: 2 C: 3\n" + LETTER[:-1],
        f"Question: Boats? A: 1 B: 2 C: 3 Please answer yes or no.\n{SELECT}",
        "Boats? A: 1 B: 2 C: 3 Please answer yes or no.\nAnswer with the letter.",
    ),
    (
        only("muirbench", rows.muir()),
        "Which image shows as many pens as <image>?\nA. <image>\nB. <image>\n"
        f"C. None of the choices provided\n{LETTER}",
        "Which image shows as many pens as <image>?\nA. <image>\nB. <image>\n"
        f"C. None of the choices provided\n{LETTER}",
        "Which image shows as many pens as [image 1]?\nA. [image 2]\nB. [image 3]\n"
        "C. None of the choices provided\nAnswer with the letter.",
    ),
    (
        only("ocrbench", rows.ocr(question=" what is written in the image?\n")),
        "what is written in the image?",
        "what is written in the image?",
        "what is written in the image?\nAnswer briefly.",
    ),
    (only("synthdog", rows.dog()), PAGE, PAGE, PAGE),
    (
        only("mmbench", rows.bench()),
        "What does the sign say? There are several options:\nA. stop\nB. go\nC. turn left\n"
        f"D. yield\n\n{LETTER}",
        "Question: What does the sign say?\nOptions:\nA. stop\nB. go\nC. turn left\nD. yield\n"
        + SELECT,
        "What does the sign say?\nA. stop\nB. go\nC. turn left\nD. yield\nAnswer with the letter.",
    ),
    (
        only("mmbench", rows.bench(hint="Signs are\nred.", C="nan", D=None)),
        "Signs are\nred. What does the sign say? There are several options:\nA. stop\nB. go\n\n"
        + LETTER,
        "Hint: Signs are\nred.\nQuestion: What does the sign say?\nOptions:\nA. stop\nB. go\n"
        + SELECT,
        "Signs are\nred.\nWhat does the sign say?\nA. stop\nB. go\nAnswer with the letter.",
    ),
    (  # An empty hint is a hint to lmms-eval; the text "nan" is none.
        only("mmbench", rows.bench(hint="", C=None, D="nan")),
        f" What does the sign say? There are several options:\nA. stop\nB. go\n\n{LETTER}",
        f"Question: What does the sign say?\nOptions:\nA. stop\nB. go\n{SELECT}",
        "What does the sign say?\nA. stop\nB. go\nAnswer with the letter.",
    ),
    (
        only("mmbench", rows.bench(hint="nan", C=None, D="")),
        f"What does the sign say? There are several options:\nA. stop\nB. go\n\n{LETTER}",
        f"Question: What does the sign say?\nOptions:\nA. stop\nB. go\n{SELECT}",
        "What does the sign say?\nA. stop\nB. go\nAnswer with the letter.",
    ),
    (
        only("chartqa", rows.chart()),
        "What is the highest value of the blue line?\nAnswer the question with a single word.",
        "What is the highest value of the blue line?\n"
        "Answer the question using a single word or phrase.",
        "What is the highest value of the blue line?\nAnswer briefly.",
    ),
    (
        only("ai2d", rows.ai2d()),
        f"Which part takes up water?\nA. leaf\nB. root\nC. flower\n{LETTER}",
        f"Question: Which part takes up water?\nOptions:\nA. leaf\nB. root\nC. flower\n{SELECT}",
        "Which part takes up water?\nA. leaf\nB. root\nC. flower\nAnswer with the letter.",
    ),
    (
        only("conbench", rows.con()),
        "Are there three cats? Please answer yes or no.",
        "Are there three cats? Please answer yes or no.",
        "Are there three cats?\nAnswer yes or no.",
    ),
    (
        only("conbench", rows.con("Choices")),
        "How many cats are there?\nA. 1\nB. 2\nC. 3\nD. 4",
        f"Question: How many cats are there?\nA. 1\nB. 2\nC. 3\nD. 4\n{SELECT}",
        "How many cats are there?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer with the letter.",
    ),
    (
        only("conbench", rows.con("Q/A")),
        "How many cats are there?",
        "How many cats are there?\nAnswer the question using a single word or phrase.",
        "How many cats are there?\nAnswer briefly.",
    ),
]


@pytest.mark.parametrize(("sample", "reference", "kit", "default"), GOLDEN)
def test_the_prompt_is_the_published_one(
    sample: Sample, reference: str, kit: str, default: str
) -> None:
    assert render(sample, "abilitylens") == reference
    assert render(sample, "vlmevalkit") == kit
    assert render(sample) == default


def test_every_source_has_both_wordings() -> None:
    for template in ("abilitylens", "vlmevalkit"):
        assert set(TEMPLATES[template].sources) >= set(ELEVEN)
        assert len(TEMPLATES[template].sources) == len(SOURCES)
        assert "no_such_source" not in TEMPLATES[template].sources


def test_other_sources_get_the_common_layout_of_the_harness() -> None:
    choice = dataclasses.replace(OPEN, format="multiple_choice", choices=("one", "two"))
    yes_no = dataclasses.replace(OPEN, format="true_false")
    assert render(choice, "abilitylens") == f"how many dots?\nA. one\nB. two\n{LETTER}"
    assert render(choice, "vlmevalkit") == (
        f"Question: how many dots?\nOptions:\nA. one\nB. two\n{SELECT}"
    )
    assert render(yes_no, "vlmevalkit") == "how many dots?"
    assert render(OPEN, "vlmevalkit") == (
        "how many dots?\nAnswer the question using a single word or phrase."
    )


def test_turned_options_reach_every_wording() -> None:
    for name, row in [
        ("mmstar", rows.mmstar()),
        ("seed_bench", rows.seed()),
        ("mmbench", rows.bench(hint="look", B="g.o")),
        ("ai2d", rows.ai2d()),
    ]:
        sample = only(name, row, PLAIN)
        turned = dataclasses.replace(sample, choices=(*sample.choices[1:], sample.choices[0]))
        for template in ("abilitylens", "vlmevalkit", "default"):
            text = render(turned, template)
            places = [text.index(f" {choice}") for choice in turned.choices]
            assert places == sorted(places), (name, template)
            assert text != render(sample, template)
    turned_star = dataclasses.replace(only("mmstar", rows.mmstar()), choices=("x", "y"))
    assert render(turned_star, "abilitylens") == (
        f"How many boats can be seen?\nOptions: A: x, B: y\n{LETTER[:-1]}"
    )


def test_turned_pictures_keep_their_numbers() -> None:
    sample = only("muirbench", rows.muir())
    turned = dataclasses.replace(sample, choices=(*sample.choices[1:], sample.choices[0]))
    assert render(turned, "abilitylens") == (
        "Which image shows as many pens as [image 1]?\nA. [image 3]\n"
        f"B. None of the choices provided\nC. [image 2]\n{LETTER}"
    )


def test_a_text_that_only_looks_numbered_stays() -> None:
    sample = only("muirbench", rows.muir(question="see [image 1]", options=["a", "<image>"]))
    assert render(sample, "abilitylens") == f"see [image 1]\nA. a\nB. <image>\n{LETTER}"


def test_a_reworded_question_is_asked() -> None:
    for name, row in [
        ("mme", rows.mme()),
        ("mmstar", rows.mmstar()),
        ("mmbench", rows.bench(hint="look")),
        ("conbench", rows.con()),
    ]:
        sample = dataclasses.replace(only(name, row, PLAIN), question="Say: how many?")
        for template in ("abilitylens", "vlmevalkit", "default"):
            text = render(sample, template)
            assert "Say: how many?" in text
            assert "look" not in text
            assert "dogs" not in text
