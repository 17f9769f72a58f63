"""What happens to all rows of a source together: pairs, rotations, triples, the first half."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.errors import SuiteError
from lens_ray.suites.sources.base import Options
from tests.suites.sources import rows
from tests.suites.sources.rows import samples_of

AS_THEY_COME = Options(complete_groups=False)
SEED = {3: "attribute", 4: "grounding", 6: "grounding", 5: "counting", 1: None}


def rotations(base: int, count: int, options: int = 4) -> list[dict[str, Any]]:
    absent = dict.fromkeys("ABCD"[options:])
    return [rows.bench(index=base + turn * 10**6, **absent) for turn in range(count)]


def test_half_a_pair_is_left_out_or_an_error() -> None:
    table = [rows.mme(), rows.mme(question_id="count/2.jpg"), rows.mme(answer="No")]
    kept = samples_of("mme", table)
    assert [s.sample_id for s in kept] == ["mme/count/0001.jpg/1", "mme/count/0001.jpg/2"]
    with pytest.raises(SuiteError) as said:
        samples_of("mme", table, AS_THEY_COME)
    assert str(said.value) == (
        "mme: row 1: column question_id: the pair 'mme/count/2.jpg' has 1 of 2 questions"
    )


def test_a_pair_of_three_is_an_error() -> None:
    with pytest.raises(SuiteError, match=r"row 2: column question_id: .* has 3 of 2"):
        samples_of("mme", [rows.mme()] * 3)
    assert len(samples_of("mme", [rows.mme()] * 3, Options(mme="each"))) == 3


def test_a_rotation_set_is_as_large_as_its_options() -> None:
    table = rotations(1, 4) + rotations(2, 3) + rotations(3, 2, options=2)
    assert {s.group_id for s in samples_of("mmbench", table)} == {"mmbench/1", "mmbench/3"}
    assert len(samples_of("mmbench", table, AS_THEY_COME)) == 9
    assert len(samples_of("mmbench", table, Options(mmbench="plain"))) == 9


def test_a_triple_lacks_a_form() -> None:
    table = [rows.con("N/Y"), rows.con("Q/A")]
    assert samples_of("conbench", table) == []
    with pytest.raises(SuiteError, match=r"row 1: column image_id: the triple .* has 2 of 3"):
        samples_of("conbench", table, AS_THEY_COME)
    assert len(samples_of("conbench", table, Options(conbench="each"))) == 2


@pytest.mark.parametrize(
    ("name", "row", "column"),
    [
        ("seed_bench", rows.seed(), "question_id"),
        ("mirb", rows.mirb(), "question_id"),
        ("mmstar", rows.mmstar(), "index"),
        ("muirbench", rows.muir(), "idx"),
        ("mmbench", rows.bench(), "index"),
        ("conbench", rows.con(), "image_id"),
    ],
)
def test_an_id_is_used_once(name: str, row: dict[str, Any], column: str) -> None:
    with pytest.raises(SuiteError) as said:
        samples_of(name, [row, row])
    assert str(said.value).startswith(f"{name}: row 1: column {column}: '{name}/")
    assert str(said.value).endswith("is the id of row 0 too")
    assert "\n" not in str(said.value)


@given(st.lists(st.sampled_from(sorted(SEED)), max_size=40))
def test_the_first_half_of_each_ability_in_the_order_of_the_data_set(kinds: list[int]) -> None:
    table = [rows.seed(question_id=str(n), question_type_id=kind) for n, kind in enumerate(kinds)]
    kept = [s.sample_id for s in samples_of("seed_bench", table, Options(first_half=True))]
    wanted = []
    for ability in ("attribute", "grounding", "counting"):
        places = [n for n, kind in enumerate(kinds) if SEED[kind] == ability]
        wanted += places[: len(places) // 2]
    assert kept == [f"seed_bench/{n}" for n in sorted(wanted)]


def test_only_the_full_seed_bench_is_halved() -> None:
    table = [rows.seed(question_id=str(n)) for n in range(5)]
    assert len(samples_of("seed_bench", table, Options(first_half=True))) == 2
    assert len(samples_of("seed_bench", table)) == 5
    lite = Options(first_half=True, lite=("seed_bench",))
    assert len(samples_of("seed_bench", table, lite)) == 5
    stars = [rows.mmstar(index=n) for n in range(5)]
    assert len(samples_of("mmstar", stars, Options(first_half=True))) == 5
