"""lmms-eval's logs: shapes of rows, failures, repeats, and every way in which a file is bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lens_ray.errors import UserError
from lens_ray.imports import import_results
from lens_ray.store import Store
from lens_ray.store.imports.lmms_eval import files_of, read, task_of
from lens_ray.suites import Suite
from tests.store.imports.writers import FAILED, lmms_row, make_suite, of, write_lmms


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suites") / "three")


def log(suite: Suite, texts: dict[str, str], folder: Path, **changes: Any) -> Path:
    """The MME log; samples that have no text are not in it."""
    rows = [
        lmms_row(one, texts[one.sample_id], int(one.meta["row"])) | changes
        for one in of(suite, "mme")
        if one.sample_id in texts
    ]
    return write_lmms(folder, "mme", rows)


def yes(suite: Suite) -> dict[str, str]:
    return {one.sample_id: "yes" for one in of(suite, "mme")}


def one_row(path: Path, **row: Any) -> Path:
    path.write_text(json.dumps({"doc_id": 3, "filtered_resps": "yes"} | row) + "\n")
    return path


@pytest.mark.parametrize(
    ("resps", "text"),
    [
        ({"filtered_resps": "a"}, "a"),
        ({"filtered_resps": ["a"]}, "a"),
        ({"filtered_resps": "a", "resps": ["<think>t</think>a"]}, "<think>t</think>a"),
        ({"filtered_resps": "a", "resps": "<think>t</think>a"}, "<think>t</think>a"),
        ({"filtered_resps": ["a"], "resps": [["raw a"]]}, "raw a"),
        ({"filtered_resps": ""}, ""),
        ({"filtered_resps": None}, None),
        ({"filtered_resps": []}, None),
    ],
)
def test_the_answer_whatever_lists_it_lies_in(
    tmp_path: Path, resps: dict[str, Any], text: str | None
) -> None:
    (file,) = files_of(one_row(tmp_path / "samples_mme.jsonl", **resps))
    (found,) = read(file)
    assert found.text == text
    assert (found.status is None) == (text is not None)


def test_what_a_row_says_of_its_question(tmp_path: Path) -> None:
    path = one_row(
        tmp_path / "x_samples_mme.jsonl", input="Is it?", target="Yes",
        mme_perception_score={"question_id": "0001.png", "category": "count", "score": 1.0},
        token_counts=[{"input_tokens": 7, "output_tokens": 2}],
    )  # fmt: skip
    (found,) = read(files_of(path)[0])
    assert found.says.ids == ("count/0001.png", "0001.png")
    assert (found.says.row, found.says.question, found.says.gold) == (3, "Is it?", "Yes")
    assert (found.facts.tokens_in, found.facts.tokens_out) == (7, 2)
    assert task_of(path) == "mme"


def test_positions_in_a_lite_subset_are_no_positions_in_the_split(tmp_path: Path) -> None:
    (found,) = read(files_of(one_row(tmp_path / "x_samples_chartqa_lite.jsonl"))[0])
    assert (found.says.ids, found.says.row) == (("lite-3",), None)


def test_versions_that_wrote_one_json_file_a_task(tmp_path: Path) -> None:
    rows = [{"doc_id": 0, "doc": {"question": "Q?"}, "resps": [["a"]], "target": "b"}]
    path = tmp_path / "mme.json"
    path.write_text(json.dumps({"args": {}, "model_configs": {}, "logs": rows}))
    (file,) = files_of(tmp_path)
    (found,) = read(file)
    assert (file.about, found.text, found.says.question) == ("mme", "a", "Q?")
    assert found.place.line == "row 1 of logs"


def test_failures_are_no_wrong_answers(tmp_path: Path, suite: Suite) -> None:
    texts = yes(suite)
    ids = sorted(texts)
    texts |= dict(zip(ids, FAILED, strict=False))
    store = Store(str(tmp_path / "store"), create=True)
    report = import_results(
        "lmms-eval", log(suite, texts, tmp_path / "m"), suite=suite, store=store, model="m"
    )
    assert report.exit_code == 6
    assert report.failed == {"infra_error": 2, "over_budget": 1}
    assert (report.expected, report.answered, report.missing) == (8, 5, 0)
    rows = {row["sample_id"]: row for row in store.rows([report.run_id]).to_pylist()}
    for sample_id, (marker, status) in zip(ids, FAILED.items(), strict=False):
        row = rows[sample_id]
        assert (row["status"], row["score"], row["text"]) == (status, None, None)
        assert row["cause"] == f"the file says: {marker}"
    counting = store.scores([report.run_id]).to_pylist()[0]
    assert (counting["ability"], counting["n"], counting["coverage"]) == ("counting", 5, 5 / 8)
    assert counting["accuracy"] is None  # below the coverage at which a score is said


def test_samples_that_the_log_lacks(tmp_path: Path, suite: Suite) -> None:
    texts = yes(suite)
    gone = sorted(texts)[0]
    del texts[gone]
    store = Store(str(tmp_path / "store"), create=True)
    path = log(suite, texts, tmp_path / "m")
    whole = import_results("lmms-eval", path, suite=suite, store=store, model="m")
    assert (whole.exit_code, whole.missing, whole.first_missing) == (6, 1, gone)
    (row,) = [row for row in store.rows([whole.run_id]).to_pylist() if row["sample_id"] == gone]
    assert (row["status"], row["cause"]) == ("infra_error", f"{path.name} has no answer to it")
    part = import_results("lmms-eval", path, suite=suite, store=store, model="m", partial_run=True)
    assert (part.exit_code, part.expected, part.missing) == (0, 7, 0)
    commit = store.run(part.run_id).refresh().commit
    assert commit is not None
    assert gone in commit.left_out
    # The other sources are not in the file: left out, too.
    assert len(commit.left_out) == 1 + len(of(suite, "mmbench")) + len(of(suite, "chartqa"))


def test_rows_that_were_appended_twice(tmp_path: Path, suite: Suite) -> None:
    log(suite, yes(suite), tmp_path / "m")
    path = log(suite, yes(suite), tmp_path / "m")
    report = import_results(
        "lmms-eval", path, suite=suite, store=str(tmp_path / "store"), model="m"
    )
    assert (report.exit_code, report.answered, report.repeated) == (0, 8, 8)


def test_an_answer_counts_over_a_failure_of_the_same_question(tmp_path: Path, suite: Suite) -> None:
    log(suite, dict.fromkeys(yes(suite), "[LMMS_EVAL_REQUEST_FAILED after 3 retries]"), tmp_path)
    path = log(suite, yes(suite), tmp_path)
    report = import_results(
        "lmms-eval", path, suite=suite, store=str(tmp_path / "store"), model="m"
    )
    assert (report.exit_code, report.answered, report.failed) == (0, 8, {})


def test_two_answers_to_one_question(tmp_path: Path, suite: Suite) -> None:
    log(suite, yes(suite), tmp_path / "m")
    path = log(suite, dict.fromkeys(yes(suite), "no"), tmp_path / "m")
    with pytest.raises(UserError, match=r"line 9: sample mme/count/0000.png/1 is answered "
                       r"otherwise in \S+, line 1; keep one"):  # fmt: skip
        import_results("lmms-eval", path, suite=suite, store=str(tmp_path / "store"), model="m")
    assert not (tmp_path / "store").exists()


def test_positions_of_a_filtered_split_are_not_believed(tmp_path: Path, suite: Suite) -> None:
    """AbilityLens' fork filters before it counts: ids and texts lead, positions do not."""
    asked = of(suite, "mme")
    rows = [
        lmms_row(one, "yes", int(asked[(n + 1) % 8].meta["row"])) for n, one in enumerate(asked)
    ]
    store = Store(str(tmp_path / "store"), create=True)
    path = write_lmms(tmp_path / "m", "mme", rows)
    report = import_results("lmms-eval", path, suite=suite, store=store, model="m")
    assert (report.exit_code, report.other) == (0, 0)
    marks = {row["sample_id"]: row["score"] for row in store.rows([report.run_id]).to_pylist()}
    assert marks == {one.sample_id: float(one.answers == ("yes",)) for one in asked}


