"""What a search for merges finds, how much of its gain is luck, and how often it is wrong.

``python jobs/benchmarks/bench_merge_search.py [--runs 40] [--only KIND] [--out FILE.json]``.
Training runs whose merges have a known truth are simulated (`lens_ray.testing.simulated_merges`:
five checkpoints, six abilities, 200 + 300 items of each for the search, 2,000 that confirm) and
searched with the rules' defaults but a margin of 0.03. Who chooses, on the same answers:

* single: the best checkpoint; uniform: the mean of all; published: half the final checkpoint and
  half the best one at an ability, the highest of these (AbilityLens); greedy: checkpoints in the
  order of their score, added as long as the score does not fall (Wortsman 2022, without bounds);
* highest: of all that the search asked, the highest; search: what it would confirm; recommended:
  what it recommends after it was confirmed or not.

behind: true overall score (in points) of the best mean of the checkpoints on a grid, minus that of
the one chosen. search gain, sealed gain, true gain: of the highest and of the search's choice over
the best single checkpoint, on the samples it was chosen by, on those that confirm, in truth; what
the search expects is its own estimate of the luck in the first. false: a merge is recommended that
is in truth not ahead of both checkpoints, or loses an ability of the final one by over the margin.

The exit code is 1 where merges are falsely recommended in more runs of a kind than an error of 5 %
explains (of 40, more than 5).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

# Run as a script, only its own folder is on the path.
sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from lens_ray.merging.recipe import Parent
from lens_ray.merging.search.found import Found
from lens_ray.merging.search.lattice import lattice
from lens_ray.merging.search.pool import average
from lens_ray.merging.search.search import search
from lens_ray.merging.search.table import Table, table_of
from lens_ray.merging.search.trial import Ground, Trial
from lens_ray.merging.spec import MergeSpec, SearchRules
from lens_ray.stats.abilities import OVERALL
from lens_ray.testing.simulated_merges import KINDS, Kind, MergeDesign, SimulatedMerges

RUNS, MARGIN = 40, 0.03
CHOOSERS = ("single", "uniform", "published", "greedy", "highest", "search", "recommended")
#: Falsely recommended merges that chance explains in 40 runs at 5 % each, with 99 %.
MOST_FALSE = {40: 5}


@dataclass(frozen=True, slots=True)
class Run:
    """How one simulated run was searched.

    Attributes:
        behind: True points behind the best mean, by who chooses.
        verdict: Of the search.
        false: Whether a merge was recommended that should not be.
        helps: True points of the best mean ahead of the best checkpoint.
        gains: Search, sealed and true gain of the highest and of the search's choice, in points.
        expected: What the search takes for luck in its gain, in points.
        covered: Share of prediction intervals that hold what was measured.
        samples: Asked, without those that confirm.
    """

    behind: Mapping[str, float]
    verdict: str
    false: bool
    helps: float
    gains: Mapping[str, tuple[float, float, float]]
    expected: float | None
    covered: float | None
    samples: int


def design() -> MergeDesign:
    """Five checkpoints; the conflict's size is that of the shipped run."""
    return MergeDesign(confirm=2000)


def one_run(kind: Kind, seed: int) -> Run:
    """Simulate, search, and compare with the truth."""
    asker = SimulatedMerges(kind, seed, design())
    rules = SearchRules(margin=MARGIN)
    spec = MergeSpec(name="bench", suite="-", store="-", parents=asker.parents, search=rules)
    found = search(
        spec, asker.parents, asker,
        published=partial(_halves, asker), confirm_samples=6 * design().confirm,
    )  # fmt: skip
    searched = [each for each in found.tried if each.ground == "search"]
    samples = sum(size for (_, where), size in asker.done.items() if where == "search")
    trials = {each.name: _one(each) for each in asker.parents}
    trials |= {each.trial.name: each.trial for each in searched}
    table = _table(asker, list(trials.values()))
    single = trials[found.best_single]
    merges = [each for each in trials.values() if not each.single]
    highest = max(merges, key=lambda each: table.values[each.name][OVERALL], default=single)
    chosen = found.chosen or single
    taken = {
        "single": single, "uniform": _mean("uniform", asker.parents, asker.parents),
        "published": _published(asker, table, found.final), "greedy": _greedy(asker, table),
        "highest": highest, "search": chosen, "recommended": found.recommended,
    }  # fmt: skip
    best = _oracle(asker)
    true = {name: asker.truth(trial.recipe)[OVERALL] for name, trial in taken.items()}
    return Run(
        behind={name: 100 * (best - value) for name, value in true.items()},
        verdict=found.verdict, false=_false(asker, found),
        helps=100 * (best - max(asker.truth(_one(each).recipe)[OVERALL] for each in asker.parents)),
        gains={
            name: _gains(asker, table, taken[name], single)
            for name in ("highest", "search") if not taken[name].single
        },
        expected=None if found.optimism is None else 100 * found.optimism.expected,
        covered=_covered(found), samples=samples,
    )  # fmt: skip


def _one(parent: Parent) -> Trial:
    return average(parent.name, {parent.name: 1.0}, [parent])


def _mean(name: str, members: Sequence[Parent], parents: Sequence[Parent]) -> Trial:
    return average(name, {each.name: 1 / len(members) for each in members}, parents)


def _table(asker: SimulatedMerges, trials: Sequence[Trial], ground: Ground = "search") -> Table:
    return table_of(asker.ask(trials, ground), None, 0.95)


def _halves(asker: SimulatedMerges, best: Mapping[str, Parent], final: Parent) -> list[Trial]:
    """Half the final checkpoint and half the best one at an ability, for each."""
    names = sorted({each.name for each in best.values()} - {final.name})
    return [
        average(f"published.{name}", {name: 0.5, final.name: 0.5}, asker.parents) for name in names
    ]


