"""``lens-ray timeline``: a file that Perfetto opens, and one line where it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lens_ray.store import Store
from tests.cli.conftest import Cli
from tests.engine.stage import fake, make_plan, play, small_suite


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two models of one family on one replica."""
    from lens_ray.engine.planner import Room

    folder = tmp_path_factory.mktemp("played")
    specs = [fake(name, replicas=1, batch=4, parallel=2, latency_s=0.01) for name in "ab"]
    plan = make_plan(folder, small_suite(folder, 12), *specs, rooms=(Room(1.0),))
    outcomes, _ = play(plan)
    assert [outcome.status for outcome in outcomes] == ["complete"] * 2
    return Path(plan.store)


def test_starts_swaps_checks_and_answers_are_in_it(cli: Cli, played: Path, tmp_path: Path) -> None:
    out = tmp_path / "trace.json"
    done = cli("timeline", "--store", played, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"timeline of 2 runs, 24 answers written: {out}\n"
    slices = [e for e in json.loads(out.read_text())["traceEvents"] if e["ph"] == "X"]
    names = [one["name"] for one in slices]
    assert sum(name.startswith("start ") for name in names) == 1
    assert sum(name.startswith("swap ") for name in names) == 1
    assert sum(name.startswith("check ") for name in names) == 2
    answers = [one for one in slices if "sample_id" in one["args"]]
    assert len(answers) == 24
    start = next(one for one in slices if one["name"].startswith("start "))
    assert start["ts"] == min(one["ts"] for one in slices) == 0
    # One clock for both: nothing is answered before the replica is there.
    assert all(one["ts"] >= start["ts"] + start["dur"] - 50_000 for one in answers)
    only = cli("timeline", "--store", played, "--out", out, "--model", "a")
    assert only.out.startswith("timeline of 1 runs, 12 answers")


def test_spans_that_were_cut_are_counted(cli: Cli, tmp_path: Path) -> None:
    from lens_ray.engine.finish import commit_run

    plan = make_plan(tmp_path, suite := small_suite(tmp_path, 3), fake())
    play(plan)
    log = Store(plan.store).run(plan.models[0].run_id)
    log.refresh()
    spans = [[0, "start", 1e9, 1.0]]
    commit_run(log, suite, sorted(suite.by_id), {"spans": spans, "spans_cut": 5})
    done = cli("timeline", "--store", plan.store, "--out", tmp_path / "t.json")
    assert "without 5 starts, swaps and losses too many to keep" in done.out


def test_a_file_that_cannot_be_written_is_one_line(cli: Cli, played: Path, tmp_path: Path) -> None:
    out = tmp_path / "missing" / "trace.json"
    done = cli("timeline", "--store", played, "--out", out)
    assert done.code == 5
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert f"--out {out}: cannot be written: No such file or directory" in done.err
