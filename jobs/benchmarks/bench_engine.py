"""The engine against a bare transformers loop: at least 0.95 of its rate on 3,000 samples.

``python jobs/benchmarks/bench_engine.py --checkpoint FOLDER --out FILE.json``. The loop is
`bare_loop.py`: one thread, sorted, at the best of several batch sizes; the engine has one replica
with one thread. Start-up is apart on both sides: the engine's clock runs from its first lease to
its last row. Runs alternate; the ratio is the median of the pairs; the exit code is 1 below the
limit. ``--device cuda`` runs both on a GPU.
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

from lens_ray import JobSpec, ModelSpec, Store, Suite, load_suite
from lens_ray.engine.cluster import Cluster
from lens_ray.evaluate import evaluate
from lens_ray.suites.images import decode_png
from lens_ray.suites.suite import write_suite
from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

LIMIT = 0.95
SAMPLES = 3000
REPEATS = 3
BATCHES = {"cpu": (16, 32, 64, 128), "cuda": (64, 128, 256, 512)}
#: Samples over which the loop's best batch size is found.
TRIAL = {"cpu": 640, "cuda": 3000}
LOOP = Path(__file__).with_name("bare_loop.py")


def part_of(suite: Suite, count: int, folder: str) -> Suite:
    """A suite of some of the samples, so that both sides answer the same ones."""
    samples = suite.select(None, count)
    hashes = sorted({image for sample in samples for image in sample.images})
    images = {name: decode_png(suite.image_bytes(name), name) for name in hashes}
    return write_suite("bench", samples, images, folder, licence="Apache-2.0", revision="bench")


def bare(checkpoint: str, suite: Suite, batch: int, limit: int, device: str) -> float:
    """Samples a second of the loop, in a process of its own."""
    command = [sys.executable, str(LOOP), checkpoint, suite.location, "--batch", str(batch)]
    command += ["--limit", str(limit), "--threads", "1", "--device", device]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["rate"])


def engine(checkpoint: str, suite: Suite, store: str, device: str) -> float:
    """Samples a second of the engine."""
    options = {"threads": 1, "device": device, "dtype": "float32"}
    model = ModelSpec(name="bench", path=checkpoint, replicas=1, options=options)
    report = evaluate(JobSpec(name="bench", suite=suite.location, store=store, models=(model,)))
    if report.exit_code:
        raise SystemExit(f"the job ended with {report.exit_code}: {report.models}")
    commit = Store(store).run(str(report.models[0].run_id)).refresh().commit
    assert commit is not None
    facts: Any = commit.facts
    return float(facts["answered"]) / float(facts["answering_s"])


def measure(checkpoint: str | None, samples: int, device: str) -> dict[str, object]:
    """Alternating runs."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = checkpoint or make_tiny_checkpoint(f"{scratch}/tiny", width=128)
        suite = part_of(load_suite("mini:full"), samples, f"{scratch}/suite")
        few = min(TRIAL[device], samples)
        trials = {batch: bare(folder, suite, batch, few, device) for batch in BATCHES[device]}
        best = max(trials, key=lambda batch: trials[batch])
        pairs = []
        with Cluster() as cluster:
            cluster.start()
            for repeat in range(REPEATS):
                ours = engine(folder, suite, f"{scratch}/store-{repeat}", device)
                pairs.append({"engine": ours, "bare": bare(folder, suite, best, samples, device)})
    ratio = statistics.median(pair["engine"] / pair["bare"] for pair in pairs)
    return {
        "benchmark": "engine",
        "device": device,
        "samples": samples,
        "engine_rate": statistics.median(pair["engine"] for pair in pairs),
        "bare_rate": statistics.median(pair["bare"] for pair in pairs),
        "bare_batch": best,
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
    parser.add_argument("--checkpoint", help="left out: random weights")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--device", choices=tuple(BATCHES), default="cpu")
    given = parser.parse_args()
    result = measure(given.checkpoint, given.samples, given.device)
    text = json.dumps(result, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
