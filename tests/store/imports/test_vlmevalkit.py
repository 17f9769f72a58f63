"""VLMEvalKit's tables: columns, failures, workbooks, and every way in which a file is bad."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from lens_ray.errors import UserError
from lens_ray.imports import import_results
from lens_ray.store import Store
from lens_ray.store.imports.answers import AnswerFile
from lens_ray.store.imports.vlmevalkit import files_of, read
from lens_ray.store.imports.xlsx import sheet_rows
from lens_ray.suites import Suite
from tests.store.imports.writers import (
    kit_row,
    make_suite,
    of,
    write_json,
    write_tsv,
    write_xlsx,
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suites") / "three")


def rows(suite: Suite, text: str = "A") -> list[dict[str, str]]:
    return [kit_row(one, text) for one in of(suite, "mmbench")]


def test_what_a_row_says_of_its_question(tmp_path: Path, suite: Suite) -> None:
    path = write_tsv(tmp_path / "m_MMBench_DEV_EN.tsv", rows(suite, "B\tand\n'more'"))
    found = list(read(files_of(path)[0]))
    assert found[1].text == "B\tand\n'more'"
    assert found[1].says.ids == ("1000241",)
    assert found[1].says.question == ("hint 241\nwhich one?\nOptions: A: green\nB: blue\nC: red")
    assert found[1].says.options == ("green", "blue", "red")
    assert found[1].says.gold == "C"


def test_failures_and_empty_answers(tmp_path: Path, suite: Suite) -> None:
    table = rows(suite)
    table[0]["prediction"] = "Failed to obtain answer via bailingMM API."
    table[1]["prediction"] = ""
    store = Store(str(tmp_path / "store"), create=True)
    for number, path in enumerate(
        (write_tsv(tmp_path / "MMBench_DEV_EN.tsv", table),
         write_xlsx(tmp_path / "MMBench_DEV_EN.xlsx", table))
    ):  # fmt: skip
        report = import_results("vlmevalkit", path, suite=suite, store=store, model="m")
        by_id = {row["sample_id"]: row for row in store.rows([report.run_id]).to_pylist()}
        assert by_id["mmbench/241"]["status"] == "infra_error"
        assert "Failed to obtain answer via bailingMM" in by_id["mmbench/241"]["cause"]
        empty = by_id["mmbench/241#rotation-1"]
        assert report.exit_code == 6
        # In a text file an empty cell is an empty answer; in a workbook nobody can say.
        assert (empty["status"], empty["score"]) == (
            ("unparsed", 0.0), ("infra_error", None)
        )[number]  # fmt: skip


def test_options_tell_rotations_apart(tmp_path: Path, suite: Suite) -> None:
    """A table whose ids are of another version: text and options decide."""
    table = rows(suite)
    for number, row in enumerate(table):
        row["index"] = str(5000 + number)
    report = import_results(
        "vlmevalkit", write_tsv(tmp_path / "MMBench_DEV_EN.tsv", table), suite=suite,
        store=str(tmp_path / "store"), model="m",
    )  # fmt: skip
    assert (report.exit_code, report.answered) == (0, 6)


def test_an_id_of_another_question_is_not_believed(tmp_path: Path, suite: Suite) -> None:
    table = rows(suite)
    for row in table:
        row["question"] = "something else?"
    with pytest.raises(UserError, match=r"line 2: no row of the file is of a question of suite"):
        import_results(
            "vlmevalkit", write_tsv(tmp_path / "MMBench_DEV_EN.tsv", table), suite=suite,
            store=str(tmp_path / "store"), model="m",
        )  # fmt: skip


def test_columns_are_found_whatever_their_case_and_order(tmp_path: Path, suite: Suite) -> None:
    table = [{name.upper(): row[name] for name in reversed(list(row))} for row in rows(suite)]
    (first, *_) = read(files_of(write_tsv(tmp_path / "x.tsv", table))[0])
    assert (first.text, first.says.ids, first.says.options) == (
        "A", ("241",), ("red", "green", "blue"),
    )  # fmt: skip


def test_a_folder_holds_judged_tables_too(tmp_path: Path, suite: Suite) -> None:
    write_tsv(tmp_path / "m_MMBench_DEV_EN.tsv", rows(suite))
    write_tsv(tmp_path / "m_MMBench_DEV_EN_gpt_result.tsv", [r | {"hit": "1"} for r in rows(suite)])
    (tmp_path / "m_MMBench_DEV_EN_acc.csv").write_text('"split","Overall"\n"dev","0.5"\n')
    (tmp_path / "status.json").write_text("{}")
    assert [file.path.name for file in files_of(tmp_path)] == ["m_MMBench_DEV_EN.tsv"]


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(ran),)

    path = tmp_path / "m_MME.pkl"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match="a pickle can run any code when it is read"):
        files_of(path)
    disguised = path.rename(tmp_path / "m_MME.tsv")
    with pytest.raises(UserError, match=r"UTF-8|no table"):
        list(read(files_of(disguised)[0]))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.tsv", b'"index"\t"prediction"\n"1"\n', "line 2: 1 cells under a header of 2"),
        ("a.tsv", b'"index"\t"answer"\n"1"\t"A"\n', "line 2: the column prediction is missing; "
         "there are: index, answer"),
        ("a.tsv", b'"index"\t"prediction"\n""\t"A"\n', "line 2, column 'index'"),
        ("a.tsv", b'"index"\t"index"\n', "line 1, column 'index': this name is used for two"),
        ("a.tsv", b'"index"\t"prediction"\n"1"\t"open', "line 2: no table"),
        ("a.tsv", b"index\tprediction\n1\t\xff\n", "no UTF-8 text (byte 0xff)"),
        ("a.tsv", b"", "it is empty"),
        ("a.json", b'[{"index": 1, "prediction": ["x"]}]', "row 1, column 'prediction'"),
        ("a.json", b'{"index": [1, 2], "prediction": ["x"]}', "columns are of different lengths"),
        ("a.json", b'[{"index": 1,}]', "line 1: no JSON"),
        ("a.json", b"3", "a list of rows belongs in it, there is int"),
        ("a.json", b"[3]", "row 1: a JSON object belongs here"),
        ("a.xlsx", b"PK\x03\x04nothing", "no workbook that can be read"),
        ("a.txt", b"x", "no table of .csv, .tsv"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        list(read(AnswerFile(path)))
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_json_as_pandas_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"index": [1.0, 2.0], "prediction": ["x", NaN], "A": [NaN, "b"]}')
    one, two = read(AnswerFile(path))
    assert (one.says.ids, one.text, one.says.options) == (("1",), "x", ())
    assert (two.text, two.status, two.cause) == (None, "infra_error", "the table holds null for it")
    write_json(path, [{"index": "3", "prediction": "7"}])
    assert [found.text for found in read(AnswerFile(path))] == ["7"]


SHEET = "xl/worksheets/sheet1.xml"


def sheet(body: str) -> str:
    return f"<worksheet><sheetData>{body}</sheetData></worksheet>"


def test_cells_of_a_workbook_by_hand(tmp_path: Path) -> None:
    body = (
        '<row r="2"><c r="B2" t="inlineStr"><is><t>in</t></is></c><c r="D2"><v>2.5</v></c>'
        '<c r="E2"><v>3</v></c><c r="F2" t="b"><v>1</v></c><c r="G2" t="e"><v>#N/A</v></c>'
        '<c r="AA2" t="str"><f>1+1</f><v>x_x000D_y</v></c></row><row><c><v>1E+2</v></c></row>'
        '<row><c t="s"><v>0</v></c></row>'
    )
    strings = '<sst><si><r><t>a</t></r><r><t>b</t></r><rPh sb="0" eb="1"><t>no</t></rPh></si></sst>'
    path = write_xlsx(
        tmp_path / "x.xlsx", [{"a": "1"}],
        **{SHEET: sheet(body), "xl/sharedStrings.xml": strings},
    )  # fmt: skip
    first = [None] * 27
    expected: list[object] = list(first)
    expected[1:7] = ["in", None, 2.5, 3, True, None]
    expected[26] = "1+1x\ry"
    found = list(sheet_rows(path))
    # A formula's text is no value.
    expected[26] = "x\ry"
    assert found == [(2, expected), (3, [100]), (4, ["ab"])]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]>' + sheet(""), "declares a document type"),
        (sheet('<row><c t="s"><v>9</v></c></row>'), "names text 9, which is not there"),
        (sheet('<row><c r="ZZZZ1"><v>1</v></c></row>'), "cell 'ZZZZ1' is none"),
        (sheet('<row><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>'), "out of order"),
        (sheet("<row>")[:-20], "unclosed token"),
        (sheet('<row><c r="A1"><v>x</v></c></row>'), "row 1: 'x' is no number"),
    ],
)
def test_bad_workbooks(tmp_path: Path, body: str, message: str) -> None:
    path = write_xlsx(tmp_path / "x.xlsx", [{"a": "1"}], **{SHEET: body})
    with pytest.raises(UserError) as error:
        list(sheet_rows(path))
    assert message in str(error.value)


def test_a_workbook_that_unpacks_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lens_ray.store.imports.xlsx.MAX_PART", 2**20)
    path = write_xlsx(tmp_path / "x.xlsx", [{"a": "1"}], **{SHEET: sheet(" " * 2**21)})
    with pytest.raises(UserError, match="unpacks to more than 1048576 bytes"):
        list(sheet_rows(path))


def test_numbers_of_a_workbook_are_texts_again(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"index": 1, "prediction": 12}]))
    (one,) = read(AnswerFile(path))
    assert (one.says.ids, one.text) == (("1",), "12")
