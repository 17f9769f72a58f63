"""Stores and a suite for the tests of the command line, made without a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lens_ray.engine.finish import commit_run
from lens_ray.models.protocol import Completion
from lens_ray.scoring.row import RowContext, make_row
from lens_ray.store import RunHeader, RunLog, Store
from lens_ray.suites import Suite, write_suite
from tests.suites.makers import sample

#: Model texts that a terminal must not obey; the answer to every question is 3.
HOSTILE = (
    "3", "\x1b[31m\x1b[2J3", "<script>alert(1)</script>3", "3\0", "\ud800 3", "4", "", "x" * 9_000,
)  # fmt: skip
SUBTASKS = (("counting", "dots"), ("counting", "bars"), ("ocr", "label"), ("ocr", "panel"))


def make_suite(folder: Path) -> Suite:
    """Two questions of each of four subtasks, one image each; the answer is always 3."""
    samples, images = [], {}
    for number in range(2 * len(SUBTASKS)):
        ability, subtask = SUBTASKS[number % len(SUBTASKS)]
        made, image = sample(number, ability=ability, subtask=subtask)
        samples.append(made)
        images.update(image)
    return write_suite("tiny", samples, images, folder, licence="x", revision="1")


def fill(url: Path, suite: Suite, texts: Mapping[str, tuple[str, ...]]) -> Store:
    """A store with one committed run for each model."""
    store = Store(str(url), create=True)
    store.put_suite(suite.info)
    for number, (model, answers) in enumerate(texts.items()):
        log = store.open_run(header(f"run{number}", model, suite))
        log.append([row(log, suite, i, text) for i, text in enumerate(answers)])
        commit(log, suite)
    return store


def commit(log: RunLog, suite: Suite) -> None:
    commit_run(log, suite, [made.sample_id for made in suite.samples], {"flip_rate": 0.0})


def header(run_id: str, model: str, suite: Suite) -> RunHeader:
    return RunHeader(
        run_id=run_id,
        model=model,
        model_key=f"key-{model}",
        weights_digest="w",
        suite=suite.name,
        suite_digest=suite.digest,
        template="default",
        backend="fake",
        backend_path="",
        access="open",
        step=None,
        generation={},
        created_at="2026-11-26T12:00:00+00:00",
        job="tests",
    )


def row(log: RunLog, suite: Suite, place: int, text: str) -> dict[str, object]:
    asked = suite.samples[place]
    context = RowContext(
        run_id=log.header.run_id,
        model=log.header.model,
        model_key=log.header.model_key,
        weights_digest="w",
        suite_digest=suite.digest,
        template="default@1",
        step=None,
        backend="fake",
        backend_version="1",
        replica="r0",
        attempt=1,
        prompt_hash="p",
    )
    return make_row(asked, Completion(asked.sample_id, text, "stop"), context)


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
