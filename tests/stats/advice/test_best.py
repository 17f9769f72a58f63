from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from lens_ray.stats.advice.best import Judged, judge, weighted
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.units import Floats
from tests.stats.advice.makers import marks_from, simulated

HALVES = {"counting": 0.5, "ocr": 0.5}


def judged(
    marks: Marks,
    weights: dict[str, float] | None = None,
    min_score: dict[str, float] | None = None,
    eligible: list[bool] | None = None,
) -> Judged:
    draws = draw_jointly(marks, "key", 2000)
    return judge(
        draws, ability_figures(marks), weights or HALVES, min_score=min_score, eligible=eligible
    )


def one_ability(**right: Floats) -> Marks:
    size = len(next(iter(right.values())))
    return marks_from(right, ["ocr"], np.zeros(size, dtype=np.int64))


def test_a_weighted_figure_is_the_weighted_sum() -> None:
    marks = simulated({"a": (0.8, 0.3), "b": (0.2, 0.9)})
    figures = ability_figures(marks)
    draws = draw_jointly(marks, "key", 10)
    values = draws.values(figures)
    total = draws.values(weighted(figures, {"counting": 0.75, "ocr": 0.25}))
    counting, ocr = (figures.names.index(name) for name in ("counting", "ocr"))
    assert total[:, 0] == pytest.approx(0.75 * values[:, counting] + 0.25 * values[:, ocr])
    spoilt = Figures(figures.names, figures.slope, figures.shift, {"ocr": "no range"})
    assert weighted(spoilt, {"ocr": 1.0}).reasons == {"score": "no range"}
    assert weighted(spoilt, {"counting": 1.0, "ocr": 0.0}).reasons == {}


@pytest.mark.parametrize("ahead", [0.0, 0.02, 0.05])
def test_two_models_are_as_the_paired_test_has_it(ahead: float) -> None:
    marks = simulated({"a": (0.6 + ahead, 0.5 + ahead), "b": (0.6, 0.5)}, size=500, seed=4)
    found = judged(marks)
    known = contrast(marks, "a", "b", weighted(ability_figures(marks), HALVES))[0]
    assert known.difference is not None
    assert known.se is not None
    assert found.best[0] == pytest.approx(norm.cdf(known.difference / known.se), abs=0.04)
    # Expected loss of choosing b: the unit normal loss (Raiffa and Schlaifer).
    z = known.difference / known.se
    loss = known.se * (norm.pdf(z) + z * norm.cdf(z))
    assert found.regret[1] == pytest.approx(loss, abs=0.1 * known.se)
    assert abs(known.difference / known.se - norm.ppf(0.95)) > 0.05, "too near to the limit"
    assert bool(found.possible[1]) == (known.difference / known.se < norm.ppf(0.95))


def test_equal_models_share_the_chance_and_none_is_excluded() -> None:
    right = (np.arange(100) % 3 > 0).astype(float)
    found = judged(one_ability(a=right, b=right, c=right), {"ocr": 1.0})
    assert found.best == pytest.approx([1 / 3] * 3)
    assert found.possible.all()
    assert found.regret == pytest.approx([0.0] * 3, abs=1e-6)


@pytest.mark.parametrize(("steps", "excluded"), [(1, False), (3, False), (8, True), (40, True)])
def test_few_samples_that_differ_exclude_only_what_the_sign_test_does(
    steps: int, excluded: bool
) -> None:
    # One-sided sign test of 3 against 0: 1/8; of 8 against 0: 1/256.
    right = (np.arange(200) % 2).astype(float)
    better = right.copy()
    better[np.flatnonzero(right == 0)[:steps]] = 1.0
    found = judged(one_ability(a=better, b=right), {"ocr": 1.0})
    assert found.possible.tolist() == [True, not excluded]


def test_no_variance_at_all() -> None:
    found = judged(one_ability(a=np.ones(40), b=np.zeros(40)), {"ocr": 1.0})
    assert found.possible.tolist() == [True, False]
    assert found.best.tolist() == [1.0, 0.0]
    single = judged(one_ability(a=np.ones(1)), {"ocr": 1.0})
    assert single.possible.tolist() == [True]
    assert np.isnan(single.best[0])


def test_a_single_cluster_says_nothing_of_how_sure_it_is() -> None:
    found = judged(one_ability(a=np.ones(1), b=np.zeros(1)), {"ocr": 1.0}, {"ocr": 0.5})
    assert found.possible.all()
    assert np.isnan(found.best).all()
    assert found.meets["ocr"].tolist() == [0.5, 0.5]


def test_a_model_without_a_score_is_no_candidate() -> None:
    marks = simulated({"a": (0.6, 0.6), "b": (0.6, 0.6)})
    gone = marks.score.copy()
    gone[1, marks.stratum == 0] = np.nan
    found = judged(
        Marks(**{name: getattr(marks, name) for name in Marks.__dataclass_fields__}
              | {"score": gone})
    )  # fmt: skip
    assert np.isnan(found.score[1])
    assert found.possible.tolist() == [True, False]
    assert found.best.tolist() == [1.0, 0.0]


def test_needed_scores() -> None:
    marks = simulated(
        {"best": (0.9, 0.3), "good": (0.7, 0.7), "bar": (0.6, 0.5), "bad": (0.1, 0.7)}
    )
    found = judged(marks, min_score={"ocr": 0.5})
    assert found.missed_of["ocr"].tolist() == [True, False, False, False]
    assert found.possible.tolist() == [False, True, False, False]
    assert found.best[1] == 1.0
    assert 0.02 < found.meets["ocr"][2] < 0.8
    none = judged(marks, min_score={"ocr": 0.99})
    assert none.none == 1.0
    assert not none.possible.any()
    assert np.isnan(none.regret).all()


def test_an_undecided_need_excludes_no_rival() -> None:
    # "high" is far ahead, and may or may not reach the bar: "low" stays possible.
    marks = simulated({"high": (0.9, 0.5), "low": (0.6, 0.8)})
    found = judged(marks, {"counting": 1.0, "ocr": 0.0}, {"ocr": 0.5})
    assert found.possible.all()
    assert 0.0 < found.best[1] < 1.0
    ineligible = judged(marks, eligible=[False, True])
    assert ineligible.possible.tolist() == [False, True]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
    st.integers(4, 40),
    st.integers(0, 2**16),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_what_always_holds(
    skills: list[tuple[float, float]], size: int, seed: int, bar: float | None
) -> None:
    marks = simulated({f"m{n}": pair for n, pair in enumerate(skills)}, size=size, seed=seed)
    found = judged(marks, min_score=None if bar is None else {"ocr": bar})
    assert found.best.sum() + found.none == pytest.approx(1.0)
    assert ((found.best >= 0) & (found.best <= 1)).all()
    if bar is None:
        assert found.possible[found.score.argmax()]
        assert (found.regret >= 0).all()
        assert found.none == 0
