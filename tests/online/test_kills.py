"""A watcher killed at random moments: no checkpoint twice, none missed, the same curve."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lens_ray.online import watcher
from lens_ray.online.assess import assess
from lens_ray.online.watcher import caught_up, watch
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite
from lens_ray.testing.fake_evaluator import FakeEvaluator
from tests.cli.stores import make_suite
from tests.online.kill_ground import BATCH, RUNS, accuracy, spec_of, unfinished


def kill_at(root: Path, url: str, moments: int) -> int:
    """Kill so often; how often a watcher was at work then."""
    suite = make_suite(root / "suite").location
    command = [sys.executable, "-m", "tests.online.kill_ground"]
    done = subprocess.run(
        [*command, str(root), url, str(suite), str(moments), "8"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[0])


def check(root: Path, url: str, kills: int, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = load_suite(str(root / "suite"))
    store = Store(url)
    assert store.check() == []
    answers = answers_of(store)
    # None was missed: whatever lies there has an answer to each sample.
    for run in RUNS:
        there = {int(path.name[5:]) for path in (root / run).iterdir()}
        assert {one.step for one in store.watch("w").state(run).read().asked} == there
        assert {step for name, step, _ in answers if name == run} == there
    assert len(answers) == len(suite.samples) * sum(len(list((root / r).iterdir())) for r in RUNS)
    # None was asked twice: what was in flight at a kill is a batch, and never a stored answer.
    asked = Counter(
        (name, sample)
        for line in (root / "asked.log").read_text().splitlines()
        for name, _, samples in [line.split()]
        for sample in samples.split(",")
    )
    assert sum(count - 1 for count in asked.values()) <= kills * BATCH
    # A watcher that nobody kills has the same answers, and states.
    monkeypatch.setattr(watcher, "assess", unfinished)  # here, too, at the end only
    quiet = Store(str(root / "quiet"), create=True)
    evaluator = FakeEvaluator(quiet, suite, accuracy)
    watch(spec_of(root, quiet.url, str(root / "suite")), quiet, evaluator, until=caught_up)
    assert answers_of(quiet) == answers
    for run in RUNS:
        states = [one.watch("w").state(run).read() for one in (store, quiet)]
        one, two = ([(s.step, s.run_id, s.depth, s.status) for s in it.seen] for it in states)
        assert one == two
    spec = spec_of(root, url, str(root / "suite"))
    for each in spec.runs:
        first = assess(spec, store, each)
        assert first.curves
        assert first.to_json() == assess(spec, quiet, each).to_json()


def answers_of(store: Store) -> dict[tuple[str, int, str], str]:
    """Text by run, step and sample; two rows of one sample would be seen as one too many."""
    rows = store.rows(columns=["model", "step", "sample_id", "text"]).to_pylist()
    found = {(row["model"].partition("@")[0], row["step"], row["sample_id"]): row for row in rows}
    assert len(found) == len(rows)
    return {key: row["text"] for key, row in found.items()}


def test_four_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "store")
    check(tmp_path, url, kill_at(tmp_path, url, 4), monkeypatch)


@pytest.mark.slow
def test_thirty_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "store")
    kills = kill_at(tmp_path, url, 30)
    assert kills >= 20
    check(tmp_path, url, kills, monkeypatch)


@pytest.mark.slow
def test_a_bucket(tmp_path: Path, bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path, bucket_url, kill_at(tmp_path, bucket_url, 4), monkeypatch)
