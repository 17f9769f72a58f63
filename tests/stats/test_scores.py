from __future__ import annotations

import math
import time
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pytest

from lens_ray.stats.expectation import expected_counts, group_sizes
from lens_ray.stats.pool import make_pool
from lens_ray.stats.scores import AbilityScore, ability_scores, scores_table, subtask_scores
from lens_ray.store.schema import SCORES
from lens_ray.suites.sample import Sample
from tests.stats.tables import row, table

WEIGHTS = {"ocr": {"x": 1.0, "y": 3.0}, "entity": {"z": 1.0}}


def rows_of(seed: int = 1) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [
        row(f"{subtask}{i:03}", ability, subtask, float(rng.random() < share), chance=0.25,
            cluster=f"{subtask}-{i // 2}")
        for ability, subtask, share in (("ocr", "x", 0.7), ("ocr", "y", 0.9), ("entity", "z", 0.5))
        for i in range(40)
    ]  # fmt: skip


def scored(rows: list[dict[str, object]], **changes: object) -> list[AbilityScore]:
    settings: dict[str, object] = {
        "weights": WEIGHTS, "expected": {"ocr": 80, "entity": 40}, }  # fmt: skip
    return ability_scores(table(rows), **(settings | changes))  # type: ignore[arg-type]


def test_abilities_come_in_their_order_and_overall_last() -> None:
    assert [score.ability for score in scored(rows_of())] == ["ocr", "entity", "overall"]
    rows = [row(f"{name}{i}", name, "s", 1) for name in ("zebra", "aardvark", "entity", "counting")
            for i in range(2)]  # fmt: skip
    names = ["zebra", "aardvark", "entity", "counting"]
    scores = ability_scores(
        table(rows), weights={n: {"s": 1} for n in names}, expected=dict.fromkeys(names, 2),
    )  # fmt: skip
    assert [s.ability for s in scores] == ["counting", "entity", "aardvark", "zebra", "overall"]


def test_the_same_rows_in_any_order_give_the_same_bits() -> None:
    rows = rows_of()
    shuffled = [rows[i] for i in np.random.default_rng(2).permutation(len(rows))]
    assert scored(rows) == scored(shuffled)


def test_an_ability_does_not_depend_on_the_others() -> None:
    alone = scored([r for r in rows_of() if r["ability"] == "ocr"], expected={"ocr": 80})
    assert alone[0] == scored(rows_of())[0]


def test_weights_are_those_of_the_suite() -> None:
    scores, subtasks = scored(rows_of()), subtask_scores(table(rows_of()))
    by_name = {score.subtask: score.corrected for score in subtasks}
    assert by_name["x"] is not None
    assert by_name["y"] is not None
    assert scores[0].corrected == pytest.approx((by_name["x"] + 3 * by_name["y"]) / 4, abs=1e-15)


def test_uniform_weights_stand_beside_the_suites() -> None:
    # x: 1 of 2 right, y: 6 of 6, chance 0: by samples (1 + 6) / 8, uniform (0.5 + 1) / 2.
    rows = [row(f"x{i}", "ocr", "x", i) for i in range(2)]
    rows += [row(f"y{i}", "ocr", "y", 1) for i in range(6)] + [row("z", "entity", "z", 0)]
    scores = scored(rows, weights={"ocr": {"x": 2, "y": 6}, "entity": {"z": 1}},
                    expected={"ocr": 8, "entity": 1})  # fmt: skip
    assert [(score.corrected, score.uniform) for score in scores] == [
        (0.875, 0.75), (0.0, 0.0), (0.4375, 0.375),
    ]  # fmt: skip
    # A subtask of weight 0 is in neither, and what has no score has no uniform one.
    weights = {"ocr": {"x": 1, "y": 0}, "entity": {"z": 1}}
    scores = scored(rows, weights=weights, expected={"ocr": 8, "entity": 9})
    assert [score.uniform for score in scores] == [0.5, None, None]


def test_infra_errors_lower_coverage_and_nothing_else() -> None:
    rows = rows_of()
    whole = scored(rows)[0]
    lost = [*rows, *(row(f"lost{i}", "ocr", "x", None, chance=0.25) for i in range(5))]
    score = scored(lost, expected={"ocr": 85, "entity": 40}, coverage_threshold=0.9)[0]
    assert score.coverage == pytest.approx(80 / 85)
    assert (score.accuracy, score.corrected, score.n) == (whole.accuracy, whole.corrected, 80)
    blank = scored(lost, expected={"ocr": 85, "entity": 40})[0]
    assert (blank.corrected, blank.reason) == (None, "coverage 0.9412 is below 0.99")


