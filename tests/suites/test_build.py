"""Suites built of data sets in the published schemas: whole, resumable, every fault named."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lens_ray.errors import StoreUnavailable, SuiteError
from lens_ray.suites import Suite, check_suite, load_suite
from lens_ray.suites.abilitylens import PRESETS
from lens_ray.suites.build import Recipe, build_suite
from lens_ray.suites.facts import facts_of
from lens_ray.suites.sample import ABILITIES
from lens_ray.suites.sources.options import Options
from lens_ray.suites.sources.registry import ELEVEN, SOURCES
from lens_ray.testing.abilitylens_data import generate
from tests.disks import TinyDisk
from tests.suites.readers.makers import bomb

ROOT = Path(__file__).resolve().parents[2]
KIT = ("mme", "seed_bench", "mmbench", "ocrbench", "chartqa", "ai2d", "mmstar", "muirbench")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generate(folder)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def recipe(*names: str, preset: str = "abilitylens", **options: Any) -> Recipe:
    made = PRESETS[preset]
    return Recipe(
        preset,
        tuple(SOURCES[name] for name in names or made.sources),
        dataclasses.replace(made.options, **options),
        preset=preset,
    )


def by_source(suite: Suite) -> Counter[str]:
    return Counter(sample.source for sample in suite.samples)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_each_preset_is_sound(data: Path, preset: str) -> None:
    made = build_suite(recipe(preset=preset), [str(data)])
    assert check_suite(made) == []
    assert set(by_source(made)) == set(ELEVEN)
    facts = facts_of(made)
    assert tuple(facts.abilities) == ABILITIES
    assert (facts.published_samples, facts.published_ratio) == (12_000, 2.6)
    assert made.info.recipe["options"] == dict(PRESETS[preset].options.as_json())
    assert {name: one["samples"] for name, one in made.info.sources.items()} == by_source(made)
    assert load_suite(f"{preset}@{made.digest[:12]}") == made


def test_the_rows_that_are_taken(data: Path) -> None:
    """Counted by hand from the generator's tables: rows a category times categories kept."""
    made = build_suite(recipe(), [str(data)])
    assert by_source(made) == {
        "mme": 6 * 2 * 2, "seed_bench": 6 * 5, "mmbench": 8 * 3 * 4, "ocrbench": 10 * 3,
        "chartqa": 2 * 10, "ai2d": 16, "conbench": 8 * 2 * 3, "mmstar": 5 * 5,
        "muirbench": 5 * 6, "mirb": 4, "synthdog": 8,
    }  # fmt: skip
    table = pq.read_table(data / "MME" / "data" / "test-00000-of-00001.parquet").to_pylist()
    wanted = [row for row in table if row["category"] == "posters"]
    found = [sample for sample in made.samples if sample.sample_id.startswith("mme/posters/")]
    assert [sample.answers[0] for sample in found] == [row["answer"].lower() for row in wanted]
    assert [made.image_bytes(sample.images[0]) for sample in found] == [
        row["image"]["bytes"] for row in wanted
    ]


def test_vlmevalkit_tables_give_the_same_samples(data: Path) -> None:
    first = build_suite(recipe(*KIT), [str(data)])
    second = build_suite(recipe(*KIT), [str(data / "vlmevalkit")])
    rows = {
        (one.source, one.question, one.choices, one.answers, one.images, one.ability, one.metric)
        for one in first.samples
        # MMStar's table has no row for a question whose options cannot be taken out of it.
        if one.source != "mmstar" or one.meta.get("options") != "in_question"
    }
    others = {
        (one.source, one.question, one.choices, one.answers, one.images, one.ability, one.metric)
        for one in second.samples
    }
    assert others <= rows
    assert len(second.samples) == len(others)
    assert len(rows - others) <= 5  # one a kept category of MMStar
    assert all(str(one["revision"]).startswith("md5:") for one in second.info.sources.values())


def test_a_second_build_finds_the_first(data: Path, home: Path) -> None:
    said: list[str] = []
    one = build_suite(recipe("mme", "mirb"), [str(data)], say=said.append)
    assert any(line.startswith("mme: 24 samples") for line in said)
    assert list((home / "suite-work").iterdir()) == []
    before = sorted((home / "suites").rglob("*"))
    assert build_suite(recipe("mme", "mirb"), [str(data)]) == one
    assert sorted((home / "suites").rglob("*")) == before
    other = build_suite(recipe("mme", "mirb", mme="each"), [str(data)])
    assert other.digest != one.digest


