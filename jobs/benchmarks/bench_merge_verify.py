"""How often does a verification err? Planted faults, sound merges, and fields with a known truth.

``python -m jobs.benchmarks.bench_merge_verify --workers 16 --out FILE.json`` makes merges of the
shipped series with `apply_recipe`, decides by the built-in policy, and prints:

* **false GO**: planted faults of the folder that are a GO of V0 to V2 (the record is as the faulty
  merger would write it: V5 is not asked), and planted faults of the answers that are a GO of V4;
* **false NO-GO**: sound merges that are a NO-GO of V0, V1, V2 and V4 together;
* fields drawn from stored answers with a known truth: how often V4 says what of the abilities.

What is a fault and what is sound was fixed before anything was run:

* A merge is *sound* where, on `mini:confirm` (12,013 samples that verification does not see here),
  no ability's estimate is the margin or more below the final checkpoint's, and the composite's is
  not more than a quarter of the margin below it. The others are counted apart.
* An ability *regressed* where what is taken from it is more than the margin and the merge's lead
  over the final checkpoint on `mini:confirm` together. Less is told and does not count.

Sound merges are asked `mini:full`, as a release would be; without images its anchor samples. Each
worker has one thread and about 1 GB; of one core, a fault of a folder takes some 3 s and a sound
merge 100 s. With ``--seconds`` nothing more is begun after these, in an order that knows no
results. Bounds are one-sided, 95 %, of Clopper and Pearson.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.check_minivlm import abilities as scores_of
from jobs.check_minivlm import answered
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.checks import Check, failed
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.verify.algebra import algebra
from lens_ray.merging.verify.behaviour import abilities, behaviour
from lens_ray.merging.verify.critical import upper_bound
from lens_ray.merging.verify.function import Parents, function, parents_of
from lens_ray.merging.verify.policy import Policy, decide
from lens_ray.merging.verify.probes import choose_probes
from lens_ray.merging.verify.provenance import read_record
from lens_ray.merging.verify.structure import structure
from lens_ray.merging.verify.tiers import BehaviourGround, FunctionGround, Ingredient
from lens_ray.models.checkpoint import inspect_checkpoint
from lens_ray.models.resolve import builtin_root
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.gate.planted import plant
from lens_ray.stats.marks import Marks, marks_of
from lens_ray.suites.controls import blind
from lens_ray.suites.suite import Suite, load_suite, read_suite
from lens_ray.testing.planted_merges import (
    RowFault,
    answer_faults,
    sound_shares,
    weight_faults,
)

SERIES = builtin_root() / "minivlm-a"
STEPS = ("step-8700", "step-9000", "step-9300", "step-9600")
FINAL, STALE = STEPS[-1], "step-0500"
POLICY = Policy(tiers=("V0", "V1", "V2", "V4"))
MARGIN = POLICY.behaviour.margin
#: Merges whose answers get faults. What is said of each without a fault is told too: where that is
#: no GO, faults in it test less.
BASES = (
    {STEPS[0]: 0.25, FINAL: 0.75},
    {STEPS[1]: 0.2, FINAL: 0.8},
    {STEPS[2]: 0.5, FINAL: 0.5},
)
QUICK, FULL, CONFIRM = "mini:quick", "mini:full", "mini:confirm"
ANCHOR = ("anchor",)
NO_FAULT = "no fault"


@dataclass(frozen=True)
class Place:
    """Where workers read and write.

    Attributes:
        work: Of merges; gone at the end.
        rows: Answers of the shipped checkpoints, kept.
        suite: That V4 asks.
        confirm: That tells the truth.
        seed: Of what is drawn.
    """

    work: Path
    rows: Path
    suite: str
    confirm: str
    seed: int

    def asked(self, folder: Path, ref: str, *, dark: bool = False, whole: bool = False) -> pa.Table:
        """Answers of a checkpoint, now or before; without images those of the anchor or of all."""
        suite = _dark(self.work, ref) if dark else load_suite(ref)
        if dark and not whole:
            suite = replace(suite, name=f"{suite.name}-anchor", samples=_anchor(suite))
        return answered(folder, suite, self.rows if folder.parent == SERIES else self.work / "rows")

    def ground(
        self, merge: pa.Table, dark: pa.Table, parents: Sequence[str], *, whole: bool = False
    ) -> BehaviourGround:
        """What V4 looks at; the final checkpoint is asked without images, as a release does."""
        names = list(dict.fromkeys([*parents, FINAL]))
        tables = {"merge": merge, **{one: self.asked(SERIES / one, self.suite) for one in names}}
        final = self.asked(SERIES / FINAL, self.suite, dark=True, whole=whole)
        without = {"merge": dark, FINAL: final}
        return BehaviourGround(
            self._marks(tables), "merge", tuple(parents), FINAL, tables,
            {"blind": self._marks(without)}, {"blind": without},
        )  # fmt: skip

    def _marks(self, tables: Mapping[str, pa.Table]) -> Marks:
        suite = load_suite(self.suite)
        return marks_of(tables, weights=suite.weights, suite=suite.name, suite_digest=suite.digest)

    def ahead(self, folder: Path) -> dict[str, float]:
        """The truth: how far a merge is above the final checkpoint, by ability and ``overall``."""
        weights = load_suite(self.confirm).weights
        mine, final = (
            scores_of(self.asked(one, self.confirm), weights) for one in (folder, SERIES / FINAL)
        )
        return {name: mine[name] - final[name] for name in mine}


@lru_cache
def _dark(work: Path, ref: str) -> Suite:
    """The suite without its images, made once by the parent process."""
    folder = work / f"{ref.replace(':', '-')}-blind"
    suite = load_suite(ref)
    return read_suite(str(folder)) if (folder / "suite.json").is_file() else blind(suite, folder)


def _anchor(suite: Suite) -> Any:
    return tuple(one for one in suite.samples if one.split in ANCHOR) or suite.samples


def merged(shares: Mapping[str, float], out: Path) -> Path:
    """A weighted mean of shipped checkpoints."""
    parents = tuple(
        Parent(name=step, path=f"builtin:minivlm-a/{step}", weight=share)
        for step, share in shares.items()
    )
    apply_recipe(Recipe(method="linear", parents=parents), out, durable=False)
    return out


class Folders:
    """V0 to V2 of folders made by one recipe."""

    def __init__(self, record: MergeRecord) -> None:
        self._record = record
        self._folders = {one.name: SERIES / one.name for one in record.recipe.parents}
        self._facts = [inspect_checkpoint(str(one), digest=False) for one in self._folders.values()]
        self._suite = load_suite(QUICK)
        self._probes = choose_probes(self._suite, POLICY.function.probes, 0)
        self._parents: Parents | None = None

    def tiers(self, folder: Path) -> dict[str, tuple[Check, ...]]:
        """Each tier alone, whatever the others found."""
        asked = self._record.recipe
        shares = {one.name: one.weight or 0.0 for one in asked.parents}
        kin = tuple(Ingredient(n, self._folders[n], share) for n, share in shares.items())
        ground = FunctionGround(folder, kin, self._suite, self._probes, self._record)
        zero = structure(folder, asked, self._facts)
        one: tuple[Check, ...] = ()
        if not any(check.name in ("readable", "keys") for check in failed(zero)):
            one = tuple(algebra(folder, asked, list(self._folders.values()), None, POLICY.algebra))
        self._parents = self._parents or parents_of(ground)
        return {"V0": zero, "V1": one, "V2": function(ground, POLICY.function, self._parents)}


@lru_cache(maxsize=1)
def _folders(made: Path) -> Folders:
    return Folders(read_record(made))


def folder_fault(place: Place, made: Path, number: int) -> dict[str, Any]:
    """Which tiers fail one fault of a folder."""
    fault = weight_faults(made, SERIES / STALE, place.seed)[number]
    bad = fault.planted(made, place.work / f"fault-{number}")
    tiers = _folders(made).tiers(bad)
    shutil.rmtree(bad)
    checks = [check for each in tiers.values() for check in each]
    decision = decide(POLICY.model_copy(update={"tiers": ("V0", "V1", "V2")}), checks).decision
    caught = {tier: sorted({one.name for one in failed(all_)}) for tier, all_ in tiers.items()}
    return {"kind": fault.kind, "name": fault.name, "decision": decision, "caught": caught}


def sound_merge(place: Place, number: int, shares: Mapping[str, float]) -> dict[str, Any]:
    """What every tier says of one merge, and the truth."""
    began = time.monotonic()
    out = merged(shares, place.work / f"sound-{number}")
    tiers = Folders(read_record(out)).tiers(out)
    answers, dark = place.asked(out, place.suite), place.asked(out, place.suite, dark=True)
    tiers["V4"] = behaviour(place.ground(answers, dark, tuple(shares)), POLICY.behaviour)
    checks = [check for each in tiers.values() for check in each]
    decided = decide(POLICY, checks)
    ahead = place.ahead(out)
    least = min(value for name, value in ahead.items() if name != OVERALL)
    against = [f"{c.tier}.{c.name}:{c.subject}" for c, d in zip(checks, decided.each, strict=True)
               if d != "go"]  # fmt: skip
    return {
        "shares": dict(shares), "decision": decided.decision, "against": against,
        "failed": [f"{one.tier}.{one.name}:{one.subject}" for one in failed(checks)],
        "sound": least > -MARGIN and ahead[OVERALL] > -MARGIN / 4, "ahead": ahead,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def row_faults(place: Place, number: int) -> list[dict[str, Any]]:
    """What V4 says of each fault planted in the answers of one merge."""
    shares = BASES[number]
    made = merged(shares, place.work / f"base-{number}")
    answers = place.asked(made, place.suite)
    dark = place.asked(made, place.suite, dark=True, whole=True)
    unseen = {row["sample_id"].split("#blind")[0]: row for row in dark.to_pylist()}
    weights = load_suite(place.suite).weights
    ahead, before = place.ahead(made), scores_of(answers, weights)
    found = []
    none = RowFault(NO_FAULT, "", lambda rows: rows)
    for fault in (none, *answer_faults(sorted(weights), unseen, place.seed + number)):
        spoilt = fault.plant(answers)
        ground = place.ground(spoilt, dark, tuple(shares), whole=True)
        checks = behaviour(ground, POLICY.behaviour)
        taken = {name: before[name] - after for name, after in scores_of(spoilt, weights).items()}
        harm = max(taken[name] - max(0.0, ahead[name]) for name in weights)
        found.append({
            "kind": fault.kind, "name": fault.name, "of": number, "beyond": harm,
            "counts": harm > MARGIN if fault.kind == "ability regressed" else fault is not none,
            "decision": decide(POLICY.model_copy(update={"tiers": ("V4",)}), checks).decision,
            "caught": sorted({one.name for one in failed(checks)}),
        })  # fmt: skip
    return found


def fields(margin: float, lost: float | None, draws: int, seed: int) -> dict[str, Any]:
    """Fields of stored answers where the true difference to each ability's best parent is known."""
    rng = np.random.default_rng([seed, round(1000 * margin), round(10 * (lost or 0))])
    marks, parents = _stored({STEPS[0]: 0.25, FINAL: 0.75}), (STEPS[0], FINAL)
    figures = ability_figures(marks)
    values = figures.values(means_of(marks))
    ahead = dict(zip(figures.names, np.nanmax(values[1:], axis=0) - values[1], strict=True))
    names = [name for name in figures.names if name != OVERALL]
    limits = POLICY.behaviour.model_copy(update={"margin": margin})
    said: Counter[str] = Counter()
    for turn in range(draws):
        wished = {name: float(ahead[name]) + 0.01 for name in names}
        if lost is not None:
            one = names[turn % len(names)]
            wished[one] = float(ahead[one]) - lost * margin
        drawn = plant(marks, figures, wished).draw(rng)
        checks = abilities(BehaviourGround(drawn, "merge", parents, None, {}), limits)
        held = all(check.verdict == "pass" for check in checks)
        said["no_go" if failed(checks) else "go" if held else "cannot_say"] += 1
    truth = "all 0.01 above" if lost is None else f"one {lost:g} margins below"
    return {"margin": margin, "truth": truth, "fields": draws, **said}


