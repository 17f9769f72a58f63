"""A merge and its parents asked the same, for V4: `ask_ground`.

Rows of the same weights, suite and host that are in the store serve again, whatever their model was
called, so that after a search only what it did not ask is asked now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lens_ray.errors import Incomplete
from lens_ray.evaluate import run_job
from lens_ray.job import JobSpec
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.verify.tiers import ROWS, BehaviourGround
from lens_ray.models.spec import ModelSpec
from lens_ray.online.spec import HostSpec
from lens_ray.stats.marks import by_run, read_marks
from lens_ray.store import RunHeader, Store
from lens_ray.suites.suite import Suite, load_suite

if TYPE_CHECKING:
    import pyarrow as pa

    from lens_ray.engine.cluster import Cluster
    from lens_ray.engine.progress import Progress
    from lens_ray.engine.settings import EngineSettings
    from lens_ray.evaluate import ModelReport
    from lens_ray.merging.verify.kin import Kin
    from lens_ray.stats.marks import Marks

MERGE = "merge"
FINAL = "final"
BLIND = "blind"
Split = Literal["anchor", "search", "sealed"]


@dataclass(frozen=True)
class Asking:
    """How V4 is asked.

    Attributes:
        store: Where rows are and go; None takes the record's.
        suite: None takes the one that confirmed the merge, or the sealed samples of its suite.
        splits: Of that suite; None takes what the record says.
        final: Name of the parent that would be shipped without a merge; None is the last by step.
        host: How models are hosted; None hosts them as the store's rows of the merge were made.
        address: Of a running Ray; None starts a local one.
        settings: Of the engine.
        on_progress: Called a few times a second.
    """

    store: str | None = None
    suite: str | None = None
    splits: tuple[Split, ...] | None = None
    final: str | None = None
    host: HostSpec | None = None
    address: str | None = None
    settings: EngineSettings | None = None
    on_progress: Callable[[Progress], None] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it.

    Attributes:
        ground: What V4 looks at; None where the merge cannot be hosted.
        failed: Why it cannot be.
        told: Suite, store, splits and models, as JSON.
    """

    ground: BehaviourGround | None
    failed: str | None
    told: Mapping[str, Any]


def ask_ground(place: Path, record: MergeRecord, kin: Kin, asking: Asking) -> Asked:
    """Ask a merge and all its parents one suite, and two of them the same without images.

    Args:
        place: Folder of the merge.
        record: Of it.
        kin: Its parents, all at hand.
        asking: How.

    Raises:
        EnvironmentFailure: The store or the cluster is out of reach.
        Incomplete: A model has too few answers, or a parent cannot be hosted.
        KeyboardInterrupt: Stopped; what was answered is stored.
    """
    from lens_ray.engine.cluster import Cluster

    url = asking.store or record.store
    assert url is not None
    store = Store(url, create=True)
    ref, splits = ground_of(record, asking)
    suite = load_suite(ref)
    host = asking.host or host_of(store, record.weights_digest)
    specs = _specs(place, record, kin, host)
    final = asking.final or _final(record, store, suite, host, specs)
    told: dict[str, Any] = {
        "suite": suite.name, "suite_digest": suite.digest, "store": store.url,
        "splits": list(splits) if splits else None, "final": final, "backend": host.backend,
        "template": host.template,
    }  # fmt: skip
    with Cluster(asking.address) as cluster:
        work = _Work(store, cluster, asking, record.abilities)
        runs = work.run(suite, specs, splits)
        if isinstance(runs, str):
            return Asked(None, runs, told)
        marks, rows = _read(store, runs, record.abilities)
        parents = tuple(one.name for one in kin.ingredients)
        seen = final if final is not None else parents[-1]
        controls: dict[str, Marks] = {}
        control_rows: dict[str, Mapping[str, pa.Table]] = {}
        blind = _blind(suite)
        if blind is not None:
            two = {name: specs[name] for name in (seen, MERGE)}
            found = work.run(blind, two, splits or ("anchor",))
            if not isinstance(found, str):
                controls[BLIND], control_rows[BLIND] = _read(store, found, record.abilities)
    told["runs"] = {name: run.run_id for name, run in runs.items()}
    return Asked(
        BehaviourGround(marks, MERGE, parents, final, rows, controls, control_rows), None, told
    )


def ground_of(record: MergeRecord, asking: Asking) -> tuple[str, tuple[Split, ...] | None]:
    """Suite and splits that no step of the search has seen, where the record knows of a search."""
    if asking.suite is not None:
        return asking.suite, asking.splits
    if record.confirm not in (None, "sealed"):
        assert record.confirm is not None
        return record.confirm, asking.splits
    assert record.suite is not None
    return record.suite, asking.splits or ("sealed",)


def host_of(store: Store, weights_digest: str) -> HostSpec:
    """As the newest run of these weights was hosted; as by default where there is none."""
    runs = [run for run in store.runs() if run.weights_digest == weights_digest]
    if not runs:
        return HostSpec()
    newest = max(runs, key=lambda run: run.created_at)
    return HostSpec(
        backend=newest.backend, template=newest.template, generation=dict(newest.generation)
    )