def test_a_source_that_is_built_is_not_built_again(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    for name in ("MME", "MIRB-hf"):
        shutil.copytree(data / name, broken / name)
    file = broken / "MIRB-hf" / "data" / "test-00000-of-00001.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(SuiteError, match=r"MIRB-hf/data/test-00000-of-00001.parquet: is damaged"):
        build_suite(recipe("mme", "mirb"), [str(broken)])
    file.write_bytes(whole)
    said: list[str] = []
    made = build_suite(recipe("mme", "mirb"), [str(broken)], say=said.append)
    assert "mme: 24 samples, made before" in said
    assert not any("mme: reading" in line for line in said)
    assert made.samples == build_suite(recipe("mme", "mirb"), [str(data)]).samples


def test_killed_in_the_middle_it_leaves_nothing_and_goes_on(
    data: Path, tmp_path: Path, home: Path
) -> None:
    out = tmp_path / "out"
    script = (
        "import os, signal, lens_ray.suites.build as b\n"
        "real = b._merge\n"
        "def merge(*a):\n"
        "    real(*a); os.kill(os.getpid(), signal.SIGKILL)\n"
        "b._merge = merge\n"
        "import sys; from lens_ray.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )
    command = ["suite", "build", "abilitylens", "--source", "mme,mirb", "--from", str(data),
               "--out", str(out)]  # fmt: skip
    killed = subprocess.run(
        [sys.executable, "-c", script, *command], cwd=ROOT, env=dict(os.environ), check=False,
        capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not out.exists()
    assert not (home / "suites").exists()
    kept = [one.name for one in (home / "suite-work").iterdir() if not one.name.startswith(".")]
    assert sorted(name.partition("-")[0] for name in kept) == ["mirb", "mme"]
    said: list[str] = []
    made = build_suite(recipe("mme", "mirb"), [str(data)], out=str(out), say=said.append)
    assert "mme: 24 samples, made before" in said
    assert load_suite(str(out)) == made
    assert list((home / "suite-work").iterdir()) == []


def test_a_full_disk(data: Path, tmp_path: Path, tiny_disk: TinyDisk) -> None:
    disk = tiny_disk(tmp_path / "disk", 1)
    with pytest.raises(StoreUnavailable, match="no room for a copy"):
        build_suite(recipe("mmbench", "ocrbench"), [str(data)], home=disk / "home")
    assert not (disk / "home" / "suites").exists()


def test_the_first_place_that_has_a_source_counts(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "MME", tmp_path / "mine")
    made = build_suite(recipe("mme", "mirb"), [f"mme={tmp_path / 'mine'}", str(data)])
    assert made.info.sources["mme"]["data_set"] == "mine"
    file = data / "MIRB-hf" / "data" / "test-00000-of-00001.parquet"
    made = build_suite(recipe("mirb"), [f"mirb={file}"])
    assert by_source(made) == {"mirb": 4}


@pytest.mark.parametrize(
    ("names", "origins", "message"),
    [
        (("mme", "mirb"), ["{data}/MME"], "holds no mirb (folder MIRB-hf); build what is there"
         " with --source mme"),
        (("mirb",), ["{data}/MME"], "holds no mirb (folder MIRB-hf); give another folder"),
        (("mme",), ["{data}/nowhere"], "there is no such folder or file"),
        (("mme",), ["{data}/MME/README.md"], "give a .tsv, .parquet, .arrow file or a folder"),
        (("mme",), ["{data}/MME/data/test-00000-of-00001.parquet"], "its name does not say"),
        (("mirb",), ["mirb={data}/vlmevalkit/MME.tsv"], "mirb has no table of VLMEvalKit"),
        (("ocrbench",), ["ocrbench={data}/vlmevalkit/MME.tsv"], "none of the 10 published types"),
        (("mirb",), ["mirb={data}/MME"], "column 'subset' is missing"),
    ],
)  # fmt: skip
def test_places_that_hold_something_else(
    data: Path, names: tuple[str, ...], origins: list[str], message: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        build_suite(recipe(*names), [one.format(data=data) for one in origins])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def changed(data: Path, folder: Path, change: Any) -> str:
    """MME with its rows changed."""
    source = data / "MME" / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(source)
    made = change(table)
    (folder / "MME" / "data").mkdir(parents=True)
    pq.write_table(made, folder / "MME" / "data" / source.name)
    return str(folder)


def cell(column: str, number: int, value: object) -> Any:
    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[number][column] = value
        return pa.Table.from_pylist(rows, schema=table.schema)

    return change


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        (lambda t: t.drop_columns(["category"]), "", ": column 'category' is missing"),
        (lambda t: t.set_column(3, "answer", [pa.array([["Yes"]] * len(t))]), "",
         ", column 'answer': holds list"),
        (lambda t: t.set_column(4, "category", [pa.array([1] * len(t))]), "",
         ", column 'category': none of 56 rows has 'count', which mme gives to counting"),
        (cell("answer", 4, "Maybe"), ", row 5, column 'answer': ", "neither yes nor no"),
        (cell("category", 4, "Count"), ", row 5, column 'category': ",
         "'Count' is not known; the nearest is 'count'"),
        (cell("question", 4, None), ", row 5, column 'question': ", "it is empty"),
        (cell("image", 5, {"bytes": b"junk", "path": None}), ", row 6, column 'image': ",
         "the image cannot be read"),
        (cell("image", 5, {"bytes": bomb(), "path": None}), ", row 6, column 'image': ",
         "decompression bomb?"),
        (cell("image", 5, None), ", row 6, column 'image': ", "there is no image"),
        (cell("image", 5, {"bytes": None, "path": "../../x.png"}), ", row 6, column 'image': ",
         "leads out of its folder"),
        (cell("question_id", 6, "count/0000.jpg"), ", row 7, column 'question_id': ",
         "has 3 of 2 questions"),
        (lambda t: t.filter(pa.array([one != "OCR" for one in t["category"].to_pylist()])), "",
         ", column 'category': none of 52 rows has 'OCR', which mme gives to ocr"),
    ],
)  # fmt: skip
def test_rows_that_are_not_as_published(
    data: Path, tmp_path: Path, home: Path, change: Any, where: str, message: str
) -> None:
    folder = changed(data, tmp_path / "data", change)
    with pytest.raises(SuiteError) as caught:
        build_suite(recipe("mme"), [folder], out=str(tmp_path / "out"))
    file = f"{folder}/MME/data/test-00000-of-00001.parquet"
    assert str(caught.value).startswith(f"{file}{where}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert [one for one in (home / "suite-work").iterdir() if one.is_dir()] == []


def test_two_rows_with_one_id(data: Path, tmp_path: Path) -> None:
    table = pq.read_table(data / "MIRB-hf" / "data" / "test-00000-of-00001.parquet")
    rows = table.to_pylist()
    rows[2]["question_id"] = rows[0]["question_id"]
    (tmp_path / "MIRB-hf").mkdir()
    made = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(made, tmp_path / "MIRB-hf" / "test.parquet")
    with pytest.raises(SuiteError, match=r"test.parquet, row 3, column 'question_id': .* of row 1"):
        build_suite(recipe("mirb"), [str(tmp_path)])


def test_an_ability_that_no_source_has(data: Path) -> None:
    wrong = dataclasses.replace(recipe("mirb"), abilities=("ocr",))
    with pytest.raises(SuiteError, match="ability 'ocr': none of these sources has it"):
        build_suite(wrong, [str(data)])


def test_uniform_weights_are_another_suite(data: Path) -> None:
    plain = build_suite(recipe("mme", "mirb"), [str(data)])
    uniform = build_suite(recipe("mme", "mirb", weights="uniform"), [str(data)])
    assert uniform.digest != plain.digest
    assert uniform.samples == plain.samples
    # 4 rows of MME and 4 of MIRB are counting; 4 and 4 of entity.
    assert set(uniform.weights["entity"].values()) == {0.5}
    assert load_suite(uniform.location).info.weighting == "uniform"


def test_images_that_two_sources_have_are_one_and_stay_together(data: Path, tmp_path: Path) -> None:
    mme = pq.read_table(data / "MME" / "data" / "test-00000-of-00001.parquet").to_pylist()
    shared = next(row["image"] for row in mme if row["category"] == "count")
    table = pq.read_table(data / "MIRB-hf" / "data" / "test-00000-of-00001.parquet")
    rows = table.to_pylist()
    rows[0]["image_list"] = [shared, rows[0]["image_list"][0]]
    (tmp_path / "MIRB-hf").mkdir()
    made = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(made, tmp_path / "MIRB-hf" / "test.parquet")
    suite = build_suite(recipe("mme", "mirb"), [str(tmp_path), str(data)])
    assert check_suite(suite) == []
    assert facts_of(suite).notes == (
        "1 image is in mirb and mme; their samples share a cluster and a split",
    )
    holders = [one for one in suite.samples if set(one.images) & set(suite.samples[0].images)]
    assert {one.source for one in holders} == {"mme", "mirb"}
    assert len({one.cluster_id for one in holders}) == len({one.split for one in holders}) == 1


def test_options_are_closed() -> None:
    with pytest.raises(SuiteError, match="option 'first_hal' is not known"):
        Options().changed({"first_hal": "true"})
