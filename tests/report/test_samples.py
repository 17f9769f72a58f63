from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lens_ray.errors import SuiteError
from lens_ray.report.samples import (
    SHOWN,
    Known,
    browser_data,
    choose,
    image_url,
    mark_word,
    shortened,
)
from lens_ray.store import Store
from lens_ray.suites.images import encode_png
from lens_ray.suites.suite import Suite
from tests.report.makers import HOSTILE, add_run, clever, even, run_id_of, saying


def data_of(store: Store, suite: Suite, models: list[str], **given: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"samples": 40, "suite_loader": lambda ref: suite, **given}
    return browser_data(
        store,
        name=suite.name,
        digest=suite.digest,
        refs=[suite.name],
        runs=[(run_id_of(model), model) for model in models],
        **options,
    )


known = st.dictionaries(
    st.text("abc", max_size=4),
    st.builds(Known, st.sampled_from("xy"), st.sampled_from("stu"), st.integers(1, 3)),
)


@given(known, st.integers(0, 30))
def test_a_choice_is_spread_over_subtasks(samples: dict[str, Known], limit: int) -> None:
    chosen = choose(samples, limit)
    assert len(chosen) == min(limit, len(samples))
    assert chosen == [each for each in samples if each in chosen]
    taken: dict[tuple[str, str], int] = {}
    there: dict[tuple[str, str], int] = {}
    for sample_id, facts in samples.items():
        key = (facts.ability, facts.subtask)
        there[key] = there.get(key, 0) + 1
        taken[key] = taken.get(key, 0) + (sample_id in chosen)
    unfilled = [taken[key] for key in taken if taken[key] < there[key]]
    assert not unfilled or max(taken.values()) - min(unfilled) <= 1


def test_samples_that_more_runs_have_come_first() -> None:
    samples = {"a": Known("x", "s", 1), "b": Known("x", "s", 2), "c": Known("x", "s", 2)}
    assert choose(samples, 1) == ["b"]
    assert choose(samples, 3) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("score", "upper", "word"),
    [(None, 1.0, "none"), (1.0, 1.0, "right"), (0.9, 0.9, "right"), (0.5, 1.0, "partly"),
     (0.0, 1.0, "wrong"), (1.0, None, "right")],
)  # fmt: skip
def test_marks(score: float | None, upper: float | None, word: str) -> None:
    assert mark_word(score, upper) == word


def test_a_long_text_is_shortened_and_its_length_is_kept() -> None:
    text, length = shortened("x" * 1_000_000)
    assert (len(text), length) == (SHOWN + 1, 1_000_000)
    assert shortened("x" * SHOWN) == ("x" * SHOWN, None)


def test_the_same_samples_for_every_model(store: Store, suite: Suite) -> None:
    models = ["minivlm-a-step-4000", "closed-model"]
    data = data_of(store, suite, models)
    assert data["models"] == models
    assert (len(data["samples"]), data["total"], data["trouble"]) == (40, 612, None)
    assert len({each["subtask"] for each in data["samples"]}) == 18
    assert all(len(each["by"]) == 2 and all(each["by"]) for each in data["samples"])
    assert data == data_of(store, suite, models)


def test_an_entry_is_the_sample_and_the_rows(store: Store, suite: Suite) -> None:
    data = data_of(store, suite, ["closed-model"], samples=612)
    rows = {row["sample_id"]: row for row in store.rows([run_id_of("closed-model")]).to_pylist()}
    assert len(data["samples"]) == len(rows)
    for entry in data["samples"]:
        sample, row, (answer,) = suite.by_id[entry["id"]], rows[entry["id"]], entry["by"]
        assert (entry["question"], tuple(entry["choices"])) == (sample.question, sample.choices)
        assert tuple(entry["answers"]) == sample.answers
        assert (answer.get("text"), answer["status"]) == (row["text"], row["status"])
        assert (answer.get("score"), answer.get("cause")) == (row["score"], row["cause"])
        assert answer["mark"] == mark_word(row["score"], row["upper"])
        for number, image in zip(entry["images"], sample.images, strict=True):
            _, _, encoded = data["images"][number]["url"].partition(";base64,")
            assert base64.b64decode(encoded) == suite.image_bytes(image)


def test_each_image_is_there_once(store: Store, suite: Suite) -> None:
    data = data_of(store, suite, ["closed-model"], samples=612)
    used = {number for each in data["samples"] for number in each["images"]}
    assert used == set(range(len(data["images"])))
    urls = [image["url"] for image in data["images"]]
    assert len(set(urls)) == len(urls) == suite.info.images


def test_a_sample_that_one_run_lacks(suite: Suite, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"), create=True)
    add_run(store, suite, "all", clever(even(suite, 0.5), "all"))
    from tests.report.makers import header_of, rows_of

    few = [sample for sample in suite.samples if sample.ability == "ocr"]
    log = store.open_run(header_of("few", suite))
    log.append(rows_of(suite, "few", clever({}, "few"), samples=few))
    data = data_of(store, suite, ["all", "few"])
    for each in data["samples"]:
        assert (each["by"][1] is None) == (each["ability"] != "ocr")


def test_without_its_suite_there_are_answers_and_marks(store: Store, suite: Suite) -> None:
    def missing(ref: str) -> Suite:
        raise SuiteError(f"suite {ref} is not here")

    data = data_of(store, suite, ["closed-model"], suite_loader=missing)
    assert data["trouble"] == "suite mini:quick is not here"
    assert (len(data["samples"]), data["images"]) == (40, [])
    assert "question" not in data["samples"][0]
    assert data["samples"][0]["by"][0]["mark"] in {"right", "wrong", "none"}


def test_another_suite_of_that_name_is_not_taken(store: Store, suite: Suite) -> None:
    other = Suite(suite.name, "f" * 64, suite.samples, suite.info, suite.location)
    data = data_of(store, suite, ["closed-model"], suite_loader=lambda ref: other)
    assert data["trouble"] == "mini:quick is now another suite, ffffffffffff"


def test_an_image_that_cannot_be_read_is_named(
    store: Store, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(self: Suite, image: str) -> bytes:
        raise SuiteError("image is damaged")

    monkeypatch.setattr(Suite, "image_bytes", damaged)
    data = data_of(store, suite, ["closed-model"])
    assert {image["trouble"] for image in data["images"]} == {"image is damaged"}


def test_hostile_texts_are_shown(suite: Suite, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"), create=True)
    add_run(store, suite, "hostile", saying(list(HOSTILE.values()), clever({}, "h")))
    data = data_of(store, suite, ["hostile"], samples=200)
    texts = {each["by"][0]["text"]: each["by"][0] for each in data["samples"]}
    assert HOSTILE["script"] in texts
    assert "before␀after" in texts
    assert "lone \\ud800 and \\udfff" in texts
    assert "␛[31mred␛[0m␛]0;title␇␛[2J\\u009b31m" in texts
    (long,) = [answer for answer in texts.values() if answer.get("length")]
    assert (long["length"], len(long["text"])) == (1_000_000, SHOWN + 1)
    assert len(long.get("read", "")) < 400


def test_a_large_image_is_shown_smaller() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    url, smaller = image_url(encode_png(noise))
    kind, _, encoded = url.partition(";base64,")
    assert (kind, smaller) == ("data:image/jpeg", True)
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        assert image.size == (800, 600)