def last_of(record: MergeRecord) -> str | None:
    """The parent of the highest step; None where steps are not known."""
    stepped = [parent for parent in record.recipe.parents if parent.step is not None]
    if len(stepped) < len(record.recipe.parents):
        return None
    return max(stepped, key=lambda parent: parent.step or 0).name


def _final(
    record: MergeRecord,
    store: Store,
    suite: Suite,
    host: HostSpec,
    specs: dict[str, ModelSpec],
) -> str | None:
    """The label of the final checkpoint; it is among `specs` afterwards, parent or not.

    One that is no parent is known by its run on this suite, which the search has left in the store.
    """
    if FINAL in specs:
        return FINAL
    name = record.models.get(FINAL)
    label = next((label for label, spec in specs.items() if spec.name == name), None)
    if label is not None and label != MERGE:
        return label
    if name in specs and name != MERGE:
        return name
    runs = [r for r in store.runs() if r.model == name and r.suite_digest == suite.digest]
    if not runs:
        return last_of(record)
    newest = max(runs, key=lambda run: run.created_at)
    specs[FINAL] = host.model_spec(newest.model, newest.backend_path, newest.step)
    return FINAL


def _specs(place: Path, record: MergeRecord, kin: Kin, host: HostSpec) -> dict[str, ModelSpec]:
    """By label: parents by their names in the recipe, then the merge."""
    steps = {parent.name: parent.step for parent in record.recipe.parents}
    found = {
        one.name: host.model_spec(
            record.models.get(one.name, one.name), str(one.folder), steps[one.name]
        )
        for one in kin.ingredients
    }
    name = record.models.get(MERGE, f"merge-{record.weights_digest[:12]}")
    return {**found, MERGE: host.model_spec(name, str(place))}


def _blind(suite: Suite) -> Suite | None:
    """The suite without its images; None where none of its samples has one."""
    from lens_ray.suites.controls import make_control

    return make_control(suite, BLIND) if suite.image_hashes() else None


@dataclass(frozen=True)
class _Work:
    """Where and how all jobs of one verification run."""

    store: Store
    cluster: Cluster
    asking: Asking
    abilities: tuple[str, ...] | None

    def run(
        self, suite: Suite, specs: Mapping[str, ModelSpec], splits: tuple[Split, ...] | None
    ) -> dict[str, RunHeader] | str:
        """The runs by label; why, where the merge cannot be hosted."""
        from lens_ray.engine.settings import EngineSettings

        unlike = _by_model(specs)
        job = JobSpec(
            name="verify", suite=suite.location, abilities=self.abilities, store=self.store.url,
            models=tuple(unlike.values()), splits=splits,
        )  # fmt: skip
        suite.look_ahead(suite.select(self.abilities, None, splits))
        report = run_job(
            job, suite, self.store, self.cluster, on_progress=self.asking.on_progress,
            settings=self.asking.settings or EngineSettings(),
        )  # fmt: skip
        came = dict(zip(unlike, report.models, strict=True))
        trouble = _trouble(came)
        if trouble is not None:
            return trouble
        return {label: self.store.run(came[label].run_id or "").header for label in specs}


def _by_model(specs: Mapping[str, ModelSpec]) -> dict[str, ModelSpec]:
    """Names of models are unique in a job; a label that shares one gets its own."""
    found: dict[str, ModelSpec] = {}
    taken: set[str] = set()
    for label, spec in specs.items():
        name = spec.name if spec.name not in taken else f"{spec.name}-{label}"[:128]
        taken.add(name)
        found[label] = spec if name == spec.name else spec.model_copy(update={"name": name})
    return found


def _trouble(came: Mapping[str, ModelReport]) -> str | None:
    """Why the merge cannot be hosted.

    Raises:
        Incomplete: Anything else is not complete.
    """
    for label, report in came.items():
        if report.status == "complete":
            continue
        if label == MERGE and report.status == "failed" and report.exit_code in (1, 2):
            return f"the engine cannot host it: {report.reason}"
        raise Incomplete(
            f"{label} ({report.model}) was not answered whole: {report.reason}; the same command "
            "goes on where it stopped"
        )
    return None


def _read(
    store: Store, runs: Mapping[str, RunHeader], abilities: Sequence[str] | None
) -> tuple[Marks, dict[str, pa.Table]]:
    """Marks and rows by label; labels of equal weights share a run."""
    unlike = list({run.run_id: run for run in runs.values()}.values())
    marks = read_marks(store, unlike, abilities=abilities)
    ids = [run.run_id for run in unlike]
    places = [ids.index(run.run_id) for run in runs.values()]
    marks = replace(marks, models=tuple(runs), runs=tuple(runs.values()), score=marks.score[places])
    table = store.rows(ids, columns=("run_id", *ROWS))
    each = by_run(table, ids)
    return marks, {label: each[place] for label, place in zip(runs, places, strict=True)}
