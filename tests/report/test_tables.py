from __future__ import annotations

from dataclasses import asdict, replace

import pyarrow as pa
import pytest

from lens_ray.report.tables import (
    figure,
    in_order,
    interval,
    leaderboard,
    null_reasons,
    render_text,
    share,
)
from lens_ray.stats import AbilityScore, scores_table
from lens_ray.store import Store
from lens_ray.store.schema import SCORES


def score(ability: str, value: float | None, reason: str | None = None) -> AbilityScore:
    if value is None:
        return AbilityScore(ability, 10, 0.5, *(None,) * 6, "p@1", reason)
    return AbilityScore(
        ability, 20, 1.0, value, value, value - 0.1, value + 0.1, 0.5, 1.0, "p@1", reason
    )


def table(*runs: tuple[str, str, list[AbilityScore]], suite: str = "mini:quick") -> pa.Table:
    return pa.concat_tables(
        [scores_table(scores, run_id=run, model=model, suite=suite) for run, model, scores in runs]
    )


def three() -> pa.Table:
    return table(
        ("r1", "low", [score("ocr", 0.25), score("counting", -0.01), score("overall", 0.12)]),
        ("r2", "none", [score("ocr", None, "coverage 0.5000 is below 0.99"),
                        score("counting", 0.5), score("overall", None, "no score for ocr")]),
        ("r3", "high", [score("ocr", 0.75), score("counting", 0.5), score("overall", 0.625)]),
    )  # fmt: skip


def test_best_first_and_nulls_last() -> None:
    rows = leaderboard(three())
    assert [row.model for row in rows] == ["high", "low", "none"]
    assert list(rows[0].abilities) == ["counting", "ocr"]
    assert rows[0].overall is not None
    assert rows[0].overall.corrected == 0.625
    assert [each.ability for each in rows[0].scores] == ["counting", "ocr", "overall"]


def test_every_figure_survives() -> None:
    row = leaderboard(three())[0]
    record = next(
        each for each in three().to_pylist() if each["model"] == "high" and each["ability"] == "ocr"
    )
    assert asdict(row.abilities["ocr"]).items() <= record.items()


def test_the_order_does_not_depend_on_the_tables_order() -> None:
    scores = three()
    turned = scores.take(list(range(scores.num_rows))[::-1])
    assert leaderboard(scores) == leaderboard(turned)


def test_two_runs_of_one_name_are_told_apart() -> None:
    rows = leaderboard(table(("a" * 16, "m", [score("ocr", 0.5)]),
                             ("b" * 16, "m", [score("ocr", 0.6)])))  # fmt: skip
    assert [row.label for row in rows] == ["m (aaaaaaaa)", "m (bbbbbbbb)"]
    assert rows[0].overall is None


def test_usual_order_then_the_others() -> None:
    assert in_order(["zeal", "ocr", "overall", "defect", "counting"]) == [
        "counting", "ocr", "defect", "zeal",
    ]  # fmt: skip


def test_text_to_the_letter() -> None:
    assert render_text(leaderboard(three())) == (
        "model  counting    ocr  overall   95 % interval  coverage\n"
        "high      0.500  0.750    0.625  [0.525, 0.725]     1.000\n"
        "low      -0.010  0.250    0.120  [0.020, 0.220]     1.000\n"
        "none      0.500      –        –               –     0.500\n"
        "\n"
        "– ocr, none: coverage 0.5000 is below 0.99\n"
        "– overall, none: no score for ocr"
    )


def test_the_uniform_composite_stands_beside_the_default() -> None:
    overall = replace(score("overall", 0.625), uniform=0.5)
    text = render_text(leaderboard(table(("r", "m", [overall]), ("s", "old", [score("ocr", 0.5)]))))
    assert text.splitlines()[:3] == [
        " " * 23 + "uniform",
        "model    ocr  overall  weights   95 % interval  coverage",
        "m          –    0.625    0.500  [0.525, 0.725]     1.000",
    ]
    assert text.splitlines()[3].split() == ["old", "0.500", "–", "–", "–", "–"]


def test_long_names_head_a_column_in_two_lines() -> None:
    text = render_text(leaderboard(table(("r", "m", [score("structured_data", 0.5)]))))
    assert text.splitlines()[:2] == [
        "       structured",
        "model        data  overall  95 % interval  coverage",
    ]


@pytest.mark.parametrize("width", [1, 10, 30, 40, 57, 58])
def test_a_narrow_terminal_loses_nothing(width: int) -> None:
    rows = leaderboard(three())
    wide, narrow = render_text(rows), render_text(rows, width)
    assert sorted(set(wide.split())) == sorted(set(narrow.split()))
    for line in narrow.split("\n\n– ")[0].splitlines():
        # One column beside the names always stands, whatever the width.
        assert len(line) <= max(width, len("model  [0.525, 0.725]"))
    assert (narrow == wide) == (width >= 57)


def test_suites_stand_apart() -> None:
    both = pa.concat_tables([three(), table(("r9", "m", [score("ocr", 0.5)]), suite="other")])
    text = render_text(leaderboard(both))
    assert text.splitlines()[0] == "mini:quick"
    assert "\n\nother\n" in text


def test_no_scores() -> None:
    assert leaderboard(SCORES.empty_table()) == []
    assert render_text([]) == "no scores"


def test_reasons_are_said_once_for_all_they_are_true_of() -> None:
    why = "dvs and res: no pool for this suite"
    scores = table(*(
        (f"r{n}", f"m{n}", [score("ocr", 0.5, why), score("counting", 0.5, why),
                            score("entity", 0.5, "odd" if n == 1 else None)])
        for n in range(6)
    ))  # fmt: skip
    assert null_reasons(leaderboard(scores)) == [f"counting, ocr, every model: {why}",
                                                 "entity, m1: odd"]  # fmt: skip
    assert null_reasons(leaderboard(scores), scores_only=True) == []


def test_many_models_are_counted() -> None:
    runs = [(f"r{n}", f"m{n}", [score("ocr", None if n else 0.5, "cold")]) for n in range(7)]
    reasons = null_reasons(leaderboard(table(*runs)), scores_only=True)
    assert reasons == ["ocr, m1, m2, m3, m4 and 2 more: cold"]


def test_no_name_moves_a_terminals_cursor() -> None:
    scores = table(("r", "\x1b[2Jm\nx\0", [score("ocr", None, "bad \x9b31m \u202e")]))
    text = render_text(leaderboard(scores))
    assert "␛[2Jm␊x␀" in text
    assert "bad \\u009b31m \\u202e" in text
    assert all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0.000"), (-0.0001, "0.000"), (-0.25, "-0.250"), (0.9996, "1.000")],
)
def test_figures(value: float | None, shown: str) -> None:
    assert figure(value) == shown


def test_only_all_is_a_full_share() -> None:
    assert [share(value) for value in (1.0, 0.99999, 0.5, 0.29, None)] == [
        "1.000", "0.999", "0.500", "0.290", "–",
    ]  # fmt: skip


def test_no_interval_is_a_dash() -> None:
    assert interval(None) == interval(score("ocr", None)) == "–"


def test_the_scores_of_a_store(store: Store) -> None:
    text = render_text(leaderboard(store.scores()), 200)
    lines = text.splitlines()
    assert lines[2].startswith("minivlm-a-step-4000 ")
    assert lines[7].startswith("closed-model ")
    assert lines[9:] == ["– ocr, closed-model: coverage 0.8824 is below 0.99",
                         "– overall, closed-model: no score for ocr"]  # fmt: skip
