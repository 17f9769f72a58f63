"""Ten checkpoints of one architecture by one engine, against lmms-eval's vLLM backend.

``.venv-vllm/bin/python -m jobs.benchmarks.bench_sweep_lmms --lmms-python .venv-lmms/bin/python
--out FILE.json``: 600 samples a checkpoint, both sides end to end by wall clock (start of Python,
Ray and engine, answers, results on disk), with the same prompts (compared by token ids and pixels),
token limit and engine arguments, on the same machine. At least 7 times faster for the ten, and
each further checkpoint, (time of ten - time of one) / 9, in at most 1/12 of lmms-eval's median
time for one. The texts of both are compared too: at least 99 % are equal.

lmms-eval runs one process a checkpoint, at the best of a few settings. It can also take the ten in
one process (``--config`` with a list; an engine start each, imports once): printed beside, for
whoever runs it so. The exit code is 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from jobs.benchmarks.bench_engine import part_of
from jobs.benchmarks.lmms_side import Lmms, Setting
from jobs.benchmarks.lmms_task import write_task
from lens_ray import Store, Suite, load_suite
from lens_ray.models.resolve import resolve

LIMIT = 7.0
FURTHER_LIMIT = 1 / 12
EQUAL_LIMIT = 0.99
SAMPLES = 600
REPEATS = 3
STEPS = ("0500", "3000", "4500", "6000", "6900", "8700", "9000", "9300", "9600")
#: Averaged, they are the tenth checkpoint.
PARENTS = ("8700", "9600")
SETTINGS = (Setting(1, SAMPLES), Setting(2, SAMPLES), Setting(1, 64))
SEQUENCES = 32
ENGINE: dict[str, object] = {
    "max_num_seqs": SEQUENCES, "max_model_len": 512, "block_size": 32, "enforce_eager": True,
}  # fmt: skip
OPTIONS = {**ENGINE, "max_images": 4}
#: The same in the words of vLLM, with what lens-ray's backend gives it besides.
ARGUMENTS = {
    **ENGINE, "dtype": "float32", "limit_mm_per_prompt": '{"image": 4}', "mm_processor_cache_gb": 1,
    "generation_config": "vllm", "trust_remote_code": False, "disable_log_stats": True,
}  # fmt: skip


def averaged(folders: Sequence[str], out: Path) -> str:
    """A checkpoint of which every number is the mean of the others'."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(folders[0], out)
    parts = [load_file(f"{folder}/model.safetensors") for folder in folders]
    mean = {
        name: torch.stack([part[name].float() for part in parts]).mean(0).to(first.dtype)
        for name, first in parts[0].items()
    }
    save_file(mean, out / "model.safetensors", metadata={"format": "pt"})
    return str(out)


def ours(checkpoints: Sequence[str], suite: Suite, store: Path) -> float:
    """Seconds of ``lens-ray run`` over the checkpoints."""
    models = [
        {"name": f"m{number}", "backend": "vllm", "path": path, "replicas": 1, "options": OPTIONS}
        for number, path in enumerate(checkpoints)
    ]
    job = {"name": "sweep", "suite": suite.location, "store": str(store), "models": models}
    file = store.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(job), encoding="utf-8")
    command = [sys.executable, "-m", "jobs.benchmarks.one_engine", "run", str(file)]
    began = time.perf_counter()
    with store.with_suffix(".log").open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        tail = store.with_suffix(".log").read_text(encoding="utf-8", errors="replace")[-3000:]
        raise SystemExit(f"lens-ray ended with {done.returncode}:\n{tail}")
    return seconds


def texts(store: Path, suite: Suite, number: int) -> list[str]:
    """Our answers of one checkpoint, in the order of the suite."""
    rows = Store(str(store)).rows(columns=["model", "sample_id", "text"]).to_pylist()
    found = {row["sample_id"]: row["text"] for row in rows if row["model"] == f"m{number}"}
    return [found[sample.sample_id] for sample in suite.select(None, None)]


def replicas(store: Path) -> int:
    """How many engines there were."""
    return len(set(Store(str(store)).rows(columns=["replica"])["replica"].to_pylist()))


