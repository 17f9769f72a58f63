from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lens_ray.errors import CannotSay
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.gate import Decision, judge
from lens_ray.stats.gate.bounds import measured
from lens_ray.stats.gate.planted import plant
from lens_ray.stats.gate.simulate import characteristics
from lens_ray.stats.marks import Marks
from tests.stats.gate.grounds import ground_of, marks_from, policy_of, rows_of


def field(units: int, seed: int = 1, size: int = 1, abilities: int = 2) -> Marks:
    """Two models that err alike, on abilities of two subtasks each."""
    rng = np.random.default_rng(seed)
    ease = np.repeat(rng.normal(0.4, 1, units // size), size)
    score = np.stack([ease + rng.normal(0, 1, len(ease)) > 0 for _ in range(2)]).astype(float)
    names = ("ocr", "counting", "entity")[:abilities]
    return marks_from(score, ability=names, subtasks=2, size=size, chance=0.25)


@pytest.mark.parametrize("wished", [-0.3, -0.05, 0.0, 0.2])
def test_what_is_planted_is_the_truth(wished: float) -> None:
    marks = field(1200, size=3)
    figures = ability_figures(marks)
    population = plant(marks, figures, {"ocr": wished, "counting": 0.1})
    truth = measured(population.expected(), figures)
    assert truth["ocr"].estimate == pytest.approx(wished, abs=1e-12)
    assert truth["counting"].estimate == pytest.approx(0.1, abs=1e-12)
    rng = np.random.default_rng(2)
    drawn = [measured(population.draw(rng), figures)["ocr"].estimate for _ in range(150)]
    assert np.mean([each for each in drawn if each is not None]) == pytest.approx(wished, abs=0.015)


def test_a_draw_is_whole_clusters_and_keeps_what_is_missing() -> None:
    marks = field(600, size=3)
    score = marks.score.copy()
    score[0, :6] = np.nan
    population = plant(replace(marks, score=score), ability_figures(marks), {"ocr": -0.2})
    drawn = population.draw(np.random.default_rng(3))
    assert drawn.clusters == 200
    assert set(np.bincount(drawn.cluster).tolist()) == {3}
    for cluster in range(0, 200, 20):
        ids = [int(drawn.ids[place][1:]) for place in np.flatnonzero(drawn.cluster == cluster)]
        assert ids == [ids[0], ids[0] + 1, ids[0] + 2]
        assert ids[0] % 3 == 0
    lost = np.isnan(drawn.score[0])
    assert {int(drawn.ids[place][1:]) < 6 for place in np.flatnonzero(lost).tolist()} <= {True}


def test_what_cannot_be_reached_is_planted_as_far_as_it_can_be() -> None:
    marks = field(400)
    figures = ability_figures(marks)
    truth = measured(plant(marks, figures, {"ocr": 1.9}).expected(), figures)["ocr"]
    assert truth.candidate == pytest.approx(1.0)


def test_a_policy_says_what_it_should_far_from_its_limits() -> None:
    policy = policy_of(
        {"noninferior": {"margin": 0.2}}, {"superior": {"by": 0.0}}, {"min_coverage": 0.9}
    )
    ground = replace(ground_of(field(1600)), coverage={"overall": 1.0})
    found = characteristics(policy, ground, runs=40, shifts=[-0.4, 0.2])
    worse, better = found.scenarios
    assert (worse.holds, worse.no_go, worse.wrong) == (False, 1.0, 0.0)
    assert (better.holds, better.go, better.wrong) == (True, 1.0, 0.0)
    assert better.truth["ocr"] == pytest.approx(0.2)
    assert worse.stopped_by is not None
    again = characteristics(policy, ground, runs=40, shifts=[-0.4, 0.2])
    assert again == found
    assert [row["scenario"] for row in found.rows()] == ["all -0.4", "all +0.2"]


def test_scenarios_stand_around_the_limits_of_the_policy() -> None:
    policy = policy_of({"noninferior": {"margin": 0.1}}, {"superior": {"by": 0.02}})
    said: list[str] = []
    found = characteristics(policy, ground_of(field(400)), runs=3, progress=said.append)
    assert [each.scenario for each in found.scenarios] == [
        "all -0.1", "all +0", "all +0.02", "all +0.12",
        "ocr -0.1, others +0.12", "counting -0.1, others +0.12",
    ]  # fmt: skip
    assert [each.holds for each in found.scenarios] == [False, False, False, True, False, False]
    assert len(said) == 6


def test_a_policy_without_a_baseline_is_simulated_from_the_candidate() -> None:
    marks = field(800).only(["new"])
    policy = policy_of({"min_score": {"score": 0.4}})
    found = characteristics(policy, ground_of(marks), runs=20, shifts=[-0.3, 0.2])
    assert found.baseline is None
    assert [each.holds for each in found.scenarios] == [False, True]
    assert found.scenarios[0].truth["ocr"] == pytest.approx(-0.3)


def test_a_count_that_breaks_a_bound_stays_broken() -> None:
    ground = replace(ground_of(field(400)), rows=rows_of(["unparsed"] * 10 + ["ok"] * 90))
    policy = policy_of({"max_unparsed": 0.05}, {"superior": {}})
    found = characteristics(policy, ground, runs=5, shifts=[0.3])
    assert (found.scenarios[0].no_go, found.scenarios[0].holds) == (1.0, False)


def test_nothing_can_be_simulated_without_marks() -> None:
    ground = replace(ground_of(field(40)), marks=None, reason="other suites")
    with pytest.raises(CannotSay, match="nothing to simulate from: other suites"):
        characteristics(policy_of({"superior": {}}), ground)


# Both errors, at the limits; 5 % is the level, 6 % is allowed, the rest is of the simulation.


def slack(share: float, runs: int) -> float:
    return share + 2.6 * float(np.sqrt(share * (1 - share) / runs))


@pytest.mark.slow
@pytest.mark.parametrize(("units", "size"), [(204, 1), (1200, 3)])
def test_wrong_goes_are_few_where_one_requirement_just_fails(units: int, size: int) -> None:
    """The worst case of the intersection-union test: all but one requirement hold by far."""
    runs = 300
    ground = ground_of(field(units, seed=4, size=size))
    policy = policy_of({"noninferior": {"margin": 0.1}}, {"superior": {"by": 0.0}})
    found = characteristics(policy, ground, runs=runs)
    alone = [each for each in found.scenarios if "others" in each.scenario]
    assert len(alone) == 2
    for each in found.scenarios:
        if each.holds is False:
            assert each.go <= slack(0.06, runs), each


@pytest.mark.slow
def test_wrong_nogoes_are_few_where_every_requirement_just_holds() -> None:
    """Six requirements, each of them at its limit: Holm keeps the family at the level."""
    runs = 300
    marks = field(1200, seed=6, abilities=3)
    policy = policy_of({"noninferior": {"margin": 0.1}}, {"noninferior": {"margin": 0.1001}})
    figures = ability_figures(marks)
    population = plant(marks, figures, dict.fromkeys(("ocr", "counting", "entity"), -0.0999))
    rng = np.random.default_rng(7)
    said = [judge(policy, ground_of(population.draw(rng))).decision for _ in range(runs)]
    assert said.count(Decision.NO_GO) / runs <= slack(0.06, runs)
    assert said.count(Decision.GO) / runs <= slack(0.06, runs)


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "gain"), [(0.1, 0.0), (0.15, 0.05), (0.1, 0.1)])
def test_a_bound_errs_in_at_most_six_percent_where_losses_are_seldom(
    loss: float, gain: float
) -> None:
    runs = 1200
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(runs):
        moved = rng.random(102)
        score = np.ones((2, 102))
        score[0, moved < loss] = 0.0
        score[1, moved > 1 - gain] = 0.0
        marks = marks_from(score, subtasks=3, chance=0.25)
        found = measured(marks, ability_figures(marks).only(["ocr"]))["ocr"]
        assert found.bounds is not None
        wrong += found.bounds(0.05)[0] > (gain - loss) / 0.75
    assert wrong / runs <= slack(0.06, runs)
