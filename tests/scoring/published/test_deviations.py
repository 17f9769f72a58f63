"""Every deliberate deviation from the publishers' rules, as `lens_ray.scoring.published` lists
them, and what each published rule does that its counterpart in the default presets does not."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lens_ray.scoring import published
from lens_ray.scoring.mark import mark
from lens_ray.stats.scores import subtask_scores
from lens_ray.stats.strata import SubtaskScore
from lens_ray.suites.sample import Sample
from tests.scoring.published.makers import READERS, sample

FOUR = ("a red car", "Banana", "dog", "two dogs")


def score_of(
    answered: list[tuple[Sample, str]], sizes: dict[str, int] | None = None
) -> SubtaskScore:
    """The figures of one subtask, from texts."""
    rows = [
        {
            "sample_id": one.sample_id, "ability": one.ability, "subtask": one.subtask,
            "status": "ok", "score": mark(one, text, "stop").score, "chance": one.chance,
            "upper": one.upper, "metric": one.metric, "cluster_id": one.cluster_id,
            "group_id": one.group_id,
        }
        for one, text in answered
    ]  # fmt: skip
    (found,) = subtask_scores(pa.Table.from_pylist(rows), group_sizes=sizes)
    return found


def turns(base: str, texts: list[str]) -> list[tuple[Sample, str]]:
    return [
        (sample("mmbench", "B", FOUR, name=f"{base}#{n}", group=base, chance=0.25), text)
        for n, text in enumerate(texts)
    ]


def test_mmbench_asks_no_judge_and_draws_no_letter() -> None:
    outcome = mark(sample("mmbench", "B", FOUR), "the yellow fruit", "stop")
    assert (outcome.status, outcome.score, outcome.extracted) == ("unparsed", 0.0, None)
    assert outcome.cause == "mmbench finds no answer in it"
    again = {mark(sample("mmbench", "B", FOUR), "hm", "stop") for _ in range(20)}
    assert len(again) == 1


def test_mmbench_counts_complete_rotation_sets_only() -> None:
    answered = [*turns("whole", ["B"] * 4), *turns("wrong", ["B", "B", "B", "C"]),
                *turns("lone", ["B"])]  # fmt: skip
    found = score_of(answered, {"whole": 4, "wrong": 4, "lone": 4})
    assert (found.units, found.accuracy, found.n) == (2, 0.5, 8)
    assert found.chance == 0.25**4


def test_conbench_takes_an_empty_choice_as_no_answer() -> None:
    outcome = mark(sample("conbench", "B", FOUR), " \n ", "stop")
    assert (outcome.status, outcome.score) == ("unparsed", 0.0)


def test_conbench_counts_complete_triples() -> None:
    def triple(name: str, texts: list[str]) -> list[tuple[Sample, str]]:
        made = [sample("conbench", "yes", kind="true_false", name=f"{name}-1", group=name),
                sample("conbench", "B", FOUR, name=f"{name}-2", group=name),
                sample("conbench", "banana", name=f"{name}-3", group=name)]  # fmt: skip
        return list(zip(made, texts, strict=False))

    answered = [*triple("a", ["yes", "B", "banana"]), *triple("b", ["yes", "B", "car"]),
                *triple("c", ["yes", "B"])]  # fmt: skip
    found = score_of(answered, dict.fromkeys("abc", 3))
    # The reference divides by the rows by three: 1 of 8 / 3.
    assert (found.units, found.accuracy) == (2, 0.5)


def test_synthdog_without_an_accepted_text_is_wrong() -> None:
    assert mark(sample("synthdog", " "), "text", "stop").score == 0.0
    assert mark(sample("synthdog", " "), "", "stop").score == 0.0


def test_sums_are_means() -> None:
    """SynthDoG adds its pages up, OCRBench divides by 1000, whatever was asked."""
    pages = [
        (sample("synthdog", "hello", name=str(n)), text) for n, text in enumerate(["hello", ""])
    ]
    assert score_of(pages).accuracy == (1 - 1 / 6) / 2
    signs = [
        (sample("ocrbench", "stop", name=str(n)), text) for n, text in enumerate(["stop", "go"])
    ]
    for _ in range(2):  # nothing is left over from an earlier run
        assert score_of(signs).accuracy == 0.5


def test_mme_is_a_two_hundredth_of_the_published_scale() -> None:
    def pair(name: str, texts: list[str]) -> list[tuple[Sample, str]]:
        return [
            (
                sample(
                    "mme", gold, kind="true_false", name=f"{name}{gold}", group=name, chance=0.5
                ),
                text,
            )
            for gold, text in zip(["yes", "no"], texts, strict=True)
        ]

    found = score_of(
        [*pair("a", ["Yes", "No"]), *pair("b", ["Yes", "Yes"]), *pair("c", ["No", "Yes"])]
    )
    # acc + acc+ of the images: 200, 50 and 0 of 200.
    assert found.accuracy == pytest.approx(250 / 600, abs=1e-15)
    # Guessing has acc 50 and acc+ 25: 75 of 200.
    assert found.chance == 0.375
    assert found.corrected == pytest.approx((250 / 600 - 0.375) / 0.625, abs=1e-15)


def test_a_stopped_answer_is_a_refusal() -> None:
    for name in READERS:
        outcome = mark(sample(name, "B", FOUR), "B", "content_filter")
        assert (outcome.status, outcome.score) == ("refused", 0.0), name


#: Text, accepted answer, and what the published and the default preset's rule give it.
@pytest.mark.parametrize(
    ("pair", "kind", "gold", "text", "marks"),
    [
        (("mme", "yes_no_pairs"), "true_false", "yes", "The answer is yes", (0, 1)),
        (("mme", "yes_no_pairs"), "true_false", "no", "Not sure", (1, 0)),
        (("seed_bench", "exact"), "multiple_choice", "B", "Because it is red", (1, 0)),
        (("mirb", "numeric"), "open", "3", "2 or 3 or 4", (1, 0)),
        (("mmstar", "exact"), "multiple_choice", "A", "Any of them", (1, 0)),
        (("mmstar", "exact"), "multiple_choice", "B", "The answer is (B).", (0, 1)),
        (("muirbench", "exact"), "multiple_choice", "B", "(B)", (0, 1)),
        (("ocrbench", "contains"), "open", "stop", "<think>stop or go?</think>go", (1, 0)),
        (("ocrbench", "contains"), "open", "ＳＴＯＰ", "stop", (0, 1)),
        (("synthdog", "nted"), "open", "Hello World", "Hello World", (0.75, 1)),
        (("synthdog", "nted"), "open", "Hello World", "<think>?</think>HELLO WORLD", (0, 1)),
        (("mmbench", "all_right"), "multiple_choice", "B", "bananas, not a dog", (0, 0)),
        (("mmbench", "all_right"), "multiple_choice", "B", "an urban Banana", (1, 1)),
        (("chartqa", "relaxed_numeric"), "open", "45", "45%", (0, 1)),
        (("chartqa", "relaxed_numeric"), "open", "45", "45 people.", (0, 1)),
        (("ai2d", "exact"), "multiple_choice", "B", "B \n", (0, 1)),
        (("conbench", "all_right"), "true_false", "yes", "The answer is yes", (0, 1)),
        (("conbench", "all_right"), "multiple_choice", "B", "(B)", (0, 1)),
        (("conbench", "triples_right"), "open", "red car", "The answer is red car.", (0, 1)),
    ],
)  # fmt: skip
def test_the_switch(
    pair: tuple[str, str], kind: str, gold: str, text: str, marks: tuple[float, float]
) -> None:
    choices = FOUR if kind == "multiple_choice" else ()
    given = [
        mark(sample(pair[0], gold, choices, kind=kind, metric=metric), text, "stop").score
        for metric in pair
    ]
    assert given == list(marks)


def test_the_table_names_every_published_metric() -> None:
    assert published.__doc__ is not None
    for name in READERS:
        assert f"``{name}``" in published.__doc__
