"""The main job, top-down: models x suite, into a store. Read `evaluate` first, then `run_job`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from lens_ray.engine.cluster import Cluster
from lens_ray.engine.one_job import ModelReport, RunReport, run_job
from lens_ray.engine.progress import ModelProgress, Progress
from lens_ray.engine.settings import EngineSettings
from lens_ray.job import JobSpec, load_job
from lens_ray.store import Store
from lens_ray.suites.suite import load_suite

__all__ = ["ModelProgress", "ModelReport", "Progress", "RunReport", "evaluate"]


def evaluate(
    job: JobSpec | str | Path,
    *,
    store: str | None = None,
    address: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    limit: int | None = None,
    settings: EngineSettings | None = None,
    cache: bool = True,
) -> RunReport:
    """Evaluate the models of a job; started again, it goes on where it stopped.

    Args:
        job: A job, or the path of its file.
        store: In the place of the job's store.
        address: Of a running Ray; None starts a local one (see `lens_ray.engine.cluster`).
        on_progress: Called a few times a second.
        limit: In the place of the job's limit.
        settings: Of the engine.
        cache: Whether answers that another run of the same provider's model has paid for serve
            this one; what a run itself has paid for always does.

    Raises:
        UserError: The job, the suite or every model is at fault; nothing was written.
        StoreUnavailable: The store is out of reach, read-only or full.
        RunBusy: Another driver is at work on one of the runs.
        ClusterError: Ray is out of reach, or no model fits on it.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was answered is stored.
    """
    spec = job if isinstance(job, JobSpec) else load_job(job, store=store)
    suite = load_suite(spec.suite)
    limit = spec.limit if limit is None else limit
    suite.look_ahead(suite.select(spec.abilities, limit, spec.splits))
    place = Store(store or spec.store, create=True)
    with Cluster(address) as cluster:
        return run_job(
            spec, suite, place, cluster,
            limit=limit, on_progress=on_progress, cache=cache,
            settings=settings or EngineSettings(),
        )  # fmt: skip


class _CallableModule(ModuleType):
    """``lens_ray.evaluate`` names both this module and its function, whichever came first."""

    __call__ = staticmethod(evaluate)


sys.modules[__name__].__class__ = _CallableModule
