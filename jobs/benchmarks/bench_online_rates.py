"""How often online evaluation is wrong, and how often it sees what is there.

``python jobs/benchmarks/bench_online_rates.py [--runs 500] [--only KIND] [--out FILE.json]``.
Training runs with a known truth are simulated (`lens_ray.testing.simulated_runs`: six abilities of
1,000 items, 30 checkpoints, persistent item noise) and looked at after every checkpoint. Windows
are declared beforehand; ``blocks`` beside it are the same figures with consecutive blocks in the
place of declared windows.

False alarms are shares of runs in which at least one of six abilities (30 ordered pairs) was
wrongly said, at any of 30 looks, to have converged, to fall, to be in conflict. In random walks
every decline and conflict is false. The exit code is 1 where a share is beyond its limit by more
than 2.6 standard errors of the simulation. What nobody can foresee (a rise after a true plateau, a
slow rise that adds up) has its own table: how many of the abilities were declared, how many of
these taken back, and the points that would have been lost by stopping there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

# Run as a script, only its own folder is on the path.
sys.path.insert(0, str(Path(__file__).parents[2]))


from jobs.benchmarks.online_truths import WITHIN, Alarmed, Said, alarmed_by, said_of
from lens_ray.online.spec import Declared, Rules
from lens_ray.testing.simulated_runs import Design, Kind, simulate

RUNS, SEED = 500, 20261128
#: Blocks are looked at in every second run: they take most of the time.
BLOCKS = 2
#: False alarms of one kind a run, at most; power and plateaus found, at least.
MOST, LEAST_POWER, LEAST_PLATEAU = 0.06, 0.85, 0.80


@dataclass(frozen=True)
class Truths:
    """A kind of run.

    Attributes:
        name: In the table.
        kind: What is simulated.
        effect: Of it.
        design: Of the run.
        least_power: Power that is asked for (of declines or of conflicts, by the kind); None prints
            it only.
        held: Whether the limits of false alarms are asked for.
        foreseeable: Whether what comes later can be known; else it is in the second table.
    """

    name: str
    kind: Kind
    effect: float = 0.05
    design: Design = field(default_factory=Design)
    least_power: float | None = None
    held: bool = True
    foreseeable: bool = True


TRUTHS = (
    Truths("flat", "flat"),
    Truths("flat, wobble 0.5", "flat", design=Design(wobble=0.005)),
    Truths("early plateau", "early_plateau"),
    Truths("late rise", "late_rise"),
    Truths("decline 5", "decline", least_power=LEAST_POWER),
    Truths("decline 4", "decline", 0.04),
    Truths("conflict 5", "conflict", least_power=LEAST_POWER),
    Truths("conflict 4", "conflict", 0.04),
    Truths("walks 0.25", "random_walks", 0.0025),
    Truths("walks 0.5", "random_walks", 0.005),
    Truths("walks 1", "random_walks", 0.01),
    Truths("second rise", "second_rise", held=False, foreseeable=False),
    Truths("slow rise 0.3", "slow_rise", held=False, foreseeable=False),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a kind: convergence, and alarms with windows declared and with blocks."""

    said: list[Said]
    declared: Alarmed
    blocks: Alarmed | None


def one(number: int, truths: Truths) -> Run:
    """Simulate a run and look at it."""
    series, truth = simulate(truths.kind, SEED + number, truths.design, effect=truths.effect)
    windows = Rules(windows=(Declared(early=truth.early, late=truth.late),))
    with_blocks = number % BLOCKS == 0
    return Run(
        said=said_of(series, truth, truths.design, Rules()),
        declared=alarmed_by(series, truth, windows),
        blocks=alarmed_by(series, truth, Rules()) if with_blocks else None,
    )


@dataclass(frozen=True, slots=True)
class Share:
    """A share of runs (or abilities) with its 95 % interval and its limit."""

    share: float
    low: float
    high: float
    count: int
    most: float | None = None
    least: float | None = None

    @property
    def sound(self) -> bool:
        """Whether it is not beyond its limit by more than 2.6 standard errors."""
        off = 2.6 * (self.share * (1 - self.share) / self.count) ** 0.5
        above = self.most is not None and self.share - off > self.most
        below = self.least is not None and self.share + off < self.least
        return not (above or below)

    def __str__(self) -> str:
        text = f"{100 * self.share:5.1f} % ({100 * self.low:.1f}-{100 * self.high:.1f})"
        return text if self.sound else f"{text} BEYOND"


