"""Perturbation consistency, by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from scipy import stats

from lens_ray.stats.consistency import base_of, consistency
from lens_ray.store.schema import ROWS
from tests.suites.makers import sample


def rows(*facts: dict[str, Any]) -> pa.Table:
    base = {"status": "ok", "format": "open", "ability": "ocr", "score": 1.0, "extracted": "x"}
    return pa.Table.from_pylist([base | one for one in facts], schema=ROWS)


def pair(
    number: int, one: dict[str, Any], other: dict[str, Any], **both: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of a sample and of its variant; each sample is its own cluster."""
    facts = {"cluster_id": f"t/{number}"} | both
    return (
        facts | {"sample_id": f"t/{number}"} | one,
        facts | {"sample_id": f"t/{number}#jpeg20", "variant": "jpeg20"} | other,
    )


def test_shares_by_hand() -> None:
    pairs = [
        pair(0, {}, {}),
        pair(1, {}, {"score": 0.0, "extracted": "y"}),
        pair(2, {"score": 0.0, "extracted": "a"}, {"score": 0.0, "extracted": "b"}),
        pair(3, {"extracted": "The X."}, {"extracted": "the x"}),
        pair(4, {}, {"status": "infra_error", "score": None, "extracted": None}),
        pair(5, {}, {}, ability="counting"),
        pair(6, {"status": "unparsed", "score": 0.0, "extracted": None},
             {"status": "refused", "score": 0.0, "extracted": None}, ability="counting"),
    ]  # fmt: skip
    lonely = {"sample_id": "t/9#jpeg20", "variant": "jpeg20", "cluster_id": "t/9"}
    base = rows(*(one for one, _ in pairs))
    changed = rows(*(other for _, other in pairs), lonely)
    counting, ocr, overall = consistency(base, changed)
    assert [one.ability for one in (counting, ocr, overall)] == ["counting", "ocr", "overall"]
    assert (ocr.n, ocr.unpaired) == (4, 2)
    assert (ocr.marks, ocr.answers) == (0.75, 0.5)
    assert (counting.n, counting.marks, counting.answers) == (2, 1.0, 1.0)
    # All the same: Wilson's n / (n + q^2), q the t quantile with 9 degrees, its least.
    assert counting.marks_low == pytest.approx(2 / (2 + stats.t.ppf(0.975, 9) ** 2))
    assert counting.marks_high == 1.0
    assert (overall.n, overall.unpaired) == (6, 2)
    assert overall.marks == pytest.approx((0.75 + 1) / 2)
    for one in (counting, ocr, overall):
        assert one.marks is not None
        assert one.marks_low is not None
        assert one.marks_high is not None
        assert 0 <= one.marks_low <= one.marks <= one.marks_high <= 1


def test_letters_of_rotated_options_are_compared_by_what_they_stand_for() -> None:
    facts = {"format": "multiple_choice", "answers": ("A",)}
    base, _ = sample(1, choices=("red", "blue"), **facts)
    turned, _ = sample(1, sample_id="t/1#rotate1", choices=("blue", "red"), **facts)
    common = {"format": "multiple_choice", "cluster_id": "t/1"}
    one = rows(common | {"sample_id": "t/1", "extracted": "A"})
    variant = {"sample_id": "t/1#rotate1", "variant": "rotate1"}
    same = rows(common | variant | {"extracted": "B"})
    letter = rows(common | variant | {"extracted": "A"})
    assert consistency(one, same, samples=[base, turned])[0].answers == 1.0
    assert consistency(one, letter, samples=[base, turned])[0].answers == 0.0
    with pytest.raises(ValueError, match="give the samples of both suites"):
        consistency(one, same)


def test_nothing_to_compare() -> None:
    _, changed = pair(0, {}, {})
    (one, overall) = consistency(rows(), rows(changed))
    assert (one.n, one.unpaired, one.marks, one.marks_low) == (0, 1, None, None)
    assert overall.marks is None
    assert consistency(rows(), rows())[0].marks is None


def test_clusters_widen_the_interval() -> None:
    """Twenty pairs of two clusters say less than twenty of twenty."""
    half = [pair(n, {}, {"score": float(n % 2)}) for n in range(20)]
    tied = [pair(n, {}, {"score": float(n % 2)}, cluster_id=f"c{n % 2}") for n in range(20)]
    widths = []
    for pairs in (half, tied):
        one = consistency(rows(*(a for a, _ in pairs)), rows(*(b for _, b in pairs)))[0]
        assert one.marks == 0.5
        assert one.marks_low is not None
        assert one.marks_high is not None
        widths.append(one.marks_high - one.marks_low)
    assert widths[1] > 1.5 * widths[0]


def test_the_base_of_a_variant() -> None:
    assert base_of("m/1#r2#jpeg20", "r2#jpeg20") == "m/1#r2"
    assert base_of("m/1#jpeg20", "jpeg20") == "m/1"
    for sample_id, variant in (("m/1", None), ("m/1", "jpeg20"), ("m/1#r2", "jpeg20")):
        with pytest.raises(ValueError, match="is not that of a control"):
            base_of(sample_id, variant)


def test_two_rows_of_a_sample() -> None:
    one, changed = pair(0, {}, {})
    with pytest.raises(ValueError, match="two rows"):
        consistency(rows(one, one), rows(changed))