def _published(asker: SimulatedMerges, table: Table, final: str) -> Trial:
    """The highest of those."""
    by_name = {each.name: each for each in asker.parents}
    best = {
        one: by_name[max(by_name, key=lambda name: table.values[name][one])]
        for one in table.abilities
    }
    trials = _halves(asker, best, by_name[final]) or [_one(by_name[final])]
    values = _table(asker, trials).values
    return max(trials, key=lambda each: values[each.name][OVERALL])


def _greedy(asker: SimulatedMerges, table: Table) -> Trial:
    """A greedy soup as published."""
    ranked = sorted(asker.parents, key=lambda each: -table.values[each.name][OVERALL])
    members, soup = ranked[:1], _one(ranked[0])
    for each in ranked[1:]:
        wider = _mean("wider", [*members, each], asker.parents)
        values = _table(asker, [Trial("now", soup.recipe), wider]).values
        if values["wider"][OVERALL] >= values["now"][OVERALL]:
            members, soup = [*members, each], wider
    return soup


def _oracle(asker: SimulatedMerges) -> float:
    """True overall score of the best mean of the checkpoints, on a grid of tenths."""
    names = [each.name for each in asker.parents]
    grid = lattice(len(names), 10)
    return max(
        asker.truth(
            average("grid", dict(zip(names, row.tolist(), strict=True)), asker.parents).recipe
        )[OVERALL]
        for row in grid
    )


def _false(asker: SimulatedMerges, found: Found) -> bool:
    """Whether a merge is recommended of which a claim is wrong."""
    if found.verdict != "merge":
        return False
    by_name = {each.name: _one(each) for each in asker.parents}
    merge = asker.truth(found.recommended.recipe)
    final = asker.truth(by_name[found.final].recipe)
    single = asker.truth(by_name[found.best_single].recipe)
    return merge[OVERALL] <= single[OVERALL] or any(
        merge[figure] - final[figure] <= (0.0 if figure == OVERALL else -MARGIN) for figure in final
    )


def _gains(
    asker: SimulatedMerges, table: Table, taken: Trial, single: Trial
) -> tuple[float, float, float]:
    sealed = _table(asker, [taken, single], "confirm").values
    true = asker.truth(taken.recipe)[OVERALL] - asker.truth(single.recipe)[OVERALL]
    here, there = (
        values[taken.name][OVERALL] - values[single.name][OVERALL]
        for values in (table.values, sealed)
    )
    return 100 * here, 100 * there, 100 * true


def _covered(found: Found) -> float | None:
    held = [
        each.predicted.low <= each.measured <= each.predicted.high
        for each in found.predicted
        if each.measured is not None
        and each.predicted.low is not None
        and each.predicted.high is not None
    ]
    return float(np.mean(held)) if held else None


def summed(runs: Sequence[Run]) -> dict[str, object]:
    """Means over runs."""
    found: dict[str, object] = {
        "runs": len(runs),
        "helps": float(np.mean([each.helps for each in runs])),
        "behind": {name: float(np.mean([each.behind[name] for each in runs])) for name in CHOOSERS},
        "unconfirmed": float(np.mean([each.verdict == "unconfirmed" for each in runs])),
        "merge": float(np.mean([each.verdict == "merge" for each in runs])),
        "false": sum(each.false for each in runs),
        "samples": float(np.mean([each.samples for each in runs])),
    }
    for name in ("highest", "search"):
        gains = [each.gains[name] for each in runs if name in each.gains]
        if gains:
            found[f"gains of {name}"] = [float(each) for each in np.mean(gains, axis=0)]
    expected = [each.expected for each in runs if each.expected is not None]
    covered = [each.covered for each in runs if each.covered is not None]
    found["expected luck"] = float(np.mean(expected)) if expected else None
    found["predictions held"] = float(np.mean(covered)) if covered else None
    return found


def printed(kind: str, one: Mapping[str, object]) -> None:
    """One kind, as lines."""
    print(
        f"{kind}: {one['runs']} runs, {one['samples']:,.0f} samples each; the best mean is "
        f"{one['helps']:.2f} points ahead of the best checkpoint"
    )
    behind = one["behind"]
    assert isinstance(behind, Mapping)
    print("  behind the best mean: " + ", ".join(f"{name} {behind[name]:.2f}" for name in CHOOSERS))
    for name in ("highest", "search"):
        gains = one.get(f"gains of {name}")
        if isinstance(gains, list):
            print(
                f"  gain of {name}: {gains[0]:+.2f} on the search's samples, {gains[1]:+.2f} on "
                f"the sealed ones, {gains[2]:+.2f} in truth"
            )
    if one["expected luck"] is not None:
        print(f"  luck as the search estimates it: {one['expected luck']:.2f}")
    if one["predictions held"] is not None:
        print(f"  prediction intervals held {one['predictions held']:.0%}")
    print(
        f"  unconfirmed {one['unconfirmed']:.0%}, a merge recommended in {one['merge']:.0%}, "
        f"falsely in {one['false']} of {one['runs']}"
    )


def main() -> int:
    """Run all kinds and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    started, found, failed = time.monotonic(), {}, []
    with ProcessPoolExecutor(given.workers) as pool:
        for kind in KINDS if given.only is None else (given.only,):
            runs = list(pool.map(partial(one_run, kind), range(given.runs)))
            found[kind] = {**summed(runs), "each": [asdict(each) for each in runs]}
            printed(kind, found[kind])
            false = sum(each.false for each in runs)
            if false > MOST_FALSE.get(given.runs, max(0.2 * given.runs, 1)):
                failed.append(f"{kind}: {false} merges falsely recommended")
    print(f"{time.monotonic() - started:.0f} s")
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    for line in failed:
        print(line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
