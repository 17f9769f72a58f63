"""``lens-ray rescore``: mark stored answers again, without inference."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, Store, without_secrets
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    import pyarrow as pa

    from lens_ray.scoring.rescore import Change
    from lens_ray.store import RunHeader, RunLog
    from lens_ray.suites import Suite

#: Changes that are shown of one run; ``--json`` has all of them.
SHOWN = 20
#: A rescore renews nothing while it works, so its lease is long.
LEASE_S = 25.0


def rescore(
    store: Store,
    run: Annotated[
        list[str] | None, typer.Option("--run", metavar="ID", help="Only this run; repeatable.")
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite",
            metavar="SUITE",
            callback=without_secrets,
            help="The suite, where it is not installed.",
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Store the new marks and scores.")] = False,
    as_json: Json = False,
) -> None:
    """Mark stored answers again; show what changes and, with --write, store it."""
    from lens_ray.store import Store as OpenStore

    opened = OpenStore(store)
    headers = opened.runs() if run is None else [opened.run(name).header for name in run]
    suites: dict[str, Suite] = {}
    outcomes: list[dict[str, object]] = []
    for header in headers:
        if header.suite_digest not in suites:
            suites[header.suite_digest] = _suite_of(header, suite)
        log = opened.run(header.run_id)
        changes, facts = _remarked(log, suites[header.suite_digest], write)
        outcomes.append({**facts, "changes": changes})
        if not as_json:
            _print(facts, changes)
    changed = sum(int(str(outcome["changed"])) for outcome in outcomes)
    if as_json:
        print_json({"store": store, "written": write, "changed": changed, "runs": outcomes})
    elif changed and not write:
        print(f"{changed} marks change; nothing was written, add --write to store them")
    else:
        print(f"{changed} marks changed and stored" if changed else "no mark changes")


def _suite_of(header: RunHeader, named: str | None) -> Suite:
    from lens_ray.errors import SuiteError
    from lens_ray.suites import load_suite

    try:
        found = load_suite(named or f"{header.suite}@{header.suite_digest}")
    except SuiteError as error:
        hint = "" if named else f" (of run {header.run_id}); give its folder with --suite"
        raise SuiteError(f"{error}{hint}") from error
    if found.digest != header.suite_digest:
        raise SuiteError(
            f"--suite {named}: it has digest {found.digest[:12]}, run {header.run_id} was answered "
            f"on {header.suite}@{header.suite_digest[:12]}; name that one, or choose with --run"
        )
    return found


def _remarked(log: RunLog, suite: Suite, write: bool) -> tuple[list[Change], dict[str, object]]:
    """The changes of one run, stored where they are to be."""
    from lens_ray.scoring.rescore import remark

    lease = log.acquire(_owner(), ttl_s=LEASE_S) if write else None
    try:
        rows = log.rows()
        marked, changes = remark(rows, suite)
        if lease is not None and changes:
            lease.renew()
            _store(log, suite, marked)
    finally:
        if lease is not None:
            lease.release()
    facts: dict[str, object] = {
        "run_id": log.header.run_id,
        "model": log.header.model,
        "suite": suite.name,
        "rows": rows.num_rows,
        "changed": len(changes),
        "mean_before": _mean(rows),
        "mean_after": _mean(marked),
    }
    return changes, facts


def _store(log: RunLog, suite: Suite, marked: pa.Table) -> None:
    """Put the new rows in the place of the old ones; a run that was added up is added up again."""
    from lens_ray.engine.finish import commit_run

    before = log.state.commit
    log.replace(marked)
    if before is not None:
        counted = sorted(suite.by_id.keys() - set(before.left_out))
        commit_run(log, suite, counted, before.facts)


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"


def _mean(rows: pa.Table) -> float | None:
    import pyarrow.compute as pc

    value = pc.mean(rows["score"]).as_py()
    return None if value is None else float(value)


def _print(facts: dict[str, object], changes: Sequence[Change]) -> None:
    name = one_line(f"{facts['model']} on {facts['suite']}, run {facts['run_id']}")
    print(f"{name}: {facts['rows']} rows, {facts['changed']} marks change")
    if not changes:
        return
    before, after = facts["mean_before"], facts["mean_after"]
    print(f"mean score {_figure(before)} -> {_figure(after)}")
    print_table(
        ("sample", "status", "answer", "score"),
        [
            (
                change.sample_id,
                _arrow(change.before.status, change.after.status),
                _arrow(change.before.extracted, change.after.extracted),
                _arrow(change.before.score, change.after.score),
            )
            for change in changes[:SHOWN]
        ],
    )
    if len(changes) > SHOWN:
        print(f"... and {len(changes) - SHOWN} more; --json has all")
    print()


def _figure(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-"


def _arrow(before: object, after: object) -> str:
    return f"{before}" if before == after else f"{before} -> {after}"
