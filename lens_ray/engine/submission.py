"""A job as a cluster is asked to run it: `prepare`. Nothing here talks to a cluster.

What is sent is the job as it was understood here: variables replaced, the store named. Its id
follows from what it would do, so that the same job is not started twice beside itself.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from lens_ray.errors import JobError
from lens_ray.job import JobSpec, load_job
from lens_ray.job_secrets import refuse_secret
from lens_ray.job_yaml import MAX_BYTES, YamlProblem, read_yaml, write_yaml
from lens_ray.models import backend_entry
from lens_ray.models.made import MERGE
from lens_ray.models.resolve import BUILTIN
from lens_ray.online.spec import WatchSpec, load_watch
from lens_ray.suites.suite import load_suite

#: The job file of a job that brings nothing else along.
JOB_FILE = "lens-job.yaml"
#: What the driver and its coordinator reserve, so that Ray may place them beside the head.
DRIVER_CPUS = 0.1
#: Tells the driver what was reserved for it, which is not there for a replica.
DRIVER_CPUS_VARIABLE = "LENS_RAY_DRIVER_CPUS"
#: Ray kills a job that is to stop after 3 s; the driver writes what was answered first.
STOP_WAIT_S = 30
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_END = "LENS_RAY_JOB_FILE"
#: A shell takes at most 128 KiB as one argument.
_MAX_ENTRYPOINT = 120_000
_GIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Submission:
    """What is sent, but for the number of the attempt.

    Attributes:
        base: Start of its submission ids.
        entrypoint: Shell command of the driver.
        job_file: Text of the job file.
        working_dir: Folder that is sent along; None sends the job file alone, or nothing where an
            image is named.
        image: Container image that the job runs in.
        environment: Variables of all its processes; none is a secret.
        metadata: What Ray keeps beside the job.
        on_head: Whether the driver runs on the head, where the store's folder is.
    """

    base: str
    entrypoint: str
    job_file: str
    working_dir: Path | None
    image: str | None
    environment: Mapping[str, str]
    metadata: Mapping[str, str]
    on_head: bool


def prepare(
    job: Path,
    *,
    store: str | None = None,
    working_dir: Path | None = None,
    folder_digest: str | None = None,
    image: str | None = None,
    variables: Sequence[str] = (),
) -> Submission:
    """Read a job or watch file and say what to send.

    Args:
        job: The file; one with ``runs`` is a watch file.
        store: In the place of the job's store.
        working_dir: Folder to send along.
        folder_digest: Of its content.
        image: Container image.
        variables: Names that must be set where the driver runs.

    Raises:
        JobError: The file is not valid, or it names what is only on this machine.
        SuiteError: Its suite or one of its abilities is not known.
    """
    spec = load_watch(job, store=store) if is_watch(job) else load_job(job, store=store)
    check_variables(variables)
    _check_paths(job, spec, working_dir)
    place = _absolute(spec.store)
    refuse_secret("store", place)
    text = _written(spec, place)
    on_head = "://" not in place or place.startswith("file://")
    return Submission(
        base=base_id(spec.name, [text, place, version("lens-ray"), image, folder_digest]),
        entrypoint=_entrypoint(
            "watch" if isinstance(spec, WatchSpec) else "run",
            text, place, variables, inline=bool(working_dir or image),
        ),
        job_file=text,
        working_dir=working_dir,
        image=image,
        environment=_environment(on_head=on_head),
        metadata=_metadata(job, spec, place),
        on_head=on_head,
    )  # fmt: skip


def is_watch(path: Path) -> bool:
    """Whether a file is a watch file; what is wrong with it is for its reader to say."""
    try:
        value = read_yaml(path.read_bytes()[: MAX_BYTES + 1]).value
    except (OSError, YamlProblem):
        return False
    return isinstance(value, dict) and "runs" in value and "models" not in value


def check_variables(names: Iterable[str]) -> None:
    """Refuse values: Ray shows what it is given to anybody who may look at the cluster.

    Raises:
        JobError: A name is none; a value is not repeated.
    """
    for name in names:
        if _NAME.fullmatch(name):
            continue
        if "=" in name:
            short = name.partition("=")[0]
            short = short if _NAME.fullmatch(short) else "NAME"
            raise JobError(
                f"--env {short}=...: values are never sent, since Ray shows them to everybody who "
                f"sees the cluster; set {short} where `ray start` runs on every node, and write "
                f"--env {short}"
            )
        raise JobError(f"--env {name[:60]!r} is no name of a variable; write --env NAME")


def base_id(name: str, content: object) -> str:
    """``lens-NAME-DIGEST``, the same for the same job; safe in URLs and file names."""
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    return f"lens-{re.sub(r'[^A-Za-z0-9._-]', '-', name)[:60]}-{digest}"


def attempt_of(submission_id: str, base: str) -> int | None:
    """Which attempt of a job an id is; None where it is one of another job."""
    found = re.fullmatch(re.escape(base) + r"-a([1-9][0-9]{0,5})", submission_id)
    return int(found[1]) if found else None


def next_id(base: str, taken: Iterable[str]) -> str:
    """The id after all that were used."""
    used = [attempt_of(one, base) or 0 for one in taken]
    return f"{base}-a{max(used, default=0) + 1}"


def _check_paths(job: Path, spec: JobSpec | WatchSpec, working_dir: Path | None) -> None:
    """Refuse relative paths that mean something here and nothing on the cluster.

    Raises:
        JobError: There is one.
    """
    if working_dir is not None and not working_dir.is_dir():
        raise JobError(f"--working-dir {working_dir}: is no folder; give the folder to send along")
    named = [("suite", spec.suite)] if ":" not in spec.suite and "@" not in spec.suite else []
    named += _watched_paths(spec) if isinstance(spec, WatchSpec) else _model_paths(spec)
    for key, path in named:
        if "://" in path or Path(path).expanduser().is_absolute():
            continue
        if working_dir is not None and (working_dir / path).exists():
            continue
        # A model's path may be a hub id; the path of a run may be there only later.
        if path.startswith(".") or Path(path).exists() or isinstance(spec, WatchSpec):
            raise JobError(
                f"{job}: {key}: {path} is on this machine, and only the job file is sent; give "
                "an s3:// URL, a path that every node has, or --working-dir with the folder in it"
            )


def _model_paths(spec: JobSpec) -> list[tuple[str, str]]:
    return [
        (f"models[{number}].path", model.path.removeprefix(MERGE))
        for number, model in enumerate(spec.models)
        if backend_entry(model.backend).needs_checkpoint
        and not model.path.startswith((BUILTIN, f"{MERGE}{{"))
    ]


def _watched_paths(spec: WatchSpec) -> list[tuple[str, str]]:
    named = [("pool", spec.pool)]
    for number, run in enumerate(spec.runs):
        named += [(f"runs[{number}].path", run.path), (f"runs[{number}].run_yaml", run.run_yaml)]
    return [(key, path) for key, path in named if path is not None]


def _absolute(store: str) -> str:
    return store if "://" in store else str(Path(store).expanduser().absolute())


def _written(spec: JobSpec | WatchSpec, store: str) -> str:
    """The job file as it is sent: only what the user wrote, in one order."""
    fields = spec.model_dump(mode="json", exclude_unset=True)
    return write_yaml({**fields, "store": store})


def _entrypoint(verb: str, text: str, store: str, variables: Sequence[str], *, inline: bool) -> str:
    """The driver's command; an inline job file is given to it on standard input."""
    checks = [
        f'if [ -z "${{{name}}}" ]; then echo "lens-ray: {name} is not set on the node of the '
        'driver; set it where ray start runs on every node, then submit again" >&2; exit 5; fi; '
        for name in dict.fromkeys(variables)
    ]
    file = "/dev/stdin" if inline else JOB_FILE
    run = f"exec python -m lens_ray {verb} {file} --address auto --store {shlex.quote(store)}"
    whole = "".join(checks) + run
    if inline:
        whole += f" <<'{_END}'\n{text}{_END}\n"
    if len(whole.encode()) > _MAX_ENTRYPOINT:
        raise JobError(
            f"the job file has {len(text)} characters, and with --image or --working-dir at most "
            f"{_MAX_ENTRYPOINT} can be sent; make two jobs of it"
        )
    return whole


