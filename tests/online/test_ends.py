"""When a watch is over, and what ends it early."""

from __future__ import annotations

import pytest

from lens_ray.errors import UserError
from lens_ray.online.ends import Failing, run_out
from lens_ray.online.spec import RunSpec, WatchSpec
from lens_ray.online.watcher import Standing, never
from lens_ray.store.watch_log import Incident, Seen, WatchState
from tests.report.watched import findings


def spec(*planned: int | None) -> WatchSpec:
    runs = tuple(
        RunSpec(name=f"r{at}", path=f"/r{at}", planned_steps=steps)
        for at, steps in enumerate(planned)
    )
    return WatchSpec(name="w", suite="mini:quick", store="/s", runs=runs)


def standing(at: int, *steps: int, stopped: bool = False, waiting: int = 0) -> Standing:
    seen = tuple(Seen(step, "p", "m", "t", status="whole") for step in steps)
    return Standing(f"r{at}", WatchState(seen, stopped_at="t" if stopped else None), waiting, 0)


def test_a_watch_ends_when_every_run_has_its_planned_steps_and_was_asked() -> None:
    over = run_out(spec(900, 500))
    assert not over([standing(0, 300), standing(1, 500)])
    assert over([standing(0, 300, 900), standing(1, 500)])
    assert not over([standing(0, 300, 900, waiting=1), standing(1, 500)])
    assert not over([standing(0), standing(1, 500)])


def test_the_last_checkpoint_is_waited_for_until_it_is_whole() -> None:
    over = run_out(spec(900))
    state = WatchState((Seen(300, "p", "m", "t", status="whole"), Seen(900, "p", "", "t")))
    assert not over([Standing("r0", state, 0, 0)])
    given_up = state.with_incidents(Incident("never_whole", 900, "step 900 is not whole", "t"))
    assert over([Standing("r0", given_up, 0, 0)])


def test_a_run_that_was_told_to_stop_has_ended() -> None:
    over = run_out(spec(900))
    assert over([standing(0, 300, stopped=True)])
    assert not over([standing(0, 300, stopped=True, waiting=1)])


def test_without_planned_steps_there_is_no_end() -> None:
    assert run_out(spec(900, None)) is never


@pytest.mark.parametrize(
    ("fear", "says"),
    [
        ("decline", ["decline (entity) at step 9,600"]),
        ("conflict", ["conflict (ocr up, entity down) at step 9,600"]),
        ("falls_behind", ["falls_behind (a)"]),
        ("one_answer", []),
    ],
)
def test_what_a_caller_fears(fear: str, says: list[str]) -> None:
    assert Failing([fear]).found(findings()) == says
    assert Failing([]).found(findings()) == []


def test_an_unknown_fear() -> None:
    with pytest.raises(UserError, match="did you mean 'conflict'"):
        Failing(["conflicts"])
