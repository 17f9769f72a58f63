"""A short repair of a merge against continued fine-tuning of equal cost, on the same samples.

``python -m jobs.benchmarks.bench_merge_repair --out FILE.json``. The merge is 0.25 of step 8,700
and 0.75 of step 9,600 of series a; the final checkpoint is step 9,600. Both are trained by
`lens_ray.merging.repair` on one small calibration suite of all six abilities, drawn from other
seeds than any suite (its images are none of theirs), with the same examples in the same order, once
for each rate. Then both, and both as they were, answer ``--suite``. All differences are paired by
sample; the verdict is printed whichever way it falls.

Measured with ``--lr 1e-4`` (100 steps of 16, 77,976 tokens each, mini:full, 5,678 units): the
repaired merge has no shown difference to the merge (-0.005 [-0.016, +0.006]), nor to the continued
final checkpoint (+0.002 [-0.005, +0.008]).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from lens_ray.merging.answers import TARGET
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.repair import RepairPlan
from lens_ray.merging.repair.judge import cost_line
from lens_ray.repairing import Calibration, RepairReport, repair_merge
from lens_ray.suites.images import Pixels, image_hash
from lens_ray.suites.mini import SIZES, train_stream
from lens_ray.suites.mini.item import LETTERS
from lens_ray.suites.sample import ABILITIES, Sample
from lens_ray.suites.splits import assign_splits
from lens_ray.suites.suite import load_suite, write_suite

SWITCH, FINAL = "builtin:minivlm-a/step-8700", "builtin:minivlm-a/step-9600"


def drawn(seed: int) -> Iterator[tuple[Sample, list[Pixels]]]:
    """Training samples whose images no suite has, with what this model says before its answer.

    It says what it sees before the letter or the yes or no ("red B"); trained on the bare letter
    it forgets how it comes to it.
    """
    taken = {image for size in SIZES for image in load_suite(f"mini:{size}").image_hashes()}
    for sample, images in train_stream(seed, dict.fromkeys(ABILITIES, 1.0)):
        if taken.isdisjoint(image_hash(image) for image in images):
            (answer,) = sample.answers
            seen = sample.meta.get("shown")
            if sample.choices:
                seen = sample.choices[LETTERS.index(answer)]
            said = answer if seen is None else f"{seen} {answer}"
            # A group's other rotations are not drawn; alone each is marked by itself.
            alone = replace(sample, group_id=None, meta={**sample.meta, TARGET: said})
            yield alone, images


def calibration(seed: int, size: int, folder: Path) -> str:
    """A calibration suite of so many samples."""
    pairs = list(islice(drawn(seed), size))
    images = {image_hash(image): image for _, some in pairs for image in some}
    samples = assign_splits([sample for sample, _ in pairs], seed)
    write_suite(
        f"calibration-{seed}", samples, images, folder, licence="Apache-2.0", revision=f"{seed}"
    )
    return str(folder)


def merged(out: Path) -> str:
    """The plain average that beats both ends of the series."""
    parents = (
        Parent(name="switch", path=SWITCH, weight=0.25),
        Parent(name="final", path=FINAL, weight=0.75),
    )
    apply_recipe(Recipe(method="linear", parents=parents), out, threads=1)
    return str(out)


def told(report: RepairReport) -> dict[str, Any]:
    """What one comparison found."""
    assert report.verdict is not None
    assert report.continued is not None
    return {
        "lr": report.repaired.plan.lr,
        "repaired": report.repaired.model_dump(mode="json"),
        "continued": report.continued.model_dump(mode="json"),
        "equal_cost": report.repaired.tokens == report.continued.tokens,
        "against": [asdict(one) for one in report.verdict.against],
        "says": report.verdict.says,
    }


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """All of it; rows, checkpoints and suites lie in ``--work`` and are not made twice."""
    work: Path = chosen.work
    mix = calibration(chosen.seed, chosen.samples, work / f"calibration-{chosen.seed}")
    merge = merged(work / "merge")
    found = []
    for lr in chosen.lr:
        plan = RepairPlan(steps=chosen.steps, batch=chosen.batch, lr=lr, seed=chosen.seed)
        report = repair_merge(
            merge, Calibration(mix), work / f"repaired-{lr:g}-{chosen.steps}-{chosen.seed}", plan,
            against=FINAL, suite=chosen.suite, store=str(work / "store"),
        )  # fmt: skip
        assert report.verdict is not None
        print(f"lr {lr:g}: {cost_line(report.repaired, report.continued)}", flush=True)
        for line in report.verdict.says:
            print(f"  {line}", flush=True)
        found.append(told(report))
    return {
        "benchmark": "merge_repair",
        "suite": chosen.suite,
        "calibration_samples": chosen.samples,
        "steps": chosen.steps,
        "batch": chosen.batch,
        "seed": chosen.seed,
        "load": os.getloadavg()[0],
        "each": found,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="mini:full")
    parser.add_argument("--samples", type=int, default=600, help="of the calibration suite")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, nargs="*", default=[2e-5, 1e-4])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="kept; else all of it is temporary")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        chosen.work = chosen.work or Path(scratch)
        result = measure(chosen)
    text = json.dumps(result, indent=1)
    if chosen.out is not None:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
