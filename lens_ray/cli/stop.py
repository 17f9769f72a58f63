"""``lens-ray stop``: end a submitted job."""

from __future__ import annotations

from lens_ray.cli.options import Dashboard, Json, SubmissionId
from lens_ray.cli.output import print_json


def stop(submission_id: SubmissionId, address: Dashboard, as_json: Json = False) -> None:
    """End a job; what was answered is in the store, and submitting it again goes on from there."""
    from lens_ray.engine.job_server import JobServer

    server = JobServer(address)
    job = server.job(submission_id)
    ran = not job.over and server.stop(job.id)
    if not job.over:
        job = server.wait_stopped(job.id)
    if as_json:
        print_json({"id": job.id, "status": job.status, "stopped": ran})
    elif ran:
        print(f"{job.id}: {job.status}; submit the same job again to go on")
    else:
        print(f"{job.id} had ended before: {job.status}")
