"""Which checkpoints are asked next, by the watch's policy. Pure.

`decided` marks what the policy leaves out, so that the decision stays; `waiting` is what it wants
asked, the first first; `next_questions` takes from many runs in turn; `recorded` notes an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lens_ray.models.spec import ModelSpec
from lens_ray.online.checkpoint import Checkpoint, Depth
from lens_ray.online.evaluator import Answered, Question
from lens_ray.online.spec import HostSpec, RunSpec, WatchSpec
from lens_ray.store.watch_log import Incident, Seen, WatchState

_NOT_DUE = "policy every:"
#: A reason may quote a checkpoint's files.
_LINE = 500
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checkpoint that is to be asked.

    Attributes:
        seen: Which.
        depth: Which samples.
    """

    seen: Seen
    depth: Depth


def asked_depth(seen: Seen) -> Depth | None:
    """How far a checkpoint was asked as it is now; None where it was not, or was rewritten."""
    return seen.depth if seen.asked_mark == seen.mark else None


def decided(spec: WatchSpec, run: RunSpec, state: WatchState, now: str) -> WatchState:
    """The state with what the policy leaves out marked ``skipped``, for good.

    Args:
        spec: The watch.
        run: Its run.
        state: Of the run.
        now: For what is noted.
    """
    fresh = [one for one in state.seen if one.status == "whole" and asked_depth(one) is None]
    out = {one.step: _left_out(spec, state, one) for one in fresh}
    skipped = [
        replace(one, status="skipped", reason=why) for one in fresh if (why := out[one.step])
    ]
    state = state.with_seen(*skipped)
    left = [one for one in fresh if not out[one.step]]
    return _behind(spec, run, state, left, now)


def waiting(spec: WatchSpec, run: RunSpec, state: WatchState) -> tuple[Wanted, ...]:
    """What the policy wants asked, the first first."""
    whole = [one for one in state.seen if one.status == "whole"]
    fresh = [one for one in whole if asked_depth(one) is None]
    if spec.policy != "milestones_full_else_anchor" and spec.ask == "full":
        fresh = [one for one in whole if asked_depth(one) != "full"]
    if spec.policy in ("newest_first", "milestones_full_else_anchor"):
        fresh.reverse()
    if spec.policy != "milestones_full_else_anchor":
        return tuple(Wanted(one, spec.ask) for one in fresh)
    # Every checkpoint is on the curve before any is asked in full.
    full = milestones(spec, run, state)
    deep = [one for one in whole if one.step in full and asked_depth(one) == "anchor"]
    return (
        *(Wanted(one, "anchor") for one in fresh),
        *(Wanted(one, "full") for one in reversed(deep)),
    )


def milestones(spec: WatchSpec, run: RunSpec, state: WatchState) -> frozenset[int]:
    """The steps that are asked in full; the end of the run, where it is known, is one."""
    steps = _counted(state)
    if isinstance(spec.milestones, int):
        chosen = set(steps[spec.milestones - 1 :: spec.milestones])
    else:
        chosen = set(spec.milestones).intersection(steps)
    if run.planned_steps is not None:
        chosen.update(step for step in steps if step >= run.planned_steps)
    return frozenset(chosen)


def next_questions(
    wanted: Mapping[str, Sequence[Wanted]],
    served: Mapping[str, int],
    host: HostSpec,
    at_once: int,
) -> tuple[Question, ...]:
    """One question of each run that has any, those first that were served longest ago.

    Args:
        wanted: By run.
        served: At which turn each run was served last; those that never were are not in it.
        host: How checkpoints are hosted.
        at_once: Questions, at most.
    """
    runs = sorted((run for run in wanted if wanted[run]), key=lambda run: served.get(run, -1))
    return tuple(_question(run, wanted[run][0], host) for run in runs[:at_once])


