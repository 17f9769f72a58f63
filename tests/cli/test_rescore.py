"""``lens-ray rescore``: old marks are found, shown, and stored only where that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.store import Store
from lens_ray.suites import Suite
from tests.cli.conftest import Cli
from tests.cli.stores import commit, fill, header, listing, row

ANSWERS = ("3", "4", "3", "3", "four", "3", "3", "3")


@pytest.fixture
def stale(tmp_path: Path, tiny_suite: Suite) -> Path:
    """A store in which an older version of lens-ray marked two answers otherwise."""
    url = tmp_path / "store"
    store = fill(url, tiny_suite, {"new": ANSWERS})
    log = store.open_run(header("old", "old", tiny_suite))
    rows = [row(log, tiny_suite, place, text) for place, text in enumerate(ANSWERS)]
    rows[0].update(score=0.0, status="unparsed", extracted=None, extraction="none", cause="old")
    rows[1].update(score=1.0)
    log.append(rows)
    commit(log, tiny_suite)
    return url


def test_nothing_is_written_unasked(cli: Cli, stale: Path, tiny_suite: Suite) -> None:
    before = listing(stale)
    done = cli("rescore", "--store", stale, "--suite", tiny_suite.location)
    assert (done.code, done.err) == (0, "")
    assert listing(stale) == before
    assert "new on tiny, run run0: 8 rows, 0 marks change" in done.out
    assert "old on tiny, run old: 8 rows, 2 marks change" in done.out
    assert "unparsed -> ok  None -> 3  0.0 -> 1.0" in " ".join(done.out.split("\n")).replace(
        "   ", "  "
    )
    assert done.out.endswith("2 marks change; nothing was written, add --write to store them\n")


def test_write_stores_marks_and_scores(cli: Cli, stale: Path, tiny_suite: Suite) -> None:
    done = cli("rescore", "--store", stale, "--suite", tiny_suite.location, "--write", "--json")
    assert done.code == 0
    assert (done.json["written"], done.json["changed"]) == (True, 2)
    changes = done.json["runs"][1]["changes"]
    assert [change["sample_id"] for change in changes] == ["t/0", "t/1"]
    assert changes[0]["after"]["extracted"] == "3"
    store = Store(str(stale))
    assert store.check() == []
    rows = {run: store.rows([run]).sort_by("sample_id") for run in ("run0", "old")}
    for column in ("sample_id", "status", "score", "extracted", "cause"):
        assert rows["run0"][column].equals(rows["old"][column])
    scores = store.scores().to_pylist()
    assert {score["run_id"] for score in scores} == {"run0", "old"}
    for one, two in zip(scores[:3], scores[3:], strict=True):
        assert (one["accuracy"], one["corrected"]) == (two["accuracy"], two["corrected"])
    commit_ = store.run("old").refresh().commit
    assert commit_ is not None
    assert commit_.facts == {"flip_rate": 0.0}
    assert store.run("old").refresh().complete
    again = cli("rescore", "--store", stale, "--suite", tiny_suite.location, "--write")
    assert again.out.endswith("no mark changes\n")


def test_one_run(cli: Cli, stale: Path, tiny_suite: Suite) -> None:
    given = ("rescore", "--store", stale, "--suite", tiny_suite.location, "--run")
    assert [run["run_id"] for run in cli(*given, "old", "--json").json["runs"]] == ["old"]
    done = cli(*given, "odl")
    assert done.code == 2
    assert "there is no run 'odl'; did you mean old?" in done.err


def test_the_suite_must_be_the_one(cli: Cli, stale: Path) -> None:
    before = listing(stale)
    done = cli("rescore", "--store", stale, "--write")
    assert done.code == 2
    assert "is not installed" in done.err
    assert "give its folder with --suite" in done.err
    done = cli("rescore", "--store", stale, "--suite", "mini:quick", "--write")
    assert done.code == 2
    assert "--suite mini:quick: it has digest" in done.err
    assert listing(stale) == before


def test_a_run_at_work_is_left_alone(cli: Cli, stale: Path, tiny_suite: Suite) -> None:
    import threading

    lease = Store(str(stale)).run("old").acquire("other:1:x", ttl_s=30)
    done = threading.Event()

    def beat() -> None:
        while not done.wait(0.2):
            lease.renew()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        busy = cli("rescore", "--store", stale, "--suite", tiny_suite.location, "--write")
    finally:
        done.set()
        thread.join()
    assert busy.code == 5
    assert "run old: other:1:x" in busy.err
