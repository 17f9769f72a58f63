"""A job's metrics as Prometheus would read them from a real Ray."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lens_ray.engine.gauges import HISTOGRAM, METRICS
from lens_ray.store import Store
from tests.chaos.harness import ROOT, job

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

_LINE = re.compile(r"(ray_lens_ray_(?!watch_)\w+)\{([^}]*)\} (\S+)")
_WATCH = re.compile(r"ray_lens_ray_watch_(\w+)\{([^}]*)\} (\S+)")
_TAG = re.compile(r'(\w+)="([^"]*)"')
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series_of(text: str) -> Series:
    """Name and our own tags (without Ray's) to value."""
    ours = {"job", "le", *(tag for metric in METRICS.values() for tag in metric.tags)}
    found: Series = {}
    for name, tags, value in _LINE.findall(text):
        key = tuple(sorted(pair for pair in _TAG.findall(tags) if pair[0] in ours))
        assert (name, key) not in found  # said by one process
        found[name, key] = float(value)
    return found


def of(name: str, **tags: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"ray_lens_ray_{name}", tuple(sorted({"job": "chaos", **tags}.items()))


def test_the_endpoint_has_the_totals_of_a_job(tmp_path: Path) -> None:
    """One replica, two models; one sample fails each of its three attempts."""
    script = {"batch": 4, "parallel": 2, "latency_s": 0.02}
    options = [{**script, "fail_ids": []}, script]
    models = [
        {"name": f"m{n}", "backend": "fake", "path": f"p{n}", "replicas": 1, "options": given}
        for n, given in enumerate(options)
    ]
    given = job(tmp_path / "store", models, limit=60)
    given.pop("settings")
    from lens_ray.suites import load_suite

    victim = load_suite("mini:quick").select(None, 60)[0].sample_id
    models[0]["options"]["fail_ids"] = [victim]  # type: ignore[index]
    file = tmp_path / "job.json"
    file.write_text(json.dumps(given))
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.scrape_job", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["exit"] == 6  # one sample has no answer
    found = series_of(said["text"])

    rows = Store(given["store"]).rows().to_pylist()
    assert len(rows) == 120
    for (model, ability, status), count in Counter(
        (row["model"], row["ability"], row["status"]) for row in rows
    ).items():
        tags = {"model": model, "ability": ability, "status": status}
        assert found[of("samples_total", **tags)] == count
    assert sum(v for k, v in found.items() if k[0] == "ray_lens_ray_samples_total") == 120
    for model in ("m0", "m1"):
        for way in ("in", "out"):
            tokens = sum(row[f"tokens_{way}"] or 0 for row in rows if row["model"] == model)
            assert found[of("tokens_total", model=model, direction=way)] == tokens
        assert found[of("queued", model=model)] == found[of("in_flight", model=model)] == 0
    assert found[of("failures_total", model="m0", kind="other")] == 3
    loaded = [
        sum(found.get(of(f"{how}_seconds_count", model=model), 0) for model in ("m0", "m1"))
        for how in ("start", "swap")
    ]
    assert sum(loaded) >= 2
    assert loaded[0] >= 1
    assert found[of("commit_seconds_count", what="run")] == 2
    assert found[of("commit_seconds_count", what="rows")] >= 2
    assert found[of("unwritten_rows")] == 0
    names = {name for name, _ in found}
    for metric in METRICS.values():
        wanted = f"{metric.exported}_count" if metric.kind == HISTOGRAM else metric.exported
        assert wanted in names or metric.name == "lens_ray_swap_seconds"
    watched = {
        (name, tags.get("kind")): float(value)
        for name, text, value in _WATCH.findall(said["text"])
        if (tags := dict(_TAG.findall(text)))["watch"] == "night" and tags["run"] == "run-a"
    }
    assert watched == {
        ("step", None): 9600, ("findings", "converged"): 1, ("findings", "decline"): 0,
        ("findings", "conflict"): 0, ("findings", "alarm"): 0,
    }  # fmt: skip
    # It ended in order, which sends what was counted last, and was not started again.
    assert [state for name, state in said["actors"] if name == "CoordinatorActor"] == ["DEAD"]
