"""The marks of all models that can be ranked together: `marks_side_by_side`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lens_ray.errors import UserError
from lens_ray.stats.choose import choose_runs
from lens_ray.stats.marks import Marks, read_marks, unfit

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A model that is not on the leaderboard.

    Attributes:
        model: Its name.
        run_id: Its run.
        reason: Why.
    """

    model: str
    run_id: str
    reason: str


def marks_side_by_side(
    store: Store, models: Sequence[str] | None, *, suite: str | None, on: str
) -> tuple[Marks, tuple[LeftOut, ...]]:
    """Marks of the named models, or of all that were asked the same, and who is not among them.

    The models stand in the order of their names, so that the same runs give the same draw however
    they were named.

    Args:
        store: Where they are.
        models: Names of models or ids of runs; None takes the most that can be ranked together.
        suite: See `lens_ray.stats.choose.choose_runs`.
        on: See `lens_ray.stats.marks.load_marks`; with ``common`` unfinished runs are still left
            out, unless they are named.

    Raises:
        UserError: There is no such model or suite, or none is fit to be ranked.
        NotComparable: Models that were named were not asked the same.
        StoreUnavailable: The store is out of reach or damaged.
    """
    runs = choose_runs(store, models, suite=suite)
    left_out: list[LeftOut] = []
    if models is None:
        runs, left_out = _asked_the_same(store, runs, alike=on == "all")
    runs = sorted(runs, key=lambda run: (run.model, run.run_id))
    return read_marks(store, runs, on=on), tuple(left_out)


def _asked_the_same(
    store: Store, runs: Sequence[RunHeader], *, alike: bool
) -> tuple[list[RunHeader], list[LeftOut]]:
    """The finished runs, or the most that were asked alike, and why the others are not among them.

    Raises:
        UserError: None is fit to be compared.
    """
    states = {header.run_id: state for header, state in store.states()}
    left_out: list[LeftOut] = []
    asked: dict[tuple[str, frozenset[str]], list[RunHeader]] = {}
    for run in runs:
        commit = states[run.run_id].commit
        why = unfit(states[run.run_id])
        if why is not None or commit is None:
            left_out.append(LeftOut(run.model, run.run_id, f"it {why}"))
        else:
            same = (run.template, frozenset(commit.left_out)) if alike else ("", frozenset())
            asked.setdefault(same, []).append(run)
    if not asked:
        first = left_out[0]
        raise UserError(f"no run can be ranked: {first.model} {first.reason.removeprefix('it ')}")
    # Of equally many, those that were asked the most.
    template, missing = max(asked, key=lambda each: (len(asked[each]), -len(each[1])))
    for (other, absent), members in asked.items():
        if (other, absent) != (template, missing):
            why = f"was asked by template {other}, the others by {template}"
            if other == template:
                why = f"was not asked the same samples ({len(absent):,} left out, the others "
                why += f"{len(missing):,})"
            why += "; --on common takes what all answered"
            left_out += [LeftOut(run.model, run.run_id, f"it {why}") for run in members]
    return asked[template, missing], left_out
