from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray import registry as registry_module
from lens_ray.errors import UserError
from lens_ray.registry import Registry
from lens_ray.scoring import metrics
from lens_ray.scoring.metrics import METRICS, Metric, find_metric, levenshtein, score

CASES = json.loads((Path(__file__).parent / "cases" / "metrics.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_golden(case: dict[str, Any]) -> None:
    assert score(case["metric"], case["answer"], case["answers"]) == pytest.approx(
        case["score"], abs=1e-12
    )


def plain_levenshtein(left: str, right: str) -> int:
    """The textbook table, as oracle."""
    above = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        current = [row]
        for column, b in enumerate(right, 1):
            current.append(min(above[column] + 1, current[-1] + 1, above[column - 1] + (a != b)))
        above = current
    return above[-1]


@given(st.text("abc", max_size=90), st.text("abc", max_size=90))
def test_levenshtein_equals_the_table(left: str, right: str) -> None:
    assert levenshtein(left, right) == plain_levenshtein(left, right)


def test_a_rambling_answer_earns_nothing_and_costs_nothing() -> None:
    assert score("edit_similarity", "kiwi " * 200_000, ["kiwi"]) == 0.0


@given(st.integers(-10_000, 10_000), st.integers(-10_000, 10_000), st.integers(0, 3))
def test_relaxed_numeric_equals_fractions(given_: int, gold: int, places: int) -> None:
    scale = 10**places
    expected = abs(Fraction(given_, scale) - Fraction(gold, scale)) <= abs(
        Fraction(gold, scale)
    ) * Fraction(5, 100)

    def write(value: int) -> str:
        sign, digits = ("-" if value < 0 else ""), str(abs(value)).rjust(places + 1, "0")
        return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)

    assert score("relaxed_numeric", write(given_), [write(gold)]) == float(expected)


@given(st.sampled_from(["exact", "numeric", "relaxed_numeric", "edit_similarity"]), st.text())
def test_every_metric_is_a_score_and_knows_itself(metric: str, text: str) -> None:
    assert 0.0 <= score(metric, text, ["7"]) <= 1.0
    assert score(metric, text, [text]) == 1.0


def test_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UserError, match="metric 'exakt' is unknown: did you mean 'exact'"):
        find_metric("exakt")


def test_flags_of_the_builtin_metrics() -> None:
    assert {name for name in METRICS if METRICS[name].numeric} == {"numeric", "relaxed_numeric"}
    assert METRICS["all_right"].group == "all"


class Entry:
    def __init__(self, name: str, target: object) -> None:
        self.name, self.value, self.target = name, f"pack:{name}", target

    def load(self) -> object:
        return self.target


def registry(monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
    monkeypatch.setattr(registry_module, "entry_points", lambda group: list(entries))
    fresh = Registry({"exact": METRICS["exact"]}, metrics.GROUP, metrics._load)
    monkeypatch.setattr(metrics, "METRICS", fresh)


def test_entry_points_add_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Metric("prefix", lambda a, b: float(a.startswith(b)), numeric=True)
    registry(monkeypatch, Entry("half", lambda a, b: 0.5), Entry("prefix", whole))
    assert metrics.score("half", "x", ["y"]) == 0.5
    assert metrics.find_metric("prefix").numeric
    assert set(metrics.METRICS) == {"exact", "half", "prefix"}


def test_an_entry_point_takes_no_builtin_name(monkeypatch: pytest.MonkeyPatch) -> None:
    registry(monkeypatch, Entry("exact", lambda a, b: 1.0))
    with pytest.raises(UserError, match="exists already"):
        metrics.find_metric("other")


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_a_metric_that_gives_no_score_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    registry(monkeypatch, Entry("odd", lambda a, b: value))
    with pytest.raises(UserError, match="a score lies between 0 and 1"):
        metrics.score("odd", "x", ["y"])
