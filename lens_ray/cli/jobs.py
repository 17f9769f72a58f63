"""``lens-ray jobs``: what was submitted to a cluster, and how far it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lens_ray.cli.options import Dashboard, Json
from lens_ray.cli.output import one_line, print_json, print_table

if TYPE_CHECKING:
    from lens_ray.engine.job_progress import JobProgress
    from lens_ray.engine.job_server import Job


def jobs(address: Dashboard, as_json: Json = False) -> None:
    """Show the jobs of `lens-ray submit`, the newest first: status, models, samples done.

    Samples are read from each job's store, with the credentials of this environment.
    """
    from lens_ray.engine.job_progress import Stores
    from lens_ray.engine.job_server import JobServer

    server = JobServer(address)
    stores = Stores()
    found = [(job, stores.progress(job)) for job in server.jobs() if job.ours]
    if as_json:
        print_json([_fields(job, progress) for job, progress in found])
        return
    if not found:
        print(f"no jobs; lens-ray submit JOB.yaml --address {server.address}")
        return
    heads = ("id", "status", "models", "done", "of", "suite", "started", "store")
    print_table(heads, [_cells(job, progress) for job, progress in found])
    for job, progress in found:
        if progress.reason is not None:
            print(one_line(f"- {job.id}: {progress.reason}"))


def _cells(job: Job, progress: JobProgress) -> tuple[object, ...]:
    from lens_ray.cli.progress import span

    return (
        job.id,
        job.status,
        len(job.metadata.get("models", job.metadata.get("runs", "")).split(",")),
        progress.done if progress.models else None,
        progress.expected if progress.models else None,
        job.metadata.get("suite"),
        None if job.started is None else f"{span(max(0.0, time.time() - job.started))} ago",
        job.metadata.get("store"),
    )


def _fields(job: Job, progress: JobProgress) -> dict[str, object]:
    return {
        "id": job.id,
        "status": job.status,
        "exit_code": job.exit_code,
        "started": job.started,
        "ended": job.ended,
        "metadata": job.metadata,
        "done": progress.done if progress.models else None,
        "expected": progress.expected if progress.models else None,
        "models": progress.models,
        "reason": progress.reason,
    }