def test_below_chance_is_not_clipped() -> None:
    rows = [row(f"s{i}", "ocr", "x", float(i == 0), chance=0.5) for i in range(10)]
    score = ability_scores(table(rows), weights={"ocr": {"x": 1}}, expected={"ocr": 10})[0]
    assert score.corrected == pytest.approx(-0.8, abs=1e-15)
    assert score.ci_low is not None
    assert -1.0 <= score.ci_low <= -0.8


def test_all_right_has_an_interval_with_width() -> None:
    rows = [row(f"s{i}", "ocr", "x", 1, chance=0.5) for i in range(30)]
    score = ability_scores(table(rows), weights={"ocr": {"x": 1}}, expected={"ocr": 30})[0]
    assert score.corrected == score.ci_high == 1.0
    # Wilson's bound of 30 of 30 with the t quantile of 29 degrees, on the corrected scale.
    z2 = 2.045229642132703**2
    assert score.ci_low == pytest.approx((30 / (30 + z2) - 0.5) / 0.5, abs=1e-12)


def test_a_weighted_subtask_without_rows_or_answers_has_no_score() -> None:
    rows = [r for r in rows_of() if r["subtask"] != "x"]
    score = scored(rows, expected={"ocr": 40, "entity": 40})[0]
    assert (score.corrected, score.reason) == (None, "ocr/x has no row")
    failed = [*rows, row("f", "ocr", "x", None)]
    score = scored(failed, expected={"ocr": 40, "entity": 40})[0]
    assert (score.corrected, score.reason) == (None, "ocr/x has no answered sample")


def test_chance_that_reaches_the_upper_bound_has_no_score() -> None:
    rows = [row(f"s{i}", "ocr", "x", 1, chance=0.5, upper=0.5) for i in range(4)]
    score = ability_scores(table(rows), weights={"ocr": {"x": 1}}, expected={"ocr": 4})[0]
    assert (score.corrected, score.reason) == (None, "ocr/x has chance 0.5 and upper 0.5")
    found = subtask_scores(table(rows))[0]
    assert (found.accuracy, found.corrected, found.ci, found.p_chance) == (1.0, None, None, None)


def test_a_subtask_without_answers_is_listed_with_nulls() -> None:
    found = subtask_scores(table([row("f", "ocr", "x", None)]))[0]
    assert (found.n, found.units, found.accuracy, found.corrected) == (0, 0, None, None)


def test_overall_is_the_plain_mean_with_a_joint_interval() -> None:
    ocr, entity, overall = scored(rows_of())
    assert ocr.corrected is not None
    assert entity.corrected is not None
    assert overall.corrected == pytest.approx((ocr.corrected + entity.corrected) / 2, abs=1e-15)
    halves = [
        (s.ci_high - s.ci_low) / 2
        for s in (ocr, entity, overall)
        if s.ci_low is not None and s.ci_high is not None
    ]
    assert halves[2] == pytest.approx(math.hypot(halves[0], halves[1]) / 2, rel=0.1)


def test_clusters_that_cross_abilities_are_drawn_together() -> None:
    rng = np.random.default_rng(9)
    right = (rng.random(60) < 0.5).astype(float)

    def half(second: str) -> float:
        rows = [row(f"a{i}", "ocr", "x", right[i], cluster=f"c{i}") for i in range(60)]
        rows += [row(f"b{i}", "entity", "z", right[i], cluster=f"{second}{i}") for i in range(60)]
        scores = ability_scores(
            table(rows), weights={"ocr": {"x": 1}, "entity": {"z": 1}},
            expected={"ocr": 60, "entity": 60},
        )  # fmt: skip
        low, high = scores[2].ci_low, scores[2].ci_high
        assert low is not None
        assert high is not None
        return high - low

    assert half("c") == pytest.approx(math.sqrt(2) * half("d"), rel=0.1)


def test_what_does_not_belong_together_is_refused() -> None:
    rows = rows_of()
    with pytest.raises(ValueError, match="rows of entity/z, which was not expected"):
        scored(rows, expected={"ocr": 80})
    with pytest.raises(ValueError, match="rows of ocr/y, which was not expected"):
        scored(rows, weights={"ocr": {"x": 1}, "entity": {"z": 1}})
    with pytest.raises(ValueError, match="80 answered rows of 79 expected"):
        scored(rows, expected={"ocr": 79, "entity": 40})
    with pytest.raises(ValueError, match="weights of its subtasks"):
        scored(rows, weights={"ocr": {"x": -1, "y": 2}, "entity": {"z": 1}})
    with pytest.raises(ValueError, match="no ability is expected"):
        scored([], expected={})


