"""The leaderboard in plain text: what a reader finds, and what no name can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lens_ray.report.board import render_board
from lens_ray.stats.leaderboard import Leaderboard, leaderboard
from lens_ray.stats.ranks import Rank
from tests.stats.boards import PER, add, answers, store_of


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    store = store_of(tmp_path_factory.mktemp("board"))
    score = answers(1, 1.5, -1.5, 0.0, 0.0)
    score[3][2 * PER :] = 1.0
    for name, mine in zip(("good", "bad", "same", "reader"), score, strict=True):
        add(store, name, mine, access="closed" if name == "reader" else "open")
    add(store, "late", score[0], committed=False)
    return leaderboard(store, by="access", replicates=400)


def line_of(text: str, start: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(start))


def test_ranks_scores_and_words(board: Leaderboard) -> None:
    text = render_board(board)
    assert line_of(text, "tiny: 4 models").startswith("tiny: 4 models, best first by overall")
    last = line_of(text, "bad").split()
    assert last[1:3] == ["4", "(4-4)"]
    assert "<1" in last
    score = board.standings[0].scores["overall"].corrected
    assert f"{score:.3f}" in line_of(text, board.standings[0].model)
    assert "good is the best in overall" in text
    assert "seconds" in text
    assert "$ per" not in text, "a column of nothing but dashes"
    assert "– cost, every model: the rows have no price" in text
    assert "– not here: late (run-late): it is not finished: 160 rows so far" in text


def test_groups_in_words(board: Leaderboard) -> None:
    text = render_board(board)
    means = text[text.index("open (3) against closed (1): mean") :]
    assert line_of(means, "ocr").endswith("closed is ahead")
    assert "no difference found; one of 0." in line_of(means, "counting")
    best = text[text.index("open (3) against closed (1): the best") :]
    assert "reader" in line_of(best, "ocr")
    assert "p: Holm over the abilities" in text


def test_one_group_is_nothing_to_compare(board: Leaderboard) -> None:
    alone = replace(board, groups={"open": ("a",)}, gaps=())
    assert "by access: every model is open, there is nothing to compare" in render_board(alone)


def test_chosen_abilities_have_a_rank_and_an_interval_each(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for name, mine in zip("ab", answers(2, 0.0, 0.1), strict=True):
        add(store, name, mine)
    text = render_board(leaderboard(store, abilities=["ocr"], replicates=50))
    assert "which of these is the best in ocr is open: b, a" in text
    assert "counting" not in text
    assert "overall" not in text
    assert line_of(text, "a ").count("[") == 1


def test_one_best_model_is_said(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for name, mine in zip("ab", answers(2, 2.0, -2.0), strict=True):
        add(store, name, mine)
    text = render_board(leaderboard(store, replicates=100))
    assert "a is the best in overall" in text
    assert ">99 %" in line_of(text, "a ")
    only = render_board(leaderboard(store, ["b"], replicates=50))
    assert "1 model, best first" in only
    assert "is the best" not in only
    assert "rank" not in only


def test_names_cannot_move_the_cursor(board: Leaderboard) -> None:
    standing = replace(board.standings[0], model="\x1b[2Jm\nn")
    text = render_board(replace(board, standings=(standing,), suite="s\x9b31m"))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "m\nn" not in text


def test_a_narrow_terminal_gets_the_table_in_parts(board: Leaderboard) -> None:
    lines = render_board(board, 60).split("– ")[0].splitlines()
    table = [line for line in lines if line.startswith(("good", "bad", "same", "reader"))]
    assert len(table) > 2 * len(board.standings)
    assert max(len(line) for line in table) <= 60


def test_dollars_and_whose_price(board: Leaderboard) -> None:
    cost = replace(board.standings[0].cost, usd_per_1000=0.0123, basis="us, 2026", reason=None)
    dear = replace(board.standings[1].cost, usd_per_1000=12.5, basis="us, 2026", reason=None)
    first, second, *others = board.standings
    standings = (replace(first, cost=cost), replace(second, cost=dear), *others)
    text = render_board(replace(board, standings=standings))
    steady = text[text.index("stability (lower") :]
    assert "0.012" in line_of(steady, first.model)
    assert "12.50" in line_of(steady, second.model)
    assert f"$, {first.model}, {second.model}: us, 2026" in text
    assert "tau: how far its scores on the subtasks lie apart" in text


def test_dashes_for_what_is_null(board: Leaderboard) -> None:
    first, *others = board.standings
    none = Rank("overall", first.model, *(None,) * 6, reason="why")
    without = replace(first, ranks={**first.ranks, "overall": none})
    text = render_board(replace(board, standings=(without, *others)))
    row = line_of(text, first.model).split()
    assert row[1:3] == ["–", "–"]
    assert float(row[3]) > 0
