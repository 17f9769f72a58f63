"""Answers that come by a file get the marks and the scores of our own run of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lens_ray.engine.finish import commit_run
from lens_ray.imports import ImportReport, import_results
from lens_ray.models.protocol import Completion
from lens_ray.scoring.rescore import remark
from lens_ray.scoring.row import RowContext, make_row
from lens_ray.stats import ability_scores
from lens_ray.stats.expectation import expected_counts, group_sizes
from lens_ray.store import Store
from lens_ray.suites import Sample, Suite
from tests.cli.stores import header
from tests.store.imports.writers import (
    TEXTS,
    kit_row,
    lmms_row,
    make_suite,
    of,
    write_json,
    write_lmms,
    write_tsv,
    write_xlsx,
)

SOURCES = ("mme", "mmbench", "chartqa")
#: What a file does not say must be null.
UNSAID = ("latency_s", "finish_reason", "prompt_hash", "weights_digest", "replica", "attempt",
          "created_at", "backend_version", "weight_version", "cost_usd", "confidence")  # fmt: skip

Writer = Callable[[Suite, Mapping[str, str], Path], Path]


@pytest.fixture(scope="module", params=[True, False], ids=["with-rows", "without-rows"])
def suite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suites") / "three", rows=request.param)


def texts_of(suite: Suite, *, empty: bool = True) -> dict[str, str]:
    given: Iterator[str] = cycle(text for text in TEXTS if text or empty)
    return {one.sample_id: next(given) for one in suite.samples}


def own_run(suite: Suite, texts: Mapping[str, str], url: Path) -> Store:
    """The answers as the engine would have stored them."""
    store = Store(str(url), create=True)
    store.put_suite(suite.info)
    log = store.open_run(header("own", "own", suite))
    context = RowContext(
        "own", "own", "key-own", "w", suite.digest, "default", None, "fake", "1", "r0", 1, "p"
    )
    log.append(
        [make_row(one, Completion(one.sample_id, texts[one.sample_id], "stop"), context)
         for one in suite.samples]
    )  # fmt: skip
    commit_run(log, suite, [one.sample_id for one in suite.samples], {})
    return store


def lmms(suite: Suite, texts: Mapping[str, str], folder: Path, *, old: bool = False) -> Path:
    for source, task in zip(SOURCES, ("mme", "mmbench_en_dev", "chartqa"), strict=True):
        asked = of(suite, source)
        rows = [
            lmms_row(one, texts[one.sample_id], int(one.meta.get("row", _place(one, asked))))
            for one in asked
        ]
        write_lmms(folder / "org__model", task, rows[::-1], old=old)
    return folder


def _place(one: Sample, asked: Sequence[Sample]) -> int:
    """Where the suite says no position: any, but that of sources whose id is the position."""
    return int(one.sample_id.split("/")[1]) if one.source == "chartqa" else asked.index(one)


def old_lmms(suite: Suite, texts: Mapping[str, str], folder: Path) -> Path:
    return lmms(suite, texts, folder, old=True)


def kit(write: Callable[[Path, Sequence[Mapping[str, str]]], Path], suffix: str) -> Writer:
    def written(suite: Suite, texts: Mapping[str, str], folder: Path) -> Path:
        names = ("MME", "MMBench_DEV_EN", "ChartQA_TEST")
        for source, name in zip(SOURCES, names, strict=True):
            rows = [kit_row(one, texts[one.sample_id]) for one in of(suite, source)]
            write(folder / f"model_{name}.{suffix}", rows)
        return folder

    return written


@pytest.mark.parametrize(
    ("tool", "write", "empty"),
    [
        ("lmms-eval", lmms, True),
        ("lmms-eval", old_lmms, True),
        ("vlmevalkit", kit(write_tsv, "tsv"), True),
        ("vlmevalkit", kit(write_json, "json"), True),
        # A workbook cannot hold an empty answer; see test_vlmevalkit.py.
        ("vlmevalkit", kit(write_xlsx, "xlsx"), False),
    ],
    ids=["lmms", "old-lmms", "tsv", "json", "xlsx"],
)
def test_same_answers_same_scores(
    tmp_path: Path, suite: Suite, tool: Any, write: Writer, empty: bool
) -> None:
    texts = texts_of(suite, empty=empty)
    store = own_run(suite, texts, tmp_path / "store")
    folder = write(suite, texts, tmp_path / "files")
    report = import_results(tool, folder, suite=suite, store=store, model="theirs")
    size = len(suite.samples)
    assert report.exit_code == 0
    assert (report.expected, report.answered, report.new) == (size, size, size)
    assert (report.missing, report.other, report.repeated, report.failed) == (0, 0, 0, {})
    assert store.check() == []
    _compare(store, suite, report)


def _compare(store: Store, suite: Suite, report: ImportReport) -> None:
    own, theirs = (store.rows([run]).sort_by("sample_id") for run in ("own", report.run_id))
    for name in ("sample_id", "text", "status", "cause", "extracted", "extraction", "score"):
        assert theirs[name].to_pylist() == own[name].to_pylist(), name
    for name in UNSAID:
        assert theirs[name].null_count == theirs.num_rows, name
    assert len(set(own["score"].to_pylist())) > 1  # the answers are not all alike
    # The stored scores, but for the intervals, whose draws the run's id seeds ...
    tables = [store.scores([run]) for run in ("own", report.run_id)]
    unlike = ["run_id", "model", "ci_low", "ci_high"]
    assert tables[0].drop_columns(unlike).equals(tables[1].drop_columns(unlike))
    # ... and the intervals from the same draws.
    assert _scores(own, suite) == _scores(theirs, suite)
    assert remark(theirs, suite)[1] == []  # a rescore reads what was marked


def _scores(rows: pa.Table, suite: Suite) -> object:
    return ability_scores(
        rows,
        weights=suite.weights,
        expected=expected_counts(suite.samples),
        group_sizes=group_sizes(suite.samples),
    )


def test_the_shape_of_the_suite_is_that_of_the_sources(suite: Suite) -> None:
    """The comparison above would say little if all samples had one name, text or metric."""
    assert {one.metric for one in suite.samples} == {"exact", "all_right", "relaxed_numeric"}
    assert len({one.question for one in of(suite, "mme")}) == 2
    assert len({one.question for one in of(suite, "chartqa")}) == 1
