"""A search killed at random moments: nothing twice, nothing missed, the same end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lens_ray.merging.verify.provenance import read_record
from lens_ray.store import Store
from tests.merging.kill_ground import BATCH, live


@pytest.mark.slow
def test_twenty_moments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENS_RAY_HOME", str(tmp_path / "home"))
    url = str(tmp_path / "store")
    done = subprocess.run(
        [sys.executable, "-m", "tests.merging.kill_ground", str(tmp_path), url, "20"],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kills = int(done.stdout)
    assert kills >= 5
    store = Store(url)
    assert store.check() == []
    asked = Counter(
        (name, sample)
        for line in (tmp_path / "asked.log").read_text().splitlines()
        for name, _, samples in [line.split()]
        for sample in samples.split(",")
    )
    # What was in flight at a kill is a batch, and never a stored answer.
    assert sum(count - 1 for count in asked.values()) <= kills * BATCH
    rows = store.rows(columns=["model", "sample_id"])
    state = store.merge("m").state.read()
    assert state.samples == rows.num_rows
    # A search that nobody kills ends alike.
    quiet = tmp_path / "quiet"
    whole = live(quiet, str(quiet / "store"), log=None)
    told, other = store.merge("m").found.read(), whole.found.to_json()
    assert _weights(told) == _weights(other)
    assert state.samples == whole.found.spent.samples
    assert state.candidates == whole.found.spent.candidates
    assert read_record(tmp_path / "out").weights_digest == read_record(quiet / "out").weights_digest


def _weights(found: object) -> str:
    """What was tried and found, without where the parents lie."""
    assert isinstance(found, dict)
    tried = [(one["trial"]["name"], one["scores"]) for one in found["tried"]]
    return json.dumps([found["verdict"], found["best_single"], tried], sort_keys=True)
