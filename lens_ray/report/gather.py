"""What the report says of each suite, read from the store: `gather`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lens_ray.errors import UserError
from lens_ray.report.figures import Series
from lens_ray.report.tables import LeaderboardRow, in_order, leaderboard

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store


@dataclass(frozen=True, slots=True)
class Run:
    """One line of a leaderboard with what is known of its run.

    Attributes:
        row: Its scores.
        header: What was run.
        facts: Further facts, name and text.
        missing: Why it has no scores at all, or None.
    """

    row: LeaderboardRow
    header: RunHeader
    facts: tuple[tuple[str, str], ...]
    missing: str | None


@dataclass(frozen=True, slots=True)
class SuitePage:
    """The part of the report about one suite.

    Attributes:
        name: Name of the suite.
        digest: Its digest.
        refs: References under which it may be loaded, best first.
        runs: Best first; runs without scores last.
        abilities: The abilities that a run has a score of.
        series: Training runs of which two checkpoints or more were scored.
    """

    name: str
    digest: str
    refs: tuple[str, ...]
    runs: tuple[Run, ...]
    abilities: tuple[str, ...]
    series: tuple[Series, ...]

    @property
    def rows(self) -> list[LeaderboardRow]:
        """The leaderboard's rows."""
        return [run.row for run in self.runs]


def gather(store: Store) -> list[SuitePage]:
    """One page a suite digest, in the order in which the suites were first run.

    Raises:
        UserError: The store has no run.
    """
    headers = store.runs()
    if not headers:
        raise UserError(
            f"store {store.url} has no run to report; type `lens-ray run JOB.yaml --store "
            f"{store.url}` first"
        )
    names = {str(facts["digest"]): str(facts["name"]) for facts in store.suites()}
    by_digest: dict[str, list[RunHeader]] = {}
    for header in headers:
        by_digest.setdefault(header.suite_digest, []).append(header)
    return [
        _suite_page(store, digest, names.get(digest), members)
        for digest, members in by_digest.items()
    ]


def _suite_page(
    store: Store, digest: str, name: str | None, headers: Sequence[RunHeader]
) -> SuitePage:
    by_id = {header.run_id: header for header in headers}
    twins = Counter(header.model for header in headers)
    labels = {
        run_id: f"{header.model} ({run_id[:8]})" if twins[header.model] > 1 else header.model
        for run_id, header in by_id.items()
    }
    # One name for the suite, so that the rows stand in one order whatever each job called it.
    title = name or headers[0].suite
    rows = [
        replace(row, label=labels[row.run_id], suite=title)
        for row in leaderboard(store.scores(list(by_id)))
    ]
    rows.sort(key=_best_first)
    scored = {row.run_id for row in rows}
    rows += [
        LeaderboardRow(run_id, header.model, labels[run_id], title, {}, None)
        for run_id, header in sorted(by_id.items(), key=lambda each: labels[each[0]])
        if run_id not in scored
    ]
    return SuitePage(
        name=title,
        digest=digest,
        refs=tuple(dict.fromkeys([f"{title}@{digest}", *(header.suite for header in headers)])),
        runs=tuple(_run(store, row, by_id[row.run_id]) for row in rows),
        abilities=tuple(in_order(ability for row in rows for ability in row.abilities)),
        series=tuple(find_series([(row, by_id[row.run_id]) for row in rows if row.abilities])),
    )


def _best_first(row: LeaderboardRow) -> tuple[float, str]:
    best = row.overall.corrected if row.overall else None
    return float("inf") if best is None else -best, row.label


def _run(store: Store, row: LeaderboardRow, header: RunHeader) -> Run:
    state = store.run(header.run_id).refresh()
    missing = None
    if not row.scores:
        missing = f"the run is not finished: {state.rows:,} rows so far; run its job again"
    counts = ", ".join(f"{n:,} {status}" for status, n in sorted(state.counts.items()) if n)
    facts = {
        "run": header.run_id,
        "model key": header.model_key,
        "weights": header.weights_digest,
        "backend": header.backend,
        "path": header.backend_path,
        "template": header.template,
        "generation": _overrides(header.generation),
        "opened": header.created_at,
        "job": header.job,
        "rows": counts + ("" if state.complete else " (not complete)"),
    }
    if state.commit is not None:
        left_out = len(state.commit.left_out)
        facts["left out"] = f"{left_out:,} samples, on purpose" if left_out else ""
        facts |= {name: _text(value) for name, value in sorted(state.commit.facts.items())}
    return Run(row, header, tuple((name, text) for name, text in facts.items() if text), missing)


def _text(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return "; ".join(_said(row) for row in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _said(row: Mapping[str, object]) -> str:
    """A row of a table that a commit keeps, in one line."""
    known = {key: value for key, value in row.items() if value is not None}
    return ", ".join(
        f"{key.replace('_', ' ')} {f'{value:.3f}' if isinstance(value, float) else value}"
        for key, value in known.items()
    )


def _overrides(generation: Mapping[str, object]) -> str:
    given = ", ".join(f"{key} = {json.dumps(value)}" for key, value in generation.items())
    return given or "each source's own"


def find_series(runs: Sequence[tuple[LeaderboardRow, RunHeader]]) -> list[Series]:
    """The training runs among models: equal names but for the step, asked in the same way.

    Args:
        runs: Rows and their headers; those without a step belong to no series.

    Returns:
        The series of two steps or more, by name.
    """
    found: dict[tuple[str, str, str], dict[int, LeaderboardRow]] = {}
    for row, header in sorted(runs, key=lambda each: each[1].created_at):
        if header.step is not None:
            asked = json.dumps(dict(header.generation), sort_keys=True)
            key = (series_name(header.model, header.step), header.template, asked)
            # A step that was trained again replaces the older one.
            found.setdefault(key, {})[header.step] = row
    twins = Counter(name for name, _, _ in found)
    return [
        Series(
            name=f"{name} ({template})" if twins[name] > 1 else name,
            points=tuple(sorted(points.items())),
        )
        for (name, template, _), points in sorted(found.items())
        if len(points) > 1
    ]


def series_name(model: str, step: int) -> str:
    """The model's name without its step: ``minivlm-a-step-0500`` is of ``minivlm-a``."""
    pattern = rf"[-_.@+/]*(?:(?:global[-_]?)?step|checkpoint|ckpt|iter)?[-_.@+/]*0*{step}$"
    return re.sub(pattern, "", model, flags=re.IGNORECASE) or model
