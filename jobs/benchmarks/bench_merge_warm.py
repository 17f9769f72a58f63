"""Ten merges tried on a warm vLLM engine, against ten evaluations that start an engine each.

``python -m jobs.benchmarks.bench_merge_warm --out FILE.json``; mixtures of minivlm-a, all 612
samples of ``mini:quick``, merging counted on both sides. The warm engine's first start is apart: it
answers the end of the run first, then all ten by one call, as a search asks them. Cold evaluations
get a Ray that is up already. Half of the cold ones come before the warm ten and half after, so that
a busy machine slows both. It needs an environment for vLLM (``make setup-vllm``, or
``--vllm-python``).
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

from lens_ray import ModelSpec
from lens_ray.engine.cluster import Cluster
from lens_ray.merging.materialise import clear, path_of
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.online.checkpoint import Checkpoint
from lens_ray.online.evaluator import Answered, Question
from lens_ray.warm import WarmEvaluator

SUITE, SAMPLES = "mini:quick", 612
CANDIDATES, LEAST_RATIO = 10, 5.0
ENDS = ("8700", "9600")
_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = os.environ.get("LENS_RAY_VLLM_PYTHON", str(_ROOT / ".venv-vllm/bin/python"))


def question(name: str, path: str, python: str) -> Question:
    """A checkpoint or a merge, as a search asks it."""
    spec = ModelSpec(
        name=name, path=path, backend="vllm", replicas=1,
        runtime_env={"py_executable": python},
    )  # fmt: skip
    return Question(Checkpoint(name, 0, path, "bench", ""), spec, "full")


def merge(share: float) -> str:
    """The path of a mixture of both ends."""
    parents = tuple(
        Parent(name=f"s{step}", path=f"builtin:minivlm-a/step-{step}", weight=weight)
        for step, weight in zip(ENDS, (round(1 - share, 6), share), strict=True)
    )
    return path_of(Recipe(method="linear", parents=parents))


def candidates(count: int, first: float, python: str) -> list[Question]:
    """Mixtures that nobody has asked before: equal ones would share rows."""
    shares = [round(first + number / (2 * count), 6) for number in range(count)]
    return [question(f"mix-{share:g}", merge(share), python) for share in shares]


def whole(answer: Answered, *, swapped: bool) -> None:
    """Refuse to time anything else."""
    name = answer.question.spec.name
    if answer.status != "complete" or answer.asked != SAMPLES:
        raise SystemExit(f"{name}: {answer.status}: {answer.reason}")
    if answer.swapped is not swapped:
        raise SystemExit(f"{name}: a cold engine was warm, or a warm one cold")


def cold_seconds(asked: Question) -> float:
    """An engine, a merge and its answers; engine and store are new."""
    with tempfile.TemporaryDirectory() as store:
        clear()
        evaluator = WarmEvaluator(store, SUITE)
        began = time.monotonic()
        try:
            [answer] = evaluator.evaluate([asked])
            taken = time.monotonic() - began
        finally:
            evaluator.close()
    whole(answer, swapped=False)
    return taken


def warm_seconds(asked: list[Question], first: Question) -> tuple[float, float]:
    """The first start and its answers, then all candidates."""
    with tempfile.TemporaryDirectory() as store:
        clear()
        evaluator = WarmEvaluator(store, SUITE)
        began = time.monotonic()
        try:
            evaluator.evaluate([first])
            started = time.monotonic()
            answers = evaluator.evaluate(asked)
            ended = time.monotonic()
        finally:
            evaluator.close()
    for answer in answers:
        whole(answer, swapped=True)
    return started - began, ended - started


def measure(python: str, count: int) -> dict[str, object]:
    """All of it, under one Ray of one core: on two, a second engine would start for the ten."""
    import ray

    asked = candidates(count, 0.25, python)
    first = question("end", f"builtin:minivlm-a/step-{ENDS[1]}", python)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    with Cluster() as cluster:
        cluster.start()
        colds = [cold_seconds(one) for one in asked[: count // 2]]
        start_s, warm_s = warm_seconds(asked, first)
        colds += [cold_seconds(one) for one in asked[count // 2 :]]
    ratio = sum(colds) / warm_s
    return {
        "benchmark": "merge_warm", "candidates": count, "samples": SAMPLES,
        "cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1),
        "cold_s": [round(one, 2) for one in colds], "cold_median_s": statistics.median(colds),
        "warm_s": round(warm_s, 2), "warm_each_s": round(warm_s / count, 2),
        "first_start_s": round(start_s, 2), "ratio": round(ratio, 2),
        "least_ratio": LEAST_RATIO, "holds": ratio >= LEAST_RATIO,
    }  # fmt: skip


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--candidates", type=int, default=CANDIDATES)
    parser.add_argument("--vllm-python", default=_PYTHON, help="Python of an environment with vLLM")
    given = parser.parse_args()
    if Path(given.vllm_python).exists():
        result = measure(given.vllm_python, given.candidates)
    else:
        reason = f"no {given.vllm_python}; make setup-vllm"
        result = {"benchmark": "merge_warm", "ratio": None, "reason": reason, "holds": True}
    text = json.dumps(result, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
