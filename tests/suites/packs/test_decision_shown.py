"""A pack that asks to be judged as an inspection: from its rows to what `lens-ray scores` shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray import Store
from lens_ray.cli.main import main
from lens_ray.engine.finish import commit_run
from lens_ray.models.protocol import Completion
from lens_ray.report import write_report
from lens_ray.scoring.row import make_row
from lens_ray.suites.packs import build_pack
from lens_ray.suites.suite import Suite
from tests.report.makers import context, header_of
from tests.suites.packs.makers import make

ABILITIES = ("defect_inspection", "ocr")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Three defects and three good parts, and three labels to read."""
    folder = make(
        tmp_path / "pack",
        "name: defect, ability: defect_inspection, data: rows.csv, images: photos, "
        "question: 'Bad?', format: true_false, decision: {max_false_alarms: 0.34}",
        "image,answer\n0.png,yes\n1.png,yes\n2.png,yes\n3.png,no\n4.png,no\n5.png,no\n",
    )
    with (folder / "pack.yaml").open("a") as file:
        file.write(
            "  - {name: label, ability: ocr, data: labels.csv, images: photos, "
            "question: 'What is on it?', format: open}\n"
        )
    (folder / "labels.csv").write_text("image,answer\n0.png,A1\n1.png,B2\n2.png,C3\n")
    return build_pack(folder, tmp_path / "suite")


def test_the_table_of_decisions(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Suspicions of the defects .9 .4 .1, of the good parts .6 .3 .2: one alarm in three is
    # allowed, so the threshold is 0.4, which finds two of three.
    answers = {
        "defect-00001": ("yes", 0.9), "defect-00002": ("no", 0.6), "defect-00003": ("no", 0.9),
        "defect-00004": ("yes", 0.6), "defect-00005": ("no", 0.7), "defect-00006": ("no", 0.8),
        "label-00001": ("A1", 0.9), "label-00002": ("B2", 0.9), "label-00003": ("no", 0.9),
    }  # fmt: skip
    store = Store(str(tmp_path / "store"), create=True)
    store.put_suite(suite.info)
    log = store.open_run(header_of("m", suite))
    log.append([
        make_row(
            sample,
            Completion(sample.sample_id, *_said(answers[sample.sample_id.split("/")[1]])),
            context("m", suite),
        )
        for sample in suite.samples
    ])  # fmt: skip
    commit_run(log, suite, [sample.sample_id for sample in suite.samples], {"flip_n": 1})
    (facts,) = store.facts().values()
    assert set(facts) == {"flip_n", "decision"}
    table = facts["decision"]
    assert isinstance(table, list)
    assert {key: table[0][key] for key in ("subtask", "threshold", "recall", "false_alarms")} == {
        "subtask": "defect", "threshold": 0.4, "recall": 2 / 3, "false_alarms": 1 / 3,
    }  # fmt: skip
    assert main(["scores", "--store", store.url]) == 0
    shown = capsys.readouterr().out
    assert "0.667 [0.208, 0.939]" in shown
    assert "inspection*" in shown
    # Only the label, which is of the six, makes the overall score: 2 of 3, chance 0.
    line = next(line for line in shown.splitlines() if line.startswith("m "))
    assert line.split()[1:3] == ["0.667", "0.667"]
    page = write_report(store, tmp_path / "r.html", suites=[suite.location]).read_text("utf-8")
    assert "defect inspection *" in page
    assert "stands apart and does not count in overall" in page
    assert "recall 0.667" in page


def _said(given: tuple[str, float]) -> tuple[str, str, int, int, float, float, str]:
    return given[0], "stop", 10, 1, 0.1, given[1], "v1"
