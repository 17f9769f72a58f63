"""Any table of sample id and answer, and Inspect's logs."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lens_ray.errors import UserError
from lens_ray.imports import import_results
from lens_ray.store import Store
from lens_ray.store.imports import inspect_log
from lens_ray.store.imports.answers import Answer, AnswerFile
from lens_ray.store.imports.plain_table import read
from lens_ray.suites import Suite
from tests.store.imports.writers import make_suite, of, write_xlsx


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suites") / "three")


ROWS = [
    {"sample_id": "a/1", "answer": "yes"}, {"sample_id": "a/2", "answer": "a, \"b\"\nc"},
    {"sample_id": "a/3", "answer": ""},
]  # fmt: skip


def written(folder: Path, kind: str) -> Path:
    path = folder / f"t.{kind}"
    if kind == "csv":
        path.write_bytes(b'sample_id,answer\r\na/1,yes\r\na/2,"a, ""b""\nc"\r\n\r\na/3,\r\n')
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    elif kind == "json":
        path.write_text(json.dumps(ROWS))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
def test_one_table_in_every_format(tmp_path: Path, kind: str) -> None:
    found = list(read(AnswerFile(written(tmp_path, kind))))
    assert [(one.says.sample_id, one.text) for one in found] == [
        (row["sample_id"], row["answer"]) for row in ROWS
    ]


def rows(path: Path, *given: dict[str, Any], **columns: str) -> list[Answer]:
    path.write_text("\n".join(json.dumps(row) for row in given))
    return list(read(AnswerFile(path), **columns))


def test_what_else_a_table_may_say(tmp_path: Path) -> None:
    (one,) = rows(
        tmp_path / "t.jsonl",
        {"Sample_ID": 7, "answer": 3, "confidence": "0.5", "latency_s": 2, "tokens_in": 4.0,
         "cost_usd": "", "finish_reason": "length", "inspector": "J."},
    )  # fmt: skip
    assert (one.says.sample_id, one.text) == ("7", "3")
    facts = one.facts
    assert (facts.confidence, facts.latency_s, facts.tokens_in) == (0.5, 2.0, 4)
    assert (facts.cost_usd, facts.finish_reason) == (None, "length")


def test_answers_of_other_types(tmp_path: Path) -> None:
    given: list[Any] = [True, False, 2.50, 1e21, None]
    found = rows(tmp_path / "t.jsonl", *({"part": n, "said": a} for n, a in enumerate(given)),
                 id_column="part", answer_column="said")  # fmt: skip
    assert [one.text for one in found] == ["yes", "no", "2.5", "1e+21", None]
    assert (found[4].status, found[4].cause) == ("infra_error", "the table holds no answer to it")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"sample_id": "a"}, "line 1: the column answer is missing; there are: sample_id"),
        ({"id": "a", "answer": "b"}, "the column sample_id is missing"),
        ({"sample_id": None, "answer": "b"}, "column 'sample_id': an id belongs here"),
        ({"sample_id": "a", "answer": [1]}, "column 'answer': a text belongs here, not list"),
        ({"sample_id": "a", "answer": "b", "confidence": 2}, "'2' is not a share from 0 to 1"),
        ({"sample_id": "a", "answer": "b", "tokens_in": 1.5}, "column 'tokens_in': '1.5' is not"),
        ({"sample_id": "a", "answer": "b", "latency_s": "fast"}, "'fast' is not a number"),
        ({"sample_id": "a", "answer": "b", "finish_reason": "bored"}, "is none of stop, length"),
    ],
)
def test_bad_rows(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        rows(tmp_path / "t.jsonl", row)
    assert message in str(error.value)
    assert "t.jsonl, line 1" in str(error.value)


def test_a_cut_off_parquet(tmp_path: Path) -> None:
    path = written(tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"t\.parquet: damaged, cut off or no Parquet"):
        list(read(AnswerFile(path)))


def inspector(suite: Suite, path: Path) -> Path:
    lines = [f'"{one.sample_id}","{one.answers[0]}",0.9' for one in suite.samples]
    path.write_text("sample_id,answer,confidence\n" + "\n".join(lines))
    return path


def test_a_human_inspector_is_one_more_model(tmp_path: Path, suite: Suite) -> None:
    store = Store(str(tmp_path / "store"), create=True)
    path = inspector(suite, tmp_path / "shift.csv")
    report = import_results("csv", path, suite=suite, store=store, model="inspector")
    assert report.exit_code == 0
    assert report.answered == len(suite.samples)
    for score in store.scores([report.run_id]).to_pylist():
        assert (score["accuracy"], score["corrected"]) == (1.0, pytest.approx(1.0))
    (header,) = store.runs()
    assert (header.backend, header.backend_path) == ("import:csv", "shift.csv")
    assert (header.step, header.template, header.model) == (None, "imported", "inspector")
    (row, *_) = store.rows([report.run_id]).to_pylist()
    assert (row["confidence"], row["model_key"]) == (0.9, header.model_key)


def test_an_id_that_the_suite_has_not(tmp_path: Path, suite: Suite) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sample_id,answer\nchartqa/1,7\nchartqa/11,7\n")
    with pytest.raises(UserError, match=r"t\.csv, line 3, column 'sample_id': suite three has no "
                       r"sample 'chartqa/11'; did you mean 'chartqa/1'\?"):  # fmt: skip
        import_results("csv", path, suite=suite, store=str(tmp_path / "store"), model="m")
    assert not (tmp_path / "store").exists()


def test_a_workbook_of_answers(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [row for row in ROWS if "\n" not in row["answer"]])
    found = list(read(AnswerFile(path)))
    assert [(one.says.sample_id, one.text) for one in found] == [("a/1", "yes"), ("a/3", None)]


# Inspect


def inspect_sample(asked: Any, text: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": asked.sample_id.split("/")[-1], "epoch": 1, "choices": list(asked.choices) or None,
        "input": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "image", "image": "attachment://x"},
                                         {"type": "text", "text": asked.question}]},
        ],
        "target": asked.answers[0],
        "output": {
            "model": "m", "completion": text,
            "choices": [{"message": {"role": "assistant", "content": text},
                         "stop_reason": "stop"}],
            "usage": {"input_tokens": 5, "output_tokens": 1},
        },
        "scores": {"choice": {"value": "C"}},
    } | changes  # fmt: skip


def eval_log(path: Path, samples: list[dict[str, Any]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_journal/start.json", "{}")
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    return path


@pytest.mark.parametrize("kind", ["eval", "json"])
def test_an_inspect_log(tmp_path: Path, suite: Suite, kind: str) -> None:
    asked = of(suite, "chartqa")
    samples = [inspect_sample(one, one.answers[0]) for one in asked[:-1]]
    samples.append(inspect_sample(asked[-1], "", error={"message": "CUDA\nerror"}))
    path = tmp_path / f"2026_chartqa_x.{kind}"
    if kind == "eval":
        eval_log(path, samples)
    else:
        path.write_text(json.dumps({"version": 2, "samples": samples}))
    store = Store(str(tmp_path / "store"), create=True)
    report = import_results("inspect", path, suite=suite, store=store, model="m")
    assert (report.exit_code, report.answered, report.failed) == (6, 7, {"infra_error": 1})
    found = {row["sample_id"]: row for row in store.rows([report.run_id]).to_pylist()}
    assert found["chartqa/7"]["cause"] == "the log says: CUDA error"
    assert found["chartqa/0"]["score"] == 1.0
    assert (found["chartqa/0"]["finish_reason"], found["chartqa/0"]["tokens_in"]) == ("stop", 5)


def test_bad_inspect_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(path: Path) -> str:
        with pytest.raises(UserError) as error:
            list(inspect_log.read(inspect_log.files_of(path)[0]))
        return str(error.value)

    path = tmp_path / "x.eval"
    path.write_bytes(b"PK nothing")
    assert "x.eval, the archive: damaged" in fault(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samples/../../1_epoch_1.json", "[]")
    assert "a JSON object belongs here, there is list" in fault(path)
    assert sorted(tmp_path.iterdir()) == [path]
    monkeypatch.setattr(inspect_log, "MAX_SAMPLE", 10)
    eval_log(path, [{"id": 1, "long": "x" * 20}])
    assert "samples/1_epoch_1.json: it unpacks to more than 10 bytes" in fault(path)
    other = tmp_path / "x.json"
    other.write_text("{}")
    assert "it holds no samples" in fault(other)
