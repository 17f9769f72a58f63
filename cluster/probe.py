"""What each node of a cluster has: CPUs, GPUs, labels, versions, free memory and disk.

::

    python -m cluster.probe --address http://HEAD:8265   # from anywhere: it runs as a small job
    python -m cluster.probe                              # on a node of the cluster

One task a node, which takes no CPU. Exit code 5 where a node does not answer, or has another
lens-ray, Ray or Python than the head.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_ANSWER_S = 60.0
#: Nodes of one cluster must agree in these.
VERSIONS = ("python", "ray", "lens_ray")
_MARK = "lens-ray probe: "


def look() -> dict[str, Any]:
    """The facts of this node."""
    home = Path.home()
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "ray": _version("ray"),
        "lens_ray": _version("lens-ray"),
        "cores": len(os.sched_getaffinity(0)),
        "gpu_names": _gpu_names(),
        "memory_free": _memory_free(),
        "disk_free": {str(place): shutil.disk_usage(place).free for place in (home, Path("/tmp"))},
        "shm_free": shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else None,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _gpu_names() -> list[str]:
    """As the driver calls them; Ray's own count is beside it."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def _memory_free() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    facts = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return facts["MemAvailable"] * 1024


def probe() -> list[dict[str, Any]]:
    """One task a node of the cluster that this machine belongs to; the head is first."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
    asked: dict[Any, dict[str, Any]] = {}
    nodes: Any = ray.nodes
    for node in nodes():
        if node["Alive"]:
            has = node["Resources"]
            task: Any = ray.remote(look)
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            reference = task.options(num_cpus=0, max_retries=0, scheduling_strategy=here).remote()
            asked[reference] = {
                "address": node["NodeManagerAddress"],
                "head": "node:__internal_head__" in has,
                "cpus": has.get("CPU", 0),
                "gpus": has.get("GPU", 0),
                "labels": {k: v for k, v in node["Labels"].items() if k != "ray.io/node-id"},
            }
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_S)
    for reference, facts in asked.items():
        try:
            facts |= ray.get(reference) if reference in ready else {"error": "no answer"}
        except ray.exceptions.RayError as error:
            facts["error"] = " ".join(str(error).split())[:200]
    return sorted(asked.values(), key=lambda facts: (not facts["head"], facts["address"]))


def problems(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """What keeps the nodes from working together; the first one is what the others must be like."""
    found = [f"{node['address']}: {node['error']}" for node in nodes if "error" in node]
    well = [node for node in nodes if "error" not in node]
    for node in well:
        for key in VERSIONS:
            if node[key] is None:
                found.append(f"{node['address']}: {key} is not installed")
            elif node[key] != well[0][key]:
                found.append(
                    f"{node['address']}: {key} {node[key]}, and {well[0]['address']} has "
                    f"{well[0][key]}"
                )
    return found


def _by_job(address: str) -> list[dict[str, Any]]:
    """Run this file as a job on the head."""
    from lens_ray.engine.job_server import JobServer
    from lens_ray.engine.submission import Submission
    from lens_ray.errors import ClusterError

    server = JobServer(address)
    with tempfile.TemporaryDirectory(prefix="lens-probe-") as scratch:
        shutil.copy(__file__, Path(scratch, "probe.py"))
        done = server.submit(
            Submission(
                base="lens-probe",
                entrypoint="exec python probe.py --json",
                job_file="",
                working_dir=Path(scratch),
                image=None,
                environment={},
                metadata={},
                on_head=True,
            )
        )
    job = server.wait(done.id)
    for line in server.logs(done.id).splitlines():
        if line.startswith(_MARK):
            found: list[dict[str, Any]] = json.loads(line.removeprefix(_MARK))
            return found
    raise ClusterError(f"the probe {job.id} ended as {job.status}: {job.message[-300:]}")


def _print(nodes: Sequence[dict[str, Any]]) -> None:
    for node in nodes:
        if "error" in node:
            print(f"{node['address']:<16} {node['error']}")
            continue
        labels = ",".join(f"{key}={value}" for key, value in sorted(node["labels"].items()))
        disk = ", ".join(
            f"{free / 2**30:.0f} GiB in {at}" for at, free in node["disk_free"].items()
        )
        gpus = f"{node['gpus']:g} GPUs" + (
            f" ({node['gpu_names'][0]})" if node["gpu_names"] else ""
        )
        print(
            f"{node['address']:<16} {'head' if node['head'] else 'worker':<7}"
            f"{node['cpus']:g} CPUs of {node['cores']} cores, {gpus}, "
            f"{node['memory_free'] / 2**30:.0f} GiB memory free, disk {disk}, python "
            f"{node['python']}, ray {node['ray']}, lens-ray {node['lens_ray']} {labels}".rstrip()
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what there is.

    Returns:
        0, or 5 where the nodes do not fit together.
    """
    parser = argparse.ArgumentParser(
        prog="python -m cluster.probe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--address", help="of the dashboard, http://HEAD:8265")
    parser.add_argument("--json", action="store_true", help="one JSON value in one line")
    given = parser.parse_args(arguments)
    if given.address is None:
        nodes = probe()
    else:
        from lens_ray.errors import LensError

        try:
            nodes = _by_job(given.address)
        except LensError as error:
            print(f"cluster.probe: {error}", file=sys.stderr)
            return error.exit_code
    if given.json:
        # Other lines may stand beside it in a job's log.
        mark = "" if given.address else _MARK
        print(f"{mark}{json.dumps(nodes)}")
    else:
        _print(nodes)
    found = problems(nodes)
    for problem in found:
        print(f"cluster.probe: {problem}", file=sys.stderr)
    return 5 if found else 0


if __name__ == "__main__":
    sys.exit(main())