def test_questions_that_the_suite_does_not_ask_are_counted(tmp_path: Path, suite: Suite) -> None:
    other = lmms_row(of(suite, "mme")[0], "no", 5000)
    other |= {"arguments": ["Is this a poster?"], "mme_perception_score": {"question_id": "x"}}
    log(suite, yes(suite), tmp_path / "m")
    path = write_lmms(tmp_path / "m", "mme", [other])
    report = import_results(
        "lmms-eval", path, suite=suite, store=str(tmp_path / "store"), model="m"
    )
    assert (report.exit_code, report.answered, report.other) == (0, 8, 1)


def test_a_text_that_several_rows_hold_decides_nothing(tmp_path: Path, suite: Suite) -> None:
    """Both rows may be of images that the suite has not."""
    asked = of(suite, "mmbench")[0]
    rows = [
        lmms_row(asked, text, 9000 + n) | {"gpt_eval_score": {"index": str(9000 + n)}}
        for n, text in enumerate("AB")
    ]
    with pytest.raises(UserError, match="no row of the file is of a question of suite three"):
        import_results(
            "lmms-eval", write_lmms(tmp_path / "m", "mmbench_en_dev", rows), suite=suite,
            store=str(tmp_path / "store"), model="m",
        )  # fmt: skip


GOOD = b'{"doc_id": 0, "filtered_resps": "yes"}\n'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD + b"{", "line 2: no JSON"),
        (GOOD + b"[1]\n", "line 2: a JSON object belongs here, there is list"),
        (GOOD + b'{"doc_id": 1}\n', "line 2, column 'filtered_resps': the answer is missing"),
        (b'{"doc_id": "x", "filtered_resps": "a"}', "line 1, column 'doc_id': the position"),
        (b'{"doc_id": true, "filtered_resps": "a"}', "line 1, column 'doc_id': the position"),
        (b'{"doc_id": 1, "filtered_resps": ["a", "b"]}', "2 answers where one belongs"),
        (b'{"doc_id": 1, "filtered_resps": {"a": 1}}', "a text belongs here, not dict"),
        (b'{"doc_id": 1, "filtered_resps": "a\xff"}', "line 1: no UTF-8 text"),
        (b'{"doc_id": 1, "filtered_resps": "a", "token_counts": [{"input_tokens": "x"}]}',
         "column 'token_counts': input_tokens is 'x', no number"),
        (b'{"a":' * 100_000, "line 1: no JSON"),
        (b"", "there is no answer in it"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path: Path, suite: Suite, data: bytes, message: str) -> None:
    path = tmp_path / "a_samples_mme.jsonl"
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        import_results("lmms-eval", path, suite=suite, store=str(tmp_path / "store"), model="m")
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "store").exists()


def test_places_that_hold_no_samples(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "no file of it holds samples of lmms-eval; run it with --log_samples"),
        (tmp_path / "gone.jsonl", "it is not there"),
        (tmp_path / "x.pkl", "a pickle can run any code"),
        (tmp_path / "y.csv", "lmms-eval's samples are .jsonl files"),
    ):
        if path.suffix in (".pkl", ".csv"):
            path.write_bytes(b"x")
        with pytest.raises(UserError, match=message):
            files_of(path)
    (tmp_path / "20260801_120000_results.json").write_text('{"results": {}}')
    with pytest.raises(UserError, match=r"it holds no samples \(results only\)"):
        list(read(files_of(tmp_path / "20260801_120000_results.json")[0]))


def test_a_folder_of_two_models(tmp_path: Path, suite: Suite) -> None:
    for name in ("one", "two"):
        log(suite, yes(suite), tmp_path / name)
    with pytest.raises(UserError, match=r"logs in 2 folders, first .*one and .*two"):
        files_of(tmp_path)
