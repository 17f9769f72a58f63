from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens_ray.stats import clustered as clustered_module
from lens_ray.stats.clustered import clustered, components, few_clusters


def test_sums_by_hand() -> None:
    values = np.array([1.0, 0.0, 1.0, np.nan, 1.0])
    found = clustered(values, np.zeros(5, dtype=int), np.array([4, 4, 7, 7, 9]), 1)
    assert (found.size[0], found.clusters[0], found.mean[0]) == (4, 3, 0.75)
    assert found.spread[0] == pytest.approx(0.25)  # 3/4 x 1/4 x 4/3
    assert found.lean[0] == pytest.approx(1 - 2 * 0.75)
    assert found.alike[0] == pytest.approx(16 / (4 + 1 + 1))
    # Residual sums -0.5, 0.25, 0.25 of 4 units: squares 0.375 / 16, times 3 / 2.
    assert found.plain[0] == pytest.approx(0.375 / 16 * 1.5)
    # e^4: 0.0625 + 2 x 0.00390625; f = 2 / (0.0703125 / 0.140625 - 1 / 3) = 12.
    way = 1 / (1 + 3**4)
    assert found.variance[0] == pytest.approx(
        found.plain[0] + way * (0.25 / found.alike[0] - found.plain[0])
    )


def test_units_that_are_clusters_of_their_own_keep_their_variance() -> None:
    values = np.array([0.0] * 19 + [1.0])
    found = clustered(values, np.zeros(20, dtype=int), np.arange(20), 1)
    assert found.variance[0] == pytest.approx(values.var(ddof=1) / 20)
    assert found.combined(np.ones(1)) == pytest.approx((values.var(ddof=1) / 20, 19))


def test_one_cluster_is_one_unit() -> None:
    found = clustered(np.array([1.0, 0.0, 0.0]), np.zeros(3, dtype=int), np.zeros(3, dtype=int), 1)
    assert found.plain[0] == pytest.approx(0, abs=1e-30)
    assert found.alike[0] == 1
    assert found.variance[0] == pytest.approx(found.spread[0])


def test_nothing_at_all() -> None:
    nowhere = np.empty(0, dtype=int)
    for strata in (1, 3):
        found = clustered(np.empty(0), nowhere, nowhere, strata)
        assert found.mean.tolist() == [0.0] * strata
        assert found.combined(np.ones(strata)) == (0.0, 0.0)
        assert found.counted(np.ones(strata)) == 0


def test_a_stratum_without_units_changes_nothing() -> None:
    values, cluster = np.array([1.0, 0.0, 1.0, 1.0]), np.arange(4)
    alone = clustered(values, np.zeros(4, dtype=int), cluster, 1).combined(np.ones(1))
    beside = clustered(values, np.ones(4, dtype=int), cluster, 3)
    assert beside.combined(np.array([0.0, 1.0, 0.0])) == pytest.approx(alone)


def test_strata_that_share_clusters_are_found() -> None:
    stratum, cluster = np.array([0, 2, 1, 2, 3, 1]), np.array([5, 5, 6, 7, 8, 9])
    found = sorted(sorted(members.tolist()) for members in components(stratum, cluster, 5))
    assert found == [[0, 2], [1], [3], [4]]


def test_what_cancels_has_no_variance() -> None:
    values = np.array([1.0, 0.0, 0.0, 1.0] * 5)
    cluster, stratum = np.arange(20) % 10, np.arange(20) // 10
    found = clustered(np.where(stratum == 0, values, 1 - values), stratum, cluster, 2)
    whole = clustered(values, 0 * stratum, cluster, 1)
    assert found.combined(np.array([0.5, -0.5]))[0] >= 0
    assert whole.combined(np.ones(1))[0] > 0


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 3), st.integers(0, 6)),
        min_size=1, max_size=40,
    ),
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=4, max_size=4),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_variances_are_no_less_than_the_plain_ones(
    units: list[tuple[float, int, int]], weights: list[float]
) -> None:
    values, stratum, cluster = (np.array(column) for column in zip(*units, strict=True))
    found = clustered(values.astype(float), stratum, cluster, 4)
    assert (found.variance >= found.plain - 1e-15).all()
    variance, freedom = found.combined(np.array(weights))
    assert variance >= 0
    assert freedom == 0 if variance == 0 else freedom >= 1 - 1e-9
    assert 0 <= found.counted(np.array(weights)) <= 7


def test_what_is_said_of_few_clusters() -> None:
    assert few_clusters(20) is None
    assert few_clusters(1) is not None
    assert str(few_clusters(1)).startswith("1 cluster only")
    assert str(few_clusters(19)).startswith("19 clusters only")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_cells_that_were_found_before_are_those_of_the_same_units_only(data: st.DataObject) -> None:
    number = st.integers(0, 2)
    size = data.draw(st.integers(0, 8))
    column = st.lists(number, min_size=size, max_size=size)
    values = np.array(data.draw(column), dtype=float) / 2
    stratum, cluster = (np.array(data.draw(column), dtype=np.int64) for _ in range(2))
    for _ in range(3):
        stratum[: data.draw(st.integers(0, size))] = data.draw(number)  # as callers may do
        strata = data.draw(st.integers(3, 4))
        again = clustered(values, stratum, cluster, strata)
        held = list(clustered_module._LATELY)
        clustered_module._LATELY.clear()
        fresh = clustered(values, stratum, cluster, strata)
        clustered_module._LATELY.extend(held)
        for field in fields(fresh):
            assert np.array_equal(getattr(again, field.name), getattr(fresh, field.name))
