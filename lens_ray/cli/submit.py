"""``lens-ray submit``: a job or watch file as a Ray job, and what its end means for a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Dashboard, Json, StoreOverride
from lens_ray.cli.output import note, print_json

if TYPE_CHECKING:
    from lens_ray.engine.job_server import Job, JobServer, Submitted


def submit(
    job: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job or watch file.")],
    address: Dashboard,
    store: StoreOverride = None,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="URI", help="Run in this container (Ray's image_uri)."),
    ] = None,
    working_dir: Annotated[
        Path | None,
        typer.Option(
            "--working-dir",
            metavar="DIR",
            help="Send this folder along; relative paths of the job are looked up in it.",
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME",
            help="A variable that must be set on the cluster's nodes; repeatable. Values are never"
            " sent: Ray would show them.",
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Show what it prints, and end as it ends.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a job file, or watch the training runs of a watch file, on a cluster: one Ray job.

    The same job (file, store, version of lens-ray) gets the same id: while it runs, submitting it
    again attaches to it; after its end, it goes on where the store says it stopped.

    A store on s3:// may be written from anywhere, and the driver runs on a node with a CPU to
    spare. A store that is a folder is one of the head, where the driver then runs: give a path
    that means the same there.

    Only the job file is sent. Models are built in, on s3://, at paths that every node has, or in
    the folder of --working-dir. Secrets are never sent: they come from the environment in which
    `ray start` ran on every node, or from the machine's own role; --env checks that they are
    there.
    """
    from lens_ray.engine.job_server import JobServer, folder_digest
    from lens_ray.engine.submission import prepare
    from lens_ray.errors import UserError

    if image is not None and working_dir is not None:
        raise UserError(
            "--image and --working-dir: Ray takes one of them; build DIR into the image"
        )
    digest = folder_digest(working_dir) if working_dir is not None else None
    ready = prepare(
        job,
        store=store,
        working_dir=working_dir,
        folder_digest=digest,
        image=image,
        variables=tuple(env or ()),
    )
    server = JobServer(address)
    done = server.submit(ready)
    raise typer.Exit(_report(server, done, str(ready.metadata["store"]), wait, as_json))


def _report(server: JobServer, done: Submitted, store: str, wait: bool, as_json: bool) -> int:
    """Say what was submitted and, where it is waited for, how it ended; returns the exit code."""
    if not as_json:
        _say(done.id, done.attached, done.attempt, server.address)
    ended = _until_end(server, done.id) if wait else None
    code = exit_code(ended) if ended is not None else 0
    if as_json:
        status = ended.status if ended is not None else server.job(done.id).status
        print_json(
            {
                "id": done.id,
                "attempt": done.attempt,
                "attached": done.attached,
                "address": server.address,
                "store": store,
                "status": status,
                "exit_code": code if ended is not None else None,
            }
        )
    if ended is not None:
        note(f"lens-ray: {outcome(ended)}")
    return code


def _say(name: str, attached: bool, attempt: int, address: str) -> None:
    if attached:
        print(f"already running as {name}")
    else:
        again = f", attempt {attempt}: it goes on where the store says" if attempt > 1 else ""
        print(f"submitted as {name}{again}")
    print(f"  lens-ray jobs --address {address}")
    print(f"  lens-ray logs {name} --address {address} --follow")
    sys.stdout.flush()


def _until_end(server: JobServer, name: str) -> Job:
    from lens_ray.cli.logs import shown

    for text in server.follow(name):
        print(shown(text), end="", file=sys.stderr, flush=True)
    return server.wait(name)


def exit_code(job: Job) -> int:
    """What the end of a job means for a shell: the driver's own code, where it has one."""
    if job.status == "SUCCEEDED":
        return 0
    if job.status == "STOPPED":
        return 6
    return job.exit_code if job.exit_code in (1, 2, 3, 4, 5, 6) else 5


def outcome(job: Job) -> str:
    """How a job ended, and why, in one line."""
    if job.status != "FAILED":
        more = "; submit it again to go on" if job.status == "STOPPED" else ""
        return f"job {job.id}: {job.status}{more}"
    lines = [line.strip() for line in job.message.splitlines() if line.strip()]
    ours = [line.removeprefix("lens-ray: ") for line in lines if line.startswith("lens-ray: ")]
    why = (ours or lines or ["Ray does not say why"])[-1]
    return f"job {job.id}: FAILED: {why[:400]}"
