"""Variants and repeats, by hand and against statsmodels' analysis of variance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from lens_ray.stats.clustered import few_clusters
from lens_ray.stats.variance_split import Split, split_of
from lens_ray.stats.versions import kept, repeats_of, variants_of
from lens_ray.store.schema import ROWS
from tests.suites.makers import sample


def rows(*facts: dict[str, Any]) -> pa.Table:
    base = {"status": "ok", "format": "open", "ability": "ocr", "score": 1.0, "extracted": "x"}
    return pa.Table.from_pylist([base | one for one in facts], schema=ROWS)


def base(number: int, **facts: Any) -> dict[str, Any]:
    return {"sample_id": f"t/{number}", "cluster_id": f"t/{number}"} | facts


def variant(number: int, label: str, **facts: Any) -> dict[str, Any]:
    return {
        "sample_id": f"t/{number}#{label}", "variant": label, "cluster_id": f"t/{number}"
    } | facts  # fmt: skip


WRONG = {"score": 0.0, "extracted": "y"}


def test_variants_by_hand() -> None:
    """Four questions, each with two variants.

    ========  ====  ====  ====  =========  =======  ====  =====
    question  base  r1    r2    agreement  flips    mean  worst
    ========  ====  ====  ====  =========  =======  ====  =====
    0         x 1   x 1   x 1   3/3        0/2      1     1
    1         x 1   y 0   x 1   1/3        1/2      2/3   0
    2         y 0   z 0   z 0   1/3        0/2      0     0
    3         x 1   -     none  0/1        1/1      1/2   0
    ========  ====  ====  ====  =========  =======  ====  =====

    (the r1 of 3 is lost, its r2 has no answer; no answer beside "x" is another answer.)
    """
    found = variants_of(
        rows(base(0), base(1), base(2, **WRONG), base(3)),
        [
            rows(
                variant(0, "rephrase1"), variant(1, "rephrase1", **WRONG),
                variant(2, "rephrase1", score=0.0, extracted="z"),
                variant(3, "rephrase1", status="infra_error", score=None, extracted=None),
                variant(9, "rephrase1"),
            ),
            rows(
                variant(0, "rephrase2"), variant(1, "rephrase2"),
                variant(2, "rephrase2", score=0.0, extracted="z"),
                variant(3, "rephrase2", status="unparsed", score=0.0, extracted=None),
            ),
        ],
    )  # fmt: skip
    assert found.names == ("base", "rephrase1", "rephrase2")
    ocr, overall = kept(found)
    assert (ocr.n, ocr.versions, ocr.unpaired) == (4, 3, 2)
    assert ocr.agreement == pytest.approx((1 + 1 / 3 + 1 / 3 + 0) / 4)
    assert ocr.flip_rate == pytest.approx((0 + 1 / 2 + 0 + 1) / 4)
    assert ocr.mean == pytest.approx((1 + 2 / 3 + 0 + 1 / 2) / 4)
    assert ocr.worst == 0.25
    for name in ("agreement", "flip_rate", "mean", "worst", "of_both"):
        low, value, high = (getattr(ocr, f"{name}{end}") for end in ("_low", "", "_high"))
        assert 0 <= low <= value <= high <= 1
    assert ocr.note == few_clusters(4)
    assert (overall.agreement, overall.worst) == (ocr.agreement, ocr.worst)


def test_repeats_count_every_pair_of_runs() -> None:
    """Of the pairs of three runs, two differ where one run is alone with its mark."""
    runs = {"a": rows(base(0), base(1)), "b": rows(base(0, **WRONG), base(1)),
            "c": rows(base(0), base(1), base(2))}  # fmt: skip
    ocr = kept(repeats_of(runs))[0]
    assert (ocr.n, ocr.versions, ocr.unpaired) == (2, 3, 1)
    assert ocr.flip_rate == pytest.approx((2 / 3 + 0) / 2)
    assert ocr.agreement == pytest.approx((1 / 3 + 1) / 2)
    assert ocr.mean == pytest.approx((2 / 3 + 1) / 2)
    assert ocr.worst == 0.5


def test_the_interval_of_what_never_changes_is_wilsons() -> None:
    runs = {name: rows(*(base(number) for number in range(30))) for name in "ab"}
    ocr = kept(repeats_of(runs))[0]
    # n / (n + q^2), q the t quantile with 29 degrees.
    low = 30 / (30 + stats.t.ppf(0.975, 29) ** 2)
    assert (ocr.agreement, ocr.agreement_low, ocr.agreement_high) == pytest.approx((1, low, 1))
    assert (ocr.flip_rate, ocr.flip_rate_high) == pytest.approx((0.0, 1 - low))
    # Marks that do not vary have no variance to split.
    assert (ocr.of_both, ocr.of_questions) == (None, None)
    assert ocr.reason == "no mark differs from another: no variance to split"


def test_letters_of_rotated_options_are_compared_by_what_they_stand_for() -> None:
    facts = {"format": "multiple_choice", "answers": ("A",)}
    one, _ = sample(1, choices=("red", "blue"), **facts)
    turned, _ = sample(1, sample_id="t/1#rotate1", choices=("blue", "red"), **facts)
    first = rows(base(1, format="multiple_choice", extracted="A"), base(2))
    second = rows(variant(1, "rotate1", format="multiple_choice", extracted="B"),
                  variant(2, "rotate1"))  # fmt: skip
    assert kept(variants_of(first, [second], samples=[one, turned]))[0].agreement == 1.0
    with pytest.raises(ValueError, match="give the samples of both suites"):
        variants_of(first, [second])


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ({"a": rows(base(0)), "b": rows(base(1))}, "no question has two final answers"),
        ({name: rows(base(0), base(1, cluster_id="t/0")) for name in "ab"},
         "all questions are of one cluster: no interval"),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_none_with_a_reason(runs: dict[str, pa.Table], reason: str) -> None:
    for one in kept(repeats_of(runs)):
        assert (one.reason, one.agreement, one.worst, one.of_both) == (reason, None, None, None)


def test_nothing_at_all() -> None:
    (overall,) = kept(repeats_of({"a": rows(), "b": rows()}))
    assert (overall.n, overall.reason) == (0, "no question has two final answers")


def test_an_ability_without_pairs_leaves_overall_unknown() -> None:
    runs = {"a": rows(base(0), base(1), base(2, ability="entity")),
            "b": rows(base(0), base(1))}  # fmt: skip
    ocr, entity, overall = kept(repeats_of(runs))
    assert ocr.agreement == 1.0
    assert entity.reason == "no question has two final answers"
    assert (overall.agreement, overall.reason) == (None, "no pair of entity")


def test_the_split_is_that_of_the_analysis_of_variance() -> None:
    """Components from the mean squares of statsmodels, 20 random tables."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        size, versions = int(rng.integers(5, 30)), int(rng.integers(2, 6))
        item, version = rng.normal(0, 1, (size, 1)), rng.normal(0, 0.5, (1, versions))
        score = item + version + rng.normal(0, 1, (size, versions))
        frame = pd.DataFrame(
            [(i, v, score[i, v]) for i in range(size) for v in range(versions)],
            columns=["item", "version", "score"],
        )
        squares = anova_lm(ols("score ~ C(item) + C(version)", frame).fit())
        mean = squares["sum_sq"] / squares["df"]
        error = mean["Residual"]
        parts = np.array(
            [max((mean["C(item)"] - error) / versions, 0),
             max((mean["C(version)"] - error) / size, 0), error]
        )  # fmt: skip
        split = split_of(score, np.arange(size), "k")
        assert isinstance(split, Split)
        found = (split.of_items, split.of_versions, split.of_both)
        assert found == pytest.approx(tuple(parts / parts.sum()), rel=1e-9, abs=1e-12)
        assert split.low <= split.of_both <= split.high