def share_of(
    values: Sequence[bool | float], most: float | None = None, least: float | None = None
) -> Share | None:
    """The share of what is true; None of nothing."""
    from lens_ray.stats.intervals import wilson

    if not values:
        return None
    mean = statistics.fmean(values)
    low, high = wilson(mean, len(values))
    return Share(mean, low, high, len(values), most, least)


def figures(truths: Truths, runs: Sequence[Run]) -> dict[str, Share | None]:
    """The shares of one kind."""
    most = MOST if truths.held else None
    abilities = [said for run in runs for said in run.said]
    plateaus = [said for said in abilities if said.plateau]
    # After a second rise the newest step is another one.
    first = plateaus if truths.foreseeable else []
    near = [said.off is not None and abs(said.off) <= WITHIN for said in first]
    soon = [said.delay is not None and said.delay <= WITHIN for said in plateaus]
    asked = LEAST_PLATEAU if truths.kind == "early_plateau" else None

    def any_said(pick: Callable[[Said], bool]) -> list[bool]:
        return [any(pick(said) for said in run.said) for run in runs]

    found = {
        "false convergence": share_of(any_said(lambda said: said.false), most),
        "by the step alone": share_of(any_said(lambda said: said.false_of_step)),
        "step within six": share_of(near, least=asked),
        "declared within six": share_of(soon, least=asked),
    }
    fell = truths.kind == "decline"
    picks: dict[str, Callable[[Run], Alarmed | None]] = {
        "": lambda run: run.declared,
        "blocks: ": lambda run: run.blocks,
    }
    for name, pick in picks.items():
        alarmed = [each for run in runs if (each := pick(run)) is not None]
        declines = [each.declines for each in alarmed if each.declines is not None]
        conflicts = [each.conflicts for each in alarmed if each.conflicts is not None]
        power = truths.least_power if not name else None
        found |= {
            f"{name}false decline": share_of([each.false_decline for each in alarmed], most),
            f"{name}false conflict": share_of([each.false_conflict for each in alarmed], most),
            f"{name}declines found": share_of(declines, least=power if fell else None),
            f"{name}conflicts found": share_of(conflicts, least=None if fell else power),
        }
    return found


def unforeseen(runs: Sequence[Run]) -> dict[str, float]:
    """What is said of abilities before what nobody can foresee."""
    abilities = [said for run in runs for said in run.said]
    declared = [said for said in abilities if said.declared]
    return {
        "declared": len(declared) / len(abilities),
        "taken back": sum(said.withdrawn for said in declared) / max(len(declared), 1),
        "points lost": 100 * statistics.fmean([said.lost for said in declared] or [0.0]),
    }


def delays(runs: Sequence[Run]) -> dict[str, float]:
    """Median and 80 % quantile of the checkpoints from a plateau until it was said."""
    found = sorted(s.delay for run in runs for s in run.said if s.delay is not None)
    off = sorted(s.off for run in runs for s in run.said if s.off is not None)
    if not found or not off:
        return {}
    return {
        "delay median": statistics.median(found),
        "delay 80 %": found[int(0.8 * (len(found) - 1))],
        "step off median": statistics.median(off),
    }


def main() -> int:
    """Run the kinds and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", help="one kind of the table, by its name")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    wanted = [truths for truths in TRUTHS if given.only in (None, truths.name, truths.kind)]
    if not wanted:
        names = ", ".join(truths.name for truths in TRUTHS)
        parser.error(f"no kind {given.only!r}; there are: {names}")
    began, sound = time.perf_counter(), True
    report: dict[str, dict[str, object]] = {}
    with ProcessPoolExecutor(given.processes) as pool:
        for truths in wanted:
            runs = list(pool.map(partial(one, truths=truths), range(given.runs), chunksize=8))
            shares = {name: share for name, share in figures(truths, runs).items() if share}
            extra = delays(runs) | ({} if truths.foreseeable else unforeseen(runs))
            sound &= all(share.sound for share in shares.values())
            report[truths.name] = {
                **{name: asdict(share) for name, share in shares.items()},
                **extra,
            }
            print(f"\n{truths.name}: {given.runs} runs", flush=True)
            for name, share in shares.items():
                print(f"  {name:22} {share}")
            for name, value in extra.items():
                print(f"  {name:22} {value:.2f}")
    seconds = time.perf_counter() - began
    print(f"\n{len(wanted)} kinds of {given.runs} runs in {seconds:.0f} s; sound: {sound}")
    if given.out is not None:
        facts = {"benchmark": "online rates", "runs": given.runs, "seconds": round(seconds, 1)}
        text = json.dumps({**facts, "kinds": report, "sound": sound}, indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
