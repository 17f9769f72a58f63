"""``lens-ray scores``: the scores of the runs in a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lens_ray.cli.options import Json, OnlyAbilities, OnlyModels, OnlySuite, Pool, Store
from lens_ray.cli.output import print_json, print_leaderboard

if TYPE_CHECKING:
    import pyarrow as pa

    from lens_ray.store import RunHeader


def scores(
    store: Store,
    model: OnlyModels = None,
    suite: OnlySuite = None,
    ability: OnlyAbilities = None,
    pool: Pool = None,
    as_json: Json = False,
) -> None:
    """Show scores, intervals and stability of every run."""
    from lens_ray.store import Store as OpenStore

    opened = OpenStore(store)
    runs = chosen(opened.runs(), model or [], suite)
    table = opened.scores([run.run_id for run in runs])
    if pool is not None:
        from lens_ray.stats.pool import load_pool
        from lens_ray.stats.pool_scores import scores_against

        table = scores_against(opened, table, load_pool(pool))
    if ability:
        table = only(table, ability)
    if as_json:
        print_json(table.to_pylist())
    else:
        print_leaderboard(table)
        _print_further(opened.facts([run.run_id for run in runs]), runs)


def chosen(runs: Sequence[RunHeader], models: Sequence[str], suite: str | None) -> list[RunHeader]:
    """The runs of some models and of a suite.

    Raises:
        UserError: The store has none of a name.
    """
    for name in models:
        _require(name, {run.model for run in runs}, "--model")
    if suite is not None:
        name, _, digest = suite.partition("@")
        known = {run.suite for run in runs}
        _require(name, known, "--suite")
        runs = [run for run in runs if run.suite == name and run.suite_digest.startswith(digest)]
    return [run for run in runs if not models or run.model in models]


#: Title and columns of each further table (`lens_ray.stats.further.TABLES`).
_FURTHER = {
    "decision": (
        "inspection: recall where false alarms are held down",
        (
            "subtask",
            "positive",
            "max_false_alarms",
            "recall",
            "false_alarms",
            "threshold",
            "positives",
            "negatives",
            "without_confidence",
        ),
    ),
    "twins": (
        "seeing and reasoning: a question that needs thought beside its twin that needs eyes",
        ("subtask", "seen_by", "pairs", "seen", "right_if_seen", "right_if_unseen", "verdict"),
    ),
}


def _print_further(facts: Mapping[str, Mapping[str, object]], runs: Sequence[RunHeader]) -> None:
    """The tables that packs ask for besides scores, and why figures in them are missing."""
    from lens_ray.cli.output import one_line, print_table

    for name, (title, columns) in _FURTHER.items():
        found = [
            (run.model, record)
            for run in runs
            for record in _records(facts.get(run.run_id, {}).get(name))
        ]
        if not found:
            continue
        reasons = [f"- {model}, {r['subtask']}: {r['reason']}" for model, r in found
                   if r.get("reason")]  # fmt: skip
        print(f"\n{title}")
        rows = [(model, *(_cell(record, key) for key in columns)) for model, record in found]
        print_table(("model", *columns), rows)
        for line in reasons:
            print(one_line(line))


def _cell(record: Mapping[str, object], key: str) -> object:
    """A figure, with its interval where it has one."""
    value, low, high = (record.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if not isinstance(value, float) or not isinstance(low, float) or not isinstance(high, float):
        return value
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _records(table: object) -> list[dict[str, object]]:
    """The rows of a table as a commit keeps it; what another version kept is passed over."""
    rows = table if isinstance(table, list) else []
    return [row for row in rows if isinstance(row, dict) and "subtask" in row]


def only(table: pa.Table, abilities: Sequence[str]) -> pa.Table:
    """The rows of some abilities.

    Raises:
        UserError: There is none of a name.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in abilities:
        _require(name, set(table["ability"].to_pylist()), "--ability")
    return table.filter(pc.is_in(table["ability"], value_set=pa.array(abilities)))


def _require(name: str, known: Iterable[str], option: str) -> None:
    """Refuse a name that the store does not have."""
    from difflib import get_close_matches

    from lens_ray.errors import UserError

    names = sorted(known)
    if name not in names:
        near = get_close_matches(name, names, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
        raise UserError(f"{option} {name!r}: the store has none of this name; {hint}")
