"""How often does a verification err? Planted faults, sound merges, and fields with a known truth.

``nice python -m jobs.benchmarks.bench_merge_verify --out FILE.json`` makes merges of the shipped
series with `apply_recipe` and prints three tables:

* faults of the folder, by kind: how many are caught by V0, by V1 and by V2 alone, and how many
  would be a GO of all three (the record is as the faulty merger would write it: V5 is not asked);
* faults of the answers, by kind, and sound merges: what V4 decides on real answers;
* fields drawn from stored answers in which every ability's true difference to its best parent is
  known: how often V4 says GO though one is the margin below, and NO-GO though none is below 0.

The first takes some 3 s a fault on a quiet core, a sound merge 12 s (1,224 answers).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.check_minivlm import answered
from lens_ray.merging.apply import apply_recipe
from lens_ray.merging.checks import Check, failed
from lens_ray.merging.recipe import Parent, Recipe
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.verify.algebra import algebra
from lens_ray.merging.verify.behaviour import abilities, behaviour
from lens_ray.merging.verify.function import function
from lens_ray.merging.verify.policy import FunctionLimits, Policy, decide
from lens_ray.merging.verify.probes import choose_probes
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
from lens_ray.testing.planted_merges import FolderFault, answer_faults, weight_faults

SERIES = builtin_root() / "minivlm-a"
STEPS = ("step-8700", "step-9000", "step-9300", "step-9600")
FINAL, STALE = STEPS[-1], "step-0500"
LIMITS = FunctionLimits(divergence=1.5)
#: Stability is told and does not decide: of three subtasks its intervals are wide.
POLICY = Policy.model_validate(
    {"tiers": ["V0", "V1", "V2", "V4"], "rules": [{"checks": "V4.stability", "cannot_say": "go"}]}
)


def recipe(shares: Mapping[str, float]) -> Recipe:
    """A weighted mean of shipped checkpoints."""
    parents = tuple(
        Parent(name=step, path=f"builtin:minivlm-a/{step}", weight=share)
        for step, share in shares.items()
    )
    return Recipe(method="linear", parents=parents)


def sound_shares(count: int, seed: int) -> list[dict[str, float]]:
    """Shares of two or more late checkpoints, the final one always among them."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        others = rng.choice(STEPS[:-1], size=int(rng.integers(1, 4)), replace=False).tolist()
        drawn = rng.dirichlet(np.ones(len(others) + 1)).round(3)
        shares = dict(zip([*others, FINAL], drawn.tolist(), strict=True))
        shares[FINAL] = round(1 - sum(shares[name] for name in others), 3)
        found.append({name: share for name, share in shares.items() if share > 0})
    return found


class Folders:
    """V0 to V2 of folders made by one recipe."""

    def __init__(self, made: Path, record: MergeRecord, suite: Suite) -> None:
        self._record = record
        self._folders = {one.name: SERIES / one.name for one in record.recipe.parents}
        self._facts = [
            inspect_checkpoint(str(folder), digest=False) for folder in self._folders.values()
        ]
        self.made = made
        self._suite = suite
        self._probes = choose_probes(suite, LIMITS.probes, 0)

    def tiers(self, folder: Path) -> dict[str, tuple[Check, ...]]:
        """Each tier alone, whatever the others found."""
        asked = self._record.recipe
        ground = FunctionGround(
            folder,
            tuple(
                Ingredient(one.name, self._folders[one.name], one.weight or 0.0)
                for one in asked.parents
            ),
            self._suite,
            self._probes,
            self._record,
        )
        zero = structure(folder, asked, self._facts)
        one: tuple[Check, ...] = ()
        if not any(check.name in ("readable", "keys") for check in failed(zero)):
            one = tuple(algebra(folder, asked, list(self._folders.values()), None, POLICY.algebra))
        return {"V0": zero, "V1": one, "V2": function(ground, LIMITS)}


