"""People's own tables become suites."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lens_ray.errors import SuiteError, UserError
from lens_ray.scoring.metrics import find_metric
from lens_ray.suites import check_suite, load_suite
from lens_ray.suites.importing import Import, import_suite
from lens_ray.suites.sample import Sample
from tests.suites.readers.makers import IMAGE, b64, bomb, parquet, png, tsv

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = Import("photos", "counting", "CC0-1.0")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with four photos."""
    made = tmp_path / "mine"
    (made / "img").mkdir(parents=True)
    for number in range(4):
        (made / "img" / f"{number}.png").write_bytes(png(number))
    return made


def imported(file: Path, how: Import = PHOTOS, **more: Any) -> tuple[Sample, ...]:
    suite = import_suite(file, how, metric=find_metric, **more)
    assert check_suite(suite) == []
    return suite.samples


def write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8", newline="")
    return file


CSV = """id,question,answer,A,B,C,image,ability,category,shift
x1,How many?,3,,,,img/0.png,counting,Line 1,night
x2,Which?,B,one,two,,img/1.png,ocr,Line 1,
x3,Which now?,two,one,two,three,img/2.png,ocr,Line 2,day
x4,Is it?,Yes,,,,img/3.png,defect_inspection,Line 2,day
x5,"Read, please",ab c,,,,"['img/0.png', 'img/1.png']",ocr,,day
"""


def test_a_csv_and_a_folder(folder: Path) -> None:
    suite = import_suite(write(folder / "t.csv", CSV), Import("photos", licence="CC0-1.0"))
    assert check_suite(suite) == []
    facts = [
        (one.sample_id, one.format, one.answers, one.choices, one.metric, one.chance, one.subtask,
         one.ability, dict(one.meta), len(one.images))
        for one in suite.samples
    ]  # fmt: skip
    assert facts == [
        ("photos/x1", "open", ("3",), (), "numeric", 0.0, "line_1", "counting",
         {"shift": "night"}, 1),
        ("photos/x2", "multiple_choice", ("B",), ("one", "two"), "exact", 0.5, "line_1", "ocr",
         {}, 1),
        ("photos/x3", "multiple_choice", ("B",), ("one", "two", "three"), "exact", 1 / 3,
         "line_2", "ocr", {"shift": "day"}, 1),
        ("photos/x4", "true_false", ("yes",), (), "exact", 0.5, "line_2", "defect_inspection",
         {"shift": "day"}, 1),
        ("photos/x5", "open", ("ab c",), (), "exact", 0.0, "all", "ocr", {"shift": "day"}, 2),
    ]  # fmt: skip
    assert (suite.info.licence, suite.info.revision[:7]) == ("CC0-1.0", "sha256:")
    # x1 and x5 share a photo, and x5 and x2.
    assert len({one.cluster_id for one in suite.samples}) == 3


