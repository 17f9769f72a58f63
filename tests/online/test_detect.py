"""Declines, conflicts and sudden drops of simulated runs, and that looks are what they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lens_ray.online.declines import Looked, Verdict, episodes
from lens_ray.online.declines import tested as adjusted
from lens_ray.online.detect import detect, look_at
from lens_ray.online.findings import Findings
from lens_ray.online.series import Series
from lens_ray.online.shift import Ground, Shifts
from lens_ray.online.spec import Declared, Rules
from lens_ray.online.windows import Look, Windows
from lens_ray.testing.simulated_runs import Design, simulate
from tests.online import hand_made

RULES = Rules(window=3, planned_checkpoints=12)
SMALL = Design(items=600, checkpoints=12)


def until(series: Series, count: int) -> Series:
    """The run as it was known at an earlier look."""
    return replace(
        series, steps=series.steps[:count], depth=series.depth[:count],
        marks=series.marks.only(series.marks.models[:count]),
    )  # fmt: skip


@pytest.fixture(scope="module")
def conflict() -> tuple[Series, Findings, str, str]:
    series, truth = simulate("conflict", 5, SMALL, effect=0.2)
    series = replace(series, changes={400: "mix: one 1 -> 3", 1200: "lr: halved"})
    return series, detect(series, RULES), truth.rises[0], truth.falls[0]


def test_the_planted_conflict_is_found(conflict: tuple[Series, Findings, str, str]) -> None:
    _, found, rises, falls = conflict
    [one] = found.conflicts
    assert (one.rises, one.falls) == (rises, falls)
    assert one.rise_interval[0] < 0.2 < one.rise_interval[1]
    assert one.interval[0] < -0.2 < one.interval[1]
    assert one.p_adjusted <= RULES.alpha
    assert one.beside == {400: "mix: one 1 -> 3"}
    assert one.wander
    [fell] = found.declines
    assert fell.ability == falls
    assert fell.best < 600
    assert fell.effect == pytest.approx(one.effect, abs=0.08)


def test_the_matrix_has_every_ability_at_every_window(
    conflict: tuple[Series, Findings, str, str],
) -> None:
    series, found, rises, falls = conflict
    assert len(found.shifts) == 6 * 3
    assert {shift.ability for shift in found.shifts} == set(series.abilities)
    far = {shift.ability: shift for shift in found.shifts if shift.early == (100, 300)}
    assert far[rises].interval[0] > 0
    assert far[falls].interval[1] < 0


def test_what_was_known_at_a_look_stays_so(conflict: tuple[Series, Findings, str, str]) -> None:
    series, found, _, _ = conflict
    [one], [fell] = found.conflicts, found.declines
    for at, kind in ((one.declared_at, "conflicts"), (fell.declared_at, "declines")):
        count = int(np.searchsorted(series.steps, at))
        assert getattr(detect(until(series, count), RULES), kind) == ()
        [then] = getattr(detect(until(series, count + 1), RULES), kind)
        assert then.declared_at == at


def test_declared_windows_find_it_too(conflict: tuple[Series, Findings, str, str]) -> None:
    series, _, rises, falls = conflict
    windows = (Declared(early=(100, 300), late=(900, 1200)),)
    found = detect(series, Rules(windows=windows))
    [one] = found.conflicts
    assert (one.rises, one.falls, one.early, one.late) == (rises, falls, (100, 300), (900, 1200))
    assert one.declared_at == 1200


def test_nothing_is_found_in_a_flat_run() -> None:
    series, _ = simulate("flat", 4, SMALL)
    found = detect(series, RULES)
    assert not found.declines
    assert not found.conflicts
    assert not [alarm for alarm in found.alarms if alarm.kind == "sudden_drop"]


def test_windows_of_one_checkpoint_say_that_no_wander_is_in() -> None:
    counts = {"ocr": [200, 260], "entity": [260, 200]}
    series = hand_made.series(counts)
    found = detect(series, Rules(window=1, planned_checkpoints=2))
    [one] = found.conflicts
    assert (one.rises, one.falls) == ("ocr", "entity")
    assert not one.wander
    assert any("wander" in note for note in found.notes)


def test_of_too_few_checkpoints_a_note_tells() -> None:
    found = detect(hand_made.series({"ocr": [200] * 4}), Rules())
    assert found.notes == (
        "declines and conflicts: 4 checkpoints so far; two windows of 5 are needed",
    )


def test_an_empty_run_has_a_note() -> None:
    series = replace(hand_made.series({"ocr": [200]}), steps=np.array([], dtype=np.int64))
    assert detect(series, Rules()).step is None


def test_a_sudden_drop_is_told_at_its_checkpoint_only() -> None:
    series = hand_made.series({"ocr": [300, 300, 250, 250], "entity": [300, 301, 299, 300]})
    found = [alarm for alarm in detect(series, Rules()).alarms if alarm.kind == "sudden_drop"]
    assert [(alarm.ability, alarm.step) for alarm in found] == [("ocr", 300)]
    assert found[0].effect == pytest.approx(-50 / 400)
    assert found[0].line == "step 300: ocr fell by 0.125 since step 200"


def test_a_drop_within_the_margin_is_none() -> None:
    """A point and a half is sure: six items of 400, none the other way; the margin is two."""
    series = hand_made.series({"ocr": [300, 294]})
    assert not [one for one in detect(series, Rules()).alarms if one.kind == "sudden_drop"]


def nothing_moved() -> Shifts:
    return Shifts(Windows((0,), (1,)), False, {}, {}, None, 1.0)


def test_holm_within_a_look_and_alpha_over_looks() -> None:
    """Three tests at a fifth of alpha: the smallest p counts 3 x 5 times, the next 2 x 5."""
    shifts = nothing_moved()
    looked = Looked(Look(1, (), 0.01, False), (shifts,))
    tests = [(("a",), shifts, 0.001), (("b",), shifts, 0.03), (("c",), shifts, 0.004)]
    found = adjusted(looked, tests, 0.05)
    assert [each.p_adjusted for each in found] == pytest.approx([0.015, 0.15, 0.04])


def test_a_finding_goes_on_until_a_look_shows_nothing_of_it() -> None:
    shifts = nothing_moved()

    def at(place: int, p: float) -> list[Verdict]:
        return [Verdict(place, ("a",), shifts, p, min(10 * p, 1.0))]

    looks = [at(0, 0.001), at(1, 0.02), at(2, 0.002), at(3, 0.3), at(4, 0.004)]
    found = [(first.place, newest.place) for first, newest in episodes(looks, 0.05)]
    assert found == [(0, 2), (4, 4)]


def test_looks_share_what_they_compute() -> None:
    series, _ = simulate("flat", 4, SMALL)
    looks = look_at(series, RULES, Ground(series))
    assert [len(looked.shifts) for looked in looks] == [1, 2, 3]
