"""Marks of several models on the same units, and when models are not comparable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import UserError
from lens_ray.stats.marks import NotComparable, comparable, load_marks, marks_of
from tests.stats.fields import field_of
from tests.stats.stores import Asked, add_run, store_of
from tests.stats.tables import row, table

NAN = float("nan")
RIGHT = [1.0, 0.0, 1.0, 1.0] * 2


def test_models_share_one_row_of_units_whatever_the_order_of_their_rows() -> None:
    one = [row("s1", "ocr", "x", 1.0), row("s2", "ocr", "x", 0.0), row("s3", "ocr", "y", 1.0)]
    two = [row("s3", "ocr", "y", 0.5), row("s1", "ocr", "x", 0.25)]
    marks = marks_of({"one": table(one), "two": table(two)}, weights={})
    assert marks.ids == ("s1", "s2", "s3")
    assert marks.strata == (("ocr", "x"), ("ocr", "y"))
    np.testing.assert_array_equal(marks.score, [[1.0, 0.0, 1.0], [0.25, NAN, 0.5]])
    np.testing.assert_array_equal(marks.stratum, [0, 0, 1])
    assert marks.common().ids == ("s1", "s3")


def test_a_group_that_is_marked_as_one_is_one_unit() -> None:
    rows = [
        row(f"s{n}", "ocr", "x", score, chance=0.5, group=group, metric="all_right", cluster="c")
        for n, (score, group) in enumerate([(1.0, "g"), (0.0, "g"), (1.0, "h"), (1.0, "h")])
    ]
    marks = marks_of({"one": table(rows)}, weights={})
    assert marks.ids == ("s0", "s2")
    np.testing.assert_array_equal(marks.score, [[0.0, 1.0]])
    np.testing.assert_array_equal(marks.chance, [0.25, 0.25])
    assert marks.clusters == 1


def test_what_differs_between_models_is_no_sample() -> None:
    tables = {
        "one": table([row("s1", "ocr", "x", 1.0, chance=0.5)]),
        "two": table([row("s1", "ocr", "x", 1.0, chance=0.25)]),
    }
    with pytest.raises(ValueError, match="'s1' has not the same chance for all models"):
        marks_of(tables, weights={})
    with pytest.raises(ValueError, match="no model is given"):
        marks_of({}, weights={})


def test_some_models_and_some_units() -> None:
    marks = field_of(
        {"a": np.array([1.0, 0.0, NAN]), "b": np.array([0.0, 1.0, 1.0])},
        ability=["ocr", "ocr", "counting"],
        subtask=["x", "y", "z"],
        cluster=["c1", "c2", "c2"],
        format=["open", "true_false", "open"],
    )
    assert marks.only(["b"]).models == ("b",)
    with pytest.raises(UserError, match="no model 'c'; there are: a, b"):
        marks.only(["c"])
    opened = marks.of("format", ["open", "unknown"])
    assert opened.ids == ("s00000", "s00002")
    assert opened.strata == (("counting", "z"), ("ocr", "x"))
    np.testing.assert_array_equal(opened.stratum, [1, 0])
    assert (opened.clusters, opened.cluster.tolist()) == (2, [0, 1])
    assert opened.common().ids == ("s00000",)
    both = marks.common()
    assert both.common() is both


@given(st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0, NAN]), min_size=6, max_size=6), min_size=1,
                max_size=4))  # fmt: skip
def test_common_units_are_those_without_a_gap(scores: list[list[float]]) -> None:
    marks = field_of(
        {f"m{place}": np.array(row) for place, row in enumerate(scores)},
        ability=["ocr", "counting"] * 3, subtask=["x", "y", "z"] * 2,
    )  # fmt: skip
    whole = {
        name for place, name in enumerate(marks.ids) if not np.isnan(marks.score[:, place]).any()
    }
    found = marks.common()
    assert set(found.ids) == whole
    assert found.answered.all()
    for place, name in enumerate(found.ids):
        before = marks.ids.index(name)
        assert found.strata[found.stratum[place]] == marks.strata[marks.stratum[before]]


def test_runs_of_a_store(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"a": Asked(RIGHT), "b": Asked([1.0] * 8)})
    marks = load_marks(store, ["b", "a"])
    assert marks.models == ("b", "a")
    assert [run.model for run in marks.runs] == ["b", "a"]
    assert (marks.suite, marks.suite_digest, marks.notes) == ("tiny", "d" * 64, ())
    assert marks.weights["ocr"] == {"signs": 0.5, "labels": 0.5}
    np.testing.assert_array_equal(marks.score, [[1.0] * 8, RIGHT])
    assert load_marks(store, ["a"], abilities=["ocr"]).strata == (
        ("ocr", "labels"),
        ("ocr", "signs"),
    )
    with pytest.raises(UserError, match="no row of the ability 'orc'; there are: counting, ocr"):
        load_marks(store, ["a"], abilities=["orc"])
    with pytest.raises(UserError, match="on 'some': use all or common"):
        load_marks(store, ["a"], on="some")


ANOTHER = Asked(RIGHT, suite="other", digest="e" * 64)


@pytest.mark.parametrize(
    ("second", "why", "left"),
    [
        (ANOTHER, "a and b answered different suites: tiny (dddddddddddd) and other (eeeeeeeee", 8),
        (Asked(RIGHT, template="chat@1"), "a and b were asked by templates default@1 and ", 8),
        (
            Asked(RIGHT[:6], left_out=("t/0006", "t/0007")),
            "a and b were not asked the same samples (8 and 6 of them)",
            6,
        ),
        (
            Asked([*RIGHT[:7], None]),
            "b (00000002) answered 87.5% of its 8 samples, below 99%",
            7,
        ),
        (Asked(RIGHT[:3], committed=False), "b (00000002) is not finished: 3 rows so far", 3),
    ],
)  # fmt: skip
def test_what_is_not_comparable_is_refused_or_taken_in_common_knowingly(
    tmp_path: Path, second: Asked, why: str, left: int
) -> None:
    store = store_of(tmp_path, {"a": Asked(RIGHT), "b": second})
    with pytest.raises(NotComparable) as refused:
        load_marks(store, ["a", "b"])
    assert str(refused.value).startswith(why)
    assert str(refused.value).endswith(
        "run them again on the same suite, or add --on common to compare what all of them answered"
    )
    assert refused.value.exit_code == 2
    marks = load_marks(store, ["a", "b"], on="common")
    assert len(marks.ids) == left
    assert marks.answered.all()
    assert marks.notes[0].startswith(f"on the samples in common, knowingly: {why}")
    runs = marks.runs
    kept, left_out = comparable(store, runs[0], runs[1:])
    assert kept == []
    assert left_out[0].startswith(why)


def test_a_sample_that_was_asked_in_other_words_is_not_in_common(tmp_path: Path) -> None:
    other = Asked(RIGHT, suite="other", digest="e" * 64, changes={2: {"sample_digest": "else"}})
    store = store_of(tmp_path, {"a": Asked(RIGHT), "b": other})
    marks = load_marks(store, ["a", "b"], on="common")
    assert len(marks.ids) == 7
    assert "t/0002" not in marks.ids


def test_nothing_in_common(tmp_path: Path) -> None:
    words = {number: {"sample_digest": "else"} for number in range(8)}
    other = Asked(RIGHT, suite="other", digest="e" * 64, changes=words)
    store = store_of(tmp_path, {"a": Asked(RIGHT), "b": other})
    with pytest.raises(NotComparable, match="a and b have no answered sample in common"):
        load_marks(store, ["a", "b"], on="common")


@pytest.mark.parametrize("mark", [NAN, 1e308, -1e308])
def test_marks_that_are_no_numbers_are_one_line(tmp_path: Path, mark: float) -> None:
    store = store_of(tmp_path, {"a": Asked(RIGHT), "b": Asked([mark, *RIGHT[1:]])})
    with pytest.raises(NotComparable, match="a and b: 1 answered rows have no score, first t/0000"):
        load_marks(store, ["a", "b"])


def test_which_runs_are_comparable_with_one(tmp_path: Path) -> None:
    store = store_of(
        tmp_path, {"a": Asked(RIGHT), "b": Asked([0.0] * 8), "c": Asked(RIGHT, template="chat@1")}
    )
    a, b, c = store.runs()
    kept, left_out = comparable(store, a, [b, c])
    assert kept == [b]
    assert left_out == ["a and c were asked by templates default@1 and chat@1"]
    open_run = add_run(store, "00000009-run", "d", replace(Asked(RIGHT), committed=False))
    with pytest.raises(NotComparable, match=r"d .00000009. is not finished: 8 rows so far"):
        comparable(store, open_run, [a])
