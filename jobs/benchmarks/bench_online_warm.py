"""From "a checkpoint is whole" to "six abilities of it are known": warm replicas, and cold engines.

``python -m jobs.benchmarks.bench_online_warm --out FILE.json``; the checkpoints of minivlm-a, all
612 samples of ``mini:quick``. Warm replicas (backend transformers) are to take at most 20 s, and a
vLLM engine that is started for each checkpoint at least 4 times as long as one that stays. Cold
and warm engines take turns in one run, so that a busy machine slows both; Ray is up before either
begins, and its start is not counted. Without an environment for vLLM (``make setup-vllm``, or
``--vllm-python``) the ratio is not measured, and said to be missing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from lens_ray import ModelSpec, Store
from lens_ray.engine.cluster import Cluster
from lens_ray.online.checkpoint import Checkpoint
from lens_ray.online.evaluator import Question
from lens_ray.warm import WarmEvaluator

SUITE, SAMPLES, ABILITIES = "mini:quick", 612, 6
LIMIT_S, LEAST_RATIO = 20.0, 4.0
STEPS = ("8700", "9000", "9300", "9600")
_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = os.environ.get("LENS_RAY_VLLM_PYTHON", str(_ROOT / ".venv-vllm/bin/python"))


def question(step: str, host: dict[str, object]) -> Question:
    """A shipped checkpoint, as a watcher asks it in full."""
    path = f"builtin:minivlm-a/step-{step}"
    spec = ModelSpec.model_validate({"name": f"a@{step}", "path": path, "step": int(step), **host})
    return Question(Checkpoint("a", int(step), path, "shipped", ""), spec, "full")


def seconds(evaluator: WarmEvaluator, store: str, asked: Question) -> tuple[float, bool]:
    """How long it takes until the six scores can be read, and whether a swap was enough."""
    began = time.monotonic()
    [answer] = evaluator.evaluate([asked])
    if answer.status != "complete" or answer.asked != SAMPLES:
        raise SystemExit(f"{asked.checkpoint.name}: {answer.status}: {answer.reason}")
    scores = Store(store).scores([str(answer.run_id)]).to_pylist()
    known = [row["ability"] for row in scores if row["ability"] != "overall"]
    if len(known) != ABILITIES:
        raise SystemExit(f"{asked.checkpoint.name}: {len(known)} abilities")
    return time.monotonic() - began, bool(answer.swapped)


def measure_warm(folder: str) -> list[float]:
    """Seconds of each checkpoint but the first, whose replicas start."""
    evaluator = WarmEvaluator(folder, SUITE)
    try:
        taken = [seconds(evaluator, folder, question(step, {})) for step in STEPS]
    finally:
        evaluator.close()
    if not all(swapped for _, swapped in taken[1:]):
        raise SystemExit("a warm replica was started again")
    return [round(one, 2) for one, _ in taken[1:]]


def measure_vllm(folder: str, python: str) -> tuple[list[float], list[float]]:
    """Seconds of an engine for each checkpoint, and of one that stays, by turns."""
    host = {"backend": "vllm", "replicas": 1, "runtime_env": {"py_executable": python}}
    stores = [f"{folder}/cold", f"{folder}/warm"]
    cold = WarmEvaluator(stores[0], SUITE, idle_release_s=1e-6)
    warm = WarmEvaluator(stores[1], SUITE)
    colds, warms = [], []
    try:
        seconds(warm, stores[1], question(STEPS[0], host))
        for step in STEPS[1:]:
            taken, swapped = seconds(cold, stores[0], question(step, host))
            cold.idle()  # gives the engine back
            kept, kept_swapped = seconds(warm, stores[1], question(step, host))
            if swapped or not kept_swapped:
                raise SystemExit("a cold engine was warm, or a warm one cold")
            colds.append(round(taken, 2))
            warms.append(round(kept, 2))
    finally:
        cold.close()
        warm.close()
    return colds, warms


def measure(python: str) -> dict[str, object]:
    """All of it, under one Ray."""
    found: dict[str, object] = {
        "benchmark": "online_warm", "samples": SAMPLES, "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch, Cluster() as cluster:
        cluster.start()
        warm = measure_warm(f"{scratch}/transformers")
        found |= {"warm_s": warm, "warm_median_s": statistics.median(warm), "limit_s": LIMIT_S}
        holds = statistics.median(warm) <= LIMIT_S
        if Path(python).exists():
            colds, kept = measure_vllm(scratch, python)
            ratio = statistics.median(a / b for a, b in zip(colds, kept, strict=True))
            found |= {"vllm_cold_s": colds, "vllm_warm_s": kept, "ratio": round(ratio, 2)}
            holds = holds and ratio >= LEAST_RATIO
        else:
            found |= {"ratio": None, "reason": f"no {python}; make setup-vllm"}
        found |= {"least_ratio": LEAST_RATIO, "holds": holds}
    return found


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--vllm-python", default=_PYTHON, help="Python of an environment with vLLM")
    given = parser.parse_args()
    result = measure(given.vllm_python)
    text = json.dumps(result, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