def test_whose_variance_it_is() -> None:
    """Half of the questions right whatever the version; or half of the versions."""
    clusters = np.arange(40)
    by_item = np.tile(np.arange(40)[:, None] % 2, (1, 4)).astype(float)
    split = split_of(by_item, clusters, "k")
    assert isinstance(split, Split)
    assert (split.of_items, split.of_both) == pytest.approx((1.0, 0.0))
    by_version = np.tile(np.arange(4) % 2, (40, 1)).astype(float)
    split = split_of(by_version, clusters, "k")
    assert isinstance(split, Split)
    assert (split.of_versions, split.of_both) == pytest.approx((1.0, 0.0))
    nothing = split_of(np.ones((40, 4)), clusters, "k")
    assert nothing == "no mark differs from another: no variance to split"
    for one in (split_of(by_item, np.zeros(40, dtype=np.int64), "k"),
                split_of(by_item[:, :1], clusters, "k")):  # fmt: skip
        assert str(one).startswith("a split needs 2 clusters of questions with all versions")


def test_a_version_that_an_ability_lacks_is_no_gap() -> None:
    marks = np.random.default_rng(1).integers(0, 2, (30, 3)).astype(float)
    wider = np.column_stack([marks, np.full(30, np.nan)])
    assert split_of(wider, np.arange(30), "k") == split_of(marks, np.arange(30), "k")
