from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.stats.units import marked_units
from tests.stats.tables import row, table


def group(
    name: str, scores: list[float | None], chances: list[float] | None = None
) -> list[dict[str, object]]:
    return [
        row(f"{name}-{i}", "ocr", "turned", score, chance=(chances or [0.5] * len(scores))[i],
            cluster=name, group=name, metric="all_right")
        for i, score in enumerate(scores)
    ]  # fmt: skip


def test_a_group_is_one_unit_by_its_worst_member() -> None:
    rows = group("g", [1, 1, 0.25], [0.5, 0.25, 0.2]) + group("h", [1, 1])
    units = marked_units(table(rows))
    assert units.score.tolist() == [0.25, 1.0]
    assert units.chance == pytest.approx([0.025, 0.25])
    assert units.covered.tolist() == [5]


def test_an_incomplete_group_is_no_unit_and_not_covered() -> None:
    rows = group("g", [1, None]) + group("h", [1, 1]) + [row("s", "ocr", "turned", 1)]
    units = marked_units(table(rows))
    assert len(units.score) == 2
    assert units.covered.tolist() == [3]


def test_a_member_without_any_row_is_missed_by_the_group_size() -> None:
    rows = table(group("g", [1, 1]) + group("h", [0, 1]))
    assert len(marked_units(rows).score) == 2
    units = marked_units(rows, {"g": 3, "h": 2})
    assert units.score.tolist() == [0.0]
    assert units.covered.tolist() == [2]


def test_groups_of_other_metrics_stay_single() -> None:
    rows = [row(f"s{i}", "ocr", "plain", i % 2, group="g") for i in range(4)]
    assert len(marked_units(table(rows)).score) == 4


def test_all_right_without_a_group_is_single() -> None:
    rows = [row(f"s{i}", "ocr", "plain", 1, metric="all_right") for i in range(3)]
    assert len(marked_units(table(rows)).score) == 3


@pytest.mark.parametrize("status", ["infra_error", "over_budget"])
def test_nobodys_answers_are_never_wrong(status: str) -> None:
    rows = [row("a", "ocr", "x", 1), row("b", "ocr", "x", None, status=status)]
    units = marked_units(table(rows))
    assert units.score.tolist() == [1.0]
    assert units.covered.tolist() == [1]


@pytest.mark.parametrize("status", ["unparsed", "refused", "truncated"])
def test_the_models_failures_count(status: str) -> None:
    units = marked_units(table([row("b", "ocr", "x", 0, status=status)]))
    assert (units.score.tolist(), units.covered.tolist()) == ([0.0], [1])


def test_rows_of_two_runs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 samples have more than one row, first 'a'"):
        marked_units(table([row("a", "ocr", "x", 1), row("a", "ocr", "x", 0)]))


@pytest.mark.parametrize("name", ["score", "chance", "upper"])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_an_answered_row_without_a_figure_is_refused(name: str, value: float | None) -> None:
    rows = [row("a", "ocr", "x", 1, status="ok") | {name: value}]
    with pytest.raises(ValueError, match=f"1 answered rows have no {name}, first a"):
        marked_units(table(rows))


def test_a_row_without_a_cluster_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks its ability"):
        marked_units(table([row("a", "ocr", "x", 1) | {"cluster_id": None}]))


def test_no_rows() -> None:
    units = marked_units(table([]))
    assert (units.strata, len(units.score), units.clusters) == ((), 0, 0)


ROW = st.tuples(
    st.sampled_from(["ocr", "entity"]),
    st.sampled_from(["x", "y"]),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
    st.sampled_from([None, "g", "h"]),
    st.sampled_from(["exact", "all_right"]),
)


@given(st.lists(ROW, max_size=30))
def test_the_group_by_equals_a_loop(
    spec: list[tuple[str, str, float | None, str | None, str]],
) -> None:
    rows = [
        row(f"s{i:02}", a, s, score, chance=0.5, cluster=f"c{i // 2}", group=g, metric=m)
        for i, (a, s, score, g, m) in enumerate(spec)
    ]
    groups: dict[tuple[str, str, str], list[float | None]] = {}
    wanted: list[tuple[str, str, float, float]] = []
    covered: dict[tuple[str, str], int] = {}
    for ability, subtask, score, name, metric in spec:
        covered.setdefault((ability, subtask), 0)
        if metric == "all_right" and name is not None:
            groups.setdefault((ability, subtask, name), []).append(score)
        elif score is not None:
            wanted.append((ability, subtask, score, 0.5))
            covered[ability, subtask] += 1
    for (ability, subtask, _), scores in groups.items():
        known = [score for score in scores if score is not None]
        if len(known) == len(scores):
            wanted.append((ability, subtask, min(known), 0.5 ** len(known)))
            covered[ability, subtask] += len(known)
    units = marked_units(table(rows))
    found = [
        (*units.strata[stratum], score, chance)
        for stratum, score, chance in zip(
            units.stratum.tolist(), units.score.tolist(), units.chance.tolist(), strict=True
        )
    ]
    assert sorted(found) == sorted(wanted)
    assert dict(zip(units.strata, units.covered.tolist(), strict=True)) == covered


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    rows = [
        row(f"s{i}", "ocr", f"x{i % 3}", float(rng.random()), cluster=f"c{i // 4}")
        for i in range(60)
    ]
    first = marked_units(table(rows))
    second = marked_units(table([rows[i] for i in rng.permutation(60)]))
    assert first.score.tolist() == second.score.tolist()
    assert first.cluster.tolist() == second.cluster.tolist()
