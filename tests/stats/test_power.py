"""Power: against simulation, the table of the reference, and what cannot be planned."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lens_ray.errors import UserError
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.power import power_of_pair, samples_needed
from lens_ray.stats.power_plan import Assumed, discordance_of, plan_power, planned_power
from lens_ray.stats.units import Floats
from lens_ray.suites.sample import Sample
from tests.stats.fields import field_of
from tests.suites.makers import OPEN


@pytest.mark.parametrize(
    ("correlation", "difference", "samples"),
    [(0.5, 0.01, 19_623), (0.5, 0.02, 4_906), (0.7, 0.02, 2_944), (0.8, 0.03, 873)],
)
def test_the_table_of_the_reference(correlation: float, difference: float, samples: int) -> None:
    """Two-sided 5 %, power 80 %, marks of standard deviation 0.5; the normal test."""
    sd = (2 * 0.25 * (1 - correlation)) ** 0.5
    found = samples_needed(100, sd / 10, math.inf, difference)
    assert found == pytest.approx(samples, abs=1)


def test_discordance_by_hand() -> None:
    assert discordance_of(0.7, 0.8) == pytest.approx(2 * 0.21 * 0.2)
    assert discordance_of(0.5, -1.0) == 1.0
    for accuracy, correlation in ((0.0, 0.5), (1.0, 0.5), (0.5, 1.0), (math.nan, 0.0)):
        with pytest.raises(UserError, match="give a number"):
            discordance_of(accuracy, correlation)


def samples_of(count: int, *, chance: float = 0.0, size: int = 1) -> list[Sample]:
    return [
        replace(
            OPEN, sample_id=f"t/{n}", subtask="ab"[n // size % 2], cluster_id=f"c/{n // size}",
            chance=chance,
        )
        for n in range(count)
    ]  # fmt: skip


def test_a_plan_by_hand() -> None:
    """400 samples, discordance 0.1, chance 0.5: se = sqrt(0.1 / 400) / 0.5 at no difference."""
    (line, overall) = plan_power(samples_of(400, chance=0.5), {}, Assumed(0.1))
    assert (line.figure, line.n, line.clusters, line.df) == ("counting", 400, 400, 398.0)
    assert line.se == pytest.approx((0.1 / 400) ** 0.5 / 0.5)
    assert line.sees == pytest.approx((1.9659 + 0.8428) * (0.1 / 400) ** 0.5 / 0.5, rel=2e-3)
    assert (line.difference, line.power, line.needed) == (None, None, None)
    assert overall.figure == "overall"
    assert overall.se == pytest.approx(line.se)


def test_clusters_and_weights_count_in_a_plan() -> None:
    alone = plan_power(samples_of(400), {}, Assumed(0.1))[0].se
    free = plan_power(samples_of(400, size=4), {}, Assumed(0.1))[0].se
    tied = plan_power(samples_of(400, size=4), {}, Assumed(0.1, correlation=1.0))[0]
    assert alone is not None
    assert free == pytest.approx(alone)
    assert tied.se == pytest.approx(2 * alone)
    assert tied.clusters == 100
    lopsided = plan_power(samples_of(400), {"counting": {"a": 0.9, "b": 0.1}}, Assumed(0.1))[0]
    assert lopsided.se == pytest.approx((0.1 * (0.81 + 0.01) / 200) ** 0.5)


def test_what_cannot_be_planned() -> None:
    line, overall = plan_power(samples_of(40, chance=1.0), {}, Assumed(0.1), difference=0.1)
    assert line.sees is None
    assert "no room above chance" in str(line.reason)
    assert overall.reason == "no figure for counting"
    line = plan_power(samples_of(40), {}, Assumed(0.04), difference=0.3)[0]
    assert "needs a discordance above" in str(line.reason)
    line = plan_power(samples_of(2), {}, Assumed(0.1))[0]
    assert line.reason == "2 clusters are too few"
    for given, words in (
        ({"difference": 0.0}, "difference 0"), ({"difference": math.nan}, "difference nan"),
        ({"power": 0.01}, "power 0.01"), ({"level": 0.7}, "level 0.7"),
        ({"level": 1e-300}, "level 1e-300"), ({"power": math.nextafter(1, 0)}, "power 1"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            plan_power(samples_of(40), {}, Assumed(0.1), **given)
    for assumed in (Assumed(0.0), Assumed(1.1), Assumed(0.1, 0.5), Assumed(0.1, None, 2.0)):
        with pytest.raises(UserError, match="give"):
            plan_power(samples_of(40), {}, assumed)
    for suite, facts, words in (
        (None, {"discordance": 0.1}, "power of what"),
        ("mini:quick", {}, "say what is assumed"),
        ("mini:quick", {"accuracy": 0.5}, "say what is assumed"),
        ("mini:quick", {"accuracy": 0.5, "correlation": 0.5, "discordance": 0.1}, "assumed"),
    ):
        with pytest.raises(UserError, match=words):
            planned_power(suite, **facts)


def test_models_that_never_differ_have_no_power() -> None:
    same = np.ones(60)
    marks = field_of({"a": same, "b": same}, ability=["ocr"] * 60, subtask=["s"] * 60)
    for line in power_of_pair(marks, "a", "b", difference=0.1):
        if line.se is None:
            assert line.reason
            assert line.needed is None


def _field(rng: np.random.Generator, n: int, difference: float) -> dict[str, Floats]:
    """Discordance 0.2; ``a`` is ahead by the difference."""
    draw = rng.random(n)
    base = (rng.random(n) < 0.5).astype(float)
    a = np.where(draw < 0.1 + difference / 2, 1.0, np.where(draw < 0.2, 0.0, base))
    b = np.where(draw < 0.1 + difference / 2, 0.0, np.where(draw < 0.2, 1.0, base))
    return {"a": a, "b": b}


@pytest.mark.slow
def test_the_predicted_power_is_what_comes_of_it() -> None:
    """Within 3 points, but for twice the error of the simulation."""
    rng = np.random.default_rng(3)
    runs = 600
    for n, difference in ((400, 0.06), (1000, 0.05)):
        ability = ["ocr"] * n
        subtask = ["st"[place % 2] for place in range(n)]
        found = 0
        layout = field_of(_field(rng, n, difference), ability=ability, subtask=subtask)
        for _ in range(runs):
            scores = _field(rng, n, difference)
            marks = replace(layout, score=np.stack([scores["a"], scores["b"]]))
            test = contrast(marks, "a", "b", ability_figures(marks))[0]
            found += test.p is not None and test.p < 0.05
        samples = [
            replace(OPEN, ability="ocr", sample_id=str(k), subtask=s, cluster_id=str(k), chance=0.0)
            for k, s in enumerate(subtask)
        ]
        line = plan_power(samples, {}, Assumed(0.2), difference=difference)[0]
        assert line.power is not None
        error = (line.power * (1 - line.power) / runs) ** 0.5
        assert abs(found / runs - line.power) < 0.03 + 2 * error
