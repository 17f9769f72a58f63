"""Two models side by side."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from jobs.benchmarks.coverage.weakness import draw, ground
from lens_ray.errors import UserError
from lens_ray.stats.compare import BEYOND, Compared, compare, compare_marks
from lens_ray.stats.contrast import contrast
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.flips import chosen
from lens_ray.stats.marks import Marks, NotComparable
from lens_ray.suites.sample import ABILITIES
from tests.stats.fields import field_of
from tests.stats.stores import Asked, store_of

NAN = float("nan")


def pair_of(counts: tuple[int, int, int, int]) -> tuple[list[float], list[float]]:
    """Marks of two models from the counts of both right, only a, only b, both wrong."""
    kinds = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
    pairs = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def marks_from(cases: dict[str, tuple[int, int, int, int]]) -> Marks:
    """Marks of a and b with one subtask in each ability."""
    a: list[float] = []
    b: list[float] = []
    names: list[str] = []
    for ability, counts in cases.items():
        one, two = pair_of(counts)
        a, b, names = a + one, b + two, names + [ability] * len(one)
    return field_of({"a": np.array(a), "b": np.array(b)}, ability=names, subtask=names)


def by_name(found: tuple[Compared, ...]) -> dict[str, Compared]:
    return {each.figure: each for each in found}


def test_values_transitions_and_churn_by_hand() -> None:
    """ocr: a has 20 + 10 of 40 right, b 20 + 3; counting: a 30 + 2 of 60, b 30 + 20.

    Differences 7/40 = 0.175 and -18/60 = -0.3; overall (0.175 - 0.3) / 2 = -0.0625; changed
    13/40 and 22/60.
    """
    found = by_name(compare_marks(marks_from({
        "ocr": (20, 10, 3, 7), "counting": (30, 2, 20, 8),
    }), "a", "b"))  # fmt: skip
    assert list(found) == ["counting", "ocr", "overall"]
    ocr, counting, overall = found["ocr"], found["counting"], found["overall"]
    assert (ocr.both_right, ocr.only_a, ocr.only_b, ocr.both_wrong) == (20, 10, 3, 7)
    assert (ocr.n, ocr.clusters) == (40, 40)
    assert ocr.value_a == pytest.approx(30 / 40)
    assert ocr.value_b == pytest.approx(23 / 40)
    assert ocr.difference == pytest.approx(0.175)
    assert ocr.churn == pytest.approx(13 / 40)
    assert counting.difference == pytest.approx(-0.3)
    assert counting.churn == pytest.approx(22 / 60)
    assert overall.difference == pytest.approx(-0.0625)
    assert (overall.n, overall.only_a, overall.only_b) == (100, 12, 23)
    assert counting.winner == "b"
    assert counting.says == "B is better by 0.300"


def test_turned_round_everything_is_turned_round() -> None:
    marks = marks_from({"ocr": (20, 10, 3, 7), "counting": (30, 2, 20, 8)})
    for one, two in zip(
        compare_marks(marks, "a", "b"), compare_marks(marks, "b", "a"), strict=True
    ):
        assert two.difference == pytest.approx(-(one.difference or math.nan))
        assert two.ci_low == pytest.approx(-(one.ci_high or math.nan))
        assert (two.only_a, two.only_b) == (one.only_b, one.only_a)
        assert two.p == pytest.approx(one.p)
        assert (two.p_holm, two.mde) == pytest.approx((one.p_holm, one.mde))


def test_the_six_are_one_family_and_others_stand_apart() -> None:
    cases = {name: (30, 10 + place, 5, 15) for place, name in enumerate(ABILITIES)}
    cases |= {"planning": (30, 12, 4, 14), "writing": (30, 9, 8, 13)}
    found = by_name(compare_marks(marks_from(cases), "a", "b"))
    assert list(found) == [*ABILITIES, "planning", "writing", "overall"]
    for family, members in (
        ("the abilities of the overall score", ABILITIES), (BEYOND, ("planning", "writing")),
    ):  # fmt: skip
        some = [found[name] for name in members]
        assert {each.family for each in some} == {family}
        oracle = multipletests([each.p for each in some], method="holm")[1]
        assert [each.p_holm for each in some] == pytest.approx(list(oracle), abs=1e-12)
    assert (found["overall"].family, found["overall"].p_holm) == (None, found["overall"].p)


def test_what_would_have_been_seen_counts_the_family() -> None:
    marks = marks_from({name: (30, 9, 8, 13) for name in ABILITIES})
    figures = ability_figures(marks)
    found = by_name(compare_marks(marks, "a", "b"))
    alone = {each.figure: each for each in contrast(marks, "a", "b", figures)}
    strict = {e.figure: e for e in contrast(marks, "a", "b", figures, confidence=1 - 0.05 / 6)}
    for name in ABILITIES:
        mde, least = found[name].mde, alone[name].mde
        assert mde is not None
        assert least is not None
        assert mde > least
        assert mde == strict[name].mde
        assert found[name].says == f"no difference found; one of {mde:.2f} would have been seen"
    assert found["overall"].mde == alone["overall"].mde


def test_equal_answers_have_no_winner_and_nothing_undefined_is_zero() -> None:
    marks = marks_from({"ocr": (20, 0, 0, 20), "counting": (40, 0, 0, 0)})
    for each in compare_marks(marks, "a", "b"):
        assert each.winner is None
        assert each.churn == 0.0
        assert each.difference == 0.0
        assert each.p is None or each.p == pytest.approx(1.0)
        if each.p is None:
            assert each.says == f"not tested: {each.reason}"
            assert each.p_holm is None
            assert each.ci_low is None


def test_an_ability_without_a_unit_in_common_is_null_with_a_reason() -> None:
    marks = field_of(
        {"a": np.array([1.0, 0.0, 1.0, NAN]), "b": np.array([0.0, 1.0, NAN, 1.0])},
        ability=["ocr", "ocr", "counting", "counting"], subtask=["x", "x", "y", "y"],
    )  # fmt: skip
    found = by_name(compare_marks(marks, "a", "b"))
    counting = found["counting"]
    assert (counting.n, counting.churn, counting.difference, counting.winner) == (0, *(None,) * 3)
    assert counting.reason == "counting/y has no unit that both models answered"
    assert counting.says.startswith("cannot be compared: counting/y has no unit")
    assert found["overall"].difference is None
    assert found["ocr"].n == 2


def test_by_a_facet_every_value_is_one_of_the_family() -> None:
    rng = np.random.default_rng(3)
    size = 240
    formats = ["open" if number % 3 else "true_false" for number in range(size)]
    a, b = ((rng.random(size) < share).astype(float) for share in (0.7, 0.4))
    marks = field_of(
        {"a": a, "b": b}, ability=["ocr", "counting"] * (size // 2), subtask=["x", "y"] * 120,
        format=formats, chance=[0.5 if name == "true_false" else 0.0 for name in formats],
    )  # fmt: skip
    found = by_name(compare_marks(marks, "a", "b", by="format"))
    assert list(found) == ["open", "true_false", "overall"]
    for name, chance in (("open", 0.0), ("true_false", 0.5)):
        mine = np.array([each == name for each in formats])
        assert found[name].n == mine.sum()
        assert found[name].family == "formats"
        # Weights by units: the mean over all of a value's units, each of one chance level.
        expected = (a[mine].mean() - chance) / (1 - chance)
        assert found[name].value_a == pytest.approx(expected)
        assert found[name].only_a == int((a[mine] > b[mine]).sum())
    assert found["overall"].family is None
    with pytest.raises(UserError, match="no facet 'colour'; there are: ability, source"):
        compare_marks(marks, "a", "b", by="colour")


def test_half_a_mark_is_right_and_any_change_of_it_is_churn() -> None:
    marks = field_of(
        {"a": np.array([0.6, 0.5, 0.4, 0.4]), "b": np.array([0.7, 0.4, 0.4, 0.2])},
        ability=["ocr"] * 4, subtask=["x"] * 4,
    )  # fmt: skip
    found = compare_marks(marks, "a", "b")[0]
    assert (found.both_right, found.only_a, found.only_b, found.both_wrong) == (1, 1, 0, 2)
    assert found.churn == 0.75


def test_flips_show_large_changes_first_and_every_kind_in_turn() -> None:
    a = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.5, 0.0, 1.0, NAN])
    b = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    marks = field_of({"a": a, "b": b}, ability=["ocr"] * 9, subtask=["x"] * 7 + ["y"] * 2)
    # Of x: a ahead on 1, 2, 3 and (by half) 5, b ahead on 4, 6; of y: a ahead on 7.
    order = [marks.ids[place] for place in chosen(marks, 20).tolist()]
    assert order == [f"s{n:05d}" for n in (4, 1, 7, 6, 2, 3, 5)]
    assert len(chosen(marks, 3)) == 3
    assert len(chosen(marks.only(["a", "b"]).where(np.zeros(9, dtype=bool)), 3)) == 0


def test_two_models_of_a_store(tmp_path: Path) -> None:
    a, b = [1.0, 0.0, 1.0, 1.0] * 10, [0.0, 0.0, 1.0, 1.0] * 10
    store = store_of(tmp_path, {"one": Asked(a), "two": Asked(b), "three": Asked(a, suite="three",
                     digest="e" * 64)})  # fmt: skip
    found = compare(store, "one", "two", flips=2)
    assert (found.a, found.b, found.suite, found.by) == ("one", "two", "tiny", "ability")
    assert (found.run_a, found.run_b) == ("00000001-run", "00000002-run")
    assert found.families == {"the abilities of the overall score": ("counting", "ocr")}
    counting = by_name(found.figures)["counting"]
    # dots: 10 of 10 against 0 of 10; bars: chance, both wrong. Equal weights: (1 + -1)/2 - (-1/2).
    assert counting.difference == pytest.approx(0.5)
    assert [flip.sample_id for flip in found.flips] == ["t/0000", "t/0004"]
    flip = found.flips[0]
    assert (flip.better, flip.score_a, flip.score_b) == ("a", 1.0, 0.0)
    assert (flip.text_a, flip.text_b) == ("one says 1.0", "two says 0.0")
    assert (flip.extracted_a, flip.extracted_b, flip.question) == ("1.0", "0.0", None)
    rows = found.rows()
    assert [row["figure"] for row in rows] == ["counting", "ocr", "overall"]
    assert list(found.to_frame()["a"]) == ["one"] * 3
    assert compare(store, "one", "two", flips=0).flips == ()
    only = compare(store, "one", "two", abilities=["ocr"])
    assert [each.figure for each in only.figures] == ["ocr"]
    assert compare(store.url, "one", "two", by="format").by == "format"
    with pytest.raises(NotComparable, match="one and three answered different suites"):
        compare(store, "one", "three")
    with pytest.raises(UserError, match="the model 'one' is named twice"):
        compare(store, "one", "one")
    with pytest.raises(UserError, match="confidence 95: give a level between 0 and 1"):
        compare(store, "one", "two", confidence=95)
    with pytest.raises(UserError, match="by 'colour': use one of ability, source"):
        compare(store, "one", "two", by="colour")


def test_a_flip_of_a_group_shows_the_member_that_differs(tmp_path: Path) -> None:
    group = {n: {"group_id": f"g{n // 2}", "metric": "all_right", "subtask": "dots",
                 "ability": "counting", "chance": 0.5} for n in range(8)}  # fmt: skip
    store = store_of(tmp_path, {
        "one": Asked([1.0, 1.0] * 4, changes=group), "two": Asked([1.0, 0.0] * 4, changes=group),
    })  # fmt: skip
    found = compare(store, "one", "two")
    assert found.figures[0].n == 4
    assert {flip.sample_id for flip in found.flips} == {"t/0001", "t/0003", "t/0005", "t/0007"}
    assert {(flip.score_a, flip.score_b) for flip in found.flips} == {(1.0, 0.0)}


@pytest.mark.slow
def test_family_wise_error_and_a_gap_in_one_ability_is_found() -> None:
    """300 fields each: no difference anywhere; one of 0.2 in counting only."""
    rng = np.random.default_rng(6)
    marks = ground(("a", "b"), per=60)
    expected = np.tile(marks.chance + (1 - marks.chance) * 0.5, (2, 1))
    runs, wrong, found, beside = 300, 0, 0, 0
    for _ in range(runs):
        null = compare_marks(draw(rng, marks, expected), "a", "b")
        wrong += any(each.winner is not None for each in null if each.family is not None)
        planted = expected.copy()
        counting = marks.facets["ability"].code == ABILITIES.index("counting")
        planted[0, counting] += 0.2 * (1 - marks.chance[counting])
        seen = by_name(compare_marks(draw(rng, marks, planted), "a", "b"))
        found += seen["counting"].winner == "a"
        beside += any(seen[name].winner is not None for name in ABILITIES if name != "counting")
    slack = 2.6 * (0.05 * 0.95 / runs) ** 0.5
    assert wrong / runs <= 0.06 + slack
    assert beside / runs <= 0.06 + slack
    assert found / runs >= 0.75
