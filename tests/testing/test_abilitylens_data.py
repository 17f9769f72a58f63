"""The generator: the same bytes each time, published columns, true answers."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lens_ray.suites.sources.registry import ELEVEN, SOURCES
from lens_ray.testing.abilitylens_data import first, generate, second
from lens_ray.testing.abilitylens_data.layout import DATA_SETS, LITE


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    generate(folder)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_seed_decides_every_byte(data: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(data)
    generate(tmp_path / "other", seed=1)
    other, here = digests(tmp_path / "other"), digests(data)
    assert {name for name in here if other[name] == here[name]} == {
        name for name in here if name.endswith("README.md")
    }


def test_every_source_finds_its_columns(data: Path) -> None:
    folders = {one.folder for one in DATA_SETS}
    for name in ELEVEN:
        source = SOURCES[name]
        assert {one.rpartition("/")[2] for one in source.hub} <= folders
    by_folder = {one.rpartition("/")[2]: SOURCES[name] for name in ELEVEN for one in
                 SOURCES[name].hub}  # fmt: skip
    for one in DATA_SETS:
        wanted = set(by_folder[one.folder].columns) - by_folder[one.folder].optional
        assert wanted <= set(one.schema.names)
    places = {SOURCES[name].lite for name in ELEVEN} - {None}
    assert {(one.config, one.split) for one in LITE} == {
        (place.config, place.split) for place in places if place is not None
    }


def test_published_sizes() -> None:
    """`abilitylens.md` section 5: sums of categories, where the sum is published."""
    assert sum(rows for rows, _ in first.MME.values()) == 2374
    assert sum(rows for kind, (rows, _) in first.SEED.items() if kind < 10) == 14_233
    assert sum(rows for rows, _ in first.SEED.values()) == 17_990
    assert sum(rows for rows, _ in first.MMBENCH.values()) == 1164
    assert sum(rows for rows, _ in first.MMSTAR.values()) == 1500
    assert sum(images for images, _ in first.CONBENCH.values()) == 1000
    assert sum(rows for rows, _ in second.MUIRBENCH.values()) == 2600
    assert sum(rows for rows, _ in second.MIRB.values()) == 969
    assert sum(rows for rows, _ in second.OCRBENCH.values()) == 1000


def test_no_two_pictures_are_alike_and_pairs_are_whole(data: Path) -> None:
    rows = pq.read_table(data / "MME" / "data" / "test-00000-of-00001.parquet").to_pylist()
    pictures = Counter(row["image"]["bytes"] for row in rows)
    assert set(pictures.values()) == {2}
    for name in {row["question_id"] for row in rows}:
        pair = [row["answer"] for row in rows if row["question_id"] == name]
        assert sorted(pair) == ["No", "Yes"]
    turned = pq.read_table(data / "MMBench" / "en" / "dev-00000-of-00001.parquet").to_pylist()
    sets = Counter(row["index"] % first.TURN for row in turned)
    for row in turned:
        options = sum(row[letter] != "nan" for letter in "ABCD")
        assert sets[row["index"] % first.TURN] == options
