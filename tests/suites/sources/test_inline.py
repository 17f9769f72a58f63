from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.suites.sources.inline import Inline, count_options, split_options


@pytest.mark.parametrize(
    "options",
    [
        "Options: A: red cat, B: a, b and c, C: Vitamin, D: 4.5",
        "Options:\nA: red cat\nB: a, b and c\nC: Vitamin\nD: 4.5",
        "Choices:\n(A) red cat\n(B) a, b and c\n(C) Vitamin\n(D) 4.5",
        "Options: (A) red cat (B) a, b and c (C) Vitamin (D) 4.5",
        "Options:\nA. red cat\nB. a, b and c\nC. Vitamin\nD. 4.5\n",
        "Choices: A) red cat\nB) a, b and c\nC) Vitamin\nD) 4.5",
    ],
)
def test_the_published_layouts(options: str) -> None:
    assert split_options(f"What is\nit?\n{options}") == Inline(
        "What is\nit?", ("red cat", "a, b and c", "Vitamin", "4.5")
    )


@pytest.mark.parametrize(
    "text",
    [
        "What is it?",
        "What is it? A: 1, B: 2",  # nothing says where the options begin
        "Options: A: 1, B: 2",  # no question
        "Which? Options: A: 1",
        "Which? Options: A: 1, B: 1",
        "Which? Options: A: 1, B: , C: 3",
        "Which? Options: B: 1, A: 2",
        "Which? Options: A: 1, C: 2",
        "Which? Options: A: 1, B: 2, D: 4",
        "Which? Options: A: x, B: y, B: z, C: w",
        "Which? Options: A: see Options: A: 1, B: 2",
        "Which? Options: A: hepatitis, B: 2, A: 3",
        "Which? Options: A: 1, B: 2" + " " * 10_000,
    ],
)
def test_what_is_not_safe_stays_in_the_question(text: str) -> None:
    assert split_options(text) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("A. 1\nB. 2\nC. 3", 3),
        ("Which? (A) 1 (B) 2", 2),
        ("Which? A: 1, B: 2, C: 3, D: 4, E: 5", 5),
        ("A. 1\nC. 3", 1),
        ("USA: a country. CRAB: none", 0),
        ("", 0),
    ],
)
def test_letters_are_counted(text: str, count: int) -> None:
    assert count_options(text) == count


OPTION = st.text("xyz 0.5,-", min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(OPTION, min_size=2, max_size=6, unique=True))
def test_what_is_split_is_what_was_joined(choices: list[str]) -> None:
    listed = ", ".join(f"{letter}: {text}" for letter, text in zip("ABCDEF", choices, strict=False))
    assert split_options(f"q?\nOptions: {listed}") == Inline("q?", tuple(choices))


@given(st.text("AB:C.) (,\nOptions", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    found = split_options(f"q? Options: {text}")
    assert found is None or (len(set(found.choices)) == len(found.choices) >= 2)
