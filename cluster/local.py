"""A real Ray cluster on this machine: a head and workers, each with an address of its own.

::

    python -m cluster.local up --nodes 3 --cpus 1 --dashboard   # a head and three workers
    python -m cluster.local status                              # addresses, nodes, the token's file
    python -m cluster.local exec head -- lens-ray run JOB.yaml --address auto
    python -m cluster.local cut worker-1                        # pull its network cable
    python -m cluster.local heal worker-1
    python -m cluster.local slow worker-2 5                     # 5 % of its speed; 100 ends it
    python -m cluster.local kill worker-3                       # as if its power were gone
    python -m cluster.local add --cpus 2                        # one more worker
    python -m cluster.local down

As root, each node is a network namespace on a bridge (``10.231.x.0/24``, which nothing outside this
machine reaches) and a pid namespace. Without root the nodes are on loopback (127.0.0.2, .3, ...),
``cut`` is not possible, and a driver on any node is attached to the head. CPUs and GPUs are
logical: Ray hands them out, nothing is needed to be there. Nodes inherit the variables of this
shell; ``{host}`` in one becomes the address of this machine as they see it
(``AWS_ENDPOINT_URL='http://{host}:5555'``). What runs is written to a folder (``--folder``, by
default ``.lens-cluster`` here), and only that is ended.

As a library::

    with LocalCluster.up(folder, nodes=2, dashboard=True) as cluster:
        cluster.cut("worker-1")
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

from cluster.network import NetworkError
from cluster.nodes import HEAD, ClusterProblem, LocalCluster, Node

__all__ = ["HEAD", "ClusterProblem", "LocalCluster", "Node", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 where it was done, 2 for a wrong use, 5 where a node does not start; of ``exec``, what the
        command returned.
    """
    given = _parser().parse_args(arguments)
    try:
        return _run(given)
    except (ClusterProblem, NetworkError, RuntimeError) as error:
        print(f"cluster.local: {error}", file=sys.stderr)
        return 5 if given.verb in ("up", "add") else 2


def _run(given: argparse.Namespace) -> int:
    if given.verb == "up":
        cluster = LocalCluster.up(
            given.folder,
            nodes=given.nodes,
            cpus=given.cpus,
            gpus=given.gpus,
            head_cpus=given.head_cpus,
            dashboard=given.dashboard,
            token=False if given.no_token else None,
            namespaces=False if given.loopback else None,
        )
        print(json.dumps(cluster.status(), indent=1))
        return 0
    cluster = LocalCluster.load(given.folder)
    if given.verb == "down":
        cluster.down()
    elif given.verb == "status":
        print(json.dumps(cluster.status(), indent=1))
    elif given.verb == "add":
        resources, labels = json.loads(given.resources), json.loads(given.labels)
        print(cluster.add(cpus=given.cpus, gpus=given.gpus, resources=resources, labels=labels))
    elif given.verb == "exec":
        command = [part for part in given.command if part != "--"]
        whole = cluster.command(given.node, command)
        return subprocess.run(whole, env=cluster.environment(), check=False).returncode
    elif given.verb == "slow":
        cluster.slow(given.node, given.percent)
    else:
        {"kill": cluster.kill, "cut": cluster.cut, "heal": cluster.heal}[given.verb](given.node)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.local",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, what: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=what, description=what)
        made.add_argument("--folder", default=".lens-cluster", help="where its state is")
        return made

    up = verb("up", "start a head and workers")
    up.add_argument("--nodes", type=int, default=3, help="workers beside the head")
    up.add_argument("--head-cpus", type=int, default=0, help="CPUs of the head")
    up.add_argument("--dashboard", action="store_true", help="with the job server, and a token")
    up.add_argument("--no-token", action="store_true", help="ask nobody for a token")
    up.add_argument("--loopback", action="store_true", help="no namespaces, even as root")
    add = verb("add", "start one more worker")
    add.add_argument("--resources", default="{}", help='such as {"disk": 1}')
    add.add_argument("--labels", default="{}", help='such as {"market": "spot"}')
    for one in (up, add):
        one.add_argument("--cpus", type=int, default=1, help="of each worker")
        one.add_argument("--gpus", type=int, default=0, help="of each worker, logical")
    verb("status", "print what there is, as JSON")
    verb("down", "end all that was started")
    verb("kill", "end a node at once").add_argument("node")
    verb("cut", "pull a node's network cable").add_argument("node")
    verb("heal", "put it back").add_argument("node")
    slow = verb("slow", "let a node run a part of the time")
    slow.add_argument("node")
    slow.add_argument("percent", type=float, help="of its speed; 100 ends it")
    run = verb("exec", "run a command on a node")
    run.add_argument("node")
    run.add_argument("command", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    sys.exit(main())