def _environment(*, on_head: bool) -> dict[str, str]:
    reserved = {} if on_head else {DRIVER_CPUS_VARIABLE: str(DRIVER_CPUS)}
    return {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S), **reserved}


def _metadata(job: Path, spec: JobSpec | WatchSpec, store: str) -> dict[str, str]:
    """What `lens-ray jobs` reads back; Ray takes only texts."""
    facts = {
        "lens_ray": version("lens-ray"),
        "job": spec.name,
        "suite": spec.suite,
        "store": store,
        "abilities": ",".join(spec.abilities or ()),
        "git_sha": _git_sha(job),
    }
    samples = _samples(spec)  # also to find out that suite and abilities are known
    if isinstance(spec, WatchSpec):
        facts["runs"] = ",".join(run.name for run in spec.runs)
    else:
        facts["models"] = ",".join(model.name for model in spec.models)
        facts["limit"] = "" if spec.limit is None else str(spec.limit)
        facts["samples"] = samples
    return {key: value for key, value in facts.items() if value}


def _samples(spec: JobSpec | WatchSpec) -> str:
    """How many samples each model is asked, where the suite can be told here.

    Raises:
        SuiteError: A suite of this name, or an ability, is not known.
    """
    if "/" in spec.suite or "@" in spec.suite or Path(spec.suite).exists():
        return ""  # it need not be there on this machine
    suite = load_suite(spec.suite)
    if isinstance(spec, WatchSpec):
        return str(len(suite.select(spec.abilities)))
    return str(len(suite.select(spec.abilities, spec.limit, spec.splits)))


def _git_sha(job: Path) -> str:
    """The commit of the folder of the job file; empty where there is none."""
    command = ["git", "-C", str(job.resolve().parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
