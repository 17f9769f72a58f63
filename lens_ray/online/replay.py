"""Stored answers of a training run, put into a store as runs: `replay`, for ``watch --replay``."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lens_ray.errors import UserError
from lens_ray.models.resolve import BUILTIN, builtin_root
from lens_ray.store import RunHeader, Store
from lens_ray.store.records import check_run_id

if TYPE_CHECKING:
    import pyarrow as pa

    from lens_ray.suites.suite import Suite

#: Of an online run that is a replay.
JOB = "replay"
#: What a header says of every row.
_SAID = (
    "run_id", "model", "model_key", "weights_digest", "suite_digest", "template", "backend", "step",
)  # fmt: skip


def replay(store: Store, suite: Suite, source: str) -> dict[int, str]:
    """Put the stored answers of a training run into a store; again, it adds nothing.

    Args:
        store: Where to.
        suite: That was asked.
        source: ``builtin:SERIES``, or a Parquet file of rows with one run a step.

    Returns:
        The run of each step, ascending.

    Raises:
        UserError: There are no such rows, or they are of another suite, or of several runs.
        StoreUnavailable: The store cannot be written.
    """
    rows = _rows(source)
    found = _headers(rows, source, suite)
    try:
        _check(rows, suite)
        store.put_suite(suite.info)
        for header in found.values():
            _put(store, header, rows, suite)
    except ValueError as error:
        raise UserError(f"replay {source}: {error}") from error
    return {step: header.run_id for step, header in found.items()}


def _rows(source: str) -> pa.Table:
    """The rows of all steps.

    Raises:
        UserError: There are none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from lens_ray.store.schema import ROWS
    from lens_ray.store.tables import conform

    series = source.removeprefix(BUILTIN) if source.startswith(BUILTIN) else None
    files = sorted((builtin_root() / "rows").glob("*.parquet")) if series else [Path(source)]
    if series is None and not files[0].is_file():
        raise UserError(
            f"replay {source}: no such file; give a Parquet file of rows, or {BUILTIN}SERIES"
        )
    tables = []
    asked: set[object] = set()
    for file in files:
        try:
            table = conform(pq.read_table(file), ROWS)
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"replay {file}: not a file of rows ({reason})") from error
        asked.update(table["model"].unique().to_pylist())
        if series is not None:
            wanted = rf"^{re.escape(series)}-step-\d+$"
            table = table.filter(pc.match_substring_regex(table["model"], wanted))
        tables.append(table)
    rows = pa.concat_tables(tables)
    rows = rows.filter(pc.is_valid(rows["step"]))
    if not rows.num_rows:
        known = sorted({str(name).split("-step-")[0] for name in asked})
        hint = f"the built-in series are: {', '.join(known)}" if series else "name another"
        raise UserError(f"replay {source}: no row of a training step; {hint}")
    return rows


def _headers(rows: pa.Table, source: str, suite: Suite) -> dict[int, RunHeader]:
    """One run a step."""
    said = rows.group_by(list(_SAID)).aggregate([]).to_pylist()
    twice = [step for step, times in Counter(one["step"] for one in said).items() if times > 1]
    if twice:
        raise UserError(
            f"replay {source}: step {min(twice)} has the rows of several runs; give the rows of "
            "one training run"
        )
    found = {}
    for one in sorted(said, key=lambda each: int(each["step"])):
        if one["suite_digest"] != suite.digest:
            raise UserError(
                f"replay {source}: step {one['step']} was asked a suite with the digest "
                f"{str(one['suite_digest'])[:12]}, not {suite.name} ({suite.digest[:12]})"
            )
        try:
            check_run_id(one["run_id"])
        except ValueError as error:
            raise UserError(f"replay {source}: step {one['step']}: {error}") from error
        found[int(one["step"])] = _header(one, source, suite)
    return found


def _header(said: dict[str, object], source: str, suite: Suite) -> RunHeader:
    text = {name: str(said[name] or "") for name in _SAID}
    name = text["model"].rpartition("-step-")[2]
    step = said["step"]
    assert isinstance(step, int)
    return RunHeader(
        run_id=text["run_id"],
        model=text["model"],
        model_key=text["model_key"],
        weights_digest=text["weights_digest"],
        suite=suite.name,
        suite_digest=suite.digest,
        template=text["template"],
        backend=text["backend"],
        backend_path=f"{source}/step-{name}" if source.startswith(BUILTIN) else text["model"],
        access="open",
        step=step,
        generation={},
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        job=JOB,
    )


def _check(rows: pa.Table, suite: Suite) -> None:
    """Refuse rows of questions that the suite does not ask.

    Raises:
        ValueError: There are some.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    known = pc.is_in(rows["sample_id"], value_set=pa.array(suite.by_id, pa.string()))
    other = rows.filter(pc.invert(known))
    if other.num_rows:
        first = other["sample_id"][0].as_py()
        raise ValueError(f"{suite.name} has no sample {str(first)[:80]!r}")


def _put(store: Store, header: RunHeader, rows: pa.Table, suite: Suite) -> None:
    """The rows of one run, and the commit that adds them up."""
    import pyarrow.compute as pc

    from lens_ray.stats import SCORED_COLUMNS, ability_scores, pool_for, scores_table
    from lens_ray.stats.expectation import expected_counts, group_sizes

    log = store.open_run(header)
    mine = rows.filter(pc.equal(rows["run_id"], header.run_id))
    state = log.refresh()
    if state.complete and state.done.issuperset(mine["sample_id"].to_pylist()):
        return
    log.append(mine)
    stored = log.rows(SCORED_COLUMNS)
    there = set(stored["sample_id"].to_pylist())
    expected = [sample for sample in suite.samples if sample.sample_id in there]
    scores = ability_scores(
        stored,
        weights=suite.weights,
        expected=expected_counts(expected),
        pool=pool_for(suite.name, suite.digest),
        group_sizes=group_sizes(expected),
    )
    table = scores_table(scores, run_id=header.run_id, model=header.model, suite=header.suite)
    left_out = [sample.sample_id for sample in suite.samples if sample.sample_id not in there]
    log.commit(table, expected=len(expected), left_out=left_out)