def test_no_pool_and_another_suites_pool_say_so() -> None:
    ocr = scored(rows_of())[0]
    assert (ocr.dvs, ocr.res, ocr.pool) == (None, None, None)
    assert ocr.reason == "dvs and res: no pool for this suite"
    pool = make_pool("p", 1, "suite-2", {"m": {"ocr": {"x": 0.1, "y": 0.2}}})
    ocr, entity, overall = scored(rows_of(), pool=pool)
    assert ocr.reason == "dvs and res: pool p@1 is of another suite"
    assert overall.dvs is None
    assert overall.reason == (
        "dvs and res: undefined for ocr, entity; tau: stability needs 2 subtasks, entity has 1"
    )
    assert overall.corrected is not None
    assert entity.pool is None


def test_scores_become_the_stored_table() -> None:
    scores = scored(rows_of())
    stored = scores_table(scores, run_id="r", model="m", suite="mini:quick")
    assert stored.schema == SCORES
    assert {field.name for field in fields(AbilityScore)} | {"run_id", "model", "suite"} == set(
        SCORES.names
    )
    assert stored["corrected"].to_pylist() == [score.corrected for score in scores]
    assert set(stored["suite"].to_pylist()) == {"mini:quick"}


def sample(name: str, subtask: str, group: str | None = None) -> Sample:
    return Sample(
        name, "ocr", "mini", subtask, "open", "shapes", (), "?", (), ("x",), "exact", 0.0, 1.0,
        name, group,
    )  # fmt: skip


def test_what_samples_lead_to_expect() -> None:
    samples = [sample("a", "x", "g"), sample("b", "x", "g"), sample("c", "x"), sample("d", "y")]
    assert expected_counts(samples) == {"ocr": 4}
    assert group_sizes(samples) == {"g": 2}


def test_a_group_cut_by_a_limit_is_not_covered() -> None:
    rows = [row(f"s{i}", "ocr", "x", 1, group=f"g{i // 2}", metric="all_right") for i in range(4)]
    sizes = {"g0": 2, "g1": 3}
    score = ability_scores(
        table(rows), weights={"ocr": {"x": 1}}, expected={"ocr": 4},
        group_sizes=sizes, coverage_threshold=0.1,
    )[0]  # fmt: skip
    assert (score.n, score.coverage) == (2, 0.5)


def large(count: int) -> pa.Table:
    rng = np.random.default_rng(0)
    place = np.arange(count)
    subtask = rng.integers(0, 24, count)
    names = pa.array([f"t{i:02}" for i in range(24)])
    abilities = pa.array([f"ability{i // 4}" for i in range(24)])
    pick = pa.array(subtask)
    continuous = subtask % 4 == 0
    score = np.where(continuous, rng.random(count), (rng.random(count) < 0.7).astype(float))
    metric = np.where(subtask % 4 == 1, "all_right", "exact")
    return pa.table(
        {
            "suite_digest": pa.array(["suite-1"]).take(pa.array(np.zeros(count, dtype=int))),
            "sample_id": pa.array([f"sample/{i}" for i in place.tolist()]),
            "ability": abilities.take(pick),
            "subtask": names.take(pick),
            "status": pa.array(np.where(rng.random(count) < 0.001, "infra_error", "ok")),
            "score": score,
            "chance": np.full(count, 0.25),
            "upper": np.ones(count),
            "metric": pa.array(metric),
            "cluster_id": pa.array([f"c{i}" for i in (place // 3).tolist()]),
            "group_id": pa.array([f"g{i}" for i in (place // 3).tolist()]),
        }
    )


def test_two_hundred_thousand_rows_in_seconds() -> None:
    rows = large(200_000)
    weights = {f"ability{i}": {f"t{i * 4 + k:02}": 1.0 for k in range(4)} for i in range(6)}
    expected = {
        value["values"]: value["counts"] for value in rows["ability"].value_counts().to_pylist()
    }
    started = time.process_time()
    scores = ability_scores(rows, weights=weights, expected=expected, coverage_threshold=0.9)
    took = time.process_time() - started
    assert took < 10, took
    assert all(score.corrected is not None for score in scores)
