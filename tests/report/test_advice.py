from __future__ import annotations

from lens_ray.report import advice as words
from lens_ray.stats.advice import Needs
from tests.stats.advice.makers import simulated
from tests.stats.advice.test_advisor import FIELD, advised


def text(needs: Needs, **usd: float | None) -> str:
    found = advised(simulated(FIELD), needs, usd)
    parts = (
        words.verdict_lines, words.undecided_lines, words.combination_lines, words.reason_lines,
    )  # fmt: skip
    return "\n".join([words.heading(found), *(line for part in parts for line in part(found))])


def test_a_manager_reads_what_to_take() -> None:
    said = text(Needs(weights={"ocr": 1}, min_score={"ocr": 0.7}, max_usd_per_1000=2))
    assert said.startswith("Advice on 4 models, suite simulated. What counts: ocr 100%.\n")
    assert "Take reader: its score is 0." in said
    assert "No other model can be the best (95% sure)." in said
    assert "It meets min_score.ocr: at least 0.7, found 0." in said
    assert "counter misses min_score.ocr at least 0.7, found 0." in said
    assert "Nothing is left to decide" in said
    assert "One model for each ability: not of use here, for one ability counts" in said


def test_one_model_decides_nothing() -> None:
    alone = advised(simulated({"reader": FIELD["reader"]}), Needs(), {})
    assert list(words.undecided_lines(alone)) == [
        "Nothing was decided between models: no other was compared."
    ]


def test_routing_in_words() -> None:
    said = text(Needs())
    assert (
        "One model for each ability: counter for counting, reader for ocr. Better than both" in said
    )
    assert "questions that had no part in the choice" in said


def test_no_recommendation_in_words() -> None:
    said = text(Needs(min_score={"ocr": 0.99}))
    assert "No model is recommended: no model meets every need; " in said
    assert ", the best of those that miss fewest, misses min_score.ocr at least 0.99, found" in said
    said = text(Needs(max_usd_per_1000=2), **dict.fromkeys(FIELD, None))
    assert "No model is recommended: no model surely meets every need" in said
    assert "cost is unknown: no price is known" in said


def test_one_row_a_model() -> None:
    found = advised(simulated(FIELD))
    rows = words.option_rows(found)
    assert [row[0] for row in rows] == [each.model for each in found.options]
    assert {len(row) for row in rows} == {len(words.COLUMNS)}
