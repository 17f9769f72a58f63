"""Hard answers, labelled by hand: the extractor is right on 98 % and never invents a letter.

Two lists, reported apart. ``blind_answers.jsonl`` was written from the task descriptions alone by
someone who had not seen the extractor; ``hard_answers.jsonl`` by who then changed it. A third of
all was blind when they were made.

To extend ``hard_answers.jsonl`` add one JSON object on a line of its own, before you look at what
the extractor makes of it:

* ``id``: ``hard-`` and the next number;
* ``format``: ``multiple_choice``, ``true_false``, ``number`` (an open answer whose metric wants a
  number) or ``text`` (any other open answer);
* ``choices``: option texts in the order shown, ``[]`` for other formats;
* ``text``: the model's raw text, and ``finish_reason``: ``stop`` or ``length``;
* ``answer``: what a careful reader takes from the text: an upper-case letter, ``yes`` or ``no``, a
  plain decimal number, or the answer's words; null where the text settles on nothing;
* ``status``: ``ok``, ``unparsed``, ``refused`` or ``truncated``; and ``why``: one line.

An entry on which two careful readers would disagree belongs in neither list but, with the reason,
in ``disputed_answers.jsonl``, which no test reads. Never add to
``blind_answers.jsonl`` after reading `lens_ray.scoring`.
"""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.scoring.extract import Extraction, extract
from lens_ray.scoring.plain import normalise

HERE = Path(__file__).parent
COLOURS = ("red", "blue", "green car", "dark blue")
#: Right answers must be at least this share of a list.
ENOUGH = 0.98


