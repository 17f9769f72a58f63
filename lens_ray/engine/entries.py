"""The models of a job, before the work: who each one is, and where its rows are."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lens_ray.engine.placement import check_fits, need_of
from lens_ray.engine.plan import ModelPlan, family_of, generation_of, run_id_of
from lens_ray.engine.planner import Need, Room
from lens_ray.engine.rates import check_weights, expected_of
from lens_ray.engine.rooms import accelerator_of
from lens_ray.errors import LensError
from lens_ray.models.identity import Identity, identify
from lens_ray.models.preflight import check_context, preflight
from lens_ray.models.protocol import Request
from lens_ray.models.spec import ModelSpec
from lens_ray.store import RunHeader, RunLog, Store
from lens_ray.suites.sample import Sample
from lens_ray.suites.suite import Suite
from lens_ray.suites.templates import render

#: Questions that are looked at before anything is started.
_LONGEST = 8


@dataclass(slots=True)
class Entry:
    """One model of a job.

    Attributes:
        spec: As in the job.
        identity: Who it is.
        need: What one replica of it occupies.
        error: Why it cannot be asked.
        run_id: Of its run.
        log: Its run.
        before: Its samples that had a final row before the work.
    """

    spec: ModelSpec
    identity: Identity | None = None
    need: Need | None = None
    error: LensError | None = None
    run_id: str | None = None
    log: RunLog | None = None
    before: frozenset[str] = frozenset()

    @property
    def opened(self) -> RunLog:
        """Its run, which was opened."""
        assert self.log is not None
        return self.log

    def open(self, store: Store, suite: Suite, job: str) -> None:
        """Find or register its run."""
        if self.identity is None:
            return
        spec = self.spec
        self.run_id = run_id_of(spec, self.identity, suite.digest)
        header = RunHeader(
            run_id=self.run_id,
            model=spec.name,
            model_key=self.identity.model_key,
            weights_digest=self.identity.weights_digest,
            suite=suite.name,
            suite_digest=suite.digest,
            template=spec.template,
            backend=spec.backend,
            backend_path=spec.path,
            access=spec.access,
            step=spec.step,
            generation=spec.generation,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            job=job,
        )
        self.log = store.open_run(header)
        self.before = self.log.refresh().done


def identify_all(
    specs: Iterable[ModelSpec],
    samples: Sequence[Sample],
    rooms: Sequence[Room],
    *,
    here: bool = False,
    any_may_fail: bool = False,
) -> list[Entry]:
    """Find out who each model is; a mistake in one does not keep the others from being asked.

    Args:
        specs: As in the job.
        samples: That they are asked.
        rooms: Machines of the cluster.
        here: Whether replicas run on this machine and in this environment.
        any_may_fail: Whether it is no error that none can be asked.

    Raises:
        LensError: The first model's, where none can be asked.
    """
    gpu = any(room.gpus for room in rooms)
    entries = []
    for spec in specs:
        entry = Entry(spec)
        try:
            entry.identity = identify(spec, gpu=gpu)
            preflight(spec, entry.identity.facts, here=here)
            check_context(spec, entry.identity.facts, _longest(spec, samples))
            entry.need = need_of(spec, gpu=gpu, rooms=rooms)
            entry.spec = _spanning(spec, entry.need)
            check_fits(spec, entry.need, rooms)
            check_weights(spec, entry.identity, entry.need, accelerator_of(rooms))
        except LensError as error:
            entry.identity, entry.error = None, error
        entries.append(entry)
    if not any_may_fail and all(entry.error is not None for entry in entries):
        first = entries[0].error
        assert first is not None
        raise type(first)(f"model {entries[0].spec.name}: {first}") from first
    return entries


def _longest(spec: ModelSpec, samples: Sequence[Sample]) -> list[Request]:
    """The questions with the longest texts."""
    longest = heapq.nlargest(
        _LONGEST, samples, key=lambda one: len(one.question) + sum(map(len, one.choices))
    )
    return [
        Request(one.sample_id, render(one, spec.template), (), generation_of(spec, one))
        for one in longest
    ]


def _spanning(spec: ModelSpec, need: Need) -> ModelSpec:
    """Told that its parts lie on several machines, where they do."""
    if need.parts == 1 or spec.options.get("executor", "auto") != "auto":
        return spec
    return spec.model_copy(update={"options": {**spec.options, "executor": "ray"}})


def planned(
    entries: Sequence[Entry], samples: Sequence[Sample], rooms: Sequence[Room]
) -> tuple[ModelPlan, ...]:
    """What the engine is to know of models whose runs are open.

    Args:
        entries: The models.
        samples: That they are asked.
        rooms: Machines of the cluster.
    """
    models = []
    accelerator = accelerator_of(rooms)
    runs = [(entry.opened.header, entry.opened.state) for entry in entries]
    for number, entry in enumerate(entries):
        assert entry.identity is not None
        assert entry.need is not None
        header = entry.opened.header
        model = ModelPlan(
            number=number,
            run_id=header.run_id,
            stored_name=header.model,
            spec=entry.spec,
            identity=replace(entry.identity, facts=None),
            need=entry.need,
            family=family_of(entry.spec, entry.identity),
            expected=expected_of(
                entry.spec, entry.identity, entry.need, samples, accelerator, runs
            ),
        )
        models.append(model)
    return tuple(models)
