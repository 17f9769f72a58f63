from __future__ import annotations

import json
import string
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.scoring.extract import extract
from lens_ray.scoring.plain import storable

CASES = Path(__file__).parent / "cases"
COLOURS = ("red", "blue", "green car", "dark blue")
KINDS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "letters": ("multiple_choice", COLOURS, False),
    "yes_no": ("true_false", (), False),
    "numbers": ("open", (), True),
    "open": ("open", (), False),
}


def golden() -> list[Any]:
    return [
        pytest.param(kind, case, id=f"{kind}-{index}")
        for kind in KINDS
        for index, case in enumerate(json.loads((CASES / f"{kind}.json").read_text("utf-8")))
    ]


@pytest.mark.parametrize(("kind", "case"), golden())
def test_golden(kind: str, case: dict[str, Any]) -> None:
    sample_format, choices, numeric = KINDS[kind]
    found = extract(
        case["text"], sample_format, choices, case.get("finish", "stop"), numeric=numeric
    )
    expected = (case["answer"], case["method"], case.get("status", "ok"))
    assert (found.answer, found.method, found.status) == expected
    assert (found.cause is None) == (found.status == "ok")


@pytest.mark.parametrize("count", range(2, 7))
def test_only_the_letters_of_the_options_are_valid(count: int) -> None:
    choices = tuple(f"thing{index}" for index in range(count))
    for index, letter in enumerate(string.ascii_uppercase):
        found = extract(f"The answer is ({letter})", "multiple_choice", choices, "stop")
        assert found.answer == (letter if index < count else None)


def test_option_that_is_a_letter_of_no_option() -> None:
    found = extract("K", "multiple_choice", ("X", "K", "Q"), "stop")
    assert (found.answer, found.method) == ("B", "option_text")


def test_content_filter_is_a_refusal_with_its_cause() -> None:
    found = extract("Here is", "multiple_choice", COLOURS, "content_filter")
    assert found.status == "refused"
    assert "filter" in str(found.cause)


HOSTILE = st.one_of(
    st.text(max_size=300),
    st.text(alphabet=st.characters(categories=["Cs", "Cc", "Mn", "Nd"]), max_size=100),
    st.lists(
        st.sampled_from(
            ["<b>", "</b>", "\x1b[31m", "\0", "\udc80", "A", "B.", "yes", "no", "answer", " is ",
             ":", "\\boxed{", "}", "1,", "234", "%", "-", "\n", "I cannot help", "\\text{", "("]
        ),
        max_size=40,
    ).map("".join),
)  # fmt: skip
FINISH = st.sampled_from(["stop", "length", "content_filter"])


@given(text=HOSTILE, finish=FINISH, kind=st.sampled_from(sorted(KINDS)))
@settings(max_examples=400, deadline=None)
def test_any_text_gives_a_canonical_answer_or_a_cause(text: str, finish: str, kind: str) -> None:
    sample_format, choices, numeric = KINDS[kind]
    found = extract(text, sample_format, choices, finish, numeric=numeric)
    if found.status == "ok":
        assert found.cause is None
        assert found.answer
        if kind == "letters":
            assert found.answer in "ABCD"
        if kind == "yes_no":
            assert found.answer in ("yes", "no")
        if kind == "numbers":
            float(found.answer.rstrip("%"))
    else:
        assert found.answer is None
        assert found.cause
        assert (found.status == "truncated") <= (finish == "length")
    storable(found.answer or "").encode("utf-8")


@given(finish=FINISH, letter=st.sampled_from("ABCD"), before=st.text("abc xyz\n", max_size=50))
def test_a_declared_answer_wins_over_what_precedes_it(
    finish: str, letter: str, before: str
) -> None:
    found = extract(
        f"B or C. {before} The answer is ({letter}).", "multiple_choice", COLOURS, finish
    )
    assert (found.answer, found.status) == (letter, "ok")


MEGABYTE = 1_000_000
BLOCKS = [
    "a", "A ", "B ", "<", "<a", "(", "answer is ", "answer: ", "1", "1,", "1,111,", "-", " ",
    "\n", "\\boxed{", "\\text{", "\x1b[", "\0", "\udc80", "I'm sorry ", "no ", "é̖́", "̖́",
    "the answer is the correct option ", "yes/", "١", "not ", "\ufdfa", "1.", ".",
    "wait, it is ", "A and ", "(A) ", "A. red\n", '{"answer": ', "<think>", "B is not ", "no, ",
    "between 1 and ", "twenty ", "二十", "1 111 ", "1.111.", "1/", "if A, ", "答案是",
]  # fmt: skip


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("block", BLOCKS)
def test_a_megabyte_is_read_in_linear_time(kind: str, block: str) -> None:
    sample_format, choices, numeric = KINDS[kind]
    text = (block * (MEGABYTE // len(block) + 1))[:MEGABYTE]
    started = time.process_time()
    found = extract(text, sample_format, choices, "stop", numeric=numeric)
    # A quadratic pattern would take hours; linear ones take tenths of a second.
    assert time.process_time() - started < 20
    assert found.status in ("ok", "unparsed", "refused")
