from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lens_ray.stats.advice.combine import Combination, Pair, cascade, route
from lens_ray.stats.advice.expense import Expense, cheaper_than
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats, marked_units
from lens_ray.store.schema import ROWS
from tests.stats.advice.makers import rows_of, simulated

HALVES = {"counting": 0.5, "ocr": 0.5}


def free(marks: Marks) -> dict[str, Expense]:
    return {name: Expense(usd_per_1000=1.0, latency_s=0.5) for name in marks.models}


def knowing(marks: Marks, model: str, seed: int = 3) -> Floats:
    """Confidences that tell right from wrong, though not always."""
    right = marks.score[marks.place(model)]
    noise = np.random.default_rng(seed).normal(0, 0.15, len(right))
    found: Floats = np.clip(0.3 + 0.4 * right + noise, 0, 1)
    return found


def test_each_ability_to_the_model_that_is_best_at_it() -> None:
    marks = simulated({"reads": (0.5, 0.9), "counts": (0.9, 0.5), "bad": (0.3, 0.3)}, size=500)
    found = route(marks, "reads", HALVES, free(marks), 0.02)
    assert found.models == {"counting": "counts", "ocr": "reads"}
    assert found.verdict == "better"
    assert found.n == 500  # half of 1,000
    # On sealed: half of what each is right on.
    sealed = marks.of("split", ["sealed"])
    ability = sealed.facets["ability"]
    by_hand = [
        sealed.score[sealed.place(model), ability.code == ability.labels.index(name)].mean()
        for name, model in found.models.items()
    ]
    assert found.score == pytest.approx(np.mean(by_hand), abs=0.01)
    assert found.usd_per_1000 == pytest.approx(1.0)


def test_no_route_where_nothing_is_gained() -> None:
    marks = simulated({"a": (0.7, 0.7), "b": (0.7, 0.7), "c": (0.7, 0.7)}, size=200)
    assert "no model is surely better than a" in str(
        route(marks, "a", HALVES, free(marks), 0.02).reason
    )
    best = simulated({"a": (0.9, 0.9), "b": (0.4, 0.4)}, size=200)
    assert route(best, "a", HALVES, free(best), 0.02).models == {}
    one = route(marks, "a", {"counting": 1.0, "ocr": 0.0}, free(marks), 0.02)
    assert one.reason == "one ability counts, so there is nothing to route"
    alone = marks.only(["a"])
    assert route(alone, "a", HALVES, free(alone), 0.02).reason == "there is one model only"


@pytest.mark.parametrize("lost", ["search", "sealed"])
def test_a_suite_without_a_split_has_no_combination(lost: str) -> None:
    marks = simulated({"a": (0.5, 0.9), "b": (0.9, 0.5)}, size=200)
    split = marks.facets["split"]
    without = marks.where(split.code != split.labels.index(lost))
    says = f"no answer belongs to the split {lost}"
    assert route(without, "a", HALVES, free(marks), 0.02).reason == says
    found = cascade(without, "a", lambda names: {}, HALVES, free(marks), 0.02)
    assert found.reason == says


def two_sizes(confident: bool = True) -> tuple[Marks, Combination]:
    marks = simulated({"small": (0.6, 0.65), "large": (0.85, 0.9)}, size=2000, seed=8)
    tables = rows_of(marks, {"small": knowing(marks, "small")} if confident else {})
    cost = {"small": Expense(usd_per_1000=0.1, latency_s=0.1), "large": Expense(2.0, 1.0)}
    return marks, cascade(
        marks, "large", lambda names: {n: tables[n] for n in names}, HALVES, cost, 0.02
    )


def test_a_small_model_first_is_as_good_and_cheaper() -> None:
    _, found = two_sizes()
    assert found.models == {"first": "small", "second": "large"}
    assert found.basis == "dollars"
    assert found.verdict in ("as good", "better")
    assert found.deferred is not None
    assert found.usd_per_1000 is not None
    assert 0.2 < found.deferred < 0.8
    assert found.usd_per_1000 == pytest.approx(0.1 + 2.0 * found.deferred)
    assert found.usd_per_1000 < 2.0
    assert found.latency_s == pytest.approx(0.1 + found.deferred)


