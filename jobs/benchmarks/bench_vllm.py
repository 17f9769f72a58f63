"""The engine with the backend ``vllm`` against a bare `AsyncLLM` loop on 3,000 samples.

``.venv-vllm/bin/python -m jobs.benchmarks.bench_vllm --out FILE.json``: at least 0.93 of the rate
of `bare_vllm.py` at the best of several windows, with the same prompts and engine arguments.
Start-up is apart on both sides: the engine's clock runs from its first lease to its last row. Runs
alternate; the ratio is the median of the pairs; the exit code is 1 below the limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from jobs.benchmarks.bench_engine import part_of
from lens_ray import JobSpec, ModelSpec, Store, Suite, load_suite
from lens_ray.engine.cluster import Cluster
from lens_ray.evaluate import evaluate
from lens_ray.models.resolve import resolve

LIMIT = 0.93
SAMPLES = 3000
REPEATS = 3
SEQUENCES = 32
WINDOWS = (32, 40, 48, 64, 96)
#: Samples over which the loop's best window is found.
TRIAL = 900
CHECKPOINT = "builtin:minivlm-a/step-9600"
LOOP = "jobs.benchmarks.bare_vllm"
OPTIONS = {
    "max_num_seqs": SEQUENCES, "max_model_len": 512, "block_size": 32, "max_images": 4,
    "enforce_eager": True,
}  # fmt: skip


def bare(checkpoint: str, suite: Suite, windows: tuple[int, ...], limit: int) -> dict[int, float]:
    """Samples a second of the loop by window, in a process of its own."""
    command = [sys.executable, "-m", LOOP, checkpoint, suite.location, "--limit", str(limit)]
    command += ["--windows", ",".join(map(str, windows)), "--sequences", str(SEQUENCES)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {one["window"]: one["rate"] for one in found}


def engine(path: str, suite: Suite, store: str) -> float:
    """Samples a second of the engine."""
    model = ModelSpec(name="bench", backend="vllm", path=path, replicas=1, options=OPTIONS)
    report = evaluate(JobSpec(name="bench", suite=suite.location, store=store, models=(model,)))
    if report.exit_code:
        raise SystemExit(f"the job ended with {report.exit_code}: {report.models}")
    commit = Store(store).run(str(report.models[0].run_id)).refresh().commit
    assert commit is not None
    facts: Any = commit.facts
    return float(facts["answered"]) / float(facts["answering_s"])


def measure(path: str, samples: int) -> dict[str, object]:
    """Alternating runs."""
    with tempfile.TemporaryDirectory() as scratch:
        suite = part_of(load_suite("mini:full"), samples, f"{scratch}/suite")
        trials = bare(resolve(path), suite, WINDOWS, min(TRIAL, samples))
        best = max(trials, key=lambda window: trials[window])
        pairs = []
        with Cluster() as cluster:
            cluster.start()
            for repeat in range(REPEATS):
                ours = engine(path, suite, f"{scratch}/store-{repeat}")
                theirs = bare(resolve(path), suite, (best,), samples)[best]
                pairs.append({"engine": ours, "bare": theirs})
    ratio = statistics.median(pair["engine"] / pair["bare"] for pair in pairs)
    return {
        "benchmark": "vllm",
        "samples": samples,
        "engine_rate": statistics.median(pair["engine"] for pair in pairs),
        "bare_rate": statistics.median(pair["bare"] for pair in pairs),
        "bare_window": best,
        "bare_trials": trials,
        "ratio": round(ratio, 4),
        "limit": LIMIT,
        "repeats": REPEATS,
        "each": pairs,
        "holds": ratio >= LIMIT,
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--checkpoint", default=CHECKPOINT)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    given = parser.parse_args()
    result = measure(given.checkpoint, given.samples)
    text = json.dumps(result, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
