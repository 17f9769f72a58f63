"""``python -m tests.chaos.scrape_job JOB.json``: one job on a Ray whose metrics are then read.

Its output is one JSON object: the text for Prometheus, once it has ``ray_lens_ray_samples_total``
and what a watch in this process has found, and what became of the coordinator.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import urllib.request
from pathlib import Path

import ray
from ray.util.state import list_actors

from lens_ray.engine.watch_meter import WatchMeter
from lens_ray.evaluate import evaluate
from lens_ray.job import JobSpec
from lens_ray.online.findings import Convergence, Findings

_PATIENCE_S = 30.0
_AWAITED = ("ray_lens_ray_samples_total", "ray_lens_ray_watch_findings")
_FOUND = Findings("run-a", 9600, convergence=(Convergence("ocr", "converged", step=8700),))


def main(path: str) -> int:
    ray.init(num_cpus=2, include_dashboard=True, log_to_driver=False, logging_level=logging.ERROR)
    report = evaluate(JobSpec.model_validate_json(Path(path).read_text()))
    WatchMeter("night").show(_FOUND)
    node = ray.nodes()[0]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    until, text = time.monotonic() + _PATIENCE_S, ""
    while not all(name in text for name in _AWAITED) and time.monotonic() < until:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
    actors = [
        [actor.class_name, actor.state]
        for actor in list_actors(address=ray.get_runtime_context().gcs_address)
    ]
    print(json.dumps({"exit": report.exit_code, "text": text, "actors": actors}))
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
