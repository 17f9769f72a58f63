"""The publishers' rules, by hand from their descriptions; the peers' own code is in tests/peers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.scoring.mark import mark
from lens_ray.scoring.metrics import METRICS
from lens_ray.scoring.published import mirb
from lens_ray.suites.check import _GROUPED
from lens_ray.suites.sample import Sample
from tests.scoring.published.makers import READERS, sample

FOUR = ("a red car", "Banana", "dog", "two dogs")


def scored(one: Sample, text: str) -> float:
    return mark(one, text, "stop").score


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", "yes"), (" yes. ", "yes"), ("No.", "no"), ("Y", "yes"), ("n.", "no"), ("x", None),
        ("Yes, it is", "yes"), ("no yes", "no"), ("yes no", "yes"), (" a yes", None),
        ("Noyes", "no"), ("eyes", "yes"), ("nothing", "no"), ("not sure", "no"), ("I know", None),
        ("The answer is yes", None), ("", None), (".y.e.s.", "yes"),
    ],
)  # fmt: skip
def test_mme_and_conbench_read_four_characters(text: str, answer: str | None) -> None:
    for gold in ("yes", "no"):
        outcome = mark(sample("mme", gold, kind="true_false"), text, "stop")
        assert (outcome.extracted, outcome.score) == (answer, float(answer == gold))
        assert outcome.status == ("unparsed" if answer is None else "ok")


@pytest.mark.parametrize(
    ("text", "right"),
    [("b", 1), ("B. Banana", 1), ("  B", 1), ("Because it is red", 1), ("(B)", 0), ("A", 0),
     ("", 0), ("The answer is B", 0)],
)  # fmt: skip
def test_seed_bench_reads_one_character(text: str, right: float) -> None:
    assert scored(sample("seed_bench", "B", FOUR), text) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [("b", 1), ("B dog", 1), ("(b)", 1), ("Option B", 1), ("The answer is B", 1), ("\nB", 1),
     ("the answer is (B)", 0), ("option: B", 0), ("I say B", 0), ("", 0), ("(", 0), ("option ", 0),
     ("Bananas are left", 1)],
)  # fmt: skip
def test_mmstar_knows_four_openings(text: str, right: float) -> None:
    assert scored(sample("mmstar", "B", FOUR), text) == right


@pytest.mark.parametrize(
    ("text", "answer"),
    [("B", "B"), ("(A) is wrong. The answer is (B).", "B"), ("B because A is wrong", "B"),
     ("A. no, B. yes", "A"), ("I pick B over C", "C"), ("答案是B", "B"), ("b", None), ("", None),
     ("Dogs", "D"), ("It is C", "C")],
)  # fmt: skip
def test_mmstar_ranked(text: str, answer: str | None) -> None:
    one = sample("mmstar", "B", FOUR, metric="mmstar_ranked")
    outcome = mark(one, text, "stop")
    assert (outcome.extracted, outcome.score) == (answer, float(answer == "B"))


@pytest.mark.parametrize("source", ["muirbench", "ai2d"])
@pytest.mark.parametrize(
    ("text", "right"),
    [("B", 1), ("b", 1), ("B. Banana", 1), (" B. A.", 1), ("A. B", 0), ("(B) Banana", 0),
     ("Banana", 0), ("b. x", 0), ("The answer is B", 0), ("", 0)],
)  # fmt: skip
def test_a_leading_letter_or_the_whole_text(source: str, text: str, right: float) -> None:
    # AI2D drops punctuation, so "(B)" alone is right there and wrong in MuirBench.
    assert scored(sample(source, "B", FOUR), text) == right


def test_where_muirbench_and_ai2d_differ() -> None:
    found = {
        text: [scored(sample(source, "B", FOUR), text) for source in ("muirbench", "ai2d")]
        for text in ("(B)", " b\n", "B!", "B\0")
    }
    assert found == {"(B)": [0, 1], " b\n": [1, 0], "B!": [0, 1], "B\0": [0, 1]}


def test_an_unanswerable_twin_is_right_by_its_own_option() -> None:
    """MuirBench: the twin of an answerable question has the gold "None of the choices provided"."""
    choices = ("one", "two", "three", "None of the choices provided")
    twin, text = sample("muirbench", "D", choices), "None of the choices provided"
    assert [scored(twin, "D"), scored(twin, f"D. {text}"), scored(twin, text)] == [1, 1, 0]
    # The default preset's extraction takes the option's text too.
    robust = sample("muirbench", "D", choices, metric="exact")
    assert [scored(robust, "D"), scored(robust, "(D)"), scored(robust, text)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("3", "3", 1), ("3", "There are 3 dogs.", 1), ("3", "1 + 2 = 3", 1), ("3", "3.001", 1),
        ("3", "13", 0), ("3", "three", 0), ("3", "", 0), ("3", "2 or 3", 1), ("1,000", "1000.0", 1),
        ("3", "so 3\nor 4, so the answer is 5", 1), ("5", "so 3, 4 is 5", 1),
        ("2", "2 red ones, so the answer is 5", 0), ("three", "it is three", 1),
        ("three", "thirty-three", 1), ("x", "xyz", 0), ("x", "an x b", 1), ("-2", "-2", 1),
        ("2e3", "2000", 1), ("B", "B. two", 1), ("B", "B", 1), ("B", "b", 0), ("B", "(B)", 0),
        ("B", "B ", 0), ("A", "A. B.", 1),
    ],
)  # fmt: skip
def test_mirb(gold: str, text: str, right: float) -> None:
    assert scored(sample("mirb", gold), text) == right


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("Stop", "the sign says STOP!", 1), ("Stop", "st op", 0), ("a\nb", "x A b", 1),
        (("one", "two"), "two", 1), ("x", "", 0), (" Stop ", "stop", 1), ("A", "Ａ", 0),
    ],
)  # fmt: skip
def test_ocrbench(gold: str | tuple[str, ...], text: str, right: float) -> None:
    assert scored(sample("ocrbench", gold, dataset="svt"), text) == right


def test_ocrbench_on_handwritten_expressions() -> None:
    """HME100k: spaces do not count; the reference lower-cases the text alone."""
    for gold, text, reference, mended in (
        ("x ^ { 2 }", "it is x^{2}", 1, 1), ("x+1", "x + 1", 1, 1), ("A + b", "A+b", 0, 1),
        ("a+b", "A+B", 1, 0), ("\\frac { 1 } { 2 }", "\\frac{1}{2}", 1, 1), ("x", "y", 0, 0),
    ):  # fmt: skip
        one = sample("ocrbench", gold, dataset="HME100k")
        assert scored(one, text) == reference
        assert (
            scored(sample("ocrbench", gold, dataset="HME100k", metric="contains"), text) == mended
        )


def test_synthdog_by_hand() -> None:
    """max(0, 1 - (1 + d) / (1 + n)) of the lower-cased answer and the gold as it is."""
    one = sample("synthdog", "Hello World")  # n = 11, two capitals
    assert scored(one, "Hello World") == 1 - 3 / 12
    assert scored(one, " hello world\n") == 1 - 3 / 12
    assert scored(sample("synthdog", "hello"), "hello") == 1 - 1 / 6
    assert scored(sample("synthdog", "hello"), "help") == 1 - 3 / 6
    assert scored(sample("synthdog", "hi"), "hello there") == 0
    assert scored(one, "") == 0


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "B"), ("B.", "B"), ("(B)", "B"), ("B) Banana", "B"), ("It is B , I think", "B"),
        ("A dog and a cat", "C"), ("A cat is here now", None), ("A cat here", "A"),
        ("A", "A"), ("A or B", None), ("A or B. no", "B"), ("E", "E"), ("b", None),
        ("banana", "B"), ("a dog", "C"), ("two dogs", None), ("B: x A: y", None), ("", None),
        ("Failed to obtain answer via API B", None), (":B.", "B"), ("the answer is:B", None),
        ("The answer is (B) because A is wrong", "B"),
    ],
)  # fmt: skip
def test_mmbench(text: str, answer: str | None) -> None:
    outcome = mark(sample("mmbench", "B", FOUR), text, "stop")
    assert (outcome.extracted, outcome.score) == (answer, float(answer == "B"))


def test_mmbench_looks_for_a_missing_option_too() -> None:
    """Options that the data set writes as ``nan`` occur in "banana"."""
    one = sample("mmbench", "B", FOUR[:2], missing_option="nan")
    assert [scored(one, "a banana"), scored(one, "B")] == [0, 1]
    assert scored(sample("mmbench", "B", FOUR[:2]), "a banana") == 1


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("100", "105", 1), ("100", "105.1", 0), ("100", "95", 1), ("100", "94.9", 0),
        ("100", "100.", 1), ("100", "100 people", 0), ("45%", "0.45", 1), ("0.45", "45%", 1),
        ("45", "45%", 0), ("45%", "47%", 1), ("0", "0", 1), ("0", "0.0", 0), ("Yes", "yes", 1),
        ("Yes", "yes.", 0), ("Yes", " yes", 0), ("2,000", "2000", 0), ("-4", "-4.1", 1),
        ("14", "", 0), ("14", " 14 ", 1), ("nan", "nan", 0),
    ],
)  # fmt: skip
def test_chartqa(gold: str, text: str, right: float) -> None:
    assert scored(sample("chartqa", gold), text) == right


@pytest.mark.parametrize(
    ("kind", "gold", "choices", "text", "right"),
    [
        ("true_false", "yes", (), "Yes, it is", 1), ("true_false", "yes", (), "\ny\nes", 1),
        ("true_false", "no", (), "not at all", 1), ("true_false", "yes", (), "  Well yes", 0),
        ("multiple_choice", "B", FOUR, " b: it", 1), ("multiple_choice", "B", FOUR, "\n B", 1),
        ("multiple_choice", "B", FOUR, "(B)", 0), ("multiple_choice", "B", FOUR, "", 0),
        # 1 - distance / length: "abcde" and "abxyz" share 2 of 5 (0.4 is enough), then 1 of 5.
        ("open", "abcde", (), "abxyz", 1), ("open", "abcde", (), "axxyz", 0),
        ("open", "Red  Car", (), "red car", 1), ("open", "red", (), "", 0),
    ],
)  # fmt: skip
def test_conbench(kind: str, gold: str, choices: tuple[str, ...], text: str, right: float) -> None:
    assert scored(sample("conbench", gold, choices, kind=kind), text) == right


@pytest.mark.parametrize(
    ("answer", "gold", "similar"),
    [("abcd", "abcd", 1.0), ("ABC  d", "abc d", 1.0), ("abcx", "abcd", 0.75), ("abxy", "abcd", 0.0),
     ("", "", 1.0), ("", "a", 0.0), ("abcdefgh", "a", 0.0)],
)  # fmt: skip
def test_anls_is_similarity_above_one_half(answer: str, gold: str, similar: float) -> None:
    assert METRICS["anls"].mark(answer, gold) == similar


def test_the_check_knows_the_metrics_that_mark_groups() -> None:
    assert {name for name, metric in METRICS.items() if metric.group} == _GROUPED


NUMBERS = {  # MMMU's own patterns
    mirb._GROUPED: r"-?\b\d{1,3}(?:,\d{3})+\b",
    mirb._SCIENTIFIC: r"-?\d+(?:\.\d+)?[eE][+-]?\d+",
    mirb._SIMPLE: r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])",
}


@given(st.text("0123,.-+eE x٣", max_size=40))
def test_numbers_are_those_of_mmmu(text: str) -> None:
    for ours, theirs in NUMBERS.items():
        assert ours.findall(text) == re.findall(theirs, text)


LETTERS = ("seed_bench", "mmstar", "mmstar_ranked", "muirbench", "ai2d", "mmbench")


@pytest.mark.parametrize("name", READERS)
@given(st.text(max_size=60))
def test_any_text_has_a_mark(name: str, text: str) -> None:
    one = sample("x", "B", FOUR) if name in LETTERS else sample("x", "3")
    answer, earned = READERS[name](one, text)
    assert 0.0 <= earned <= 1.0
    # What is no answer earns nothing.
    assert earned == 0.0 if answer is None else answer.strip()


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "part", ["1", "1,234,", "-1.", "1e", "(", "A ", "is ", "<leaf>", "%", "\n", "= ", ".,", "ß"]
)
def test_a_megabyte_is_read_in_linear_time(name: str, part: str) -> None:
    """A rule that goes over a run of text again from every place would take hours here."""
    text = part * (1_000_000 // len(part)) + "x"
    for one in (sample("x", "B", FOUR), sample("x", "12 red cars in the yard"),
                sample("x", "yes", kind="true_false")):  # fmt: skip
        READERS[name](one, text)
