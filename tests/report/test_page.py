from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lens_ray.errors import EnvironmentFailure, UserError
from lens_ray.report import write_report
from lens_ray.report.gather import find_series, gather, series_name
from lens_ray.report.tables import LeaderboardRow
from lens_ray.store import Store
from lens_ray.suites.suite import Suite
from tests.report.makers import HOSTILE, add_run, clever, even, header_of, rows_of, saying


class Page(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts[-1] += data
        elif self._open != "style":
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def page(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Page:
    out = write_report(store, tmp_path_factory.mktemp("page") / "report.html", samples=36)
    return Page(out.read_text(encoding="utf-8"))


def test_it_needs_nothing_else(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    (policy,) = [each["content"] for each in page.of("meta") if "http-equiv" in each]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")


def test_it_holds_every_model_and_figure(page: Page, store: Store) -> None:
    for run in store.runs():
        assert run.model in page.text
    for score in store.scores().to_pylist():
        if score["corrected"] is not None:
            assert f"{score['corrected']:.3f}" in page.text
    assert len(page.of("tbody")) == 2 * len(store.runs())
    (suite,) = page.data["suites"]
    assert (len(suite["samples"]), len(suite["models"])) == (36, 6)


def test_a_null_has_its_reason_as_text_and_as_tooltip(page: Page) -> None:
    assert "ocr, closed-model: coverage 0.8824 is below 0.99" in page.text
    titles = [each.get("title") for each in page.of("td")]
    assert "ocr: coverage 0.8824 is below 0.99" in titles
    assert "overall: no score for ocr" in titles


def test_facts_of_the_runs_are_there(page: Page) -> None:
    assert re.search(r"12 infra_error, \d+ ok(, \d+ unparsed)? \(not complete\)", page.text)
    assert page.text.count("flip_rate") == 6
    assert "builtin:minivlm-a-step-0500" in page.text


def test_the_same_store_gives_the_same_bytes(store: Store, tmp_path: Path) -> None:
    first, second = (write_report(store, tmp_path / name, samples=20) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_an_older_file_is_replaced(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    assert write_report(store, str(out), samples=0) == out
    text = out.read_text()
    assert "old" not in text[:20]
    assert Page(text).data == {"suites": [], "figures": []}
    assert "Samples" not in Page(text).text


def test_hostile_texts_stay_data(suite: Suite, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"), create=True)
    add_run(store, suite, "hostile", saying(list(HOSTILE.values()), clever({}, "h")))
    page = Page(write_report(store, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert len(page.of("script")) == 2
    assert not page.of("img")
    (shown,) = page.data["suites"]
    texts = [each["by"][0].get("text") for each in shown["samples"]]
    assert HOSTILE["closer"] in texts
    assert HOSTILE["image"] in texts


def test_hostile_names_stay_text(suite: Suite, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"), create=True)
    name = "<script>alert(1)</script>\x1b\u202e"
    add_run(store, suite, name, clever({}, "h"))
    header = replace(header_of("y", suite), job='"><img src=x onerror=alert(2)>', access="<b>")
    store.open_run(header)
    page = Page(write_report(store, tmp_path / "r.html", samples=5).read_text(encoding="utf-8"))
    assert len(page.of("script")) == 2
    assert not page.of("img")
    assert not page.of("b")
    assert "<script>alert(1)</script>␛\\u202e" in page.text


def test_a_run_without_scores_says_so(suite: Suite, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"), create=True)
    log = store.open_run(header_of("young", suite))
    log.append(rows_of(suite, "young", clever({}, "y"), samples=suite.samples[:50]))
    text = Page(write_report(store, tmp_path / "r.html").read_text()).text
    assert "young: the run is not finished: 50 rows so far; run its job again" in text


def test_suites_have_a_leaderboard_each(suite: Suite, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"), create=True)
    add_run(store, suite, "one", clever(even(suite, 0.5), "one"))
    other = Suite(suite.name, "e" * 64, suite.samples,
                  replace(suite.info, digest="e" * 64), suite.location)  # fmt: skip
    add_run(store, other, "two", clever(even(suite, 0.5), "two"))
    pages = gather(store)
    assert [page.digest for page in pages] == [suite.digest, "e" * 64]
    assert [[run.header.model for run in page.runs] for page in pages] == [["one"], ["two"]]
    page = Page(write_report(store, tmp_path / "r.html", samples=5).read_text())
    assert [each["id"] for each in page.of("section")] == [
        "suite-0", "suite-1", "samples", "reading",
    ]  # fmt: skip
    assert [bool(each["trouble"]) for each in page.data["suites"]] == [False, True]
    ids = [each["id"] for _, each in page.elements if "id" in each]
    assert len(ids) == len(set(ids))


def test_a_suite_that_is_not_installed_is_found_where_it_is_said_to_be(
    suite: Suite, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "s"), create=True)
    own = Suite("own", suite.digest, suite.samples, replace(suite.info, name="own"), suite.location)
    add_run(store, own, "one", clever(even(suite, 0.5), "one"))
    without, given = (
        Page(write_report(store, tmp_path / "r.html", samples=5, suites=refs).read_text())
        for refs in ([], [suite.location])
    )
    assert "own@" in without.data["suites"][0]["trouble"]
    assert not without.data["suites"][0]["images"]
    assert given.data["suites"][0]["trouble"] is None
    assert given.data["suites"][0]["images"]


def test_training_runs_are_found(store: Store) -> None:
    (page,) = gather(store)
    assert [(each.name, [step for step, _ in each.points]) for each in page.series] == [
        ("minivlm-a", [500, 1000, 4000]), ("minivlm-b", [1000, 2000]),
    ]  # fmt: skip


def test_a_series_is_asked_in_one_way(suite: Suite) -> None:
    def run(name: str, step: int | None, **changes: Any) -> Any:
        header = replace(header_of(name, suite, step=step), **changes)
        return LeaderboardRow(header.run_id, name, name, "s", {}, None), header

    assert find_series([run("m-1", 1), run("other", None)]) == []
    assert find_series([run("m-1", 1), run("m-2", 2, template="bare@1")]) == []
    both = [run("m-1", 1), run("m-2", 2), run("m-1", 1, template="bare@1"),
            run("m-2", 2, template="bare@1")]  # fmt: skip
    assert [each.name for each in find_series(both)] == ["m (bare@1)", "m (default@1)"]
    old, new = run("m-1", 1), run("m-1", 1, created_at="2027-01-01T00:00:00+00:00")
    (again,) = find_series([new, run("m-2", 2), old])
    assert again.points[0] == (1, new[0])


@pytest.mark.parametrize(
    ("model", "step", "name"),
    [("minivlm-a-step-0500", 500, "minivlm-a"), ("run/checkpoint-500", 500, "run"),
     ("m_global_step500", 500, "m"), ("m@500", 500, "m"), ("m-v500", 500, "m-v"),
     ("m-step-50", 500, "m-step-50"), ("500", 500, "500"), ("m.iter_0000500", 500, "m")],
)  # fmt: skip
def test_names_without_their_step(model: str, step: int, name: str) -> None:
    assert series_name(model, step) == name


def test_an_empty_store_says_what_to_type(tmp_path: Path, suite: Suite) -> None:
    store = Store(str(tmp_path / "s"), create=True)
    store.put_suite(suite.info)
    with pytest.raises(UserError, match=r"has no run to report; type `lens-ray run") as caught:
        write_report(store, tmp_path / "r.html")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("out", "words"),
    [("", "is a folder"), ("gone/r.html", "is not a folder; make it"),
     ("file/r.html", "is not a folder"), ("pipe", "not a regular file")],
)  # fmt: skip
def test_a_path_that_cannot_be_written(store: Store, tmp_path: Path, out: str, words: str) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(UserError, match=words) as caught:
        write_report(store, tmp_path / out, samples=0)
    assert str(caught.value).startswith("out: ")
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, EnvironmentFailure), (errno.EROFS, UserError), (errno.EACCES, UserError)],
)
def test_a_failed_write_leaves_the_older_file(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[Exception],
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    out = tmp_path / "r.html"
    out.write_text("old")
    monkeypatch.setattr("lens_ray.report.files.os.fsync", fail)
    with pytest.raises(kind, match=re.escape(os.strerror(number))):
        write_report(store, out, samples=0)
    assert out.read_text() == "old"
    assert os.listdir(tmp_path) == ["r.html"]


def test_a_negative_number_of_samples(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="samples: -1 is less than none"):
        write_report(store, tmp_path / "r.html", samples=-1)


def test_importing_it_is_light() -> None:
    heavy = "{'pyarrow', 'numpy', 'scipy', 'torch', 'ray', 'transformers', 'duckdb', 'jinja2'}"
    code = f"import sys, lens_ray.report, lens_ray.report.tables; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
