from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from lens_ray.stats.multiplicity import holm


@settings(max_examples=30)  # statsmodels takes a third of a second for each
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_equals_statsmodels(pvalues: list[float]) -> None:
    oracle = multipletests(pvalues, method="holm")[1]
    assert holm(pvalues) == pytest.approx(list(oracle), abs=1e-12)


def test_no_test_at_all() -> None:
    assert holm([]) == []
