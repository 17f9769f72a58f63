"""What a row becomes: answers, chance, groups, clusters, marking, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.suites.sample import Sample
from lens_ray.suites.sources.base import Options
from lens_ray.suites.sources.synthdog import faithful_upper
from tests.suites.sources import rows
from tests.suites.sources.rows import drafts_of, only, samples_of

FAITHFUL = Options(faithful=True)

#: row, its metric by our extraction, chance, answers, tokens (reference 1.3).
FACTS = [
    (only("mme", rows.mme()), "yes_no_pairs", 0.5, ("yes",), 16),
    (only("mme", rows.mme(answer=" No. ")), "yes_no_pairs", 0.5, ("no",), 16),
    (only("seed_bench", rows.seed()), "exact", 0.25, ("A",), 1024),
    (only("mirb", rows.mirb(answers=5)), "numeric", 0.0, ("5",), 64),
    (only("mmstar", rows.mmstar()), "exact", 0.25, ("C",), 1024),
    (
        only("mmstar", rows.mmstar(question="How many? A: 1 B: 2 C: 3")),
        "exact",
        1 / 3,
        ("C",),
        1024,
    ),
    (only("mmstar", rows.mmstar(question="See the picture.")), "exact", 0.25, ("C",), 1024),
    (only("muirbench", rows.muir()), "exact", 1 / 3, ("B",), 16),
    (only("muirbench", rows.muir(options=list("vwxyz"))), "exact", 0.2, ("B",), 16),
    (only("ocrbench", rows.ocr(answer=["a", "b"])), "contains", 0.0, ("a", "b"), 128),
    (only("synthdog", rows.dog()), "nted", 0.0, ("Hello World",), 1024),
    (only("mmbench", rows.bench()), "all_right", 0.25, ("A",), 1024),
    (only("mmbench", rows.bench(C=None, D="nan")), "all_right", 0.5, ("A",), 1024),
    (only("mmbench", rows.bench(E="walk", answer="e")), "all_right", 0.2, ("E",), 1024),
    (only("chartqa", rows.chart()), "relaxed_numeric", 0.0, ("14.5%",), 16),
    (only("ai2d", rows.ai2d()), "exact", 1 / 3, ("B",), 16),
    (only("ai2d", rows.ai2d(answer=0)), "exact", 1 / 3, ("A",), 16),
    (only("conbench", rows.con()), "all_right", 0.5, ("no",), 1024),
    (only("conbench", rows.con("Choices")), "all_right", 0.25, ("B",), 1024),
    (only("conbench", rows.con("Q/A")), "triples_right", 0.0, ("two",), 1024),
]


@pytest.mark.parametrize(("sample", "metric", "chance", "answers", "tokens"), FACTS)
def test_marking_and_chance(
    sample: Sample, metric: str, chance: float, answers: tuple[str, ...], tokens: int
) -> None:
    assert (sample.metric, sample.answers, sample.max_new_tokens) == (metric, answers, tokens)
    assert sample.chance == pytest.approx(chance)
    assert sample.upper == 1.0
    assert sample.images == ()


def test_the_faithful_marking_is_the_sources_own() -> None:
    made = [
        only(name, row, FAITHFUL)
        for name, row in [
            ("mme", rows.mme()), ("seed_bench", rows.seed()), ("mirb", rows.mirb()),
            ("mmstar", rows.mmstar()), ("muirbench", rows.muir()), ("ocrbench", rows.ocr()),
            ("synthdog", rows.dog()), ("mmbench", rows.bench()), ("chartqa", rows.chart()),
            ("ai2d", rows.ai2d()), ("conbench", rows.con()), ("conbench", rows.con("Q/A")),
        ]
    ]  # fmt: skip
    assert all(sample.metric == sample.source for sample in made)


def test_questions_marked_alone_need_no_group() -> None:
    alone = Options(mme="each", mmbench="plain", conbench="each")
    made = [
        only("mme", rows.mme(), alone),
        only("mmbench", rows.bench(), alone),
        only("conbench", rows.con(), alone),
        only("conbench", rows.con("Choices"), alone),
        only("conbench", rows.con("Q/A"), alone),
    ]
    assert [sample.group_id for sample in made] == [None] * 5
    assert [sample.metric for sample in made] == ["exact", "exact", "exact", "exact", "anls"]
    assert [sample.subtask for sample in made[2:]] == [
        "conbench_count_yes_no", "conbench_count_choices", "conbench_count_open",
    ]  # fmt: skip


def test_mme_pairs_share_group_and_cluster_and_have_ids_of_their_own() -> None:
    pair = samples_of("mme", [rows.mme(), rows.mme(question="Is it one dog?", answer="No")])
    assert [s.sample_id for s in pair] == ["mme/count/0001.jpg/1", "mme/count/0001.jpg/2"]
    assert {s.group_id for s in pair} == {s.cluster_id for s in pair} == {"mme/count/0001.jpg"}
    # The same file name under two categories is two images.
    other = only("mme", rows.mme(question_id="0001.jpg", category="OCR"))
    assert other.group_id == "mme/OCR/0001.jpg"


def test_mmbench_rotations_share_their_base() -> None:
    base, turned = rows.bench(), rows.bench(index="3000241", answer="B")
    made = [only("mmbench", base), only("mmbench", turned)]
    assert [s.sample_id for s in made] == ["mmbench/241", "mmbench/241#rotation-3"]
    assert [s.variant for s in made] == [None, "rotation-3"]
    assert {s.group_id for s in made} == {s.cluster_id for s in made} == {"mmbench/241"}
    assert only("mmbench", rows.bench(C="nan", D=None)).meta["missing_option"] == "nan"


def test_conbench_forms_share_their_image() -> None:
    made = samples_of("conbench", [rows.con(form) for form in ("N/Y", "Choices", "Q/A")])
    assert [s.format for s in made] == ["true_false", "multiple_choice", "open"]
    assert {s.group_id for s in made} == {s.cluster_id for s in made} == {"conbench/count/count_7"}
    assert {s.subtask for s in made} == {"conbench_count"}
    assert len({s.sample_id for s in made}) == 3


def test_clusters_are_what_is_known_of_the_image() -> None:
    shared = [rows.seed(), rows.seed(question_id="2"), rows.seed(question_id="3", data_id=None)]
    assert [s.cluster_id for s in samples_of("seed_bench", shared)] == [
        "seed_bench/1454426_2591111986", "seed_bench/1454426_2591111986", "seed_bench/question-3",
    ]  # fmt: skip
    twins = [rows.muir(idx="9", counterpart_idx="10"), rows.muir(idx="10", counterpart_idx="9")]
    assert [s.cluster_id for s in samples_of("muirbench", twins)] == ["muirbench/9"] * 2
    lone = {k: v for k, v in rows.muir().items() if k not in ("counterpart_idx", "image_type")}
    assert only("muirbench", lone).cluster_id == "muirbench/12"
    assert only("muirbench", lone).domain == "mixed"
    assert only("muirbench", rows.muir()).domain == "photography"


def test_lite_rows_have_names_of_their_own() -> None:
    lite = Options(lite=("chartqa", "ai2d"))
    assert [s.sample_id for s in samples_of("chartqa", [rows.chart()] * 2)] == [
        "chartqa/0", "chartqa/1",
    ]  # fmt: skip
    assert only("chartqa", rows.chart(), lite).sample_id == "chartqa/lite-0"
    assert only("ai2d", rows.ai2d(), lite).sample_id == "ai2d/lite-0"


def test_a_draft_knows_its_row_and_its_pictures() -> None:
    made = drafts_of("seed_bench", [rows.seed(question_type_id=1), rows.seed()])
    assert [(draft.row, draft.image_columns) for draft in made] == [(1, ("image",))]
    (many,) = drafts_of("mirb", [rows.mirb()])
    assert many.image_columns == ("image_list",)


@pytest.mark.parametrize(
    ("gold", "upper"),
    [
        ("abc", 1 - 1 / 4),  # what the differing keys cost
        ("Abc", 1 - 2 / 4),
        (" Ab c ", 1 - 2 / 5),  # blanks at the ends do not count
        ("ABC", 1.0),
        ("12", 1 - 1 / 3),
    ],
)
def test_what_can_be_earned_under_the_published_rule_of_synthdog(gold: str, upper: float) -> None:
    assert faithful_upper(gold) == pytest.approx(upper)
    assert only("synthdog", rows.dog(gold), FAITHFUL).upper == pytest.approx(upper)
    assert only("synthdog", rows.dog(gold)).upper == 1.0


@given(st.text(min_size=1))
def test_there_is_always_room_for_a_score(gold: str) -> None:
    assert 0 < faithful_upper(gold) <= 1


@given(st.lists(st.text("ab<image> ", max_size=12), min_size=2, max_size=9))
def test_every_picture_mark_gets_its_number(options: list[str]) -> None:
    sample = only("muirbench", rows.muir(question="q <image>", options=options, answer="A"))
    text = "\n".join((sample.question, *sample.choices))
    marks = "\n".join(("q <image>", *options)).count("<image>")
    assert "<image>" not in text
    assert all(text.count(f"[image {n + 1}]") == 1 for n in range(marks))
