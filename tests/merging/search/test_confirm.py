"""Claims, the weighing of trials, and luck: by hand arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from lens_ray.merging.search.choose import weigh
from lens_ray.merging.search.confirm import confirmation_of, summary
from lens_ray.merging.search.greedy import lost_abilities
from lens_ray.merging.search.optimism import optimism_of
from lens_ray.merging.search.table import Table, table_of
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.marks import Facet, Marks

ABILITIES = ("counting", "ocr")


def table(scores: Mapping[str, Sequence[Sequence[float]]]) -> Table:
    """Marks by model: rights and wrongs of counting, then of ocr; every unit is a cluster."""
    count = len(next(iter(scores.values()))[0])
    ability = np.repeat([0, 1], count)
    marks = Marks(
        models=tuple(scores), runs=(), suite="hand", suite_digest="0" * 64,
        ids=tuple(f"u{at}" for at in range(2 * count)),
        strata=(("counting", "one"), ("ocr", "one")), stratum=ability,
        cluster=np.arange(2 * count), clusters=2 * count,
        chance=np.zeros(2 * count), upper=np.ones(2 * count),
        score=np.array([np.concatenate([np.array(part, float) for part in each])
                        for each in scores.values()]),
        weights={name: {"one": 1.0} for name in ABILITIES},
        facets={"ability": Facet(ABILITIES, ability)},
    )  # fmt: skip
    return table_of(marks, None, 0.95)


def rights(count: int, of: int = 400) -> list[float]:
    """The first so many right: models that know more know all that others do."""
    return [1.0] * count + [0.0] * (of - count)


def test_all_claims_hold() -> None:
    found = confirmation_of(
        table({"m": [rights(240), rights(280)], "f": [rights(200), rights(281)]}),
        "m", "f", "f", margin=0.02,
    )  # fmt: skip
    assert found.holds
    assert not found.refuted
    assert found.single is None
    assert [(each.figure, each.change) for each in found.claims] == [
        (OVERALL, "improved"), ("counting", "improved"), ("ocr", "held"),
    ]  # fmt: skip
    overall = found.claims[0]
    assert overall.difference.difference == pytest.approx((40 - 1) / 800)
    assert overall.low is not None
    assert overall.difference.ci_low is not None
    assert overall.difference.ci_low < overall.low < 39 / 800
    assert found.scores["merge"]["ocr"].value == pytest.approx(0.7)
    assert found.scores["final"] == found.scores["f"]


def test_a_lost_ability_refutes_a_merge_that_is_ahead() -> None:
    found = confirmation_of(
        table({"m": [rights(280), rights(260)], "f": [rights(200), rights(280)]}),
        "m", "f", "f", margin=0.02,
    )  # fmt: skip
    assert found.refuted
    assert [each.change for each in found.claims] == ["improved", "improved", "regressed"]
    assert "ocr" in summary(found)


def test_what_few_samples_do_not_show_is_neither_held_nor_lost() -> None:
    few = {"m": [rights(30, 40), rights(28, 40)], "f": [rights(18, 40), rights(29, 40)]}
    found = confirmation_of(table(few), "m", "f", "f", margin=0.02)
    assert found.claims[0].holds
    assert found.claims[2].change == "inconclusive"
    assert not found.holds
    assert not found.refuted


def test_both_checkpoints_must_be_beaten() -> None:
    three = {
        "m": [rights(240), rights(280)], "f": [rights(200), rights(280)],
        "s": [rights(241), rights(280)],
    }  # fmt: skip
    found = confirmation_of(table(three), "m", "f", "s", margin=0.02)
    assert {each.against for each in found.claims} == {"f", "s"}
    assert not found.holds
    assert found.refuted
    assert found.single is not None
    assert found.single.difference == pytest.approx(41 / 800)


def test_noise_at_chance_is_no_loss() -> None:
    """Three of 100 samples the other way is more than the margin, and shows nothing."""
    swapped = [*rights(50, 100)[3:], 1.0, 1.0, 0.0]
    found = table({"m": [rights(50, 100), swapped], "f": [rights(50, 100), rights(50, 100)]})
    assert lost_abilities(found.differences("m", "f"), 0.005, 0.05) == []
    found = table({"m": [rights(50, 100), rights(30, 100)], "f": [rights(50, 100)] * 2})
    assert lost_abilities(found.differences("m", "f"), 0.005, 0.05) == ["ocr"]


def test_a_smaller_gain_that_will_be_confirmed_is_worth_more() -> None:
    four = {
        "s": [rights(200), rights(200)],
        "safe": [rights(216), rights(210)],
        "torn": [rights(260), rights(170)],
    }  # fmt: skip
    ranked = weigh(table(four), ["safe", "torn"], "s", "s", margin=0.02)
    assert [each.name for each in ranked] == ["safe", "torn"]
    assert ranked[1].measured == pytest.approx(30 / 800)
    assert ranked[1].weakest == "ocr against s"
    assert ranked[1].likely < 0.01 < ranked[0].likely


def test_more_samples_that_confirm_make_it_likelier() -> None:
    marks = table({"s": [rights(200), rights(200)], "m": [rights(210), rights(204)]})
    one, many = (
        weigh(marks, ["m"], "s", "s", margin=0.02, confirm_units=units)[0].likely
        for units in (None, 80_000)
    )
    assert many > one


def test_needs_come_first() -> None:
    marks = table(
        {"s": [rights(200)] * 2, "a": [rights(300), rights(210)], "b": [rights(210), rights(230)]}
    )
    ranked = weigh(marks, ["a", "b"], "s", "s", margin=0.02, min_score={"ocr": 0.57})
    assert [each.name for each in ranked] == ["b", "a"]
    assert ranked[1].short == ("ocr",)


def test_luck_of_equals() -> None:
    """Twenty equal merges against one checkpoint: the highest is luck alone, near its true mean."""
    rng = np.random.default_rng(5)
    names = [f"m{at}" for at in range(20)]
    gains, told = [], []
    for _ in range(25):
        drawn = {name: (rng.random((2, 150)) < 0.6).tolist() for name in (*names, "s")}
        found = table(drawn)
        best = max(names, key=lambda name: found.values[name][OVERALL])
        luck = optimism_of(found.marks, found.overall, best, "s", names)
        gains.append(luck.gain)
        told.append(luck.expected)
        assert luck.candidates == 20
        assert luck.corrected == luck.gain - luck.expected
    # The bootstrap knows only that trials which look higher may be, so it says less than all.
    assert 0.4 * np.mean(gains) < np.mean(told) < 1.2 * np.mean(gains)
