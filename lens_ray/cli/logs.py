"""``lens-ray logs``: what a submitted job prints."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lens_ray.cli.options import Dashboard, SubmissionId
from lens_ray.cli.output import note


def logs(
    submission_id: SubmissionId,
    address: Dashboard,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job ends.")] = False,
) -> None:
    """Print what a job has printed; how it ended is said on standard error."""
    from lens_ray.cli.submit import outcome
    from lens_ray.engine.job_server import JobServer

    server = JobServer(address)
    job = server.job(submission_id)
    if follow and not job.over:
        for text in server.follow(job.id):
            print(shown(text), end="", flush=True)
        job = server.wait(job.id)
    else:
        print(shown(server.logs(job.id)), end="")
    sys.stdout.flush()
    if job.over:
        note(f"lens-ray: {outcome(job)}")


def shown(text: str) -> str:
    """Lines as they are, but for what would move a terminal's cursor."""
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )
