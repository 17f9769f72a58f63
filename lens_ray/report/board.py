"""The leaderboard with ranks, stability, cost and groups: `render_board`.

A table is a list of columns; the first two cells of a column are its heading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from lens_ray.report.safe import visible_line
from lens_ray.report.tables import (
    APART_NOTE,
    NONE,
    OVERALL,
    LeaderboardRow,
    ability_column,
    apart,
    blocks_of,
    bounds,
    columns_of,
    figure,
    interval,
    null_reasons,
    some_of,
)

if TYPE_CHECKING:
    from lens_ray.stats.groups import Gap
    from lens_ray.stats.leaderboard import Leaderboard, Standing
    from lens_ray.stats.ranks import Rank

Columns = list[list[str]]
#: A sum below this is said to be less than it.
_LEAST_USD = 0.001
#: A p-value below this is said to be less than it.
_LEAST_P = 0.001
#: A p-value below this is a finding, as the intervals' 95 %.
_LEVEL = 0.05
#: So many models that may be the best are named.
_NAMED = 6
_LEGEND = (
    "rank: 1 is best; in brackets the ranks that cannot be excluded (95 %)",
    "best: probability of being the best (share of the bootstrap replicates)",
)
_STEADY = {
    "dvs": "how unevenly a model does over the subtasks, measured against the pool's models",
    "res": "how much its rank among the pool's models changes from subtask to subtask",
    "tau": "how far its scores on the subtasks lie apart, sampling noise taken off",
}
_KINDS = {
    "mean": "mean of each group's models, paired by sample",
    "best": "the best model of each group",
}


def render_board(board: Leaderboard, width: int | None = None) -> str:
    """A leaderboard as plain text.

    Args:
        board: The leaderboard.
        width: Columns of the terminal; None sets no limit.

    Returns:
        Lines without a final line break. Control characters are written out.
    """
    parts: list[str] = []
    for title, columns, below in sections(board):
        blocks = blocks_of(columns, width)
        parts += [f"{title}\n{blocks[0]}", *blocks[1:], "\n".join(below)]
    parts.append("\n".join(f"{NONE} {line}" for line in reasons(board)))
    return "\n\n".join(part for part in parts if part)


def sections(board: Leaderboard) -> list[tuple[str, Columns, list[str]]]:
    """Title, columns and what is to be read below, of each table; no text can do harm in a line."""
    size = len(board.standings)
    found = [
        (
            f"{board.suite}: {size} model{'s' * (size != 1)}, best first by {board.by}; "
            "0 is chance, 1 is perfect",
            _ranked(board),
            [
                *(_LEGEND if size > 1 else ()),
                *_tied(board),
                *([APART_NOTE] if apart(board.figures) and OVERALL in board.figures else []),
            ],
        )
    ]
    further = _further(board)
    if len(further) > 1:
        heads = [column[1] for column in further]
        below = [f"{name}: {words}" for name, words in _STEADY.items() if name in heads]
        below += _shared(board, "$", lambda each: each.cost.basis)
        found.append((f"stability (lower is steadier) and cost, {board.by}", further, below))
    for (kind, a, b), members in groupby(
        sorted(board.gaps, key=lambda gap: (gap.a, gap.b, gap.kind != "mean")),
        key=lambda gap: (gap.kind, gap.a, gap.b),
    ):
        sizes = f"{a} ({len(board.groups[a])}) against {b} ({len(board.groups[b])})"
        found.append((f"{sizes}: {_KINDS[kind]}", _gaps(list(members)), []))
    if board.gaps:
        found[-1][2].append(
            "p: Holm over the abilities, overall by itself; of these models, not of others"
        )
    return [
        (visible_line(title), [[visible_line(cell) for cell in column] for column in columns],
         [visible_line(line) for line in below])
        for title, columns, below in found
    ]  # fmt: skip


def reasons(board: Leaderboard) -> list[str]:
    """Why figures are missing, who is not on the board, and what else is to be known."""
    lines = [line for line in null_reasons(_rows(board)) if not line.startswith(f"{OVERALL}, ")]
    rough = [
        name for name in board.figures if any(each.scores[name].note for each in board.standings)
    ]
    if rough:
        lines.append(f"few clusters make intervals rough: {', '.join(rough)}")
    lines += _shared(board, "cost", lambda each: each.cost.reason)
    lines += _shared(board, "latency", lambda each: each.cost.latency_reason)
    lines += [
        f"not here: {each.model} ({each.run_id[:8]}): {each.reason}" for each in board.left_out
    ]
    if board.grouping is not None and len(board.groups) < 2:
        only = next(iter(board.groups))
        lines.append(f"by {board.grouping}: every model is {only}, there is nothing to compare")
    return [visible_line(line) for line in [*lines, *board.notes]]


def _rows(board: Leaderboard) -> list[LeaderboardRow]:
    return [
        LeaderboardRow(
            run_id=standing.run.run_id,
            model=standing.run.model,
            label=standing.model,
            suite=board.suite,
            abilities={name: standing.scores[name] for name in board.figures if name != OVERALL},
            overall=standing.scores[OVERALL] if OVERALL in board.figures else None,
        )
        for standing in board.standings
    ]


def _ranked(board: Leaderboard) -> Columns:
    """Ranks and scores; where abilities were chosen, a rank and an interval of each."""
    rows = _rows(board)
    if OVERALL in board.figures:
        columns = columns_of(rows)
        return [columns[0], *_places(board, OVERALL), *columns[1:]]
    columns = [["", "model", *(row.label for row in rows)]]
    for name in board.figures:
        columns += [*_places(board, name), ability_column(rows, name)]
        columns.append(["95 %", "interval", *(interval(row.abilities[name]) for row in rows)])
    return columns


def _places(board: Leaderboard, name: str) -> Columns:
    """Rank and probability of being the best; of a single model neither says anything."""
    if len(board.standings) < 2:
        return []
    ranks = [standing.ranks[name] for standing in board.standings]
    best = [_probability(rank.p_best) for rank in ranks]
    return [["", "rank", *map(_rank, ranks)], ["", "best", *best]]


def _probability(value: float | None) -> str:
    """Whole percent; what replicates never or always saw is still not certain."""
    if value is None:
        return NONE
    return "<1 %" if value < 0.01 else ">99 %" if value > 0.99 else f"{100 * value:.0f} %"


def _rank(rank: Rank) -> str:
    return NONE if rank.rank is None else f"{rank.rank} ({rank.rank_low}-{rank.rank_high})"


def _tied(board: Leaderboard) -> list[str]:
    """Who may be the best, in words."""
    tied = [each.model for each in board.standings if each.ranks[board.by].tied]
    if len(board.standings) < 2 or not tied:
        return []
    if len(tied) == 1:
        return [f"{tied[0]} is the best in {board.by}"]
    named = ", ".join(tied[:_NAMED])
    more = f" and {len(tied) - _NAMED} more" if len(tied) > _NAMED else ""
    return [f"which of these is the best in {board.by} is open: {named}{more}"]


def _further(board: Leaderboard) -> Columns:
    """Stability and cost; what is unknown of every model has no column."""
    scores = [each.scores[board.by] for each in board.standings]
    costs = [each.cost for each in board.standings]
    steady = {
        "dvs": [(each.dvs, each.dvs_low, each.dvs_high) for each in scores],
        "res": [(each.res, each.res_low, each.res_high) for each in scores],
        "tau": [(each.tau, each.tau_low, each.tau_high) for each in scores],
    }
    columns = [["", name, *(_bounded(*each) for each in found)] for name, found in steady.items()]
    pools = [each.pool if each.dvs is not None or each.res is not None else None for each in scores]
    columns.append(["", "pool", *(pool or NONE for pool in pools)])
    columns.append(["$ per", "1,000", *(_dollars(each.usd_per_1000) for each in costs)])
    columns.append(["seconds", "an answer", *(_seconds(each.latency_s) for each in costs)])
    known = [column for column in columns if any(cell != NONE for cell in column[2:])]
    return [["", "model", *(each.model for each in board.standings)], *known]


def _bounded(value: float | None, low: float | None, high: float | None) -> str:
    return figure(value) if low is None else f"{figure(value)} {bounds(low, high)}"


def _dollars(value: float | None) -> str:
    if value is None:
        return NONE
    if 0 < value < _LEAST_USD:
        return f"<{_LEAST_USD:g}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}"


def _gaps(gaps: Sequence[Gap]) -> Columns:
    a, b = gaps[0].a, gaps[0].b
    within = [
        NONE if each.ci_low is None else f"[{_signed(each.ci_low)}, {_signed(each.ci_high)}]"
        for each in gaps
    ]
    columns = [
        ["", "ability", *(each.figure for each in gaps)],
        ["", a, *(figure(each.value_a) for each in gaps)],
        ["", b, *(figure(each.value_b) for each in gaps)],
        ["", f"{a} - {b}", *(_signed(each.difference) for each in gaps)],
        ["", "95 % interval", *within],
        ["", "p", *(_p(each.p_holm) for each in gaps)],
        ["", *_left(["in words", *map(_words, gaps)])],
    ]
    if gaps[0].kind == "best":
        for place, (name, models) in enumerate(
            [(a, [each.models_a for each in gaps]), (b, [each.models_b for each in gaps])]
        ):
            named = [" ".join(each) or NONE for each in models]
            columns.insert(1 + 2 * place, ["", *_left([f"best {name}", *named])])
    return columns


def _left(texts: Sequence[str]) -> list[str]:
    """Texts that stand to the left in a column of numbers."""
    width = max(map(len, texts))
    return [text.ljust(width) for text in texts]


def _signed(value: float | None) -> str:
    return NONE if value is None else f"{value:+.3f}"


def _p(value: float | None) -> str:
    return NONE if value is None else "<0.001" if value < _LEAST_P else f"{value:.3f}"


def _words(gap: Gap) -> str:
    """What a gap says to someone who does not read p-values."""
    if gap.difference is None or gap.p_holm is None:
        return gap.reason or "not tested"
    if gap.p_holm < _LEVEL:
        ahead = gap.a if gap.difference > 0 else gap.b
        return f"{ahead} is ahead"
    if gap.mde is None:
        return "no difference found"
    return f"no difference found; one of {gap.mde:.2f} would have been seen"


def _shared(board: Leaderboard, what: str, why: Callable[[Standing], str | None]) -> list[str]:
    """One line for each reason, with the models it is true of."""
    found: dict[str, list[str]] = {}
    for standing in board.standings:
        if reason := why(standing):
            found.setdefault(reason, []).append(standing.model)
    return [
        f"{what}, {some_of(models, len(board.standings))}: {reason}"
        for reason, models in found.items()
    ]