def recorded(state: WatchState, answer: Answered, tries: int, now: str) -> WatchState:
    """The state with an answer noted. Pure.

    Args:
        state: Of the run.
        answer: To a question about one of its checkpoints.
        tries: So many failures are final.
        now: When it came.
    """
    checkpoint = answer.question.checkpoint
    seen = state.at(checkpoint.step)
    if seen is None:
        return state
    final = seen.tries + 1 >= tries
    if answer.status == "failed" or answer.run_id is None:
        reason = (answer.reason or "it cannot be asked")[:_LINE]
        failed = replace(seen, tries=seen.tries + 1, reason=reason)
        if not final or seen.status != "whole" or seen.mark != checkpoint.mark:
            return state.with_seen(failed)
        line = f"step {seen.step} cannot be asked: {reason}"
        state = state.with_seen(replace(failed, status="failed"))
        return state.with_incidents(Incident("failed", seen.step, line, now))
    if answer.status == "incomplete" and not final:
        return state.with_seen(replace(seen, tries=seen.tries + 1, reason=answer.reason))
    deeper = answer.question.depth
    if seen.depth == "full" and seen.run_id == answer.run_id:
        deeper = "full"
    noted = replace(
        seen, depth=deeper, run_id=answer.run_id, asked_mark=checkpoint.mark, asked_at=now,
        seconds=answer.seconds, swapped=answer.swapped, tries=0, reason=answer.reason,
    )  # fmt: skip
    state = state.with_seen(noted)
    if seen.run_id is None or seen.run_id == answer.run_id:
        return state
    line = (
        f"step {seen.step} was rewritten: run {seen.run_id} has the answers of what was there "
        f"before, {answer.run_id} of what is there now"
    )
    return state.with_incidents(Incident("rewritten", seen.step, line, now))


def seconds(text: str) -> float:
    """What ``30m`` says."""
    return float(text[:-1]) * _UNITS[text[-1]]


def _question(run: str, wanted: Wanted, host: HostSpec) -> Question:
    seen = wanted.seen
    checkpoint = Checkpoint(
        run, seen.step, seen.path, seen.mark, seen.whole_at or seen.first_at, seen.metrics
    )
    spec = ModelSpec(
        name=checkpoint.name, path=seen.path, step=seen.step, **host.model_dump(exclude_unset=True)
    )
    return Question(checkpoint, spec, wanted.depth)


def _counted(state: WatchState) -> list[int]:
    """Steps that count when every so many-th is meant: all that were ever whole."""
    return [one.step for one in state.seen if one.whole_at is not None]


def _left_out(spec: WatchSpec, state: WatchState, seen: Seen) -> str | None:
    """Why a policy does not want a checkpoint."""
    if spec.policy == "every_n" and _counted(state).index(seen.step) % spec.every_n:
        return f"policy every_n: {spec.every_n}"
    if spec.policy == "every" and spec.every is not None and not _is_due(spec.every, state, seen):
        return f"{_NOT_DUE} {spec.every}"
    return None


def _is_due(every: str, state: WatchState, seen: Seen) -> bool:
    """Whether a checkpoint was written so long after the last one before it that is asked."""
    last: float | None = None
    for one in state.seen:
        passed_over = one.status == "skipped" and (one.reason or "").startswith(_NOT_DUE)
        if one.whole_at is None or one.status == "failed" or passed_over:
            continue
        written = one.written or 0.0
        due = last is None or written - last >= seconds(every)
        if one.step == seen.step:
            return due
        if due or one.depth is not None:
            last = written
    return True


def _behind(
    spec: WatchSpec, run: RunSpec, state: WatchState, left: Sequence[Seen], now: str
) -> WatchState:
    """Where too many wait, the oldest are left out; milestones only where nothing else is."""
    if spec.behind is None or len(left) <= spec.behind:
        return state
    why = f"policy behind: {len(left)} waited where {spec.behind} may"
    full: frozenset[int] = frozenset()
    if spec.policy == "milestones_full_else_anchor":
        full = milestones(spec, run, state)
    ordered = sorted(left, key=lambda one: (one.step in full, one.step))
    out = sorted(ordered[: len(left) - spec.behind], key=lambda one: one.step)
    state = state.with_seen(*(replace(one, status="skipped", reason=why) for one in out))
    first = out[0].step
    before = [one for one in state.seen if one.step < first]
    if before and before[-1].status == "skipped" and "behind" in (before[-1].reason or ""):
        return state  # one word for one stretch of checkpoints
    line = (
        f"the watch falls behind: {len(left)} checkpoints waited where {spec.behind} may, so "
        f"{len(out)} were skipped from step {first} on; give it more replicas or another policy"
    )
    return state.with_incidents(Incident("falls_behind", first, line, now))
