"""A mistake in a pack, its table or its photos ends in one line that names the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lens_ray.errors import SuiteError
from lens_ray.suites.load import suites_home
from lens_ray.suites.packs import build_pack, load_pack
from tests.suites.packs.makers import BASE, make

TABLE = "image,answer\n0.png,3\n1.png,4\n"
YES_NO = f"{BASE}, format: true_false"


def said(folder: Path, subtask: str, table: str = TABLE) -> str:
    """The line, without the folder."""
    pack = make(folder, subtask, table)
    with pytest.raises(SuiteError) as caught:
        load_pack(pack)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 600
    return line.replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("subtask", "line"),
    [
        (f"{BASE}, format: opne", "pack.yaml:3:97: subtasks[0].format: no format is called 'opne'; "
         "did you mean 'open'?"),
        (f"{BASE}, format: open, metrik: exact", "subtasks[0].metrik: unknown key; did you mean "
         "'metric'?"),
        (f"{BASE}, format: open, columns: {{imge: a}}", "columns.imge: unknown key; did you mean "
         "'image'?"),
        (f"{BASE}, format: quantity, parameters: {{unt: bar}}", "parameters.unt: unknown key; did "
         "you mean 'unit'?"),
        (f"{BASE}, format: quantity, parameters: {{unit: bra}}", "parameters.unit: no unit is "
         "called 'bra'; did you mean 'bar'?"),
        (f"{BASE}, format: quantity, parameters: {{tolerance: much}}", "'much' was found; write a "
         "number"),
        (f"{BASE}, format: labels", "the format labels needs parameters: labels"),
        (f"{BASE}, format: json, parameters: {{fields: {{a: {{typ: string}}}}}}",
         "parameters.fields.a.typ: unknown key; did you mean 'type'?"),
        (f"{BASE}, format: rule, parameters: {{rule: one_wrd}}", "did you mean 'one_word'?"),
        (f"{BASE}, format: rule, parameters: {{rule: list_of}}", "the rule list_of needs a value"),
        (f"{BASE}, format: rule, parameters: {{rule: list_of, value: many}}", "needs a whole"),
        (f"{BASE}, format: rule, parameters: {{rule: yes_no_in, value: xx}}", "no language is "
         "called 'xx'"),
        (f"{BASE}, format: open, metric: quantity", "no metric of the format open is called"),
        (f"{BASE}, format: open, chance: 1.5", "a chance level lies from 0 to below 1"),
        (f"{BASE}, format: open, chance: often", "subtasks[0].chance: 'often' was found; write"),
        (f"{BASE}, format: multiple_choice", "multiple_choice needs choices"),
        (f"{BASE}, format: open, demo: gauge", "and not both"),
        ("name: s, ability: ocr, format: open, question: x", "write data: FILE"),
        ("name: s, ability: ocr, format: open, demo: gaug", "did you mean 'gauge'?"),
        (f"{BASE}, format: open, twin_of: other", "no subtask is called 'other'"),
        (f"{BASE}, format: open, decision: {{max_false_alarms: 0.1}}", "true_false answers only"),
        (f"{BASE}, format: box, max_side: 64", "coordinates: shares"),
        (f"{BASE}, format: open, image_names: [a, b]", "as many names"),
        (f"{BASE.replace('counting', 'Counting!')}, format: open", "subtasks[0].ability"),
        (f"{BASE}, format: open, question: {{}}", "key 'question' stands twice"),
    ],
)  # fmt: skip
def test_the_file(tmp_path: Path, subtask: str, line: str) -> None:
    found = said(tmp_path, subtask)
    assert found.startswith("pack.yaml:3:")
    assert line in found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "pack.yaml:1:1: the file is empty; start with name: and subtasks:"),
        ("[1]", "pack.yaml:1:1: a pack is a mapping"),
        ("name: x\n", "subtasks: the key is missing; write subtasks: ..."),
        ("name: x\nlicence: y\nsubtasks: []\n", "subtasks"),
        ("name: x\nlicense: y\nsubtasks: []\n", "license: unknown key; did you mean 'licence'?"),
        ("name: x\nsubtasks: [{question: Is it?}]\n", "but got '?'; put the text in quotes"),
        ("a: !!python/object:os.system x", "the tag 'tag:yaml.org,2002:python/object:os.system'"),
    ],
)
def test_the_whole_file(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "pack.yaml").write_text(text)
    with pytest.raises(SuiteError) as caught:
        load_pack(tmp_path)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("subtask", "table", "line"),
    [
        (YES_NO, "image,answer\n0.png,yes\n1.png,maybe\n",
         "rows.csv:3, column 'answer': 'maybe' is neither yes nor no"),
        (YES_NO, "image,answer\n0.png,\n", "rows.csv:2, column 'answer': is empty"),
        (YES_NO, "photo,answer\n0.png,yes\n",
         "rows.csv:2: there is no column 'image' (columns.image); known: photo, answer"),
        (YES_NO, "imag,answer\n0.png,yes\n", "did you mean 'imag'?"),
        (YES_NO, "image,answer\n9.png,yes\n", "column 'image': there is no photo '9.png' in"),
        (YES_NO, "image,answer\n../pack.yaml,yes\n", "lies outside the folder photos"),
        (YES_NO, "image,answer\n/etc/passwd,yes\n", "lies outside the folder photos"),
        (YES_NO, "image,answer\n0.png,yes,more\n", "rows.csv:2: 3 cells where the head has 2"),
        (YES_NO, "image,image\n0.png,yes\n", "rows.csv:1: two columns are called 'image'"),
        (YES_NO, 'image,answer\n"0.png,yes\n', "rows.csv:2: not valid CSV"),
        (YES_NO, "\n", "no column names"),
        (YES_NO, "image,answer\n", "subtask s: rows.csv has no row"),
        (f"{YES_NO}, columns: {{id: key}}", "image,answer,key\n0.png,yes,a\n1.png,no,a\n",
         "rows.csv:3: key 'a' stands in rows.csv:2 too"),
        (f"{BASE}, format: quantity, parameters: {{unit: bar}}", 'image,answer\n0.png,"6,5"\n',
         "'6,5' is no number; write a decimal point"),
        (f"{BASE}, format: quantity, parameters: {{unit: bar}}", "image,answer\n0.png,6 atm\n",
         "the unit 'atm' is not known"),
        (f"{BASE}, format: quantity, columns: {{unit: u}}", "image,answer,u\n0.png,6,atm\n",
         "rows.csv:2: unit: no unit is called 'atm'"),
        (f"{BASE}, format: multiple_choice, choices: [a, b]", "image,answer\n0.png,c\n",
         "'c' is none of the choices a, b"),
        (f"{BASE}, format: labels, parameters: {{labels: [a, b]}}", "image,answer\n0.png,c\n",
         "'c' is none of the labels a, b"),
        (f"{BASE}, format: box", 'image,answer\n0.png,"1, 2, 3"\n', "write four numbers"),
        (f"{BASE}, format: box", 'image,answer\n0.png,"5, 5, 1, 1"\n', "no box of corners: xyxy"),
        (f"{BASE}, format: box, parameters: {{coordinates: shares}}",
         'image,answer\n0.png,"1, 2, 3, 4"\n', "say coordinates: pixels"),
        (f"{BASE}, format: json, parameters: {{fields: {{age: {{type: integer}}}}}}",
         "image,age\n0.png,old\n", "field 'age' is 'old', not of the type integer"),
        (f"{BASE}, format: json, parameters: {{fields: {{age: {{}}}}}}", "image,answer\n0.png,x\n",
         "column 'answer': is not JSON"),
        (f"{BASE}, format: open, columns: {{chance: c}}", "image,answer,c\n0.png,3,2\n",
         "'2' is no chance level"),
        (f"{BASE}, format: open, chance: majority", "image,answer\n0.png,3\n", "leaves no room"),
        (f"{BASE.replace('rows.csv', 'none.csv')}, format: open", TABLE, "there is no such file"),
        (f"{BASE.replace('rows.csv', 'rows.xls')}, format: open", TABLE, "is no CSV, JSONL or"),
        (f"{BASE.replace('photos', 'fotos')}, format: open", TABLE, "there is no folder fotos"),
    ],
)  # fmt: skip
def test_the_table(tmp_path: Path, subtask: str, table: str, line: str) -> None:
    assert line in said(tmp_path, subtask, table)


def test_other_tables(tmp_path: Path) -> None:
    for name, data, line in (
        ("rows.jsonl", b'{"image": "0.png"}\n[1]\n', "there is no column 'answer'"),
        ("rows.jsonl", b"\n{oops\n", "rows.jsonl:2: not JSON"),
        ("rows.jsonl", b"[1]\n", "rows.jsonl:1: is no JSON object"),
        ("rows.jsonl", b'{"a": "\xff"}\n', "is not UTF-8"),
        ("rows.parquet", b"PAR1 cut off", "rows.parquet: is damaged or cut off"),
        ("rows.csv", b"image,answer\n0.png,\xff\n", "rows.csv: is not UTF-8 text"),
        ("rows.csv", b'image,"answer\n0.png,3\n', "rows.csv:1: not valid CSV"),
        ("rows.csv", b"image,\0answer\n0.png,3\n", "rows.csv:1: a NUL character"),
    ):
        folder = make(tmp_path, f"{BASE.replace('rows.csv', name)}, format: open")
        (folder / name).write_bytes(data)
        with pytest.raises(SuiteError, match=line.replace("(", r"\(")):
            load_pack(folder)


def test_photos_that_are_none(tmp_path: Path) -> None:
    folder = make(tmp_path, f"{BASE}, format: open", "image,answer\nbad.png,3\n")
    bad = folder / "photos" / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(SuiteError, match=r"rows.csv:2, column 'image': bad.png: cannot be decoded"):
        load_pack(folder)
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(bad)
    with pytest.raises(SuiteError, match="not 8 bits a channel"):
        load_pack(folder)
    Image.new("1", (30_000, 30_000)).save(bad)  # 110 kB in the file, 900 million pixels out of it
    with pytest.raises(SuiteError, match=r"bad.png: cannot be decoded|more than 64000000"):
        load_pack(folder)
    bad.unlink()
    bad.symlink_to("/etc/hostname")
    with pytest.raises(SuiteError, match="lies outside"):
        load_pack(folder)


def test_nothing_half_built_stays(tmp_path: Path) -> None:
    folder = make(tmp_path / "pack", YES_NO, "image,answer\n0.png,yes\n1.png,maybe\n")
    with pytest.raises(SuiteError):
        build_pack(folder, home=tmp_path)
    with pytest.raises(SuiteError):
        build_pack(folder, tmp_path / "out", home=tmp_path)
    assert not (tmp_path / "out").exists()
    assert not suites_home(tmp_path).exists()


def test_a_twin_that_is_not_there(tmp_path: Path) -> None:
    folder = make(tmp_path, f"{YES_NO}, twin_of: eyes", "image,answer\n0.png,yes\n1.png,no\n")
    eyes = BASE.replace("name: s", "name: eyes").replace("rows.csv", "other.csv")
    with (folder / "pack.yaml").open("a") as file:
        file.write(f"  - {{{eyes}, format: open}}\n")
    (folder / "other.csv").write_text("image,answer\n0.png,3\n")
    with pytest.raises(SuiteError, match=r"mine/s-00002: its twin mine/eyes-00002 does not exist"):
        load_pack(folder)
    (folder / "other.csv").write_text("image,answer\n0.png,3\n2.png,3\n")
    with pytest.raises(SuiteError, match="shows other photos"):
        load_pack(folder)