def _stored(shares: Mapping[str, float]) -> Marks:
    """Shipped answers on `mini:full`: a checkpoint between the parents plays the merge."""
    import pyarrow.compute as pc

    rows = pq.read_table(builtin_root() / "rows" / "mini-full.parquet")
    steps = {"merge": STEPS[2], **{step: step for step in shares}}
    tables = {
        label: rows.filter(pc.equal(rows["model"], f"minivlm-a-{step}"))
        for label, step in steps.items()
    }
    suite = load_suite(FULL)
    return marks_of(tables, weights=suite.weights, suite=suite.name, suite_digest=suite.digest)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def run(
    place: Place, parts: Sequence[str], sound: int, draws: int, workers: int, seconds: float
) -> dict[str, Any]:
    """All parts at once; the parents' answers first, for every merge is held against them."""
    began = time.monotonic()
    _dark(place.work, place.suite)
    made = merged({STEPS[0]: 0.25, FINAL: 0.75}, place.work / "merge")
    jobs: dict[str, list[Future[Any]]] = defaultdict(list)
    with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as pool:
        if {"rows", "sound"} & set(parts):
            first = [pool.submit(place.asked, SERIES / FINAL, place.confirm)]
            first += [pool.submit(place.asked, SERIES / one, place.suite) for one in STEPS]
            first += [pool.submit(place.asked, SERIES / FINAL, place.suite, dark=True, whole=whole)
                      for whole in (True, False)]  # fmt: skip
        if "folders" in parts:
            faults = len(weight_faults(made, SERIES / STALE, place.seed))
            jobs["folders"] += [pool.submit(folder_fault, place, made, n) for n in range(faults)]
        if {"rows", "sound"} & set(parts):
            _ = [one.result() for one in first]
        if "rows" in parts:
            jobs["rows"] += [pool.submit(row_faults, place, n) for n in range(len(BASES))]
        if "sound" in parts:
            drawn = sound_shares(STEPS, sound, place.seed)
            jobs["sound"] += [pool.submit(sound_merge, place, n, s) for n, s in enumerate(drawn)]
        if "fields" in parts:
            jobs["fields"] += [
                pool.submit(fields, margin, lost, draws, place.seed)
                for margin in (0.02, 0.04)
                for lost in (None, 1.0, 2.0)
            ]
        late = [job for each in jobs.values() for job in each]
        timer = Timer(max(1.0, began + seconds - time.monotonic()), _cancel, (late,))
        timer.start()
        found = {part: list(_results(each)) for part, each in jobs.items()}
        timer.cancel()
        return {**found, "not begun": sum(job.cancelled() for job in late)}


