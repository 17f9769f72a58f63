"""Scores become the compact leaderboard: `leaderboard`, and `render_text` for a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lens_ray.report.safe import visible_line
from lens_ray.suites.sample import ABILITIES

if TYPE_CHECKING:
    import pyarrow as pa

    from lens_ray.stats import AbilityScore

OVERALL = "overall"
#: Marks an ability that stands apart from the six, and what the mark means.
APART = "*"
APART_NOTE = f"{APART} beyond the six abilities: stands apart and does not count in {OVERALL}"
#: What stands in the place of a figure that is null.
NONE = "–"
_GAP = "  "
#: Differences from here on show in three decimals.
_SEEN = 0.0005


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """The scores of one run.

    Attributes:
        run_id: The run.
        model: Its model's name.
        label: The name, and the run where two runs of a suite have a model of that name.
        suite: The suite, as the scores name it.
        abilities: Its scores by ability, without `OVERALL`.
        overall: Its overall score; None where the table has none.
    """

    run_id: str
    model: str
    label: str
    suite: str
    abilities: Mapping[str, AbilityScore]
    overall: AbilityScore | None

    @property
    def scores(self) -> tuple[AbilityScore, ...]:
        """Every score, the overall one last."""
        return (*self.abilities.values(), *([self.overall] if self.overall else []))


def leaderboard(scores: pa.Table) -> list[LeaderboardRow]:
    """One row a run, best first within its suite.

    Args:
        scores: Scores of any runs, in the schema `lens_ray.store.schema.SCORES`.

    Returns:
        The rows: by suite, then by overall corrected score with null last, then by name.
    """
    from lens_ray.stats import AbilityScore

    names = AbilityScore.__dataclass_fields__
    runs: dict[tuple[str, str, str], dict[str, AbilityScore]] = {}
    for record in scores.to_pylist():
        key = (record["suite"], record["model"], record["run_id"])
        score = AbilityScore(**{name: record[name] for name in names})
        runs.setdefault(key, {})[score.ability] = score
    twins = Counter((suite, model) for suite, model, _ in runs)
    rows = [
        LeaderboardRow(
            run_id=run_id,
            model=model,
            label=f"{model} ({run_id[:8]})" if twins[suite, model] > 1 else model,
            suite=suite,
            abilities={name: found[name] for name in in_order(found)},
            overall=found.get(OVERALL),
        )
        for (suite, model, run_id), found in runs.items()
    ]
    return sorted(rows, key=_place)


def in_order(abilities: Iterable[str]) -> list[str]:
    """The abilities in their usual order, those of packs after them, `OVERALL` left out."""
    found = set(abilities) - {OVERALL}
    return [*(name for name in ABILITIES if name in found), *sorted(found - set(ABILITIES))]


def apart(abilities: Iterable[str]) -> list[str]:
    """Of the abilities of a suite, those beyond the six, which do not count in `OVERALL`."""
    from lens_ray.stats.abilities import in_overall

    found = in_order(abilities)
    counted = in_overall(found)
    return [name for name in found if name not in counted]


def _place(row: LeaderboardRow) -> tuple[str, float, str, str]:
    best = row.overall.corrected if row.overall else None
    return row.suite, float("inf") if best is None else -best, row.model, row.run_id


def figure(value: float | None, digits: int = 3) -> str:
    """A figure with a fixed number of decimals, or the dash of a null."""
    if value is None:
        return NONE
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def share(value: float | None) -> str:
    """A share rounded down, so that only all of them are 1.000."""
    return NONE if value is None else f"{math.floor(value * 1000 + 1e-9) / 1000:.3f}"


def interval(score: AbilityScore | None) -> str:
    """The 95 % interval of the corrected score, or the dash of a null."""
    return NONE if score is None else bounds(score.ci_low, score.ci_high)


def bounds(low: float | None, high: float | None) -> str:
    """An interval, or the dash of a null."""
    return NONE if low is None or high is None else f"[{figure(low)}, {figure(high)}]"


def null_reasons(rows: Sequence[LeaderboardRow], *, scores_only: bool = False) -> list[str]:
    """One line for each reason why figures of these rows are null, with the models it is true of.

    Args:
        rows: Rows of one suite.
        scores_only: Leave out why only a stability figure is null.

    Returns:
        The lines, in the order in which a reader meets the dashes.
    """
    models: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for score in row.scores:
            if score.reason and not (scores_only and score.corrected is not None):
                models.setdefault((score.ability, score.reason), []).append(row.label)
    abilities: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (ability, reason), labels in models.items():
        abilities.setdefault((reason, tuple(labels)), []).append(ability)
    return [
        visible_line(f"{', '.join(names)}, {some_of(labels, len(rows))}: {reason}")
        for (reason, labels), names in abilities.items()
    ]


def some_of(labels: Sequence[str], all_of_them: int) -> str:
    """Names of models in a sentence, the first few where they are many."""
    if len(labels) == all_of_them > 1:
        return "every model"
    return ", ".join(labels[:4]) + (f" and {len(labels) - 4} more" if len(labels) > 4 else "")


def render_text(rows: Sequence[LeaderboardRow], width: int | None = None) -> str:
    """The leaderboard as plain text: models x abilities, corrected scores, overall with interval.

    Beside the overall score stand the one with equal weights of an ability's subtasks and the one
    by samples, each where it differs; runs stored by an older version have none.

    Args:
        rows: From `leaderboard`.
        width: Columns of the terminal. A wider table goes on below, with the names again; None
            sets no limit.

    Returns:
        Lines without a final line break; the reasons for nulls stand below. Control characters
        are written out, so no name can move a terminal's cursor.
    """
    if not rows:
        return "no scores"
    by_suite: dict[str, list[LeaderboardRow]] = {}
    for row in rows:
        by_suite.setdefault(row.suite, []).append(row)
    parts: list[str] = []
    for suite, members in by_suite.items():
        blocks = blocks_of(columns_of(members), width)
        if len(by_suite) > 1:
            blocks[0] = f"{visible_line(suite)}\n{blocks[0]}"
        if apart(name for row in members for name in row.abilities):
            blocks.append(APART_NOTE)
        reasons = null_reasons(members, scores_only=True)
        if reasons:
            blocks.append("\n".join(f"{NONE} {line}" for line in reasons))
        parts += blocks
    return "\n\n".join(parts)


def columns_of(rows: Sequence[LeaderboardRow]) -> list[list[str]]:
    """The columns as cells; two of them head a column (``structured`` over ``data``)."""
    columns = [["", "model", *(visible_line(row.label) for row in rows)]]
    abilities = in_order(name for row in rows for name in row.abilities)
    others = apart(abilities)
    columns += [ability_column(rows, ability) for ability in abilities if ability not in others]
    overall = [row.overall for row in rows]
    columns.append(["", OVERALL, *(figure(each.corrected if each else None) for each in overall)])
    # With equal weights, and by samples, only where some model's figure is another then.
    for head, name in ((("uniform", "weights"), "uniform"), (("by", "samples"), "micro")):
        other = [getattr(each, name) if each else None for each in overall]
        if any(
            mean is not None and each is not None and abs(mean - (each.corrected or 0.0)) >= _SEEN
            for mean, each in zip(other, overall, strict=True)
        ):
            columns.append([*head, *(figure(mean) for mean in other)])
    columns.append(["", "95 % interval", *(interval(each) for each in overall)])
    columns.append(["", "coverage", *(share(each.coverage if each else None) for each in overall)])
    return columns + [ability_column(rows, ability, APART) for ability in others]


def ability_column(rows: Sequence[LeaderboardRow], ability: str, mark: str = "") -> list[str]:
    """The corrected scores of an ability below its name and a mark."""
    found = [row.abilities.get(ability) for row in rows]
    top, _, bottom = visible_line(ability).rpartition("_")
    cells = (figure(each.corrected if each else None) for each in found)
    return [top, f"{bottom}{mark}", *cells]


def blocks_of(columns: Sequence[list[str]], width: int | None) -> list[str]:
    """The table, cut between columns so that each part fits, the first column in each part."""
    first, *others = columns
    sizes = [max(map(len, column)) for column in others]
    names = max(map(len, first))
    parts: list[list[int]] = [[]]
    used = names
    for place, size in enumerate(sizes):
        used += len(_GAP) + size
        if width is not None and used > width and parts[-1]:
            parts.append([])
            used = names + len(_GAP) + size
        parts[-1].append(place)
    blocks = []
    for part in parts:
        lines = [
            _GAP.join([cell.ljust(names), *(others[at][line].rjust(sizes[at]) for at in part)])
            for line, cell in enumerate(first)
        ]
        blocks.append("\n".join(line.rstrip() for line in lines if line.strip()))
    return blocks
