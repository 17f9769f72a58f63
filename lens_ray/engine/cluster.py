"""A Ray to work on: `Cluster` uses the one that is there, or starts one on this machine."""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
from collections.abc import Container
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

from lens_ray.engine.interrupt import sigterm_kept
from lens_ray.engine.planner import Room
from lens_ray.engine.submission import DRIVER_CPUS_VARIABLE
from lens_ray.errors import ClusterError

#: Rows and leases are small; Ray asks for at least 75 MiB.
_OBJECT_STORE_BYTES = 80 * 2**20
#: For a Ray of our own: on loopback, without a token, without a report to anybody.
_LOCAL_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Facts of the machine for a dashboard that is not started; every 5 s they take 2 ms a second.
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
    "TOKENIZERS_PARALLELISM": "false",
}
_KNOCK_S = 5.0
#: Ray's resource that says what the GPUs of a machine are.
_ACCELERATOR = "accelerator_type:"
_GPUS = Path("/proc/driver/nvidia/gpus")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class Cluster:
    """Connects at the first need, and shuts down what it started.

    Use it as a context manager.
    """

    def __init__(self, address: str | None = None) -> None:
        """Nothing is started yet.

        Args:
            address: Of a running Ray (``auto`` finds it on this machine). None takes the one in
                ``RAY_ADDRESS`` or the one that this process is connected to, else a local one.
        """
        self._address = address or os.environ.get("RAY_ADDRESS") or None
        self._ours = False
        self._ready = False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def here(self) -> bool:
        """Whether all of it is this machine, with the environment of this process."""
        return self._address is None and (self._ours or not _connected())

    def rooms(self) -> tuple[Room, ...]:
        """What each machine that is alive has; a local Ray need not be started to know.

        Raises:
            ClusterError: The cluster cannot be reached.
        """
        if self._address is None and not self._ready and not _connected():
            return (Room(_local_cpus(), _local_gpus()),)
        self.start()
        import ray

        nodes: Any = ray.nodes
        # Of a submitted job, what Ray has set aside for this driver is no room for a replica.
        driver_cpus = float(os.environ.get(DRIVER_CPUS_VARIABLE, 0.0))
        here = ray.get_runtime_context().get_node_id() if driver_cpus else None
        going = _draining()
        rooms = [_room(node, going) for node in nodes() if node["Alive"]]
        return tuple(
            replace(room, cpus=room.cpus - driver_cpus) if here and room.node == here else room
            for room in rooms
        )

    def start(self) -> None:
        """Connect, or start a local Ray.

        Raises:
            ClusterError: Neither is possible.
        """
        if self._ready:
            return
        if not _connected():
            self._init()
            self._ours = True
        self._ready = True

    def _init(self) -> None:
        local = self._address is None
        if local:
            for key, value in _LOCAL_ENVIRONMENT.items():
                os.environ.setdefault(key, value)
        else:
            _knock(str(self._address))
        import ray
        from ray._private import node, worker

        given: dict[str, Any] = {"address": self._address}
        if local:
            given = {
                "address": "local",
                "num_cpus": _local_cpus(),
                "num_gpus": _local_gpus(),
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
            }
        try:
            # Ray prints every death of a worker on standard output, which belongs to the results,
            # and has no switch for it. The engine says itself which replica died.
            with ExitStack() as quiet:
                quiet.enter_context(sigterm_kept())
                quiet.enter_context(mock.patch.object(worker, "listen_error_messages"))
                if local:
                    # Of our own Ray nobody reads the workers' logs through the driver, and the
                    # process that would send them takes 6 ms of CPU a second.
                    quiet.enter_context(mock.patch.object(node.Node, "start_log_monitor"))
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **given)
        except Exception as error:  # Ray raises that very class where its node is slow to start
            reason = " ".join(str(error).split())[:300]
            if local:
                raise ClusterError(f"Ray cannot be started on this machine: {reason}") from error
            raise _unreachable(str(self._address), reason) from error

    def close(self) -> None:
        """Disconnect from a cluster that was there, end one that was started here."""
        if self._ours:
            import ray

            ray.shutdown()
            self._ours = False
        self._ready = False


def _room(node: Any, draining: Container[str]) -> Room:
    has, name = node["Resources"], node["NodeID"]
    kinds = [key.removeprefix(_ACCELERATOR) for key in has if key.startswith(_ACCELERATOR)]
    kind = "".join(kinds[:1])
    return Room(has.get("CPU", 0.0), has.get("GPU", 0.0), name, kind, name in draining)


def _draining() -> Container[str]:
    """Nodes for which there is a notice of preemption; `ray.nodes` does not tell."""
    from ray._private import state

    names: Container[str] = state.state.get_draining_nodes()
    return names


def _connected() -> bool:
    """Whether this process has a Ray already; Ray is not imported to know."""
    ray = sys.modules.get("ray")
    return bool(ray is not None and ray.is_initialized())


def _knock(address: str) -> None:
    """Find out in seconds that nobody is there; Ray itself tries for minutes.

    Raises:
        ClusterError: Nobody is, or it is no address that can be used.
    """
    if address == "auto":
        return
    if "://" in address:
        raise ClusterError(
            f"--address {address}: give HOST:PORT of the cluster's head, from a machine of the "
            "cluster, or submit the job to it"
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(address, str(error)) from error


def _unreachable(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"Ray at {address} cannot be reached: {reason}; check --address, or leave it "
        "(and RAY_ADDRESS) out to start one here"
    )


def _local_cpus() -> int:
    """The cores that this process may use, by affinity and by its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max": there is no quota
        limit = cores or 1
    return max(1, min(cores or 1, limit))


def _local_gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    here = len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
    if visible is None:
        return here
    return min(here, len([device for device in visible.split(",") if device.strip()]))
