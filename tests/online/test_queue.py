"""Which checkpoints are asked next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lens_ray.online.checkpoint import Checkpoint
from lens_ray.online.evaluator import Answered, Question
from lens_ray.online.queue import decided, milestones, next_questions, recorded, waiting
from lens_ray.online.spec import HostSpec, RunSpec, WatchSpec
from lens_ray.store.watch_log import Depth, Seen, WatchState

NOW = "2026-11-27T12:00:00+00:00"
RUN = RunSpec(name="a", path="/run")


def spec(**keys: Any) -> WatchSpec:
    return WatchSpec(name="w", suite="mini:quick", store="s", runs=(RUN,), **keys)


def seen(step: int, depth: Depth | None = None, **changes: Any) -> Seen:
    whole = Seen(step, f"/run/step-{step}", f"m{step}", NOW, "whole", NOW, written=float(step))
    if depth is not None:
        whole = replace(whole, depth=depth, run_id=f"r{step}", asked_mark=whole.mark)
    return replace(whole, **changes)


def order(watch: WatchSpec, state: WatchState) -> list[tuple[int, str]]:
    return [(one.seen.step, one.depth) for one in waiting(watch, RUN, state)]


def state_of(*checkpoints: Seen) -> WatchState:
    return WatchState().with_seen(*checkpoints)


def answer(step: int, status: Any = "complete", depth: Depth = "anchor", **keys: Any) -> Answered:
    watch = spec(policy="all", ask=depth)
    checkpoint = Checkpoint("a", step, f"/run/step-{step}", keys.pop("mark", f"m{step}"), NOW)
    [question] = next_questions({"a": waiting(watch, RUN, state_of(seen(step)))}, {}, HostSpec(), 1)
    question = Question(checkpoint, question.spec, depth)
    return Answered(question, keys.pop("run_id", f"r{step}"), status, **keys)


def test_all_are_asked_oldest_first() -> None:
    state = state_of(seen(1, "anchor"), seen(2), seen(3), seen(4, status="growing"))
    assert order(spec(policy="all"), state) == [(2, "anchor"), (3, "anchor")]
    assert order(spec(policy="all", ask="full"), state) == [(1, "full"), (2, "full"), (3, "full")]


def test_the_newest_first() -> None:
    state = state_of(seen(1), seen(2), seen(3, "anchor"))
    assert order(spec(policy="newest_first"), state) == [(2, "anchor"), (1, "anchor")]


def test_milestones_in_full_once_every_checkpoint_is_on_the_curve() -> None:
    watch = spec(milestones=2)
    state = state_of(seen(1), seen(2, "anchor"), seen(3), seen(4, "anchor"), seen(5))
    assert order(watch, state) == [
        (5, "anchor"), (3, "anchor"), (1, "anchor"), (4, "full"), (2, "full"),
    ]  # fmt: skip
    state = state.with_seen(seen(4, "full"))
    assert (4, "full") not in order(watch, state)


def test_declared_milestones_and_the_end_of_the_run() -> None:
    state = state_of(*(seen(step) for step in (100, 200, 300, 400)))
    assert milestones(spec(milestones=(200, 250)), RUN, state) == {200}
    ends = RunSpec(name="a", path="/run", planned_steps=400)
    assert milestones(spec(milestones=(200,)), ends, state) == {200, 400}


def test_every_nth_and_what_is_left_out_stays_left_out() -> None:
    watch = spec(policy="every_n", every_n=3)
    state = decided(watch, RUN, state_of(*(seen(step) for step in range(1, 8))), NOW)
    assert order(watch, state) == [(1, "anchor"), (4, "anchor"), (7, "anchor")]
    left = state.at(2)
    assert left is not None
    assert (left.status, left.reason) == ("skipped", "policy every_n: 3")
    assert decided(watch, RUN, state, NOW) == state


def test_one_in_a_stretch_of_time() -> None:
    watch = spec(policy="every", every="2m")
    times = {1: 0.0, 2: 60.0, 3: 119.0, 4: 121.0, 5: 200.0, 6: 300.0}
    state = state_of(*(seen(step, written=at) for step, at in times.items()))
    state = decided(watch, RUN, state, NOW)
    assert [step for step, _ in order(watch, state)] == [1, 4, 6]


def test_who_falls_behind_skips_the_oldest_and_says_so_once_a_stretch() -> None:
    watch = spec(policy="all", behind=2)
    state = decided(watch, RUN, state_of(*(seen(step) for step in range(1, 6))), NOW)
    assert [step for step, _ in order(watch, state)] == [4, 5]
    [said] = state.incidents
    assert said.kind == "falls_behind"
    assert said.step == 1
    assert "5 checkpoints waited where 2 may" in said.line
    state = decided(watch, RUN, state.with_seen(seen(6)), NOW)
    assert [step for step, _ in order(watch, state)] == [5, 6]
    assert len(state.incidents) == 1
    state = decided(watch, RUN, state.with_seen(seen(5, "anchor"), seen(6, "anchor")), NOW)
    state = decided(watch, RUN, state.with_seen(seen(7), seen(8), seen(9)), NOW)
    assert [one.step for one in state.incidents] == [1, 7]


def test_milestones_are_skipped_last() -> None:
    state = decided(
        spec(milestones=(1, 2), behind=2), RUN, state_of(*(seen(step) for step in range(1, 6))), NOW
    )
    assert [one.step for one in state.seen if one.status == "whole"] == [1, 2]


def test_a_rewritten_checkpoint_is_asked_again() -> None:
    state = state_of(seen(1, "full", mark="other"))
    assert order(spec(), state) == [(1, "anchor")]
    state = recorded(state, answer(1, mark="other", run_id="r9"), 3, NOW)
    assert order(spec(milestones=9), state) == []
    [said] = state.incidents
    assert said.kind == "rewritten"
    assert "r1" in said.line
    assert "r9" in said.line


def test_files_written_again_with_the_same_content_are_no_news() -> None:
    state = state_of(seen(1, "anchor", mark="other"))
    assert recorded(state, answer(1, mark="other"), 3, NOW).incidents == ()


def test_an_answer_of_what_was_there_before_does_not_count_for_what_is_there_now() -> None:
    state = recorded(state_of(seen(1, mark="new")), answer(1, mark="m1"), 3, NOW)
    assert order(spec(), state) == [(1, "anchor")]


def test_a_failure_is_tried_again_and_is_final_at_last() -> None:
    state = state_of(seen(1))
    for tries in (1, 2):
        state = recorded(state, answer(1, "failed", run_id=None, reason="no config.json"), 3, NOW)
        assert state.at(1) == replace(seen(1), tries=tries, reason="no config.json")
        assert state.incidents == ()
    state = recorded(state, answer(1, "failed", run_id=None, reason="no config.json"), 3, NOW)
    assert order(spec(), state) == []
    assert [one.line for one in state.incidents] == ["step 1 cannot be asked: no config.json"]


def test_what_lacks_answers_at_last_counts_with_its_reason() -> None:
    state = state_of(seen(1))
    for _ in range(2):
        state = recorded(state, answer(1, "incomplete", reason="3 lack an answer"), 3, NOW)
        assert state.asked == ()
    state = recorded(state, answer(1, "incomplete", reason="3 lack an answer"), 3, NOW)
    [asked] = state.asked
    assert (asked.depth, asked.reason) == ("anchor", "3 lack an answer")


def test_an_anchor_answer_does_not_undo_a_full_one() -> None:
    state = recorded(state_of(seen(1, "full")), answer(1), 3, NOW)
    [asked] = state.asked
    assert asked.depth == "full"


def test_twenty_runs_are_served_in_turn() -> None:
    watch = spec(policy="all")
    wanted = {f"run{n:02}": waiting(watch, RUN, state_of(seen(1), seen(2))) for n in range(20)}
    served: dict[str, int] = {}
    rounds = []
    for number in range(5):
        asked = next_questions(wanted, served, watch.model, at_once=8)
        rounds.append({one.checkpoint.run for one in asked})
        served.update({one.checkpoint.run: 8 * number + at for at, one in enumerate(asked)})
    assert all(len(one) == 8 for one in rounds)
    counts = [sum(run in one for one in rounds) for run in wanted]
    assert min(counts) == max(counts) == 2


def test_a_question_is_hosted_as_the_watch_file_says() -> None:
    watch = spec(policy="all", model={"backend": "fake", "replicas": 2, "options": {"seed": 4}})
    wanted = {"a": waiting(watch, RUN, state_of(seen(7)))}
    [asked] = next_questions(wanted, {}, watch.model, 1)
    assert (asked.spec.name, asked.spec.step, asked.spec.path) == ("a@7", 7, "/run/step-7")
    assert asked.spec.options == {"seed": 4}
    assert asked.spec.replicas == 2


POLICIES = {
    "all": (),
    "newest_first": (),
    "every_n": ("every_n",),
    "every": ("every",),
    "milestones_full_else_anchor": ("milestones",),
}


@given(
    policy=st.sampled_from(sorted(POLICIES)),
    arrivals=st.lists(st.lists(st.integers(1, 40), max_size=5), max_size=12),
    behind=st.none() | st.integers(1, 4),
    n=st.integers(1, 4),
)
def test_whatever_arrives_each_is_asked_once_or_left_out_with_a_reason(
    policy: Any, arrivals: list[list[int]], behind: int | None, n: int
) -> None:
    keys = {"every_n": n, "every": "10s", "milestones": n}
    watch = spec(policy=policy, behind=behind, **{key: keys[key] for key in POLICIES[policy]})
    state = WatchState()
    asked: list[tuple[int, str]] = []
    rounds = [*arrivals, *([[]] * 100)]
    for new in rounds:
        state = state.with_seen(*(seen(step) for step in new if state.at(step) is None))
        state = decided(watch, RUN, state, NOW)
        assert decided(watch, RUN, state, NOW) == state
        for question in next_questions({"a": waiting(watch, RUN, state)}, {}, watch.model, 1):
            step = question.checkpoint.step
            asked.append((step, question.depth))
            state = recorded(state, answer(step, depth=question.depth), 3, NOW)
    assert len(asked) == len(set(asked))
    assert waiting(watch, RUN, state) == ()
    for one in state.seen:
        assert (one.status == "skipped" and one.reason) or one.depth is not None
    if policy in ("all", "newest_first") and behind is None:
        assert {step for step, _ in asked} == {one.step for one in state.seen}
