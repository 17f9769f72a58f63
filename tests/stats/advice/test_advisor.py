from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from lens_ray.stats.advice import Advice, Needs
from lens_ray.stats.advice.advisor import advice_on
from lens_ray.stats.advice.expense import Expense
from lens_ray.stats.advice.fit import static_checks
from lens_ray.stats.advice.grounds import Grounds
from lens_ray.stats.costs import Cost
from lens_ray.stats.marks import Marks
from tests.stats.advice.makers import marks_from, rows_of, run, simulated


def cost_of(model: str, usd: float | None, latency: float | None = 0.5) -> Cost:
    reason = None if usd is not None else "no price is known"
    return Cost(f"run-{model}", model, 10, usd, None, reason, latency, None)


def advised(
    marks: Marks,
    needs: Needs | None = None,
    usd: Mapping[str, float | None] | None = None,
    closed: tuple[str, ...] = (),
) -> Advice:
    wanted = needs or Needs()
    prices = {name: (usd or {}).get(name, 1.0) for name in marks.models}
    costs = {name: cost_of(name, price) for name, price in prices.items()}
    runs = {
        name: run(name, access="closed", backend="openai") if name in closed else run(name)
        for name in marks.models
    }
    return advice_on(
        Grounds.of(marks, wanted, 1000),
        {name: static_checks(wanted, runs[name], {}, costs[name]) for name in marks.models},
        {name: Expense(price, 0.5) for name, price in prices.items()},
        costs,
        lambda names: rows_of(marks.only(names), {}),
    )


FIELD = {"reader": (0.5, 0.9), "counter": (0.9, 0.5), "both": (0.75, 0.75), "poor": (0.2, 0.2)}


def test_the_weights_choose() -> None:
    marks = simulated(FIELD)
    assert advised(marks, Needs(weights={"ocr": 1})).recommended == "reader"
    assert advised(marks, Needs(weights={"counting": 1})).recommended == "counter"
    alike = advised(marks)
    assert alike.weights == {"counting": 0.5, "ocr": 0.5}
    assert alike.recommended == "both"
    assert alike.options[-1].model == "poor"
    assert not alike.option("poor").possible
    assert [row["model"] for row in alike.rows()] == [each.model for each in alike.options]


def test_hard_needs_exclude() -> None:
    marks = simulated(FIELD)
    needs = Needs(weights={"ocr": 1}, max_usd_per_1000=2.0, access="open")
    found = advised(marks, needs, {"reader": 9.0}, closed=("both",))
    assert found.recommended == "counter"
    assert {each.model: each.fit for each in found.options} == {
        "counter": "met", "poor": "met", "reader": "missed", "both": "missed",
    }  # fmt: skip
    assert found.possible == ("counter",)
    assert [each.front for each in found.options if each.fit == "missed"] == [None, None]


def test_what_is_unknown_is_not_recommended() -> None:
    marks = simulated(FIELD)
    needs = Needs(weights={"ocr": 1}, max_usd_per_1000=2.0)
    found = advised(marks, needs, {"reader": None})
    assert found.recommended == "both"
    assert "reader" in found.possible
    assert any("reader meets max_usd_per_1000" in line for line in found.undecided)
    none = advised(marks, needs, dict.fromkeys(FIELD, None))
    assert none.recommended is None
    assert none.reason is not None
    assert none.reason.startswith("no model surely meets every need; reader may: max_usd_per_1000")


def test_no_model_meets_the_needs() -> None:
    marks = simulated(FIELD)
    found = advised(marks, Needs(min_score={"ocr": 0.97, "counting": 0.97}))
    assert found.recommended is None
    assert found.none_meets == 1.0
    assert found.possible == ()
    assert found.reason is not None
    assert found.reason.startswith("no model meets every need; ")
    assert "at least 0.97, found 0." in found.reason
    assert all(each.best == 0 and each.regret is None for each in found.options)


def test_a_needed_score_that_is_undecided_asks_for_samples() -> None:
    marks = simulated({"a": (0.7, 0.7), "poor": (0.2, 0.2)}, size=200)
    reached = advised(marks).option("a").abilities["ocr"]
    assert reached is not None
    found = advised(marks, Needs(min_score={"ocr": round(reached, 2)}))
    assert found.recommended is None
    plan = found.next_evaluation
    assert plan is not None
    assert plan.question == f"a: whether ocr reaches {reached:g}"
    assert list(plan.more) == ["ocr"]
    assert plan.gain is None
    assert plan.decides >= 0.8
    assert plan.usd == pytest.approx(plan.answers / 1000)


def test_models_that_are_near_ask_for_samples() -> None:
    # Right on as many samples, but not on the same ones.
    right = np.tile([1.0, 1.0, 0.0, 1.0, 0.0], 80)
    code = np.repeat([0, 1], 200)
    marks = marks_from({"a": right, "b": np.roll(right, 1)}, ["counting", "ocr"], code)
    found = advised(marks)
    assert set(found.possible) == {"a", "b"}
    plan = found.next_evaluation
    assert plan is not None
    assert set(plan.models) == {"a", "b"}
    assert set(plan.more) == {"counting", "ocr"}
    assert plan.answers == 2 * sum(plan.more.values())
    assert plan.decides >= 0.75
    assert plan.gain is not None
    assert plan.gain > 0
    sure = advised(simulated({"a": (0.9, 0.9), "b": (0.3, 0.3)}))
    assert sure.undecided == ()
    assert sure.next_evaluation is None


def test_a_difference_that_does_not_matter_is_decided() -> None:
    marks = simulated({"a": (0.7, 0.7), "b": (0.7, 0.7)}, size=500)
    found = advised(marks, Needs(indifference=0.3))
    assert set(found.possible) == {"a", "b"}
    assert found.undecided == ()
    assert found.evaluations == ()


def test_one_model() -> None:
    found = advised(simulated({"a": (0.7, 0.7)}))
    assert found.recommended == "a"
    assert found.option("a").best == 1.0
    assert found.combinations == ()
    assert "there is one model only, so it is compared with none" in found.notes


def test_few_images_are_said() -> None:
    found = advised(simulated({"a": (0.7, 0.7), "b": (0.6, 0.6)}, size=12))
    assert sum("independent images only" in note for note in found.notes) == 2


def test_a_pareto_front_of_score_and_cost() -> None:
    marks = simulated({"dear": (0.9, 0.9), "cheap": (0.7, 0.7), "worse": (0.5, 0.5)}, size=1000)
    found = advised(marks, usd={"dear": 5.0, "cheap": 1.0, "worse": 5.0})
    assert found.option("dear").front
    assert found.option("cheap").front
