"""Which rows an ability takes: the table of the reference (1.2), written out here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lens_ray.suites.sample import ABILITIES
from lens_ray.suites.sources.base import Options
from lens_ray.suites.sources.registry import ELEVEN, SOURCES
from tests.suites.sources import rows
from tests.suites.sources.rows import samples_of

Make = Callable[..., dict[str, Any]]

#: source: how its rows are made, its column, and what each ability keeps.
TABLE: dict[str, tuple[Make, str, dict[str, list[object]]]] = {
    "mme": (
        rows.mme,
        "category",
        {
            "counting": ["count"],
            "ocr": ["OCR"],
            "grounding": ["position"],
            "entity": ["landmark", "celebrity"],
            "structured_data": ["posters"],
        },
    ),
    "conbench": (
        rows.con,
        "field",
        {
            "counting": ["count"],
            "ocr": ["ocr"],
            "grounding": ["position"],
            "attribute": ["attribute_reason", "attribute_recognition"],
            "entity": ["landmark", "celebrity"],
            "structured_data": ["poster"],
        },
    ),
    "mirb": (rows.mirb, "subset", {"counting": ["count"]}),
    "mmstar": (
        rows.mmstar,
        "l2_category",
        {
            "counting": ["object counting"],
            "grounding": ["localization"],
            "attribute": ["cross-instance attribute reasoning", "single-instance reasoning"],
            "structured_data": ["diagram reasoning"],
        },
    ),
    "muirbench": (
        rows.muir,
        "task",
        {
            "counting": ["Counting"],
            "grounding": ["Visual Grounding"],
            "attribute": ["Difference Spotting", "Attribute Similarity"],
            "structured_data": ["Diagram Understanding"],
        },
    ),
    "seed_bench": (
        rows.seed,
        "question_type_id",
        {
            "counting": [5],
            "grounding": [4, 6],
            "attribute": [3],
            "entity": [2],
            "structured_data": [9],
        },
    ),
    "mmbench": (
        rows.bench,
        "category",
        {
            "ocr": ["ocr"],
            "grounding": ["spatial_relationship", "object_localization"],
            "attribute": ["attribute_recognition", "attribute_comparison"],
            "entity": ["celebrity_recognition", "identity_reasoning"],
            "structured_data": ["structuralized_imagetext_understanding"],
        },
    ),
}
WHOLE = {"ocrbench": "ocr", "synthdog": "ocr", "chartqa": "structured_data"}
WHOLE["ai2d"] = "structured_data"
#: Values that are near to a kept one and are not kept.
NEARBY: dict[str, list[object]] = {
    "mme": ["Count", "ocr", "poster", "color", "artwork"],
    "conbench": ["OCR", "posters", "color"],
    "mirb": ["Count", "attribute"],
    "mmstar": ["Object counting", "recognition", "counting"],
    "muirbench": ["counting", "Scene Understanding"],
    "seed_bench": [1, 7, 8, 10, "5"],
    "mmbench": ["OCR", "structuralized_imagetext", "image_quality"],
}
EACH = Options(mme="each", mmbench="plain", conbench="each")


def test_the_eleven_are_all_there() -> None:
    assert set(ELEVEN) == TABLE.keys() | WHOLE.keys()
    assert len(ELEVEN) == len(set(ELEVEN)) == 11


@pytest.mark.parametrize("name", TABLE)
def test_a_row_goes_to_the_ability_of_the_table_and_to_no_other(name: str) -> None:
    make, column, kept = TABLE[name]
    for ability, values in kept.items():
        for value in values:
            (sample,) = samples_of(name, [make(**{column: value})], EACH)
            assert sample.ability == ability
            assert sample.source == name
            assert sample.subtask.startswith(f"{name}_")
    assert set(SOURCES[name].abilities) == set(kept)
    known = [value for values in kept.values() for value in values]
    taken = [v for kept in SOURCES[name].abilities.values() for v in kept.values]
    assert sorted(map(str, taken)) == sorted(map(str, known))


@pytest.mark.parametrize("name", NEARBY)
def test_an_unknown_category_is_left_out(name: str) -> None:
    make, column, _ = TABLE[name]
    assert samples_of(name, [make(**{column: value}) for value in NEARBY[name]], EACH) == []


@pytest.mark.parametrize("name", WHOLE)
def test_some_sources_are_taken_whole(name: str) -> None:
    assert SOURCES[name].abilities.keys() == {WHOLE[name]}
    assert SOURCES[name].abilities[WHOLE[name]].column is None


def pairs(options: Options) -> set[tuple[str, str]]:
    return {(ability, name) for name in ELEVEN for ability in SOURCES[name].taken(options)}


def test_the_narrow_lists_of_pairs() -> None:
    table = {(ability, name) for name, entry in TABLE.items() for ability in entry[2]}
    table |= {(ability, name) for name, ability in WHOLE.items()}
    assert pairs(Options()) == table
    # The run script's list, by its skills.
    script = {
        "counting": "seed_bench mirb mme mmstar muirbench",
        "ocr": "mme ocrbench synthdog mmbench",
        "grounding": "seed_bench mmbench mme mmstar muirbench",
        "attribute": "mmbench seed_bench mmstar muirbench",
        "entity": "mmbench mme seed_bench",
        "structured_data": "chartqa ai2d mmbench seed_bench mmstar",
    }
    listed = {(ability, name) for ability, names in script.items() for name in names.split()}
    assert pairs(Options(pairs="script")) == listed
    conbench = {(ability, "conbench") for ability in ABILITIES}
    assert pairs(Options(pairs="narrow")) == listed | conbench


def test_sub_metrics_by_category_or_by_benchmark() -> None:
    both = [rows.seed(question_type_id=4), rows.seed(question_type_id=6, question_id="2")]
    assert [s.subtask for s in samples_of("seed_bench", both)] == [
        "seed_bench_instance_location",
        "seed_bench_spatial_relation",
    ]
    whole = samples_of("seed_bench", both, Options(submetrics="benchmark"))
    assert {s.subtask for s in whole} == {"seed_bench_grounding"}


@pytest.mark.parametrize(
    ("kind", "subtask", "domain"),
    [
        ("Regular Text Recognition", "text_recognition", "scene_text"),
        ("Handwriting Recognition", "text_recognition", "handwriting"),
        ("Scene Text-centric VQA", "scene_vqa", "scene_text"),
        ("Doc-oriented VQA", "document_vqa", "document"),
        ("Key Information Extraction", "key_information", "document"),
        ("Handwritten Mathematical Expression Recognition", "formulas", "handwriting"),
    ],
)
def test_ocrbench_is_counted_by_the_publishers_groups(kind: str, subtask: str, domain: str) -> None:
    (sample,) = samples_of("ocrbench", [rows.ocr(question_type=kind)])
    assert (sample.subtask, sample.domain) == (f"ocrbench_{subtask}", domain)


def test_chartqa_is_counted_by_who_wrote_the_question() -> None:
    found = samples_of("chartqa", [rows.chart(), rows.chart(type="augmented_test")])
    assert [s.subtask for s in found] == ["chartqa_human", "chartqa_augmented"]
