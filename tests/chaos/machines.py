"""A cluster of several machines on this one, and what can happen to them: `Machines`.

The driver runs on the head, where no replica has room. Rows are in a bucket that every node
reaches, through a proxy that fails by script.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster import processes
from cluster.local import HEAD, ClusterProblem, LocalCluster
from lens_ray.testing.fault_proxy import Fault, FaultProxy
from lens_ray.testing.processes import descendants
from tests.chaos.harness import TITLES, kill, title

#: What can happen to a job on several machines.
MACHINE_KINDS = ("replica", "coordinator", "driver", "node", "cut", "sever", "slow", "drain")
#: What can go wrong with a bucket, and how often in a row.
STORE_FAULTS: Mapping[str, Sequence[Fault]] = {
    "store 503": [Fault("status", status=503, times=3)],
    "store lost answer": [Fault("lost_answer", method="PUT", times=2)],
    "store 409": [
        Fault("status", method="PUT", status=409, code="ConditionalRequestConflict", times=2)
    ],
    "store 412": [Fault("status", method="PUT", status=412, code="PreconditionFailed")],
    "store 500": [Fault("status", method="PUT", status=500, code="InternalError", landed=True)],
}
#: Ray declares a node dead that did not answer so often, asked every half second.
_SILENCES = "6"
#: Shorter than that.
SHORT_CUT_S = 1.0
SLOW_PERCENT = 5.0
SLOW_S = 3.0
#: Ray gives a node 30 s to start, which is too little at a load of 20 on 2 cores.
_STARTS = 3
_NOTICE_S = 30.0
_UNTIL_S = 60.0
_KEYS = {
    "AWS_ACCESS_KEY_ID": "test-key",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}
_NUMBERS = itertools.count()
_GROUPS = """
import json, ray
ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
table = ray.util.placement_group_table()
print(json.dumps([one["name"] for one in table.values() if one["state"] != "REMOVED"]))
"""


class Machines:
    """The head, its workers, and the bucket.

    Attributes:
        cluster: The nodes.
        proxy: Before the bucket.
        workers: Names of those that work.
    """

    def __init__(self, cluster: LocalCluster, proxy: FaultProxy, moto: str) -> None:
        from ray._raylet import GcsClient  # type: ignore[attr-defined]

        self.cluster = cluster
        self.proxy = proxy
        self.workers: list[str] = []
        self._moto = moto
        self._gcs: Any = GcsClient(address=cluster.address)

    def bucket(self) -> str:
        """A URL in a new bucket."""
        import boto3

        name = f"machines-{next(_NUMBERS)}"
        client = boto3.client(
            "s3",
            endpoint_url=self._moto,
            aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=_KEYS["AWS_DEFAULT_REGION"],
        )
        client.create_bucket(Bucket=name)
        return f"s3://{name}/store"

    def add(self) -> str:
        """One more worker, with room for one model that computes and some that do not."""
        for left in reversed(range(_STARTS)):
            try:
                name = self.cluster.add(cpus=2, environment=self._keys)
                break
            except ClusterProblem:
                if not left:
                    raise
        self.workers.append(name)
        return name

    @property
    def _keys(self) -> dict[str, str]:
        return keys(self.proxy)

    # As a `Place`.

    @property
    def environment(self) -> Mapping[str, str]:
        return self.cluster.environment(self._keys)

    def command(self, *words: str) -> Sequence[str]:
        return self.cluster.command(HEAD, [sys.executable, *words])

    def deliver(self, kind: str, driver: int, draw: random.Random) -> bool:
        if kind in STORE_FAULTS:
            for fault in STORE_FAULTS[kind]:
                self.proxy.add(fault)
            return True
        if kind == "driver":
            return all([kill(pid) for pid in descendants(driver)])
        if kind in TITLES:
            found = self.actors(kind)
            return bool(found) and kill(draw.choice(found))
        what: dict[str, Callable[[str], None]] = {
            "node": self.lose, "cut": self.cut, "sever": self.sever, "slow": self.slow,
            "drain": self.drain,
        }  # fmt: skip
        # A worker that does nothing would not be missed.
        busy = [name for name in self.workers if self.actors("replica", [name])]
        if busy:
            what[kind](draw.choice(busy))
        return bool(busy)

    # What happens to a worker.

    def lose(self, name: str) -> None:
        """Its power fails, and another joins."""
        self.workers.remove(name)
        self.cluster.kill(name)
        self.add()

    def cut(self, name: str) -> None:
        """Its network is away for less than Ray needs to notice."""
        self.cluster.cut(name)
        time.sleep(SHORT_CUT_S)
        self.cluster.heal(name)

    def sever(self, name: str) -> None:
        """Its network is away until Ray declares it dead; back again, it is a zombie.

        It is left to find that out by itself; `assert_nothing_left` waits for it.
        """
        self.cluster.cut(name)
        self._until(lambda: not self.alive(name), f"{name} is declared dead")
        self.cluster.heal(name)
        self.workers.remove(name)
        self.add()

    def slow(self, name: str) -> None:
        """It has a part of its speed for a while."""
        self.cluster.slow(name, SLOW_PERCENT)
        time.sleep(SLOW_S)
        self.cluster.slow(name, 100)

    def drain(self, name: str) -> None:
        """There is a notice of preemption; it is gone once it is empty, or at the deadline."""
        self.notice(name)
        self._until(lambda: not self.alive(name), f"{name} is empty")
        self.lose(name)

    def notice(self, name: str) -> None:
        """Ray is told that the node will be preempted."""
        from ray.core.generated import autoscaler_pb2

        reasons: Any = autoscaler_pb2
        reason = reasons.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        deadline = int((time.time() + _NOTICE_S) * 1000)
        taken, why = self._gcs.drain_node(self._facts(name)[0], reason, "spot", deadline)
        assert taken, why

    # What there is.

    def alive(self, name: str) -> bool:
        """Whether Ray takes a node for alive."""
        return bool(self._facts(name)[1].state == 0)

    def actors(self, kind: str, names: Sequence[str] | None = None) -> list[int]:
        """The processes of the replicas or of the coordinator, on some nodes or on all."""
        nodes = [self.cluster.nodes[name] for name in names or self.cluster.nodes]
        return sorted(
            pid
            for node in nodes
            if node.process is not None
            for pid in processes.tree(node.process)
            if title(pid).startswith(TITLES[kind])
        )

    def assert_nothing_left(self) -> None:
        """No actor and no placement group of an ended job."""
        for kind in TITLES:
            self._until(lambda kind=kind: not self.actors(kind), f"every {kind} has ended")  # type: ignore[misc]
        said = subprocess.run(
            self.command("-c", _GROUPS),
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(said.stdout.splitlines()[-1]) == []

    def _facts(self, name: str) -> tuple[str, Any]:
        address = self.cluster.nodes[name].address
        nodes = self._gcs.get_all_node_info(timeout=20)
        [found] = [(i.hex(), n) for i, n in nodes.items() if n.node_manager_address == address]
        return found

    @staticmethod
    def _until(true: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + _UNTIL_S
        while not true():
            assert time.monotonic() < limit, f"waited {_UNTIL_S:.0f} s until {what}"
            time.sleep(0.1)


def keys(proxy: FaultProxy) -> dict[str, str]:
    """Variables of a node, for the bucket behind a proxy of this machine."""
    return {**_KEYS, "AWS_ENDPOINT_URL": f"http://{{host}}:{proxy.port}"}


@contextmanager
def machines(folder: Path, moto: str, workers: int) -> Iterator[Machines]:
    """A cluster with some workers, before a bucket's server of this machine."""
    patience = {"RAY_health_check_failure_threshold": _SILENCES}
    with (
        FaultProxy(moto, host="0.0.0.0") as proxy,
        LocalCluster.up(folder, nodes=0, environment={**keys(proxy), **patience}) as cluster,
    ):
        made = Machines(cluster, proxy, moto)
        for _ in range(workers):
            made.add()
        yield made
