"""``python -m tests.chaos.scrape_job JOB.json``: one job on a Ray whose metrics are then read.

Its output is one JSON object: the text for Prometheus, once it has ``ray_lens_ray_samples_total``,
and what became of the coordinator.
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

from lens_ray.evaluate import evaluate
from lens_ray.job import JobSpec

_PATIENCE_S = 30.0


def main(path: str) -> int:
    ray.init(num_cpus=2, include_dashboard=True, log_to_driver=False, logging_level=logging.ERROR)
    report = evaluate(JobSpec.model_validate_json(Path(path).read_text()))
    node = ray.nodes()[0]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    until, text = time.monotonic() + _PATIENCE_S, ""
    while "ray_lens_ray_samples_total" not in text and time.monotonic() < until:
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
