"""The leaderboard: who is on it, in which order, and what it says of each model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lens_ray
from lens_ray.errors import UserError
from lens_ray.stats import make_pool
from lens_ray.stats.leaderboard import Leaderboard, leaderboard
from lens_ray.stats.marks import NotComparable
from tests.stats.boards import DIGEST, PER, SIZE, WEIGHTS, add, answers, store_of

LINES = ("counting", "ocr", "overall")


def models(board: Leaderboard) -> list[str]:
    return [standing.model for standing in board.standings]


def test_best_first_with_the_scores_of_the_store(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for name, score in zip("abc", answers(1, -1.5, 1.5, 0.0), strict=True):
        add(store, name, score)
    board = leaderboard(store, replicates=300)
    assert models(board) == ["b", "c", "a"]
    assert (board.suite, board.figures, board.by) == ("tiny", LINES, "overall")
    stored = {(row["model"], row["ability"]): row for row in store.scores().to_pylist()}
    for standing in board.standings:
        for figure in LINES:
            row, score = stored[standing.model, figure], standing.scores[figure]
            assert (score.corrected, score.ci_low) == (row["corrected"], row["ci_low"])
            # The ranks are of the same figures, reckoned from the marks.
            assert standing.ranks[figure].value == pytest.approx(score.corrected, abs=1e-12)
    assert [each.ranks["overall"].rank for each in board.standings] == [1, 2, 3]
    assert [each.ranks["overall"].rank_high for each in board.standings] == [1, 2, 3]
    assert board.standings[0].cost.latency_s == 0.5
    assert board.standings[0].cost.usd_per_1000 is None


def test_rows_are_one_a_model_and_figure(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for name, score in zip("ab", answers(1, 0.0, 1.0), strict=True):
        add(store, name, score)
    board = lens_ray.leaderboard(store.url, replicates=100)
    found = board.rows()
    assert [(row["model"], row["ability"]) for row in found] == [
        (model, figure) for model in ("b", "a") for figure in LINES
    ]
    frame = board.to_frame()
    assert list(frame["rank"]) == [row["rank"] for row in found]
    assert {"corrected", "rank_low", "p_best", "tau", "usd_per_1000", "latency_s"} <= {*frame}


def test_the_same_runs_give_the_same_ranks_however_they_are_named(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for name, score in zip("abc", answers(2, 0.0, 0.1, 0.2), strict=True):
        add(store, name, score)
    one = leaderboard(store, replicates=200)
    two = leaderboard(store, ["c", "a", "b"], replicates=200)
    assert one.rows() == two.rows()
    assert one.seed == two.seed
    assert models(leaderboard(store, ["a"], replicates=50)) == ["a"]


def test_chosen_abilities_sort_by_the_first(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    right, wrong = np.ones(2 * PER), np.zeros(2 * PER)
    add(store, "counts", np.concatenate([right, wrong]))
    add(store, "reads", np.concatenate([wrong, right]))
    assert models(leaderboard(store, abilities=["ocr", "counting"])) == ["reads", "counts"]
    board = leaderboard(store, abilities=["counting"])
    assert (models(board), board.figures) == (["counts", "reads"], ("counting",))
    with pytest.raises(UserError, match="ocr"):
        leaderboard(store, abilities=["orc"])


def test_runs_that_were_not_asked_the_same_are_left_out_with_a_reason(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    score = answers(3, 0.0, 0.5, 1.0, 0.2, 0.3, 0.4)
    add(store, "a", score[0])
    add(store, "b", score[1])
    add(store, "short", score[2], asked=SIZE - 10)
    add(store, "other", score[3], template="chat@1")
    add(store, "open", score[4], committed=False)
    failed = score[5].copy()
    failed[:20] = np.nan
    add(store, "failed", failed)
    board = leaderboard(store, replicates=100)
    assert models(board) == ["b", "a"]
    reasons = {each.model: each.reason for each in board.left_out}
    assert "not finished" in reasons["open"]
    assert "below 99%" in reasons["failed"]
    assert "10 left out" in reasons["short"]
    assert "template chat@1" in reasons["other"]
    # Who names a model wants it there, so it is refused and not left out.
    with pytest.raises(NotComparable, match="not asked the same samples"):
        leaderboard(store, ["a", "short"])


def test_a_store_of_unfinished_runs_says_so(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    with pytest.raises(UserError, match="no run"):
        leaderboard(store)
    add(store, "open", answers(1, 0.0)[0], committed=False)
    with pytest.raises(UserError, match="open is not finished"):
        leaderboard(store)


def test_a_score_below_its_coverage_is_not_ranked(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    one, two = answers(4, 0.0, 1.0)
    two[0] = np.nan  # 1 of 80 of counting, 1 of 160 of all
    add(store, "a", one)
    add(store, "b", two)
    board = leaderboard(store, replicates=100)
    ranks = {each.model: each.ranks for each in board.standings}
    assert ranks["b"]["counting"].rank is None
    assert "coverage" in str(ranks["b"]["counting"].reason)
    assert ranks["b"]["overall"].rank is None
    assert (ranks["a"]["counting"].rank, ranks["b"]["ocr"].rank) == (1, 1)
    assert models(board) == ["a", "b"]


def test_groups_by_access(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    score = answers(5, 0.0, 0.1, 0.0, 0.1)
    for place, name in enumerate(("o1", "o2", "c1", "c2")):
        mine = score[place].copy()
        if name.startswith("c"):
            mine[2 * PER :] = 1.0
        add(store, name, mine, access="closed" if name.startswith("c") else "open")
    board = leaderboard(store, by="access", replicates=300)
    assert board.groups == {"open": ("o1", "o2"), "closed": ("c1", "c2")}
    found = {(gap.kind, gap.figure): gap for gap in board.gaps}
    assert (found["mean", "ocr"].p_holm or 1) < 0.05
    assert (found["best", "ocr"].p_holm or 1) < 0.05
    assert (found["mean", "counting"].p_holm or 0) > 0.05
    alone = leaderboard(store, by="backend", replicates=50)
    assert (alone.groups, alone.gaps) == ({"fake": ("c1", "c2", "o1", "o2")}, ())
    with pytest.raises(UserError, match="access or backend"):
        leaderboard(store, by="colour")


def test_a_pool_of_the_user_gives_the_stability(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for name, score in zip("ab", answers(6, 0.0, 1.0), strict=True):
        add(store, name, score)
    assert leaderboard(store, replicates=50).standings[0].scores["ocr"].dvs is None
    pool = make_pool(
        "mine", 1, DIGEST,
        {m: {a: dict.fromkeys(s, 0.2 + 0.1 * n) for a, s in WEIGHTS.items()}
         for n, m in enumerate("xyz")},
    )  # fmt: skip
    found = leaderboard(store, pool=pool, replicates=50).standings[0].scores["ocr"]
    assert found.pool == "mine@1"
    assert found.dvs is not None
    assert found.res is not None
