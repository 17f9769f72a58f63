"""What a checkpoint's answers are like, and the alarms of single checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lens_ray.online.alarms import health_alarms
from lens_ray.online.column import aligned, column_of, health_of
from lens_ray.online.curves import curves_of
from lens_ray.online.findings import Alarm, Curve, Interval, Point
from lens_ray.online.series import Health, Series
from lens_ray.online.spec import Rules
from tests.online.training import row
from tests.stats.tables import table

RULES = Rules()


def test_shares_by_hand() -> None:
    rows = [
        row(1, 0, 1.0, format="open", text="a", extracted="a"),
        row(1, 1, 0.0, format="open", text=" \n", extracted=None, status="unparsed"),
        row(1, 2, 0.0, format="open", text=None, extracted="a", status="refused"),
        row(1, 3, 0.0, format="multiple_choice", text="B", extracted="B"),
        row(1, 4, 0.0, format="multiple_choice", text="hm", extracted=None, status="unparsed"),
        row(1, 5, None, format="open", text="no", extracted="z"),
    ]
    found = health_of(table(rows), "NaN")
    assert found == Health(
        n=5, empty=2 / 5, commonest={"multiple_choice": 1 / 2, "open": 2 / 3}, unparsed=2 / 5,
        broken="NaN",
    )  # fmt: skip
    assert health_of(table([])) == Health()


def series(healths: Sequence[Health], score: float = 0.3, n: int = 40) -> Series:
    marks = [float(x) for x in np.random.default_rng(1).random(n) < score]
    rows = table([row(1, each, mark) for each, mark in enumerate(marks)])
    columns = {f"r@{number}": column_of(rows, "full") for number in range(len(healths))}
    return Series(
        run="r",
        steps=np.arange(len(healths)) * 100,
        marks=aligned(columns, weights={}),
        depth=tuple("full" for _ in healths),
        health=tuple(healths),
    )


def alarms(given: Series) -> list[tuple[str, int | None]]:
    found = health_alarms(given, RULES, curves_of(given))
    return [(alarm.kind, alarm.step) for alarm in found if alarm.kind != "near_chance"]


def test_each_is_told_where_it_begins_and_again_after_a_pause() -> None:
    empty = Health(n=40, empty=0.5)
    fine = Health(n=40, empty=0.1)
    assert alarms(series([fine, empty, empty, fine, empty])) == [
        ("empty_answers", 100), ("empty_answers", 400),
    ]  # fmt: skip


def test_broken_weights_name_why() -> None:
    given = series([Health(n=40), replace(Health(n=40), broken="NaN in lm_head.weight")])
    [alarm] = [each for each in health_alarms(given, RULES, ()) if each.kind == "broken_weights"]
    assert "NaN in lm_head.weight" in alarm.line
    assert alarm.step == 100


@pytest.mark.parametrize(
    ("share", "score", "n", "told"),
    [
        (0.95, 0.3, 400, True),
        (0.85, 0.3, 400, False),
        (0.95, 0.9, 400, False),
        (1.0, 0.3, 36, False),
    ],
)
def test_one_answer_for_all(share: float, score: float, n: int, told: bool) -> None:
    given = series([Health(n=n, commonest={"open": share})], score, n)
    assert (("one_answer", 0) in alarms(given)) == told


def near(*points: tuple[float, Interval]) -> list[Alarm]:
    curve = Curve(
        "ocr", None,
        tuple(Point(n, "full", 9, value, interval) for n, (value, interval) in enumerate(points)),
    )  # fmt: skip
    empty = series([])
    return list(health_alarms(empty, RULES, [curve]))


LOW, GOOD, UNSURE = (0.02, (-0.03, 0.07)), (0.5, (0.45, 0.55)), (0.08, (0.03, 0.13))


def test_what_was_learned_and_is_gone_is_told_at_once() -> None:
    [alarm] = near(LOW, GOOD, UNSURE, LOW, LOW)
    assert (alarm.kind, alarm.ability, alarm.step) == ("near_chance", "ocr", 3)
    assert "it had been learned" in alarm.line
    assert alarm.interval == (-0.03, 0.07)


def test_what_was_never_learned_is_told_once_after_five() -> None:
    assert near(LOW, LOW, LOW, LOW) == []
    assert [alarm.step for alarm in near(*[UNSURE] * 12)] == [4]
    assert [alarm.step for alarm in near(*[LOW] * 6, GOOD, GOOD, LOW)] == [4, 8]
    assert near(*[GOOD] * 9) == []


def test_keys_differ_by_step() -> None:
    one, other = near(*[LOW] * 6, GOOD, GOOD, LOW)
    assert one.key != other.key
