"""The planner in simulated time, at the size of a cluster that is not here.

``python jobs/benchmarks/bench_plan.py --out FILE.json``. Two jobs:

Sweep: 48 models of 12 architectures (1 B to 72 B, tensor parallel 1 to 8), 12,000 samples each, on
64 GPUs in 8 machines: GPUs that neither load nor generate for less than 8 % of the time. The
planner's first guess of each model's time is right, missing, or wrong by a factor drawn at random
(log-normal, sigma 0.4); the limit is of the worst of the three.

Stragglers: 64 replicas with one sample at a time, log-normal times of sigma 0.8, one replica five
times slower, 4,000 samples: all are answered within 1.05 of the ideal, which is the work over the
summed speed. The expected cost of a sample says half of the variance of the logarithm of its time,
as lengths and past latencies do. Beside it: the same where costs say nothing or all, and static
contiguous shards. Where costs say nothing, nobody who may not break off an answer keeps 1.05: of 64
answers that run when the queue is empty, the longest has about 5 mean times to go, of 63 in all.

Medians of several seeds; the exit code is 1 above a limit.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lens_ray import ModelSpec
from lens_ray.engine.behaviour import work_of
from lens_ray.engine.plan import EnginePlan, Expected, ModelPlan, expected_costs
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.simulate import Behaviour, rooms_of, simulate
from lens_ray.models.identity import Identity
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite, SuiteInfo

IDLE_LIMIT = 0.08
STRAGGLER_LIMIT = 1.05
SEEDS = (0, 1, 2)
SAMPLES = 12_000
PER_ARCHITECTURE = 4
#: Name, parameters in 1e9, tensor parallel.
ARCHITECTURES = (
    ("1b", 1, 1), ("2b", 2, 1), ("3b", 3, 1), ("4b", 4, 1), ("7b", 7, 1), ("8b", 8, 1),
    ("9b", 9, 1), ("13b", 13, 2), ("26b", 26, 2), ("34b", 34, 4), ("38b", 38, 4), ("72b", 72, 8),
)  # fmt: skip
REPLICAS, TAIL_SAMPLES, SIGMA, SLOW = 64, 4_000, 0.8, 5.0


def suite_of(costs: Sequence[float]) -> Suite:
    """A suite whose samples have expected costs in these proportions."""
    mean = sum(costs) / len(costs)
    samples = tuple(
        Sample(
            f"s/{number}", "counting", "s", "all", "open", "none", (),
            "q" * max(0, round(4 * (1000 * cost / mean - 16))), (), ("",), "exact", 0.0, 1.0,
            f"s/{number}",
        )
        for number, cost in enumerate(costs)
    )  # fmt: skip
    info = SuiteInfo("simulated", "0" * 64, "none", "1", {}, {}, 0)
    return Suite("simulated", "0" * 64, samples, info, "")


def plan_of(models: Sequence[ModelPlan], rooms: Sequence[Room]) -> EnginePlan:
    """A plan of which nothing is read."""
    return EnginePlan("", "simulated", "0" * 64, "", None, None, tuple(models), tuple(rooms))


def model_of(
    number: int, name: str, family: str, need: Need, expected: Expected, replicas: int | None
) -> ModelPlan:
    """One model of it."""
    spec = ModelSpec(name=name, backend="fake", replicas=replicas or "auto")
    identity = Identity(name, "0" * 64, name, None)
    return ModelPlan(number, f"run{number}", name, spec, identity, need, family, expected)


def sweep(seed: int, guess: str) -> dict[str, object]:
    """The large job, once."""
    rng = random.Random(seed)
    suite = suite_of([math.exp(rng.gauss(0, 0.6)) for _ in range(SAMPLES)])
    models: list[ModelPlan] = []
    behaviours = []
    work = 0.0
    for family, size, parallel in ARCHITECTURES:
        # The roofline of lens_ray.engine.rates: 1,500 tokens, 40 % of an H100's 989 TFLOP/s.
        each = 2 * size * 1e9 * 1500 * 1.12 / (0.4 * 989e12 * parallel)
        weights = 2e9 * size
        start_s, swap_s = 45.0 + weights / 2.5e9, 1.0 + weights / 10e9
        for copy in range(PER_ARCHITECTURE):
            wrong = math.exp(rng.gauss(0, 0.4)) if guess == "wrong" else 1.0
            expected = Expected() if guess == "none" else Expected(each * wrong, start_s)
            name, need = f"{family}-{copy}", Need(1.0, float(parallel))
            models.append(model_of(len(models), name, family, need, expected, None))
            behaviours.append(
                Behaviour(each, start_s, swap_s, batch=64, alone_s=each * 8, sigma=0.5)
            )
            work += each * SAMPLES * parallel
    rooms = rooms_of(8, 64, 128.0, "H100")
    began = time.process_time()
    done = simulate(
        plan_of(models, rooms), suite, [suite.samples] * len(models), behaviours,
        seed=seed, grain_s=1.0,
    )  # fmt: skip
    assert sum(model.answers for model in done.models) == SAMPLES * len(models)
    return {
        "guess": guess,
        "makespan_s": round(done.makespan_s),
        "no_starts_no_idle_s": round(work / 64),
        "idle": round(done.idle, 4),
        "loading": round(done.loading, 4),
        "generating": round(done.generating, 4),
        "gpu_hours": round(done.unit_hours, 1),
        "starts": done.starts,
        "swaps": done.swaps,
        "leases": done.leases,
        "cpu_s": round(time.process_time() - began, 1),
    }


def stragglers(seed: int, said: float) -> dict[str, float]:
    """64 replicas; `said` is the part of the log-variance that the expected cost says.

    Returns:
        Makespans over the ideal: ours, and contiguous shards of equal size.
    """
    rng = random.Random(seed)
    known, noise = SIGMA * math.sqrt(said), SIGMA * math.sqrt(1 - said)
    suite = suite_of([math.exp(rng.gauss(0, known)) for _ in range(TAIL_SAMPLES)])
    one = model_of(0, "m", "m", Need(1.0), Expected(1.0, 1.0), REPLICAS)
    behaviour = Behaviour(1.0, start_s=0.0, sigma=noise)
    speeds = [1.0 / SLOW if number == 0 else 1.0 for number in range(REPLICAS)]
    costs = expected_costs(suite.samples, one.spec)
    times = [work_of(behaviour, costs[name], name, seed) for name in costs]
    done = simulate(
        plan_of([one], [Room(float(REPLICAS))]), suite, [suite.samples], [behaviour],
        speed=lambda seat: speeds[seat] if seat < REPLICAS else 1.0, seed=seed,
    )  # fmt: skip
    ideal = sum(times) / sum(speeds)
    size = -(-TAIL_SAMPLES // REPLICAS)
    shards = [sum(times[at : at + size]) for at in range(0, TAIL_SAMPLES, size)]
    static = max(shard / speed for shard, speed in zip(shards, speeds, strict=False))
    return {"ours": done.answered_s / ideal, "static": static / ideal}


def measure() -> dict[str, object]:
    """Both jobs."""
    sweeps = [sweep(seed, guess) for seed in SEEDS for guess in ("right", "none", "wrong")]
    idle = {
        guess: statistics.median(float(str(one["idle"])) for one in sweeps if one["guess"] == guess)
        for guess in ("right", "none", "wrong")
    }
    tails = {}
    for name, said in (("half", 0.5), ("nothing", 0.0), ("all", 1.0)):
        runs = [stragglers(seed, said) for seed in SEEDS]
        tails[name] = {
            key: round(statistics.median(run[key] for run in runs), 4) for key in ("ours", "static")
        }
    holds = max(idle.values()) < IDLE_LIMIT and tails["half"]["ours"] <= STRAGGLER_LIMIT
    return {
        "benchmark": "plan",
        "idle": idle,
        "idle_limit": IDLE_LIMIT,
        "stragglers": tails,
        "stragglers_limit": STRAGGLER_LIMIT,
        "repeats": len(SEEDS),
        "each": sweeps,
        "holds": holds,
    }


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    result = measure()
    text = json.dumps(result, indent=1)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