def _cancel(jobs: Iterable[Future[Any]]) -> None:
    for job in jobs:
        job.cancel()


def _results(jobs: Iterable[Future[Any]]) -> Iterable[Any]:
    for job in jobs:
        if wait([job]) and job.cancelled():
            continue
        found = job.result()
        for one in found if isinstance(found, list) else [found]:
            print(json.dumps(one), flush=True)
            yield one


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Folder faults by kind, as Markdown."""
    lines = ["| kind | faults | V0 | V1 | V2 | GO of all |", "|---|---|---|---|---|---|"]
    kinds: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in found:
        kinds[one["kind"]].append(one)
        kinds["all"].append(one)
    for kind in [*(k for k in kinds if k != "all"), "all"]:
        all_ = kinds[kind]
        by = [sum(bool(one["caught"][tier]) for one in all_) for tier in ("V0", "V1", "V2")]
        missed = sum(one["decision"] == "go" for one in all_)
        lines.append(f"| {kind} | {len(all_)} | {by[0]} | {by[1]} | {by[2]} | {missed} |")
    return "\n".join(lines)


def rate(found: Sequence[Mapping[str, Any]], wrong: str) -> dict[str, Any]:
    """How often a decision was wrong, with the upper bound, and all decisions."""
    errors = sum(one["decision"] == wrong for one in found)
    return {
        "of": len(found), "errors": errors, "rate": errors / max(1, len(found)),
        "upper 95 %": round(upper_bound(errors, len(found)), 4),
        "decisions": dict(Counter(one["decision"] for one in found)),
    }  # fmt: skip


def summary(told: Mapping[str, Any]) -> dict[str, Any]:
    """The two errors."""
    counted = [one for one in told.get("rows", []) if one["counts"]]
    planted = [*told.get("folders", []), *counted]
    merges = told.get("sound", [])
    sound = [one for one in merges if one["sound"]]
    found: dict[str, Any] = {}
    if planted:
        found["false GO"] = {**rate(planted, "go"), "kinds": len({one["kind"] for one in planted})}
        found["of these in answers"] = rate(counted, "go")
        found["their merges without a fault"] = [
            one["decision"] for one in told.get("rows", []) if one["kind"] == NO_FAULT
        ]
        found["folder faults that pass V2 alone"] = len(
            [one for one in told.get("folders", []) if not one["caught"]["V2"]]
        )
    if merges:
        found["false NO-GO"] = rate(sound, "no_go")
        found["against a GO of sound merges"] = dict(
            Counter(name.split(":")[0] for one in sound for name in set(one["against"]))
        )
        found["merges that are not sound by the rule"] = rate(
            [one for one in merges if not one["sound"]], "go"
        )
    return found


def main() -> None:
    """Command line."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of the workers, which are spawned
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default=FULL, help="that V4 asks")
    parser.add_argument("--confirm", default=CONFIRM, help="that tells the truth of sound merges")
    parser.add_argument("--sound", type=int, default=60)
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2611)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--seconds", type=float, default=7200.0, help="then begin nothing more")
    parser.add_argument("--rows", type=Path, default=Path("runs/verify-answers"))
    parser.add_argument("--parts", nargs="*", default=["folders", "rows", "sound", "fields"])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), chosen.rows, chosen.suite, chosen.confirm, chosen.seed)
        told = run(place, chosen.parts, chosen.sound, chosen.draws, chosen.workers, chosen.seconds)
    if "folders" in told:
        print(table(told["folders"]))
    told["summary"] = {
        **summary(told),
        "not begun": told["not begun"],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(told["summary"], indent=1))
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