def test_the_same_from_json_lines_and_parquet_and_a_zip(folder: Path, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question": "How many?", "answer": ["3", "three"], "image": "img/0.png", "who": "me"},
        {"question": "Which?", "answer": "A", "choices": ["x", "y"], "image": "img/1.png"},
    ]
    lines = write(folder / "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    first = imported(lines)
    assert [one.answers for one in first] == [("3", "three"), ("A",)]
    assert first[0].meta == {"who": "me"}
    schema = pa.schema([
        ("question", pa.string()), ("answer", pa.list_(pa.string())),
        ("choices", pa.list_(pa.string())), ("image", IMAGE), ("who", pa.string()),
    ])  # fmt: skip
    for number, row in enumerate(rows):
        row["image"] = {"bytes": png(number), "path": None}
        row["answer"] = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
    assert imported(parquet(tmp_path / "p.parquet", rows, schema)) == first
    with zipfile.ZipFile(tmp_path / "i.zip", "w") as archive:
        for number in range(2):
            archive.writestr(f"img/{number}.png", png(number))
    moved = write(tmp_path / "t.jsonl", lines.read_text())
    assert imported(moved, images=tmp_path / "i.zip") == first


def test_columns_of_other_names(folder: Path) -> None:
    text = "Frage,Antwort,Foto\nWie viele?,3,img/0.png\n"
    how = Import(
        "p", "counting", columns={"question": "Frage", "answer": "Antwort", "image": "Foto"}
    )
    assert imported(write(folder / "t.csv", text), how)[0].question == "Wie viele?"


def test_a_vlmevalkit_table_with_rotations(tmp_path: Path) -> None:
    head = ("index", "question", "hint", "A", "B", "answer", "category", "image")
    rows = [
        (7, "q?", "look", "x", "y", "A", "Defects", b64(png(1))),
        (1_000_007, "q?", "look", "y", "x", "B", "Defects", "7"),
        (8, "r?", "", "x", "y", "B", "Defects", b64(png(2))),
    ]
    made = imported(tsv(tmp_path / "t.tsv", [head, *rows]))
    assert [(one.sample_id, one.group_id, one.metric, one.variant) for one in made] == [
        ("photos/7", "photos/7", "all_right", None),
        ("photos/7#rotation-1", "photos/7", "all_right", "rotation-1"),
        ("photos/8", None, "exact", None),
    ]
    assert made[0].question == "look\nq?"
    assert made[0].images == made[1].images


def test_base64_in_a_csv(tmp_path: Path) -> None:
    data = b64(png(1))
    text = f'question,answer,image\nq,3,"data:image/png;base64,{data}"\n'
    assert len(imported(write(tmp_path / "t.csv", text))[0].images) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: is empty"),
        ("question,answer,image\n", "t.csv: has no row"),
        ("question,image\nq,img/0.png\n", "column 'answer' is missing (it has question, image); say"
         " which it is with --column answer=NAME"),
        ("question,answer,image\n,3,img/0.png\n", "row 1, column 'question': is empty"),
        ("question,answer,image\nq,,img/0.png\n", "row 1, column 'answer': is empty"),
        ("question,answer,image\nq,3,\n", "row 1, column 'image': there is no image"),
        ("question,answer,image\nq,3,img/9.png\n", "row 1, column 'image': the image"),
        ("question,answer,image\nq,3,../t.csv\n", "leads out of its folder"),
        ("question,answer,image\nq,3,t.csv\n", "row 1, column 'image': the image cannot be read"),
        ("question,answer,image\nq,3,bomb.png\n", "decompression bomb?"),
        ("question,answer,image\nq,[os],img/0.png\n", "row 1, column 'answer': holds an unsafe"),
        ("question,answer,image,A,B\nq,D,img/0.png,x,y\n",
         "row 1, column 'answer': 'D' is none of its 2 choices"),
        ("question,answer,image,A,B\nq,A,img/0.png,,y\n", "row 1, column 'A': is empty, and a"),
        ("question,answer,image,A\nq,A,img/0.png,x\n", "has one choice only"),
        ("question,answer,image,format\nq,A,img/0.png,opn\n",
         "row 1, column 'format': 'opn' is not known; the nearest is 'open'"),
        ("question,answer,image,format\nq,A,img/0.png,multiple_choice\n", "the row has 0 choices"),
        ("question,answer,image,metric\nq,A,img/0.png,exakt\n",
         "row 1, column 'metric': metric 'exakt' is unknown: did you mean 'exact'?"),
        ("question,answer,image,ability\nq,A,img/0.png,My Ability\n",
         "row 1, column 'ability': 'My Ability' is no name"),
        ("question,answer,image,max_new_tokens\nq,A,img/0.png,0\n", "'0' is no number of tokens"),
        ("id,question,answer,image\n1,q,3,img/0.png\n1,r,3,img/1.png\n",
         "row 2, column 'id': its id 'photos/1' is that of row 1 too"),
        ("question,answer,image\r\nq,3,img/0.png\r\nr,3,img/0.png\ns,3,img/0.png\r\n",
         "row 2: ends its line with '\\n'"),
    ],
)  # fmt: skip
def test_bad_tables_are_named(folder: Path, home: Path, text: str, message: str) -> None:
    (folder / "bomb.png").write_bytes(bomb())
    with pytest.raises(UserError) as caught:
        imported(write(folder / "t.csv", text))
    assert message in str(caught.value)
    assert "t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (home / "suites").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "t.jsonl: is empty"),
        ("{}\n[1]\n", "row 2: is list, not an object"),
        ('{"question": \n', "row 1: is not JSON"),
        ('{"question": {"a": 1}, "answer": "x", "image": "img/0.png"}\n',
         "row 1, column 'question': holds"),
        ('{"question": "q", "answer": "x", "image": 3}\n', "column 'image': there is no image"),
        ("[" * 100_000 + "\n", "row 1: is not JSON"),
    ],
)  # fmt: skip
def test_bad_json_lines_are_named(folder: Path, text: str, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        imported(write(folder / "t.jsonl", text))
    assert message in str(caught.value)


def test_what_is_no_table(folder: Path) -> None:
    with pytest.raises(SuiteError, match="there is no such file"):
        imported(folder / "none.csv")
    with pytest.raises(SuiteError, match=r"give one of .csv, .tsv, .jsonl"):
        imported(write(folder / "t.xls", "x"))
    wrong = Import("p", "counting", columns={"questin": "q"})
    with pytest.raises(
        SuiteError, match="column 'questin' is not known; the nearest is 'question'"
    ):
        imported(write(folder / "t.csv", CSV), wrong)
    with pytest.raises(SuiteError, match="has no column 'Frge'; the nearest is"):
        imported(folder / "t.csv", Import("p", "counting", columns={"question": "Frge"}))
    plain = write(folder / "t.csv", "question,answer,image\nq,3,img/0.png\n")
    with pytest.raises(SuiteError, match="give --ability NAME"):
        imported(plain, Import("p"))


@pytest.mark.slow
def test_a_large_table_takes_little_memory(tmp_path: Path) -> None:
    """1 GB of base64 in 2,000 rows; the process stays under 700 MB."""
    head = ("index", "question", "answer", "image")
    picture = png(1)

    def rows() -> Any:
        yield head
        for number in range(2_000):
            # Bytes behind the end of a PNG are no part of its picture.
            yield number, f"q{number}?", "3", b64(picture + number.to_bytes(4, "big") * 98_000)

    file = tsv(tmp_path / "t.tsv", rows())
    assert file.stat().st_size > 10**9
    script = (
        "import sys; from lens_ray.cli.main import main; from tests.memory import peak_mb\n"
        "code = main(sys.argv[1:])\n"
        "print(int(peak_mb()))\n"
        "sys.exit(code)"
    )
    command = ["suite", "import", str(file), "--ability", "counting", "--out", str(tmp_path / "s")]
    done = subprocess.run(
        [sys.executable, "-c", script, *command], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert load_suite(str(tmp_path / "s")).info.samples == 2_000
    assert int(done.stdout.split()[-1]) < 700