def entries(name: str) -> list[dict[str, Any]]:
    lines = (HERE / f"{name}_answers.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read(entry: dict[str, Any]) -> Extraction:
    """The extractor's reading of an entry."""
    kind = "open" if entry["format"] in ("number", "text") else entry["format"]
    return extract(
        entry["text"],
        kind,
        entry["choices"],
        entry["finish_reason"],
        numeric=entry["format"] == "number",
    )


def agrees(entry: dict[str, Any], found: Extraction) -> bool:
    """Whether an answer and its status are those of the label."""
    given_answer, label = found.answer, entry["answer"]
    if found.status != entry["status"]:
        return False
    if given_answer is None or label is None:
        return given_answer is label
    if entry["format"] == "number":
        try:
            return Decimal(given_answer.rstrip("%")) == Decimal(label.rstrip("%"))
        except InvalidOperation:
            return False
    if entry["format"] == "text":
        return normalise(given_answer) == normalise(label)
    return bool(given_answer == label)


@pytest.mark.parametrize("name", ["hard", "blind"])
def test_right_on_98_percent_and_no_letter_invented(name: str) -> None:
    labelled = entries(name)
    readings = [(entry, read(entry)) for entry in labelled]
    wrong = [(e, found) for e, found in readings if not agrees(e, found)]
    invented = [
        (e, found)
        for e, found in wrong
        if e["format"] == "multiple_choice" and found.answer not in (None, e["answer"])
    ]
    right = len(labelled) - len(wrong)
    report = f"{name}: {right} of {len(labelled)} right, {len(invented)} letters invented\n"
    report += "\n".join(
        f"{e['id']}: {e['text']!r} is {e['answer']} ({e['status']}), "
        f"read as {found.answer} ({found.status})"
        for e, found in wrong
    )
    assert right >= ENOUGH * len(labelled), report
    assert not invented, report


def test_the_lists_are_long_enough_and_well_formed() -> None:
    hard, blind = entries("hard"), entries("blind")
    assert len(hard) + len(blind) >= 340
    assert 3 * len(blind) >= 340
    for name, labelled in (("hard", hard), ("blind", blind)):
        ids = [entry["id"] for entry in labelled]
        assert ids == [f"{name}-{index:03d}" for index in range(1, len(ids) + 1)]
        for entry in labelled:
            assert (entry["answer"] is None) == (entry["status"] != "ok"), entry["id"]
            assert entry["why"], entry["id"]
            if entry["format"] == "multiple_choice" and entry["answer"]:
                assert entry["answer"] in "ABCDEFGHIJ"[: len(entry["choices"])], entry["id"]
        assert set(Counter(entry["format"] for entry in labelled)) == {
            "multiple_choice", "true_false", "number", "text"
        }  # fmt: skip


PIECES = [
    "A", "B", " and ", " or ", "C.", "(D)", "a ", "not ", "the answer is ",
    "answer:", "option ", "A. red", "\n", "B. blue\n", "答案是", "不是", "正解は",
    "정답은 ", "wait, ", "no, ", "so ", "<think>", "</think>", '{"answer": "',
    '"}', "\\boxed{", "}", "red", "green car", "is wrong", "vitamin ",
    "either ", "?", "I can't see", "5", "-", "1.234,5", "1/2", "二十", "twenty ",
    "hundred ", "million", "½", "0/0", "E",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
)


@given(text=TEXTS, count=st.integers(2, 4), finish=st.sampled_from(["stop", "length"]))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_letter_of_the_options_or_none(text: str, count: int, finish: str) -> None:
    found = extract(text, "multiple_choice", COLOURS[:count], finish)
    assert found.answer is None or found.answer in "ABCD"[:count]
    assert (found.answer is None) == (found.status != "ok")


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_number_or_none(text: str) -> None:
    found = extract(text, "open", (), "stop", numeric=True)
    assert found.answer is None or Decimal(found.answer.rstrip("%")).is_finite()


WRAPPERS = [
    "{}",
    "<think>It may be A, or B. The answer is C. No, D.</think>\n{}",
    "It may be A, or B. The answer is C.\n</think>\n\n{}",
    "A, B, C and D are the options.\n\n**{}**",
]


@pytest.mark.parametrize("wrapper", WRAPPERS)
@given(
    letter=st.sampled_from("ABCD"),
    form=st.sampled_from(["The answer is {}.", "Answer: ({})", "\\boxed{{{}}}", "答案是{}。"]),
)
def test_thoughts_do_not_change_a_declared_answer(wrapper: str, letter: str, form: str) -> None:
    text = wrapper.format(form.format(letter))
    assert extract(text, "multiple_choice", COLOURS, "stop").answer == letter


@given(
    letter=st.sampled_from("ABCD"),
    key=st.sampled_from(["answer", "final_answer", "Answer", "choice"]),
    talk=st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    fenced=st.booleans(),
    answer_first=st.booleans(),
)
def test_json_does_not_change_a_declared_answer(
    letter: str, key: str, talk: str, fenced: bool, answer_first: bool
) -> None:
    parts = {key: letter, "reasoning": talk} if answer_first else {"reasoning": talk, key: letter}
    text = json.dumps(parts, ensure_ascii=False)
    if fenced:
        text = f"```json\n{text}\n```"
    if "think>" in talk:  # marks of thought count wherever they stand
        return
    assert extract(text, "multiple_choice", COLOURS, "stop").answer == letter


NESTED = [
    "{" * 5000,
    '{"a":' * 5000,
    "[" * 5000,
    '{"answer": ' * 3000,
    "<think>" * 3000,
    "1/" * 5000,
]


@pytest.mark.parametrize("text", NESTED)
@pytest.mark.parametrize("kind", ["multiple_choice", "true_false", "open"])
def test_deep_nesting_is_no_error(text: str, kind: str) -> None:
    assert extract(text, kind, COLOURS, "stop", numeric=kind == "open").status in ("ok", "unparsed")


MODULES = ("declared", "extract", "letters", "number_words", "numbers", "options", "plain",
           "structure", "yes_no")  # fmt: skip


def repeats(tree: Any, inside: bool = False) -> Iterator[tuple[Any, bool]]:
    """The repetitions without a bound in a parsed pattern, each with whether it is in another."""
    for operator, argument in tree:
        endless = str(operator).endswith("_REPEAT") and str(argument[1]) == "MAXREPEAT"
        if endless:
            yield argument[2], inside
        for part in argument if isinstance(argument, tuple | list) else (argument,):
            for branch in part if isinstance(part, list) else (part,):
                if isinstance(branch, _parser.SubPattern):
                    yield from repeats(branch, inside or endless)


@pytest.mark.parametrize("name", MODULES)
def test_no_pattern_can_backtrack_for_long(name: str) -> None:
    """Linear by construction: what repeats without a bound is one character or of fixed width."""
    module = importlib.import_module(f"lens_ray.scoring.{name}")
    patterns = [value for value in vars(module).values() if isinstance(value, re.Pattern)]
    assert patterns or name == "extract"
    for pattern in patterns:
        for body, nested in repeats(_parser.parse(pattern.pattern, pattern.flags)):
            low, high = body.getwidth()
            assert not nested, pattern.pattern
            assert low == high > 0, pattern.pattern
