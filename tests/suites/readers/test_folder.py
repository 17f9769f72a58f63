"""Which files of a folder are the split that is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.errors import SuiteError
from lens_ray.suites.readers.folder import choose_files, commit_of, data_set_folder, find_split

CARD = """---
license: mit
configs:
- config_name: val
  data_files:
  - split: val
    path: mmstar.parquet
- config_name: other
  data_files:
  - split: val
    path: [data/a-*, data/b-*]
---
text
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("names", "card", "config", "split", "chosen"),
    [
        (["data/test-00000-of-00001.parquet"], "", None, "test", [0]),
        (["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"], "", None,
         "test", [1]),
        (["en/dev-00000-of-00001.parquet", "cn/dev-00000-of-00001.parquet"], "", "en", "dev", [0]),
        (["en/test/0000.parquet", "en/dev/0000.parquet", "en/dev/0001.parquet"], "", "en", "dev",
         [1, 2]),
        (["test/data-00000-of-00001.arrow", "train/data-00000-of-00001.arrow"], "", None, "test",
         [0]),
        (["mme-test.arrow"], "", None, "test", [0]),
        (["mmstar.parquet"], CARD, "val", "val", [0]),
        (["mmstar.parquet"], "", None, "val", [0]),
        (["data/a-1.parquet", "data/c.parquet", "data/b-1.parquet"], CARD, "other", "val", [0, 2]),
        (["mmstar.parquet", "data/val-1.parquet"], CARD, None, "val", [0]),
        (["data/test-00001-of-00002.parquet", "data/test-00000-of-00002.parquet"], "", None,
         "test", [1, 0]),
        (["test.parquet", "test.arrow"], "", None, "test", [0]),
        (["seedbench/lite-00000-of-00001.parquet", "ai2d/lite-00000-of-00001.parquet"], "", "ai2d",
         "lite", [1]),
        (["data/test-0.parquet"], "---\nconfigs: {bad: [\n---\n", None, "test", [0]),
        (["data/test-0.parquet"], "---\nconfigs: 3\n---\n", None, "test", [0]),
    ],
)  # fmt: skip
def test_choices(
    names: list[str], card: str, config: str | None, split: str, chosen: list[int]
) -> None:
    expected = [names[place] for place in chosen]
    assert choose_files(names, card, config, split, "d") == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "d: holds no .parquet or .arrow file"),
        (["notes.csv"], "holds no .parquet"),
        (["data/train-1.parquet"], "no file of it is the split test (it has data/train-1.parquet)"),
        (["data/test-00000-of-00003.parquet", "data/test-00002-of-00003.parquet"],
         "1 of 3 files are missing, first data/test-00001-of-00003"),
        (["data/test-00000-of-00001.parquet", "more/test-00000-of-00001.parquet"],
         "more than one file set fits"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen(names: list[str], message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        choose_files(names, "", None, "test", "d")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "folder",
    ["MME", "lmms-lab/MME", "lmms-lab--MME", "datasets/MME", "mme",
     f"datasets--lmms-lab--MME/snapshots/{COMMIT}"],
)  # fmt: skip
def test_folders(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    ids = ("lmms-lab-encoder/MME", "lmms-lab/MME")
    found = data_set_folder(tmp_path, ids)
    assert found == tmp_path / folder
    assert commit_of(found) == (COMMIT if "snapshots" in folder else None)
    assert data_set_folder(tmp_path, ("other/MMStar",)) is None


def test_the_cache_of_the_hub_knows_which_commit_is_main(tmp_path: Path) -> None:
    cached = tmp_path / "datasets--a--b"
    for name in (COMMIT, "f" * 40):
        (cached / "snapshots" / name).mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    assert data_set_folder(tmp_path, ("a/b",)) == cached / "snapshots" / COMMIT


def test_the_data_set_itself(tmp_path: Path) -> None:
    (tmp_path / "MME" / "data").mkdir(parents=True)
    (tmp_path / "MME" / "data" / "test-00000-of-00001.parquet").touch()
    (tmp_path / "MME" / "README.md").write_text("no header")
    found = data_set_folder(tmp_path / "MME", ("lmms-lab/MME",))
    assert found == tmp_path / "MME"
    assert find_split(found, None, "test") == [found / "data" / "test-00000-of-00001.parquet"]
