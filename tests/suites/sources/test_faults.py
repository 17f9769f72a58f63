"""Bad values end in one line that names the source, the row and the column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import SuiteError
from lens_ray.suites.sources.base import Options
from lens_ray.suites.sources.registry import SOURCES
from tests.suites.sources import rows
from tests.suites.sources.rows import samples_of

Make = Callable[..., dict[str, Any]]
MAKE: dict[str, Make] = {
    "mme": rows.mme, "seed_bench": rows.seed, "mirb": rows.mirb, "mmstar": rows.mmstar,
    "muirbench": rows.muir, "ocrbench": rows.ocr, "synthdog": rows.dog, "mmbench": rows.bench,
    "chartqa": rows.chart, "ai2d": rows.ai2d, "conbench": rows.con,
}  # fmt: skip

BAD = [
    ("mme", {"answer": "Maybe"}, "answer: 'Maybe' is neither yes nor no"),
    ("mme", {"question": 3}, "question: 3 is no text"),
    ("mme", {"question_id": None}, "question_id: it is empty"),
    ("mme", {"question_id": True}, "question_id: True is no text"),
    ("seed_bench", {"choice_b": None}, "choice_b: it is empty"),
    ("seed_bench", {"choice_b": float("nan")}, "choice_b: it is empty"),
    ("seed_bench", {"answer": "E"}, "answer: 'E' is none of the letters of its 4 options"),
    ("seed_bench", {"answer": ""}, "answer: it is empty"),
    ("seed_bench", {"answer": "AB"}, "answer: 'AB' is none of the letters of its 4 options"),
    ("mirb", {"answers": ["3"]}, "answers: ['3'] is no text"),
    ("mmstar", {"answer": "1"}, "answer: '1' is none of the letters of its 4 options"),
    ("mmstar", {"index": 1.5}, "index: 1.5 is no text"),
    ("muirbench", {"options": []}, "options: [] is no list of texts"),
    ("muirbench", {"options": None}, "options: nothing is no list of texts"),
    ("muirbench", {"options": ["a", 2]}, "options: its part 2 is no text"),
    ("muirbench", {"options": ["a"]}, "options: 1 options; 2 to 26 can be asked"),
    ("muirbench", {"options": ["a"] * 27}, "options: 27 options; 2 to 26 can be asked"),
    ("muirbench", {"answer": "D"}, "answer: 'D' is none of the letters of its 3 options"),
    ("ocrbench", {"answer": ["a", " "]}, "answer: one of its answers is empty"),
    (
        "ocrbench",
        {"question_type": "KIE"},
        "question_type: 'KIE' is none of the 10 published types",
    ),
    ("synthdog", {"ground_truth": "{'a': 1}"}, "ground_truth: it is not JSON"),
    ("synthdog", {"ground_truth": "[" * 100_000}, "ground_truth: it is not JSON"),
    ("synthdog", {"ground_truth": "[]"}, "ground_truth: it has no text at gt_parse.text_sequence"),
    (
        "synthdog",
        {"ground_truth": '{"gt_parse": {"text_sequence": 5}}'},
        "ground_truth: it has no text at gt_parse.text_sequence",
    ),
    ("mmbench", {"index": "x1"}, "index: 'x1' is no whole number"),
    ("mmbench", {"index": -4}, "index: -4 is no whole number"),
    ("mmbench", {"B": None}, "C: it has a text, and B before it has none"),
    ("mmbench", {"B": None, "C": None, "D": None}, "B: 1 options; 2 to 26 can be asked"),
    ("mmbench", {"hint": 4}, "hint: 4 is no text"),
    ("chartqa", {"type": "test"}, "type: 'test' is neither human_test nor augmented_test"),
    ("chartqa", {"answer": " "}, "answer: it is empty"),
    ("ai2d", {"answer": "3"}, "answer: 3 is the index of none of its 3 options"),
    ("ai2d", {"answer": "B"}, "answer: 'B' is no whole number"),
    ("ai2d", {"answer": "-1"}, "answer: '-1' is no whole number"),
    ("conbench", {"question_field": "Y/N"}, "question_field: 'Y/N' is none of N/Y, Choices, Q/A"),
    ("conbench", {"answer": "3"}, "answer: '3' is neither yes nor no"),
]


@pytest.mark.parametrize(("name", "changes", "line"), BAD)
def test_a_bad_value_is_named(name: str, changes: dict[str, object], line: str) -> None:
    skipped = MAKE[name](**_passed_over(name))
    with pytest.raises(SuiteError) as said:
        samples_of(name, [skipped, MAKE[name](**changes)])
    assert str(said.value) == f"{name}: row 1: column {line}"


def _passed_over(name: str) -> dict[str, object]:
    """What makes a row that no ability takes, so that numbers are those of the data set."""
    for selection in SOURCES[name].abilities.values():
        if selection.column is not None:
            return {selection.column: "no such category"}
    return {}


@pytest.mark.parametrize("name", MAKE)
@given(data=st.data())
def test_any_value_is_a_sample_or_one_line(name: str, data: st.DataObject) -> None:
    row = MAKE[name]()
    selected = {s.column for s in SOURCES[name].abilities.values()}
    column = data.draw(st.sampled_from(sorted(row.keys() - selected)))
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(),
        st.lists(st.one_of(st.text(), st.none()), max_size=4),
        st.dictionaries(st.text(), st.none()),
    )  # fmt: skip
    row[column] = data.draw(junk)
    made, fault = [], None
    try:
        made = samples_of(name, [row], Options(mme="each", mmbench="plain", conbench="each"))
    except SuiteError as error:
        fault = str(error)
    if fault is not None:
        assert fault.startswith(f"{name}: row 0: column ")
        assert len(fault.splitlines()) == 1
    assert all(0 <= sample.chance < sample.upper for sample in made)
    assert all(isinstance(v, str) for sample in made for v in sample.meta.values())