def test_the_outcome_is_that_of_the_rows() -> None:
    marks, found = two_sizes()
    assert found.threshold is not None
    sure = knowing(marks, "small")
    sealed = marks.facets["split"].code == marks.facets["split"].labels.index("sealed")
    mixed = np.where(sure < found.threshold, marks.score[1], marks.score[0])
    ability = marks.facets["ability"].code
    by_hand = [mixed[sealed & (ability == code)].mean() for code in (0, 1)]
    assert found.score == pytest.approx(np.mean(by_hand))
    assert found.deferred == pytest.approx((sure < found.threshold)[sealed].mean())


def test_why_there_is_no_cascade() -> None:
    _, silent = two_sizes(confident=False)
    assert silent.reason == "no cheaper model gives a confidence with its answers"
    marks = simulated({"a": (0.6, 0.6), "b": (0.8, 0.8)}, size=300)
    same = cascade(marks, "b", lambda names: {}, HALVES, free(marks), 0.02)
    assert same.reason == "no model is known to be cheaper or smaller than b"
    # A confidence that says nothing: every deferral costs as much as it brings.
    tables = rows_of(marks, {"a": np.random.default_rng(1).random(600)})
    cost = {"a": Expense(usd_per_1000=1.0), "b": Expense(usd_per_1000=1.5)}
    useless = cascade(marks, "b", lambda names: tables, HALVES, cost, 0.02)
    assert "no cascade is better than b, or as good and cheaper" in str(useless.reason)
    equal = simulated({"a": (0.8, 0.8), "b": (0.8, 0.8)}, size=300)
    tables = rows_of(equal, {"a": np.random.default_rng(1).random(600)})
    alone = cascade(equal, "b", lambda names: tables, HALVES, cost, 0.1)
    assert alone.reason == "on split search a alone is nearly as good, and cheaper"


def test_a_pair_of_questions_is_marked_with_both_answers() -> None:
    def table(scores: Sequence[float], sure: Sequence[float]) -> pa.Table:
        return pa.Table.from_pylist(
            [
                {
                    "run_id": "r", "sample_id": f"s{n}", "ability": "ocr", "subtask": "t",
                    "split": "sealed", "score": score, "chance": 0.5, "upper": 1.0,
                    "cluster_id": "c", "group_id": "g", "metric": "all_right", "status": "ok",
                    "confidence": given,
                }
                for n, (score, given) in enumerate(zip(scores, sure, strict=True))
            ],
            schema=ROWS,
        )  # fmt: skip

    first, second = table([1.0, 0.0], [0.9, 0.2]), table([0.0, 1.0], [0.5, 0.5])
    pair = Pair.of(first, second, "sealed", {"ocr": 1.0})
    defer = pair.confidence < 0.5
    assert defer.tolist() == [False, True]
    assert pair.share(defer) == 0.5
    units = marked_units(pair.mixed(defer))
    assert units.score.tolist() == [1.0]  # right on both, which neither model is alone


def test_answers_that_cannot_be_read_are_passed_on() -> None:
    marks = simulated({"a": (0.6, 0.6)}, size=10)
    table = rows_of(marks, {"a": np.ones(20)})["a"]
    status = ["unparsed", "refused", *["ok"] * 18]
    sure = [1.0, 1.0, float("nan"), 1.5, *[1.0] * 16]
    for name, values in (("status", status), ("confidence", sure)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pair = Pair.of(table, table, "anchor", HALVES)
    assert np.isneginf(pair.confidence).tolist() == [True, True, False, False]
    pair = Pair.of(table, table, "search", HALVES)
    assert np.isneginf(pair.confidence).sum() == 2


def test_what_makes_a_model_cheaper() -> None:
    expenses = {
        "big": Expense(None, 1.0, 8e9), "small": Expense(None, 0.9, 1e9), "same": Expense(1.0),
    }  # fmt: skip
    assert cheaper_than("big", expenses) == ("parameters", {"small": 0.125})
    assert cheaper_than("small", expenses) == (None, {})
    slow = {"a": Expense(latency_s=1.0), "b": Expense(latency_s=0.9), "c": Expense(latency_s=0.5)}
    assert cheaper_than("a", slow) == ("latency", {"c": 0.5})
    priced = {"a": replace(expenses["big"], usd_per_1000=1.0), "b": Expense(0.5, 2.0, 9e9)}
    assert cheaper_than("a", priced) == ("dollars", {"b": 0.5})
