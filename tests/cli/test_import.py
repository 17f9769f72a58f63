"""``lens-ray import``: exit codes, idempotence, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lens_ray.store import Store
from lens_ray.suites import Suite
from lens_ray.suites.controls import make_control
from tests.cli.conftest import Cli
from tests.cli.stores import fill, listing
from tests.store.imports.writers import lmms_row, make_suite, of, write_lmms


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_suite(tmp_path_factory.mktemp("suites") / "three")


@pytest.fixture
def log(tmp_path: Path, three: Suite) -> Path:
    rows = [lmms_row(one, one.answers[0], int(one.meta["row"])) for one in of(three, "mme")]
    return write_lmms(tmp_path / "m", "mme", rows)


def test_the_same_file_twice_adds_nothing(
    cli: Cli, tmp_path: Path, three: Suite, log: Path
) -> None:
    store = tmp_path / "store"
    given = ("import", "lmms-eval", log, "--suite", three.location, "--store", store)
    done = cli(*given, "--model", "theirs")
    assert (done.code, done.err) == (0, "")
    assert "theirs" in done.out
    assert "8 of 8 samples answered, 8 rows stored now" in done.out
    before = listing(store)
    moved = log.rename(tmp_path / "again_samples_mme.jsonl")
    again = cli(*given[:2], moved, *given[3:], "--model", "theirs", "--json")
    assert (again.code, again.json["new"], again.json["answered"]) == (0, 0, 8)
    assert listing(store) == before
    other = cli(*given[:2], moved, *given[3:], "--model", "other", "--json")
    assert other.json["new"] == 8
    assert other.json["run_id"] != again.json["run_id"]
    assert len(Store(str(store)).runs()) == 2
    assert cli("timeline", "--store", store, "--out", tmp_path / "trace.json").code == 0


def test_a_run_that_lacks_answers_is_repeated_without_new_rows(
    cli: Cli, tmp_path: Path, three: Suite, log: Path
) -> None:
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[1:]))
    given = ("import", "lmms-eval", log, "--suite", three.location, "--store", tmp_path / "s",
             "--model", "m")  # fmt: skip
    done = cli(*given)
    assert done.code == 6
    assert "model m incomplete: 1 samples have no answer in the file" in done.err
    assert "(--partial leaves such out on purpose)" in done.err
    before = listing(tmp_path / "s")
    assert cli(*given).code == 6
    assert listing(tmp_path / "s") == before
    assert cli(*given, "--partial").code == 0


def test_it_stands_beside_our_own_runs(cli: Cli, tmp_path: Path, tiny_suite: Suite) -> None:
    store = tmp_path / "store"
    fill(store, tiny_suite, {"ours": ("3",) * 8})
    table = tmp_path / "line.csv"
    table.write_text("id,said\n" + "".join(f"{one.sample_id},3\n" for one in tiny_suite.samples))
    done = cli("import", "csv", table, "--suite", tiny_suite.location, "--store", store,
               "--model", "line-3", "--id-column", "id", "--answer-column", "said",
               "--access", "closed")  # fmt: skip
    assert done.code == 0
    scores = cli("scores", "--store", store, "--json").json
    ours, theirs = (
        [{**one, "model": "", "run_id": ""} for one in scores if one["model"] == name]
        for name in ("ours", "line-3")
    )
    assert ours == theirs
    assert cli("store", "check", "--store", store).code == 0
    assert cli("report", "--store", store, "--out", tmp_path / "r.html").code == 0
    assert cli("rescore", "--store", store, "--suite", tiny_suite.location).code == 0


def test_mistakes_end_in_one_line(cli: Cli, tmp_path: Path, three: Suite, log: Path) -> None:
    control = make_control(three, "rephrase", tmp_path / "control")
    pickled = tmp_path / "m_MME.pkl"
    pickled.write_bytes(b"\x80\x04")
    unnamed = log.parent / "log.jsonl"
    unnamed.write_bytes(log.read_bytes())
    for tool, path, suite, more, message in (
        ("lmms_eval", log, three.location, (), "did you mean 'lmms-eval'?"),
        ("lmms-eval", log, three.location, ("--access", "half"), "type one of open, closed"),
        (
            "lmms-eval",
            log,
            control.location,
            (),
            "is a control (sample mme/count/0000.png/1#rephrase1)",
        ),
        ("lmms-eval", log, three.location, ("--source", "mne"), "the nearest is 'mme'"),
        ("lmms-eval", unnamed, three.location, (), "give it with --source"),
        ("lmms-eval", tmp_path / "gone", three.location, (), "it is not there"),
        ("vlmevalkit", pickled, three.location, (), "a pickle can run any code"),
        ("lmms-eval", log, "no-such-suite", (), "suite 'no-such-suite' is not known"),
    ):
        given = ("import", tool, path, "--suite", suite, "--store", tmp_path / "store")
        done = cli(*given, "--model", "m", *more)
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert message in done.err
    done = cli("import", "csv", log, "--suite", three.location, "--store", tmp_path / "store",
               "--model", "a b")  # fmt: skip
    assert "model 'a b': begin with a letter or digit" in done.err
    assert not (tmp_path / "store").exists()
    named = cli("import", "lmms-eval", unnamed, "--suite", three.location, "--store",
                tmp_path / "store", "--model", "m", "--source", "mme")  # fmt: skip
    assert named.code == 0
