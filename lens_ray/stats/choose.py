"""Which runs a comparison is about: `choose_runs`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from lens_ray.errors import UserError

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store

#: A run may be named by so many first characters of its id.
_ID = 8


def choose_runs(
    store: Store, models: Sequence[str] | None = None, *, suite: str | None = None
) -> list[RunHeader]:
    """The runs of some models on one suite.

    Args:
        store: Where they are.
        models: Names of models, or ids of runs (8 characters or more); None takes all of the
            suite's. Where a model has several runs of the suite, its latest committed one counts.
        suite: ``NAME`` or ``NAME@DIGEST``; needed only where the named models share several.

    Returns:
        One run a model: as named, or in the order in which they were opened.

    Raises:
        UserError: A model is unknown or named twice, or the suite is not decided.
    """
    states = store.states()
    finished = {header.run_id for header, state in states if state.commit is not None}
    headers = [header for header, _ in states if suite is None or _of_suite(header, suite)]
    if not headers:
        known = sorted({header.suite for header, _ in states})
        raise UserError(
            f"store {store.url} has no run" + (f" of the suite {suite}" if suite else "")
            + (f"; it has: {', '.join(known)}" if known else "; type `lens-ray run JOB.yaml` first")
        )  # fmt: skip
    found = _named(headers, models) if models is not None else {"": headers}
    digest = _suite(found, finished, models)
    chosen: list[RunHeader] = []
    for name, runs in found.items():
        here = [run for run in runs if run.suite_digest == digest] or runs
        wanted = [here] if name else _by_model(here)
        chosen += [_latest(each, finished) for each in wanted]
    ids = [run.run_id for run in chosen]
    if len(set(ids)) < len(ids):
        raise UserError("a model is named twice; name each once")
    return chosen


def labels_of(runs: Sequence[RunHeader]) -> tuple[str, ...]:
    """A name for each run: its model's, with the run's id where two are of one name."""
    names = [run.model for run in runs]
    return tuple(
        f"{run.model} ({run.run_id[:_ID]})" if names.count(run.model) > 1 else run.model
        for run in runs
    )


def _of_suite(header: RunHeader, suite: str) -> bool:
    name, _, digest = suite.partition("@")
    return header.suite.partition("@")[0] == name and header.suite_digest.startswith(digest)


def _named(headers: Sequence[RunHeader], names: Sequence[str]) -> dict[str, list[RunHeader]]:
    found: dict[str, list[RunHeader]] = {}
    known = sorted({header.model for header in headers})
    for name in names:
        if name in found:
            raise UserError(f"the model {name!r} is named twice; name each once")
        runs = [header for header in headers if header.model == name] or [
            header for header in headers
            if header.run_id == name or (len(name) >= _ID and header.run_id.startswith(name))
        ]  # fmt: skip
        if not runs:
            near = get_close_matches(name, known, 1, 0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise UserError(f"the store has no model {name!r}; {hint}")
        found[name] = runs
    return found


def _suite(
    found: dict[str, list[RunHeader]], finished: set[str], models: Sequence[str] | None
) -> str:
    """Digest of the one suite that all named models were asked; the first's where there is none."""
    asked = [{run.suite_digest for run in runs} for runs in found.values()]
    done = [{run.suite_digest for run in runs if run.run_id in finished} for runs in found.values()]
    shared = _in_all(done) or _in_all(asked)
    if len(shared) > 1:
        runs = [run for each in found.values() for run in each if run.suite_digest in shared]
        names = sorted({f"{run.suite.partition('@')[0]}@{run.suite_digest[:12]}" for run in runs})
        whose = "these models have" if models is not None else "the store has"
        raise UserError(
            f"{whose} runs of several suites; add --suite with one of {', '.join(names)}"
        )
    # Models that share no suite are refused where they are compared, with the way out.
    first = next(iter(found.values()))
    return next(iter(shared)) if shared else first[-1].suite_digest


def _in_all(sets: Sequence[set[str]]) -> set[str]:
    return {digest for digest in sets[0] if all(digest in each for each in sets)}


def _by_model(runs: Sequence[RunHeader]) -> list[list[RunHeader]]:
    """Runs by model and template, in order of appearance."""
    found: dict[tuple[str, str], list[RunHeader]] = {}
    for run in runs:
        found.setdefault((run.model, run.template), []).append(run)
    return list(found.values())


def _latest(runs: Sequence[RunHeader], finished: set[str]) -> RunHeader:
    """The last opened of those that are committed, else of all."""
    return max(runs, key=lambda run: (run.run_id in finished, run.created_at))
