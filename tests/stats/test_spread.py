"""DVS, RES and tau of models side by side, by hand and against the scores of runs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from jobs.benchmarks.coverage.stability import marks_of_truth, pool_of_truth
from lens_ray.errors import UserError
from lens_ray.stats.joint import draw_jointly
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import Pool, make_pool
from lens_ray.stats.scores import ability_scores
from lens_ray.stats.spread import Spread, spread
from lens_ray.stats.steadiness import KINDS, TOO_FEW
from lens_ray.stats.units import Floats
from tests.stats.fields import field_of
from tests.stats.tables import row, table

#: Right answers of 40 by subtask: corrected scores 0.5, 0.75 and 0.9 where chance is 0.
RIGHT = {"a": 20, "b": 30, "c": 36}


def one_model(right: dict[str, int], asked: int = 40) -> Marks:
    scores = [float(place < right[name]) for name in right for place in range(asked)]
    subtasks = [name for name in right for _ in range(asked)]
    return field_of({"m": np.array(scores)}, ability=["ocr"] * len(scores), subtask=subtasks)


def hand_pool(models: dict[str, tuple[float, float, float]]) -> Pool:
    return make_pool(
        "hand", 1, "s",
        {name: {"ocr": dict(zip("abc", scores, strict=True))} for name, scores in models.items()},
    )  # fmt: skip


POOL = hand_pool({"p": (0.3, 0.6, 0.7), "q": (0.5, 0.7, 0.8), "r": (0.7, 0.8, 0.9)})


def figures(marks: Marks, pool: Pool | None = POOL, replicates: int = 400) -> Spread:
    return spread(marks, pool, draw_jointly(marks, "k", replicates))


def test_dvs_by_hand() -> None:
    """Three subtasks, a pool of three models.

    ========  =====  =========  =======  ==================
    subtask   model  pool mean  pool SD  z
    ========  =====  =========  =======  ==================
    a         0.50   0.50       0.20     0.0
    b         0.75   0.70       0.10     0.5
    c         0.90   0.80       0.10     1.0
    ========  =====  =========  =======  ==================

    Pool SDs have ddof 1: of 0.3, 0.5, 0.7 it is sqrt((0.04 + 0 + 0.04) / 2) = 0.2. The mean of
    z is 0.5, and DVS = sqrt((0.25 + 0 + 0.25) / 2) = 0.5.
    """
    found = figures(one_model(RIGHT)).of("m", "ocr")["dvs"]
    assert found.value == pytest.approx(0.5, abs=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high


def test_res_by_hand() -> None:
    """The same model: rank 1 + number of pool models that are strictly higher.

    a: 0.7 is above 0.5, and 0.5 ties: rank 2. b: 0.8 is above 0.75: rank 2. c: none is above 0.9,
    one ties: rank 1. Two thirds of rank 2, one third of rank 1:
    RES = -(2/3 log 2/3 + 1/3 log 1/3) = 0.6365.
    """
    found = figures(one_model(RIGHT)).of("m", "ocr")["res"]
    assert found.value == pytest.approx(-(2 / 3) * math.log(2 / 3) - math.log(1 / 3) / 3)
    # Of 40 samples each rank may be 1, 2 or 3 (or, on a, even 4): anything is possible.
    assert (found.low, found.high) == pytest.approx((0.0, math.log(3)))


def test_res_is_certain_where_no_rank_is_in_doubt() -> None:
    """The model is 0.5, 0.75 and 0.9; the pool's models are far below or far above."""
    pool = hand_pool({"low": (0.0, 0.0, 0.0), "mixed": (1.0, 0.0, 0.0)})
    found = figures(one_model(RIGHT), pool).of("m", "ocr")["res"]
    wanted = -(2 / 3) * math.log(2 / 3) - math.log(1 / 3) / 3
    assert (found.value, found.low, found.high) == pytest.approx((wanted,) * 3)


def test_tau_by_hand() -> None:
    """Equal variances: two subtasks of 0.25 and 0.75 have s^2 = 0.125, v = 3/16 / 39 each."""
    found = figures(one_model({"a": 10, "b": 30}), None).of("m", "ocr")["tau"]
    assert found.value == pytest.approx(math.sqrt(0.125 - 3 / 16 / 39), rel=1e-9)
    assert found.low is not None
    assert found.low > 0