def folder_faults(folders: Folders, faults: Sequence[FolderFault], work: Path) -> list[Any]:
    """One record a fault: which tiers fail."""
    found = []
    for fault in faults:
        bad = fault.planted(folders.made, work / "fault")
        tiers = folders.tiers(bad)
        caught = {tier: sorted({one.name for one in failed(all_)}) for tier, all_ in tiers.items()}
        found.append({"kind": fault.kind, "name": fault.name, "caught": caught})
        print(json.dumps(found[-1]), flush=True)
    return found


class Answers:
    """Rows of checkpoints and merges on a suite, and on it without its images."""

    def __init__(self, suite: Suite, kept: Path) -> None:
        self._suite = suite
        self._kept = kept
        dark = kept / f"{suite.name.replace(':', '-')}-blind"
        self._dark = (
            read_suite(str(dark)) if (dark / "suite.json").is_file() else blind(suite, dark)
        )

    def rows(self, folder: Path, *, dark: bool = False) -> pa.Table:
        """Answered now or before."""
        return answered(folder, self._dark if dark else self._suite, self._kept)

    def ground(self, merge: pa.Table, dark: pa.Table, parents: Sequence[str]) -> BehaviourGround:
        """What V4 looks at."""
        tables = {"merge": merge, **{one: self.rows(SERIES / one) for one in parents}}
        without = {"merge": dark, **{one: self.rows(SERIES / one, dark=True) for one in parents}}
        return BehaviourGround(
            self._marks(tables), "merge", tuple(parents), FINAL, tables,
            {"blind": self._marks(without)}, {"blind": without},
        )  # fmt: skip

    def _marks(self, tables: Mapping[str, pa.Table]) -> Marks:
        return marks_of(
            tables, weights=self._suite.weights, suite=self._suite.name,
            suite_digest=self._suite.digest,
        )  # fmt: skip


def sound_merges(count: int, suite: Suite, answers: Answers, work: Path, seed: int) -> list[Any]:
    """One record a sound merge: what each tier says, and the decision."""
    found = []
    for place, shares in enumerate(sound_shares(count, seed)):
        out = work / f"sound-{seed}-{place}"
        record = apply_recipe(recipe(shares), out, durable=False)
        tiers = Folders(out, record, suite).tiers(out)
        ground = answers.ground(answers.rows(out), answers.rows(out, dark=True), tuple(shares))
        tiers["V4"] = behaviour(ground, POLICY.behaviour)
        checks = [check for each in tiers.values() for check in each]
        found.append(
            {
                "shares": shares,
                "decision": decide(POLICY, checks).decision,
                "failed": [f"{one.tier}.{one.name}:{one.subject}" for one in failed(checks)],
            }
        )
        print(json.dumps(found[-1]), flush=True)
    return found


def row_faults(answers: Answers, made: Path, parents: Sequence[str], suite: Suite) -> list[Any]:
    """One record a fault of the answers: what V4 says."""
    sound, dark = answers.rows(made), answers.rows(made, dark=True)
    unseen = {row["sample_id"].split("#blind")[0]: row for row in dark.to_pylist()}
    names = sorted(suite.weights)
    found = []
    for fault in answer_faults(names, unseen):
        checks = behaviour(answers.ground(fault.plant(sound), dark, parents), POLICY.behaviour)
        decision = decide(POLICY.model_copy(update={"tiers": ("V4",)}), checks).decision
        caught = sorted({one.name for one in failed(checks)})
        found.append(
            {"kind": fault.kind, "name": fault.name, "decision": decision, "caught": caught}
        )
        print(json.dumps(found[-1]), flush=True)
    return found


