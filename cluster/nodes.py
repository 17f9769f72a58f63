"""`LocalCluster`: a real Ray cluster on this machine, as a library. See `cluster.local`."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType

from cluster import network, processes
from cluster.network import Network
from cluster.processes import Process

#: Rows and leases are small; Ray asks for at least 75 MiB.
OBJECT_STORE_BYTES = 80 * 2**20
HEAD = "head"
_STATE = "cluster.json"
_STARTED = "Ray runtime started."
_START_S = 120.0
#: Of Ray's own variables a node inherits none that would lead it to another cluster.
_NOT_INHERITED = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN", "RAY_JOB_CONFIG_JSON")


class ClusterProblem(Exception):
    """What cannot be done, in one line."""


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster.

    Attributes:
        name: ``head``, ``worker-1``, ...
        number: 0 is the head.
        address: Its IP address.
        cpus: Logical CPUs.
        gpus: Logical GPUs.
        resources: Other resources.
        labels: Ray labels.
        process: Its first process; None once it was killed.
        cut: Whether its cable is pulled.
        percent: Of the time that it runs.
        slower: The process that slows it.
    """

    name: str
    number: int
    address: str
    cpus: int
    gpus: int = 0
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    process: Process | None = None
    cut: bool = False
    percent: float = 100.0
    slower: Process | None = None


