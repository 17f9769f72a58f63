"""That the marking which a sample names exists, and gives a right answer all that can be earned."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.scoring.mark import mark
from lens_ray.scoring.metrics import METRICS, find_metric
from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Options
from tests.suites.sources import rows
from tests.suites.sources.rows import only

ROWS: list[tuple[str, dict[str, Any]]] = [
    ("mme", rows.mme()), ("mme", rows.mme(answer="No")), ("seed_bench", rows.seed()),
    ("mirb", rows.mirb()), ("mmstar", rows.mmstar()), ("muirbench", rows.muir()),
    ("mmstar", rows.mmstar(question="How many? A: 1 B: 2 C: 3")), ("ocrbench", rows.ocr()),
    ("ocrbench", rows.ocr(dataset="HME100k", answer=["x ^ 2"])), ("mmbench", rows.bench()),
    ("synthdog", rows.dog("Hello World, again")), ("chartqa", rows.chart()), ("ai2d", rows.ai2d()),
    ("conbench", rows.con()), ("conbench", rows.con("Choices")), ("conbench", rows.con("Q/A")),
]  # fmt: skip
OPTIONS = [
    Options(),
    Options(mme="each", mmbench="plain", conbench="each"),
    Options(faithful=True),
    Options(faithful=True, mme="each", mmbench="plain", conbench="each"),
]


def right(sample: Sample) -> str:
    """The reply of a model that knows."""
    gold = sample.answers[0]
    if sample.format == "open" or sample.meta.get("dataset") == "HME100k":
        return gold
    return gold if sample.format == "multiple_choice" else gold.capitalize()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_right_answer_earns_the_upper_bound(
    name: str, row: dict[str, Any], options: Options
) -> None:
    sample = only(name, row, options)
    marked = mark(sample, right(sample), "stop")
    assert marked.score == pytest.approx(sample.upper)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("name", "row"), ROWS)
def test_what_is_grouped_is_marked_as_a_group(
    name: str, row: dict[str, Any], options: Options
) -> None:
    sample = only(name, row, options)
    assert sample.metric in METRICS
    if sample.group_id is not None:
        rule = "mean_and_all" if name == "mme" else "all"
        assert find_metric(sample.metric).group == rule


@given(st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0x250), min_size=1))
def test_the_upper_bound_of_a_page_is_what_its_lower_case_earns(gold: str) -> None:
    if not gold.strip():
        return
    sample = only("synthdog", rows.dog(gold), Options(faithful=True))
    reader = find_metric("synthdog").whole
    assert reader is not None
    best = reader(sample, gold.lower())[1]
    if sample.upper < 1:
        assert best <= sample.upper + 1e-12
    if gold.lower().upper() == gold.upper() and len(gold.lower()) == len(gold):
        assert best == pytest.approx(sample.upper if sample.upper < 1 else 0.0)