def probe(lmms: Lmms, suite: Suite, checkpoint: str) -> dict[str, Any]:
    """What `lmms_probe.py` found of the prompts."""
    command = [lmms.python, "-m", "jobs.benchmarks.lmms_probe", str(lmms.task), suite.location]
    command += [checkpoint, lmms.model_args(checkpoint)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=lmms.environment(1)
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def differing(mine: Sequence[Sequence[str]], their: Sequence[Sequence[str]]) -> list[str]:
    """Each pair of texts that are not the same, where both sides have the checkpoint."""
    return [
        f"checkpoint {number}, sample {place}: {a!r} against {b!r}"
        for number, (left, right) in enumerate(zip(mine, their, strict=False))
        for place, (a, b) in enumerate(zip(left, right, strict=True))
        if a != b
    ]


def measure(given: argparse.Namespace) -> dict[str, object]:
    """Ours and theirs in turn: a share of lmms-eval's checkpoints after each of our sweeps."""
    with tempfile.TemporaryDirectory(prefix="bench-lmms-") as folder:
        scratch = Path(folder)
        suite = part_of(load_suite("mini:quick"), given.samples, f"{scratch}/suite")
        limit = write_task(suite, scratch / "task")
        folders = {step: resolve(f"builtin:minivlm-a/step-{step}") for step in STEPS}
        mean = averaged([folders[step] for step in PARENTS], scratch / "mean")
        checkpoints = [mean, *folders.values()][: given.checkpoints]
        python = os.path.abspath(given.lmms_python)
        lmms = Lmms(python, scratch / "task", scratch, ARGUMENTS, given.samples, limit)
        prompts = probe(lmms, suite, checkpoints[0])
        note("prompts", prompts)
        trials = {
            setting: lmms.one(checkpoints[0], f"trial-{number}", setting)[0]
            for number, setting in enumerate(SETTINGS[: given.trials])
        }
        best = min(trials, key=lambda setting: trials[setting])
        note("lmms-eval's settings", {f"{one}": round(s, 1) for one, s in trials.items()})
        each: list[dict[str, object]] = []
        singles: list[float] = []
        sweeps: list[float] = []
        their_s: list[float] = []
        their_texts: list[list[str]] = []
        wanted = min(given.lmms_checkpoints, len(checkpoints))
        for repeat in range(given.repeats):
            singles.append(ours(checkpoints[:1], suite, scratch / f"one-{repeat}"))
            sweeps.append(ours(checkpoints, suite, scratch / f"all-{repeat}"))
            begin, until = len(their_s), wanted * (repeat + 1) // given.repeats
            for number in range(begin, until):
                seconds, answers = lmms.one(checkpoints[number], f"lmms-{number}", best)
                their_s.append(seconds)
                their_texts.append(answers)
            one = {"one_s": singles[-1], "all_s": sweeps[-1], "lmms_s": their_s[begin:]}
            each.append({**one, "load": os.getloadavg()})
            note("so far", each[-1])
        last = scratch / f"all-{given.repeats - 1}"
        mine = [texts(last, suite, number) for number in range(len(checkpoints))]
        engines = replicas(last)
        differ = differing(mine, their_texts)
        together: dict[str, object] = {}
        if given.together:
            seconds, answers_of = lmms.together(checkpoints, best)
            together = {"lmms_one_process_s": round(seconds, 1)}
            together["ratio_one_process"] = round(seconds / statistics.median(sweeps), 2)
            together["one_process_differing"] = len(differing(mine, answers_of))
    compared = given.samples * len(their_texts)
    return {
        "benchmark": "sweep_lmms",
        "samples": given.samples,
        "checkpoints": len(checkpoints),
        "max_new_tokens": limit,
        "engines": engines,
        "prompts": prompts,
        "lmms_trials": [
            {"threads": one.threads, "batch": one.batch, "seconds": round(s, 1)}
            for one, s in trials.items()
        ],
        "lmms_setting": {"threads": best.threads, "batch": best.batch},
        **verdict(singles, sweeps, their_s, len(checkpoints)),
        **together,
        "answers_compared": compared,
        "answers_equal": round(1 - len(differ) / compared, 5),
        "answers_limit": EQUAL_LIMIT,
        "differing": differ[:20],
        "repeats": given.repeats,
        "niceness": os.nice(0),
        "load": os.getloadavg(),
        "each": each,
    }


def verdict(
    singles: Sequence[float], sweeps: Sequence[float], their_s: Sequence[float], checkpoints: int
) -> dict[str, object]:
    """The figures that the limits are about.

    Args:
        singles: Our seconds for one checkpoint, by repeat.
        sweeps: Our seconds for all of them, by repeat.
        their_s: lmms-eval's seconds, by checkpoint; where there are fewer than `checkpoints`,
            their mean stands for the others.
        checkpoints: How many there are.
    """
    further = statistics.median(
        (every - one) / (checkpoints - 1) for one, every in zip(singles, sweeps, strict=True)
    )
    their_all = statistics.fmean(their_s) * checkpoints
    their_one = statistics.median(their_s)
    return {
        "ours_one_s": round(statistics.median(singles), 2),
        "ours_all_s": round(statistics.median(sweeps), 2),
        "ours_further_s": round(further, 3),
        "lmms_all_s": round(their_all, 1),
        "lmms_extrapolated": len(their_s) < checkpoints,
        "lmms_timed": len(their_s),
        "lmms_one_s": round(their_one, 2),
        "ratio": round(their_all / statistics.median(sweeps), 3),
        "limit": LIMIT,
        "further_ratio": round(further / their_one, 4),
        "further_limit": round(FURTHER_LIMIT, 4),
    }


def holds(result: dict[str, Any]) -> bool:
    """Whether every limit is kept, and both sides did the same."""
    return bool(
        result["ratio"] >= LIMIT
        and result["further_ratio"] <= FURTHER_LIMIT
        and result["answers_equal"] >= EQUAL_LIMIT
        and result["prompts"]["same"]
        and result["engines"] == 1
    )


def note(what: str, found: object) -> None:
    """Progress, beside the result."""
    print(f"{what}: {found}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lmms-python", required=True, help="of lmms-eval's environment")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--checkpoints", type=int, default=len(STEPS) + 1, help="at least 2")
    parser.add_argument("--lmms-checkpoints", type=int, default=len(STEPS) + 1)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--trials", type=int, default=len(SETTINGS), help="settings to try")
    parser.add_argument("--together", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    result = measure(given)
    result["holds"] = holds(result)
    text = json.dumps(result, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