class LocalCluster:
    """A cluster that runs; use it as a context manager, or call `down`.

    Attributes:
        folder: Where its state and the output of its nodes are.
        nodes: By name; killed ones too.
        port: Of the head's GCS.
        dashboard_port: Of the job server; None where there is none.
        token: Whether a token is asked for; it is in the file ``token`` of the folder.
        network: None where all nodes are on loopback.
    """

    def __init__(
        self,
        folder: Path,
        *,
        network: Network | None,
        port: int,
        dashboard_port: int | None,
        token: bool,
        temporary: Path,
    ) -> None:
        """For `up` and `load`."""
        self.folder = folder
        self.network = network
        self.port = port
        self.dashboard_port = dashboard_port
        self.token = token
        self._temporary = temporary
        self.nodes: dict[str, Node] = {}

    @classmethod
    def up(
        cls,
        folder: str | Path,
        *,
        nodes: int = 3,
        cpus: int = 1,
        gpus: int = 0,
        head_cpus: int = 0,
        dashboard: bool = False,
        token: bool | None = None,
        namespaces: bool | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> LocalCluster:
        """Start a head and workers.

        Args:
            folder: For its state; made, and must not hold a cluster yet.
            nodes: Workers beside the head.
            cpus: Of each worker.
            gpus: Of each worker.
            head_cpus: Of the head.
            dashboard: Start the dashboard, which has the job server.
            token: Ask for a token; None asks for one on loopback and where there is a dashboard.
            namespaces: None uses them where they can be made.
            environment: More variables for the head and the workers that start now; ``{host}`` in
                one stands for this machine's address, as they see it.

        Raises:
            ClusterProblem: A node does not start, or the folder holds a cluster.
        """
        place = Path(folder).resolve()
        place.mkdir(parents=True, exist_ok=True)
        if (place / _STATE).exists():
            raise ClusterProblem(
                f"{place} holds a cluster already; type: python -m cluster.local down "
                f"--folder {place}"
            )
        if namespaces is None:
            namespaces = network.available()
        # Sockets are made below the temporary folder, and a socket's path has at most 107 bytes.
        temporary = Path(tempfile.mkdtemp(prefix="lens-", dir="/tmp"))
        made = Network.create(f"lr{secrets.token_hex(3)}") if namespaces else None
        cluster = cls(
            place,
            network=made,
            port=6379 if made else _free_port(),
            dashboard_port=(8265 if made else _free_port()) if dashboard else None,
            # On loopback Ray's servers listen on every address of this machine.
            token=(dashboard or made is None) if token is None else token,
            temporary=temporary,
        )
        try:
            if cluster.token:
                cluster.token_file.touch(0o600)
                cluster.token_file.write_text(secrets.token_hex(16))
            cluster._start(HEAD, cpus=head_cpus, environment=environment)
            for _ in range(nodes):
                cluster.add(cpus=cpus, gpus=gpus, environment=environment)
        except BaseException:
            cluster.down()
            raise
        return cluster

    @classmethod
    def load(cls, folder: str | Path) -> LocalCluster:
        """The cluster that was started with a folder.

        Raises:
            ClusterProblem: There is none.
        """
        place = Path(folder).resolve()
        try:
            facts = json.loads((place / _STATE).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ClusterProblem(
                f"{place} holds no cluster; type: python -m cluster.local up --folder {place}"
            ) from error
        nodes = facts.pop("nodes")
        made = facts.pop("network")
        cluster = cls(
            place,
            network=Network(**made) if made else None,
            temporary=Path(facts.pop("temporary")),
            **facts,
        )
        for one in nodes:
            for key in ("process", "slower"):
                one[key] = Process(**one[key]) if one[key] else None
            cluster.nodes[one["name"]] = Node(**one)
        return cluster

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    @property
    def address(self) -> str:
        """For ``--address`` of a command that runs on a node (see `command`)."""
        return f"{self.nodes[HEAD].address}:{self.port}"

    @property
    def dashboard(self) -> str | None:
        """For ``--address`` of `lens-ray submit`."""
        if self.dashboard_port is None:
            return None
        return f"http://{self.nodes[HEAD].address}:{self.dashboard_port}"

    @property
    def host(self) -> str:
        """The address at which nodes reach a server of this machine (such as a bucket's)."""
        return self.network.host if self.network else "127.0.0.1"

    @property
    def token_file(self) -> Path:
        """Where the token is, where one is asked for."""
        return self.folder / "token"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """For a command of `command`: Ray's ``auto`` is then this cluster and no other."""
        return {**self._environment(more), "RAY_ADDRESS": self.address}

    def _environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """This process's variables, made fit for a node; ``{host}`` in one is `host`."""
        kept = {key: value for key, value in os.environ.items() if key not in _NOT_INHERITED}
        first = str(Path(sys.executable).parent)
        rest = [part for part in os.environ.get("PATH", "").split(os.pathsep) if part != first]
        kept["PATH"] = os.pathsep.join([first, *rest])  # a job's entrypoint is `python -m ...`
        kept["RAY_USAGE_STATS_ENABLED"] = "0"
        kept["RAY_AUTH_MODE"] = "token" if self.token else "disabled"
        if self.token:
            kept["RAY_AUTH_TOKEN_PATH"] = str(self.token_file)
        kept["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"  # 0 would refuse workers
        kept.setdefault("OMP_NUM_THREADS", "1")
        kept.update(more or {})
        return {key: value.replace("{host}", self.host) for key, value in kept.items()}

    def command(self, name: str, arguments: Sequence[str]) -> list[str]:
        """What runs a command on a node, in its network and beside its processes.

        Raises:
            ClusterProblem: The node is not there.
        """
        node = self._running(name)
        if self.network is None:
            return list(arguments)
        assert node.process is not None
        inside = processes.tree(node.process)[1]
        here = f"--wdns={os.getcwd()}"  # to enter another mount namespace changes to its root
        which = [f"--target={inside}", "--net", "--pid", "--mount"]
        return ["nsenter", *which, here, "--", *arguments]

    def add(
        self,
        *,
        cpus: int = 1,
        gpus: int = 0,
        resources: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Start one more worker.

        Returns:
            Its name.

        Raises:
            ClusterProblem: It does not start.
        """
        name = f"worker-{len(self.nodes)}"
        self._start(
            name,
            cpus=cpus,
            gpus=gpus,
            resources=resources or {},
            labels=labels or {},
            environment=environment,
        )
        return name

    def kill(self, name: str) -> None:
        """End every process of a node at once, as if its power were gone.

        Raises:
            ClusterProblem: The node is not there.
        """
        self._end(self._running(name))
        self._save()

    def cut(self, name: str) -> None:
        """Pull a node's network cable.

        Raises:
            ClusterProblem: The node is not there, or has no network of its own.
        """
        self._switch(name, cut=True)

    def heal(self, name: str) -> None:
        """Put it back.

        Raises:
            ClusterProblem: As `cut`.
        """
        self._switch(name, cut=False)

    def slow(self, name: str, percent: float) -> None:
        """Let a node run only a part of the time; 100 ends that.

        Raises:
            ClusterProblem: The node is not there.
        """
        if not 0 < percent <= 100:
            raise ClusterProblem(f"slow {name} {percent:g}: give more than 0 and at most 100")
        node = self._running(name)
        assert node.process is not None
        if node.slower is not None:
            processes.end(node.slower)
            processes.resume(node.process)
        slower = None
        if percent < 100:
            log = self.folder / f"{name}.slow.log"
            slower = processes.start_slowing(node.process, percent, log)
        self.nodes[name] = replace(node, percent=percent, slower=slower)
        self._save()

    def down(self) -> None:
        """End all that was started, and leave only the nodes' output."""
        for node in reversed(list(self.nodes.values())):
            self._end(node)
        if self.network is not None:
            self.network.remove()
        shutil.rmtree(self._temporary, ignore_errors=True)
        self.token_file.unlink(missing_ok=True)
        (self.folder / _STATE).unlink(missing_ok=True)

    def status(self) -> dict[str, object]:
        """What there is, for people and programs."""
        return {
            "folder": str(self.folder),
            "address": self.address,
            "dashboard": self.dashboard,
            "token_file": str(self.token_file) if self.token else None,
            "host": self.host,
            "nodes": [
                {
                    "name": node.name,
                    "state": _state(node),
                    "address": node.address,
                    "cpus": node.cpus,
                    "gpus": node.gpus,
                    "resources": dict(node.resources),
                    "labels": dict(node.labels),
                    "percent": node.percent,
                }
                for node in self.nodes.values()
            ],
        }

    def _running(self, name: str) -> Node:
        node = self.nodes.get(name)
        if node is None or node.process is None or not node.process.alive:
            there = [one.name for one in self.nodes.values() if one.process and one.process.alive]
            raise ClusterProblem(f"no node {name!r} runs; there are {', '.join(there) or 'none'}")
        return node

    def _switch(self, name: str, *, cut: bool) -> None:
        node = self._running(name)
        if self.network is None:
            raise ClusterProblem(
                "all nodes are on loopback, where nothing can be cut; start the cluster as root"
            )
        (self.network.cut if cut else self.network.heal)(node.number)
        self.nodes[name] = replace(node, cut=cut)
        self._save()

    def _start(
        self,
        name: str,
        *,
        cpus: int,
        gpus: int = 0,
        resources: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        number = len(self.nodes)
        # Ray replaces 127.0.0.1 by an address that others reach; the rest of 127/8 it leaves alone.
        address = self.network.address(number) if self.network else f"127.0.0.{2 + number}"
        node = Node(name, number, address, cpus, gpus, resources or {}, labels or {})
        self.nodes[name] = node
        self._save()  # so that `down` ends what a start that is cut short has left
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *self._arguments(node)]
        if self.network is not None:
            self.network.plug_in(number)
            inside = f"--net=/var/run/netns/{self.network.namespace(number)}"
            # In a pid namespace a driver finds the raylet of its own node and no other.
            own = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
            command = ["nsenter", inside, *own, *command]
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            started = subprocess.Popen(
                command,
                env=self._environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.adopt_orphans if self.network is None else None,
            )
        self.nodes[name] = replace(node, process=Process.of(started.pid))
        self._save()
        until = time.monotonic() + _START_S
        while _STARTED not in log.read_text(errors="replace"):
            if started.poll() is not None or time.monotonic() > until:
                said = " ".join(log.read_text(errors="replace").split())[-600:]
                raise ClusterProblem(f"node {name} did not start: {said or 'it said nothing'}")
            time.sleep(0.05)

    def _arguments(self, node: Node) -> list[str]:
        """Of ``ray start``."""
        temporary = self._temporary / str(node.number)
        given = [
            "--block",
            f"--node-ip-address={node.address}",
            f"--num-cpus={node.cpus}",
            f"--num-gpus={node.gpus}",
            f"--object-store-memory={OBJECT_STORE_BYTES}",
            f"--temp-dir={temporary}",
            "--disable-usage-stats",
            "--dashboard-agent-listen-port=0",
        ]
        if node.resources:
            given.append(f"--resources={json.dumps(dict(node.resources))}")
        if node.labels:
            given.append("--labels=" + ",".join(f"{k}={v}" for k, v in node.labels.items()))
        if node.name != HEAD:
            return [*given, f"--address={self.address}"]
        given += ["--head", f"--port={self.port}", "--no-monitor"]
        if self.network is None:  # else its default, which another cluster may have
            given.append(f"--ray-client-server-port={_free_port()}")
        given.append(f"--include-dashboard={self.dashboard_port is not None}")
        if self.dashboard_port is not None:
            given += [f"--dashboard-host={node.address}", f"--dashboard-port={self.dashboard_port}"]
        return given

    def _end(self, node: Node) -> None:
        if node.slower is not None:
            processes.end(node.slower)
        if node.process is not None:
            processes.end(node.process)
        if self.network is not None:
            self.network.unplug(node.number)
        self.nodes[node.name] = replace(node, process=None, slower=None, cut=False, percent=100.0)

    def _save(self) -> None:
        facts = {
            "network": asdict(self.network) if self.network else None,
            "port": self.port,
            "dashboard_port": self.dashboard_port,
            "token": self.token,
            "temporary": str(self._temporary),
            "nodes": [asdict(node) for node in self.nodes.values()],
        }
        partial = self.folder / f"{_STATE}.partial"
        partial.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        partial.replace(self.folder / _STATE)


def _state(node: Node) -> str:
    if node.process is None:
        return "killed"
    if not node.process.alive:
        return "ended"
    return "cut" if node.cut else "slow" if node.percent < 100 else "up"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
