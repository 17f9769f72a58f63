"""What following the advice of online evaluation is worth, in compute and in points.

``python jobs/benchmarks/bench_online_advice.py [--runs 40] [--only KIND] [--out FILE.json]``.
Training runs with a known truth are simulated (`lens_ray.testing.simulated_runs`: six abilities of
1,000 items, 30 checkpoints) and looked at after every checkpoint. Four who decide when to end:

* fixed: trains to the planned end and takes the last checkpoint;
* patience: ends when the highest overall score is 5 checkpoints old, and takes that checkpoint;
* advice: ends at the first look at which the advice is to stop, and takes the checkpoint that it
  names; at the planned end at the latest, with the best one;
* oracle: knows the truth and the future, and ends at the first checkpoint that is within the margin
  (2 points) of the best that the run will ever have.

compute: share of the planned steps that was trained. lost: true overall score (in points) of the
best checkpoint that the full run would have had, minus that of the one taken. each lost: the same
of the abilities, where the best checkpoint of each is kept (fixed: the last); mean over them.
``second rise`` and ``slow rise`` cannot be foreseen, and ``late rise`` only by not trusting chance.

At the end the shipped series: decisions see the splits ``anchor`` and ``search``, the scores on
``sealed`` stand in the place of a truth. The exit code is 1 where following the advice loses more
points than the margin, on average, in a kind that can be foreseen, or saves less than 20 % where
every ability is flat early.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

# Run as a script, only its own folder is on the path.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from lens_ray.online.advice import RUN, advise_run
from lens_ray.online.best import best_checkpoints
from lens_ray.online.convergence import convergence
from lens_ray.online.declines import declines
from lens_ray.online.detect import look_at
from lens_ray.online.findings import AdviceLine, Findings
from lens_ray.online.series import Series
from lens_ray.online.shift import Ground
from lens_ray.online.spec import WatchSpec, load_watch
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.units import Floats
from lens_ray.testing.simulated_runs import Design, Kind, simulate

RUNS, SEED, PATIENCE = 40, 20261128, 5
#: Of kinds that can be foreseen; compute saved where all is flat early.
MOST_LOST, LEAST_SAVED = 2.0, 0.20
POLICIES = ("fixed", "patience", "advice", "oracle")


@dataclass(frozen=True)
class Truths:
    """A kind of run.

    Attributes:
        name: In the table.
        kind: What is simulated.
        effect: Of it.
        foreseeable: Whether the limit of lost points is asked for.
        early: Whether the limit of saved compute is.
        design: Of the run.
    """

    name: str
    kind: Kind
    effect: float = 0.05
    foreseeable: bool = True
    early: bool = False
    design: Design = field(default_factory=Design)


TRUTHS = (
    Truths("flat", "flat", early=True),
    Truths("early plateau", "early_plateau", early=True),
    Truths("late rise", "late_rise"),
    Truths("decline", "decline"),
    Truths("conflict", "conflict"),
    Truths("walks 0.5", "random_walks", 0.005),
    Truths("second rise", "second_rise", foreseeable=False),
    Truths("slow rise 0.3", "slow_rise", foreseeable=False),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """How one who decides came out.

    Attributes:
        compute: Share of the planned steps that was trained.
        lost: Overall points behind the best checkpoint of the full run.
        each_lost: The same of the abilities, each with its own checkpoint.
    """

    compute: float
    lost: float
    each_lost: float


def until(series: Series, look: int) -> Series:
    """A run as it was known at a look, from 0."""
    count = look + 1
    return replace(
        series,
        steps=series.steps[:count],
        marks=series.marks.only(series.marks.models[:count]),
        depth=series.depth[:count],
    )


def advised_end(series: Series, spec: WatchSpec) -> tuple[int, AdviceLine | None]:
    """The first look at which the advice is to stop, and its line; the last look where none is.

    An ability that rises is not falling, so looks at which one does, or at which one has not been
    learned, need no further test.
    """
    last = len(series.steps) - 1
    for look in range(last + 1):
        so_far = until(series, look)
        found = convergence(so_far, spec.rules)
        if any(each.phase in ("rising", "not_learned", "too_few") for each in found):
            continue
        fallen = declines(so_far, spec.rules, look_at(so_far, spec.rules, Ground(so_far)))
        step = int(so_far.steps[-1])
        findings = Findings(so_far.run, step, convergence=found, declines=fallen)
        lines = advise_run(so_far, findings, spec, spec.runs[0])
        line = next(line for line in lines if line.about == RUN)
        if line.verdict == "stop":
            return look, line
    return last, None


def patient_end(overall: Floats) -> int:
    """The look at which the highest score is `PATIENCE` checkpoints old; else the last."""
    best = np.maximum.accumulate(overall)
    for look in range(PATIENCE, len(overall)):
        if best[look] == best[look - PATIENCE]:
            return look
    return len(overall) - 1


def outcomes(
    series: Series, skill: Mapping[str, Floats], spec: WatchSpec, planned: int | None = None
) -> dict[str, Taken]:
    """How all four come out in one run.

    Args:
        series: The run.
        skill: True score of each checkpoint, by ability and ``overall``.
        spec: The watch: its rules count.
        planned: Steps of the full run; None is its last checkpoint.
    """
    steps = series.steps.tolist()
    figures = ability_figures(series.marks)
    values = figures.values(means_of(series.marks))
    seen = dict(zip(figures.names, values.T, strict=True))
    whole = skill[OVERALL]
    last = len(steps) - 1

    def taken(end: int, place: int, each: Mapping[str, int]) -> Taken:
        lost = [skill[name].max() - skill[name][at] for name, at in each.items()]
        return Taken(
            steps[end] / (planned or steps[-1]),
            100 * float(whole.max() - whole[place]),
            100 * float(np.mean(lost)),
        )

    names = series.abilities
    patient = patient_end(seen[OVERALL])
    end, line = advised_end(series, spec)
    best = best_checkpoints(until(series, end), margin=spec.rules.margin)
    named = line.steps[0] if line is not None else best[OVERALL].step
    oracle = int(np.flatnonzero(whole >= whole.max() - spec.rules.margin)[0])
    return {
        "fixed": taken(last, last, dict.fromkeys(names, last)),
        "patience": taken(
            patient,
            int(seen[OVERALL][: patient + 1].argmax()),
            {name: int(seen[name][: patient + 1].argmax()) for name in names},
        ),
        "advice": taken(
            end,
            steps.index(named),
            {name: steps.index(best[name].step) for name in names},
        ),
        "oracle": taken(
            oracle, oracle, {name: int(skill[name][: oracle + 1].argmax()) for name in names}
        ),
    }


def one(number: int, truths: Truths) -> dict[str, Taken]:
    """Simulate a run and decide in it."""
    series, truth = simulate(truths.kind, SEED + number, truths.design, effect=truths.effect)
    skill = {name: truth.skill[:, place] for place, name in enumerate(truths.design.abilities)} | {
        OVERALL: truth.skill.mean(axis=1)
    }
    return outcomes(series, skill, watch())


def watch() -> WatchSpec:
    """A watch with the usual rules."""
    run = {"name": "run", "path": "none"}
    facts = {"name": "bench", "suite": "simulated", "store": "none", "runs": [run]}
    return WatchSpec.model_validate(facts)


def shipped() -> dict[str, Taken]:
    """The shipped series: decided on one half of the samples, valued on the other."""
    from lens_ray.online.assess import replayed
    from lens_ray.online.load import load_series
    from lens_ray.store import Store

    spec = load_watch(Path(__file__).parents[1] / "watch_minivlm.yaml")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder, create=True)
        run = spec.runs[0]
        series = load_series(spec, store, run, replayed(spec, store, run))
    decided_on = series.marks.of("split", ["anchor", "search"])
    held_out = series.marks.of("split", ["sealed"])
    figures = ability_figures(held_out)
    values = figures.values(means_of(held_out))
    skill = dict(zip(figures.names, values.T, strict=True))
    return outcomes(replace(series, marks=decided_on), skill, spec)


def table(name: str, runs: Sequence[Mapping[str, Taken]]) -> dict[str, dict[str, float]]:
    """Print one kind; its figures."""
    print(f"\n{name}: {len(runs)} runs\n  {'':9} compute  lost (90 %)    each lost", flush=True)
    found = {}
    for policy in POLICIES:
        taken = [run[policy] for run in runs]
        lost = sorted(each.lost for each in taken)
        found[policy] = {
            "compute": statistics.fmean(each.compute for each in taken),
            "lost": statistics.fmean(lost),
            "lost_90": lost[round(0.9 * (len(lost) - 1))],
            "each_lost": statistics.fmean(each.each_lost for each in taken),
        }
        row = found[policy]
        lost_text = f"{row['lost']:5.2f} ({row['lost_90']:5.2f})"
        print(f"  {policy:9} {100 * row['compute']:5.0f} %  {lost_text}  {row['each_lost']:9.2f}")
    return found


def sound_of(truths: Truths, found: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether the limits are kept."""
    advice = found["advice"]
    lost = not truths.foreseeable or advice["lost"] <= MOST_LOST
    return lost and (not truths.early or 1 - advice["compute"] >= LEAST_SAVED)


def main() -> int:
    """Run the kinds and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", help="one kind of the table, by its name; shipped is one")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    names = [*(truths.name for truths in TRUTHS), "shipped"]
    if given.only not in (None, *names):
        parser.error(f"no kind {given.only!r}; there are: {', '.join(names)}")
    began, report, sound = time.perf_counter(), {}, True
    with ProcessPoolExecutor(given.processes) as pool:
        for truths in TRUTHS:
            if given.only in (None, truths.name):
                runs = list(pool.map(partial(one, truths=truths), range(given.runs), chunksize=4))
                report[truths.name] = table(truths.name, runs)
                sound &= sound_of(truths, report[truths.name])
    if given.only in (None, "shipped"):
        report["shipped"] = table("shipped series, valued on sealed samples", [shipped()])
    seconds = time.perf_counter() - began
    print(f"\n{len(report)} kinds in {seconds:.0f} s; sound: {sound}")
    if given.out is not None:
        facts = {"benchmark": "online advice", "runs": given.runs, "seconds": round(seconds, 1)}
        text = json.dumps({**facts, "kinds": report, "sound": sound}, indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