def test_figures_are_those_of_the_scores_of_a_run() -> None:
    """Every verb prints the same figure and the same interval."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = []
    scores: dict[tuple[str, str], npt.NDArray[np.bool_]] = {}
    for ability, names in (("ocr", "abc"), ("entity", "ab")):
        for name in names:
            right = rng.random(60) < rng.uniform(0.2, 0.9)
            scores[ability, name] = right
            rows += [
                row(f"s{len(rows) + i:05d}", ability, name, float(mark), chance=0.25,
                    cluster=f"{ability}{name}{i // 2}", suite="s")
                for i, mark in enumerate(right)
            ]  # fmt: skip
    pool = make_pool(
        "p", 1, "s",
        {f"m{n}": {ability: {k: rng.random() for k in names}
                   for ability, names in (("ocr", "abc"), ("entity", "ab"))}
         for n in range(5)},
    )  # fmt: skip
    weights = {"ocr": dict.fromkeys("abc", 1 / 3), "entity": dict.fromkeys("ab", 0.5)}
    run = ability_scores(
        table(rows), weights=weights, expected={"ocr": 180, "entity": 120}, pool=pool
    )
    marks = field_of(
        {"m": np.concatenate(list(scores.values())).astype(float)},
        ability=[str(r["ability"]) for r in rows],
        subtask=[str(r["subtask"]) for r in rows],
        cluster=[str(r["cluster_id"]) for r in rows],
        chance=[0.25] * len(rows),
        weights=weights,
    )
    found = figures(marks, pool)
    assert [score.ability for score in run] == list(found.names)
    for score in run:
        for kind in KINDS:
            one = found.of("m", score.ability)[kind]
            stored = [getattr(score, f"{kind}{end}") for end in ("", "_low", "_high")]
            assert [one.value, one.low, one.high] == pytest.approx(stored, rel=1e-9, abs=1e-12)
    assert run[-1].micro == pytest.approx((180 * run[0].corrected + 120 * run[1].corrected) / 300)  # type: ignore[operator]
    assert {score.note for score in run} == {None}


def two_models(seed: int, steady: Floats, unsteady: Floats, n: int = 300) -> tuple[Marks, Pool]:
    middle = np.full((1, len(steady)), 0.6)
    truth = np.stack([middle + 0.12 * steady, middle + 0.12 * unsteady])
    marks = marks_of_truth(np.random.default_rng(seed), truth, n, 1)
    return marks, pool_of_truth(middle, 0.12)


def test_a_model_that_is_accurate_but_unstable_is_found() -> None:
    """Model m0 and m1 are equally good on average; m1 is two pool SDs up here and down there."""
    even, apart = np.full(5, 1.0), np.array([2.5, -0.5, 2.5, 1.0, -0.5])
    marks, pool = two_models(1, even, apart)
    means = marks.score.mean(axis=1)
    assert abs(means[0] - means[1]) < 0.03
    found = figures(marks, pool)
    for kind in ("dvs", "tau"):
        one = found.difference(kind, "m1", "m0", "overall")
        assert one.difference is not None
        assert one.low is not None
        assert one.low > 0
        back = found.difference(kind, "m0", "m1", "overall")
        assert (back.difference, back.high) == pytest.approx((-one.difference, -one.low))
    assert found.difference("res", "m1", "m0", "overall").difference > 0  # type: ignore[operator]


def test_a_model_is_as_steady_as_itself() -> None:
    marks, pool = two_models(2, np.full(5, 0.5), np.full(5, 0.5), n=60)
    twice = Marks(**{**{f: getattr(marks, f) for f in marks.__dataclass_fields__},
                     "score": marks.score[[0, 0]]})  # fmt: skip
    one = figures(twice, pool).difference("dvs", "m0", "m1", "overall")
    assert (one.difference, one.low, one.high) == (0.0, 0.0, 0.0)


def test_replicates_lie_around_the_values() -> None:
    marks, pool = two_models(3, np.array([1.0, -1.0, 0.5, 2.0, -2.0]), np.full(5, 0.0))
    found = figures(marks, pool, 1000)
    for kind in KINDS:
        drawn = found.replicates(kind)
        assert drawn.shape == (1000, 2, 2)
        assert np.isfinite(drawn).all()
        low, high = np.quantile(drawn, [0.01, 0.99], axis=0)
        values = found.values(kind)
        assert (low <= values + 1e-9).all()
        assert (values <= high + 1e-9).all()


def test_few_clusters_give_no_interval_and_a_reason() -> None:
    found = figures(one_model({"a": 2, "b": 3, "c": 1}, asked=4))
    for kind in KINDS:
        one = found.of("m", "ocr")[kind]
        assert one.value is not None
        assert (one.low, one.high, one.reason) == (None, None, TOO_FEW)
    assert np.isnan(found.bounds("dvs")[0]).all()
    gap = found.difference("dvs", "m", "m", "ocr")
    assert (gap.difference, gap.low, gap.reason) == (0.0, None, TOO_FEW)


def test_all_right_is_steady_within_what_noise_can_hide() -> None:
    found = figures(one_model({"a": 40, "b": 40, "c": 40}))
    tau = found.of("m", "ocr")["tau"]
    assert (tau.value, tau.low) == (0.0, 0.0)
    dvs = found.of("m", "ocr")["dvs"]
    assert dvs.low is not None
    assert dvs.high is not None
    assert dvs.high > 0


@pytest.mark.parametrize(
    ("pool", "kind", "reason"),
    [
        (None, "dvs", "no pool for this suite"),
        (None, "res", "no pool for this suite"),
        (hand_pool({"only": (0.3, 0.6, 0.7)}), "dvs", "pool hand@1 has no spread on ocr/a"),
        (hand_pool({"p": (0.3, 0.6, 0.7), "q": (0.3, 0.5, 0.6)}), "dvs",
         "pool hand@1 has no spread on ocr/a"),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_none_with_a_reason(
    pool: Pool | None, kind: str, reason: str
) -> None:
    found = figures(one_model(RIGHT), pool)
    one = found.of("m", "ocr")[kind]  # type: ignore[index]
    assert (one.value, one.low, one.high, one.reason) == (None, None, None, reason)
    assert np.isnan(found.replicates(kind)).all()  # type: ignore[arg-type]
    assert found.difference(kind, "m", "m", "ocr").reason == f"m: {reason}"  # type: ignore[arg-type]


def test_a_pool_of_two_will_do() -> None:
    found = figures(one_model(RIGHT), hand_pool({"p": (0.3, 0.6, 0.7), "q": (0.5, 0.7, 0.8)}))
    assert found.of("m", "ocr")["dvs"].low is not None


def test_one_subtask_and_missing_answers() -> None:
    single = figures(one_model({"a": 20}), None).of("m", "ocr")["tau"]
    assert (single.value, single.reason) == (None, "stability needs 2 subtasks, ocr has 1")
    score = np.array([1.0] * 30 + [np.nan] * 30)
    marks = field_of(
        {"m": score, "whole": np.ones(60)}, ability=["ocr"] * 60, subtask=["a"] * 30 + ["b"] * 30
    )
    found = figures(marks, None)
    assert found.reason("tau", "m", "ocr") == "ocr/b has no answered sample"
    assert found.of("whole", "ocr")["tau"].value == 0.0


def test_what_does_not_fit_is_refused() -> None:
    marks = one_model(RIGHT)
    found = figures(marks)
    with pytest.raises(UserError, match="no model 'x'; there are: m"):
        found.difference("dvs", "x", "m", "ocr")
    with pytest.raises(UserError, match="no ability 'x'; there are: ocr, overall"):
        found.difference("dvs", "m", "m", "x")
    other = Marks(**{**{f: getattr(marks, f) for f in marks.__dataclass_fields__},
                     "suite": "n", "suite_digest": "t"})  # fmt: skip
    with pytest.raises(
        UserError, match=r"pool hand@1 is of the suite s, these runs answered n \(t"
    ):
        figures(other)
