"""Whether a trainer is told to stop."""

from __future__ import annotations

from typing import Any

from lens_ray.online.findings import AdviceLine, Alarm, Convergence, Findings
from lens_ray.online.spec import RunSpec, StopSpec, WatchSpec
from lens_ray.online.stopping import reason_to_stop
from lens_ray.stats.advice.needs import Needs


def spec(*when: Any, needs: Needs | None = None) -> WatchSpec:
    return WatchSpec(
        name="w", suite="s", store="s", runs=(RunSpec(name="a", path="p"),),
        stop=StopSpec(when=when), needs=needs,
    )  # fmt: skip


DONE, RISES = Convergence("ocr", "converged", 500), Convergence("entity", "rising")


def test_nothing_stops_that_was_not_asked_for() -> None:
    assert reason_to_stop(spec(), Findings("a", 500, convergence=(DONE,))) is None


def test_all_converged() -> None:
    watch = spec("all_converged")
    assert reason_to_stop(watch, Findings("a", 500)) is None
    assert reason_to_stop(watch, Findings("a", 500, convergence=(DONE, RISES))) is None
    assert reason_to_stop(watch, Findings("a", 500, convergence=(DONE,))) is not None


def test_only_abilities_that_count_must_have_converged() -> None:
    found = Findings("a", 500, convergence=(DONE, RISES))
    for needs, stops in (
        (Needs(weights={"ocr": 1.0}), True),
        (Needs(weights={"ocr": 1.0, "others": 1.0}), False),
        (Needs(weights={"ocr": 1.0}, min_score={"entity": 0.5}), False),
        (Needs(), False),
    ):
        assert (reason_to_stop(spec("all_converged", needs=needs), found) is not None) is stops


def test_needs_met() -> None:
    line = AdviceLine("run", "needs_met", "step 500 meets the needs")
    assert (
        reason_to_stop(spec("needs_met", needs=Needs()), Findings("a", 500, advice=(line,)))
        == line.line
    )
    assert reason_to_stop(spec("needs_met", needs=Needs()), Findings("a", 500)) is None


def test_a_collapse_that_is_over_stops_nothing() -> None:
    alarm = Alarm("broken_weights", None, 500, "step 500: NaN")
    assert reason_to_stop(spec("collapse"), Findings("a", 400, alarms=(alarm,))) == alarm.line
    assert reason_to_stop(spec("collapse"), Findings("a", 600, alarms=(alarm,))) is None
