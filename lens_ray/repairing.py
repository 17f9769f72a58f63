"""Whether a merge is worth a repair, measured: `repair_merge`.

The merge is fine-tuned on a calibration suite (`lens_ray.merging.repair`); so is, with the same
examples in the same order and for as many steps, the checkpoint that would be shipped otherwise.
All four are asked the same suite, which shares no sample with what was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lens_ray.errors import Incomplete, UserError
from lens_ray.merging.answers import Example, examples_of
from lens_ray.merging.record import FILE as MERGE
from lens_ray.merging.repair import (
    RepairPlan,
    RepairRecord,
    RepairVerdict,
    judge,
    refuse_overlap,
    repair,
)
from lens_ray.merging.verify.provenance import read_record
from lens_ray.models.resolve import resolve
from lens_ray.suites.suite import Suite, load_suite

if TYPE_CHECKING:
    from lens_ray.engine.progress import Progress
    from lens_ray.stats.marks import Marks

__all__ = ["Calibration", "RepairReport", "repair_merge"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a repair is trained on.

    Attributes:
        suite: As a job file names it.
        abilities: Of these only; None takes all of the suite's.
        splits: Of these only; None takes all.
        limit: At most so many samples; None takes all.
        template: How they are asked.
    """

    suite: str
    abilities: tuple[str, ...] | None = None
    splits: tuple[str, ...] | None = None
    limit: int | None = None
    template: str = "default"

    def examples(self, evaluated: Sequence[str] = ()) -> tuple[Suite, list[Example]]:
        """The suite, and its examples, none of which is in one of these suites.

        Raises:
            SuiteError: One is, or a suite cannot be read.
        """
        suite = load_suite(self.suite)
        samples = suite.select(self.abilities, self.limit, self.splits)
        others = [load_suite(each) for each in evaluated]
        refuse_overlap(self.suite, samples, [(each.name, each.samples) for each in others])
        return suite, examples_of(suite, samples, template=self.template)


@dataclass(frozen=True, slots=True)
class RepairReport:
    """How a repair came out.

    Attributes:
        out: Folder of the repaired merge.
        repaired: Its record.
        continued: Of the final checkpoint, fine-tuned at the same cost; None was not asked for.
        continued_out: Its folder.
        suite: On which they were compared; None were not.
        verdict: What the comparison says.
    """

    out: str
    repaired: RepairRecord
    continued: RepairRecord | None = None
    continued_out: str | None = None
    suite: str | None = None
    verdict: RepairVerdict | None = None


def repair_merge(
    merge: str,
    calibration: Calibration,
    out: str | Path,
    plan: RepairPlan | None = None,
    *,
    against: str | None = None,
    suite: str | None = None,
    store: str | None = None,
    address: str | None = None,
    threads: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> RepairReport:
    """Fine-tune a merge, and say whether that was worth it.

    Args:
        merge: Folder of a merge, or any checkpoint.
        calibration: What it is trained on. Suites that the merge was searched or confirmed on
            must not overlap with it, nor must ``suite``.
        out: New folder; ``OUT-continued`` is that of what it is compared with.
        plan: How it is trained; None takes the defaults.
        against: The checkpoint that would be shipped otherwise, to be trained on at equal cost.
        suite: On which they are compared; None compares nothing.
        store: Where the rows go.
        address: Of a running Ray; None starts a local one.
        threads: Of torch, in training.
        on_progress: Called a few times a second while they are asked.

    Raises:
        UserError: Something that was named is at fault.
        EnvironmentFailure: accelerate is missing, or the store or the cluster is out of reach.
        Incomplete: A model did not answer everything.
    """
    if suite is not None and store is None:
        raise UserError("comparing needs a store for the rows; add --store URL")
    source = resolve(merge)
    asked, examples = calibration.examples(_evaluated(source, suite))
    told = (calibration.suite, asked.digest)
    made = repair(source, examples, out, plan, calibration=told, named=merge, threads=threads)
    report = RepairReport(str(out), made)
    continued = None
    if against is not None:
        other = f"{str(out).rstrip('/')}-continued"
        continued = repair(
            resolve(against), examples, other, plan,
            calibration=told, named=against, threads=threads,
        )  # fmt: skip
        report = replace(report, continued=continued, continued_out=other)
    if suite is None or store is None:
        return report
    models = {
        f"repaired-{made.weights_digest[:8]}": report.out,
        f"merge-{made.start_digest[:8]}": source,
    }
    if continued is not None and against is not None and report.continued_out is not None:
        models[f"continued-{continued.weights_digest[:8]}"] = report.continued_out
        models[f"final-{continued.start_digest[:8]}"] = resolve(against)
    marks, labels = _asked(models, suite, store, address, on_progress)
    names: list[str | None] = [*labels, None, None]
    verdict = judge(marks, labels[0], merge=labels[1], continued=names[2], final=names[3])
    return replace(report, suite=suite, verdict=verdict)


def _evaluated(merge: str, suite: str | None) -> list[str]:
    """The suites on which a merge was, or will be, judged."""
    held = read_record(Path(merge)) if (Path(merge) / MERGE).is_file() else None
    confirm = held.confirm if held is not None and held.confirm not in (None, "sealed") else None
    named = [suite, held.suite if held is not None else None, confirm]
    return list(dict.fromkeys(each for each in named if each is not None))


def _asked(
    models: dict[str, str],
    suite: str,
    store: str,
    address: str | None,
    on_progress: Callable[[Progress], None] | None,
) -> tuple[Marks, tuple[str, ...]]:
    """The marks of the models on a suite, and what each is called in them.

    A run that is in the store already keeps the name that it was made under.
    """
    from lens_ray.evaluate import evaluate
    from lens_ray.job import JobSpec
    from lens_ray.models.spec import ModelSpec
    from lens_ray.stats.choose import labels_of
    from lens_ray.stats.marks import read_marks
    from lens_ray.store import Store

    specs = tuple(
        ModelSpec(name=name, path=str(Path(path).absolute())) for name, path in models.items()
    )
    job = JobSpec(name="merge-repair", suite=suite, store=store, models=specs)
    done = evaluate(job, address=address, on_progress=on_progress)
    for one in done.models:
        if one.status != "complete":
            raise Incomplete(f"{one.model}: {one.status}: {one.reason}; the same command goes on")
    opened = Store(done.store)
    runs = [opened.run(str(one.run_id)).header for one in done.models]
    return read_marks(opened, runs), labels_of(runs)