def fields(marks: Marks, parents: Sequence[str], draws: int, seed: int) -> list[Any]:
    """Fields of stored answers where the merge's true differences are known."""
    rng = np.random.default_rng(seed)
    figures = ability_figures(marks)
    values = figures.values(means_of(marks))
    names = [name for name in figures.names if name != OVERALL]
    ahead = {
        name: float(np.nanmax(values[1:, place]) - values[1, place])
        for place, name in enumerate(figures.names)
    }
    found = []
    for margin in (0.02, 0.04):
        limits = POLICY.behaviour.model_copy(update={"margin": margin})
        for truth, lost in (
            ("all 0.01 above", None),
            ("one the margin below", 1.0),
            ("one twice", 2.0),
        ):
            said: Counter[str] = Counter()
            for turn in range(draws):
                one = names[turn % len(names)]
                wished = {name: ahead[name] + 0.01 for name in names}
                if lost is not None:
                    wished[one] = ahead[one] - lost * margin
                drawn = plant(marks, figures, wished).draw(rng)
                ground = BehaviourGround(drawn, "merge", tuple(parents), None, {})
                checks = abilities(ground, limits)
                said[
                    "no_go"
                    if failed(checks)
                    else "go"
                    if all(c.verdict == "pass" for c in checks)
                    else "cannot_say"
                ] += 1
            found.append({"margin": margin, "truth": truth, "fields": draws, **said})
            print(json.dumps(found[-1]), flush=True)
    return found


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
        missed = sum(not any(one["caught"].values()) for one in all_)
        lines.append(f"| {kind} | {len(all_)} | {by[0]} | {by[1]} | {by[2]} | {missed} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="mini:quick", help="that sound merges are asked")
    parser.add_argument("--sound", type=int, default=40)
    parser.add_argument("--draws", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, default=Path("runs/verify-answers"))
    parser.add_argument("--parts", nargs="*", default=["folders", "rows", "sound", "fields"])
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    suite = load_suite(chosen.suite)
    chosen.rows.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        shares = {STEPS[0]: 0.25, FINAL: 0.75}
        record = apply_recipe(recipe(shares), work / "merge", durable=False)
        answers = Answers(suite, chosen.rows)
        if "folders" in chosen.parts:
            faults = weight_faults(work / "merge", SERIES / STALE, chosen.seed)
            checked = Folders(work / "merge", record, load_suite("mini:quick"))
            told["folders"] = folder_faults(checked, faults, work)
            print(table(told["folders"]))
        if "rows" in chosen.parts:
            told["rows"] = row_faults(answers, work / "merge", tuple(shares), suite)
        if "fields" in chosen.parts:
            ground = _stored(shares)
            told["fields"] = fields(ground, [STEPS[0], FINAL], chosen.draws, chosen.seed)
        if "sound" in chosen.parts:
            told["sound"] = sound_merges(chosen.sound, suite, answers, work, chosen.seed)
    told["summary"] = summary(told)
    print(json.dumps(told["summary"], indent=1))
    if chosen.out:
        chosen.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _stored(shares: Mapping[str, float]) -> Marks:
    """Shipped answers on `mini:full`: a checkpoint between the parents plays the merge."""
    rows = pq.read_table(builtin_root() / "rows" / "mini-full.parquet")
    import pyarrow.compute as pc

    steps = {"merge": "step-9300", **{step: step for step in shares}}
    tables = {
        label: rows.filter(pc.equal(rows["model"], f"minivlm-a-{step}"))
        for label, step in steps.items()
    }
    suite = load_suite("mini:full")
    return marks_of(tables, weights=suite.weights, suite=suite.name, suite_digest=suite.digest)


def summary(told: Mapping[str, Any]) -> dict[str, Any]:
    """The rates."""
    found: dict[str, Any] = {}
    if faults := told.get("folders"):
        found["folder faults"] = len(faults)
        found["folder faults that pass V0, V1 and V2"] = sum(
            not any(one["caught"].values()) for one in faults
        )
        found["that pass V2 alone"] = sum(not one["caught"]["V2"] for one in faults)
    for part in ("rows", "sound"):
        if part in told:
            found[part] = dict(Counter(one["decision"] for one in told[part]))
    return found


if __name__ == "__main__":
    main()
