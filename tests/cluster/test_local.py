"""Several nodes with addresses of their own: cut, killed, added, and a job that survives it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from cluster import processes
from cluster.local import HEAD, LocalCluster, main
from lens_ray.engine.job_server import JobServer
from lens_ray.store import Store
from tests.cli.conftest import Cli
from tests.cluster.conftest import bucket_keys

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning"),
]
SAMPLES = 24
JOB = """\
name: away
suite: mini:quick
store: {store}
limit: 24
models:
  - name: talker
    backend: fake
    replicas: 2
    # The first two, whose driver dies, are at work for long; those that go on need not be.
    options: {{latency_s: 0.01, slow_replicas: 2, slow_factor: 50, state_dir: {slow}}}
"""
LOOK = """
import json, sys, time, ray
ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
wanted = set(sys.argv[1:])
while True:  # until those that are alive are the wanted ones
    alive = [node for node in ray.nodes() if node["Alive"]]
    if {node["NodeManagerAddress"] for node in alive} == wanted:
        break
    time.sleep(0.1)
here = ray.get_runtime_context().get_node_id()
print(json.dumps([
    [n["NodeManagerAddress"], n["Resources"].get("CPU", 0), n["Resources"].get("GPU", 0),
     n["Resources"].get("disk", 0), n["Labels"].get("market"), n["NodeID"] == here]
    for n in sorted(alive, key=lambda n: n["NodeManagerAddress"])
]))
"""
KNOCK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.5)"


@pytest.fixture(scope="module")
def nodes(nodes_begun: tuple[Future[LocalCluster], ExitStack]) -> Iterator[LocalCluster]:
    """A head without a CPU and two workers, whose environment has the keys to the bucket."""
    begun, stack = nodes_begun
    cluster = begun.result()
    yield cluster
    left = [node.process for node in cluster.nodes.values() if node.process is not None]
    stack.close()
    assert left
    assert not any(process.alive for process in left)
    assert cluster.network is not None
    listed = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for command in (["ip", "netns", "list"], ["ip", "-brief", "link"])
    ]
    assert cluster.network.name not in "".join(listed)
    assert not cluster.token_file.exists()


def on(cluster: LocalCluster, node: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        cluster.command(node, arguments),
        env=cluster.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def look(cluster: LocalCluster, node: str, names: list[str]) -> list[list[object]]:
    """Ray's own list of nodes, asked on one of them, once these and no others are alive."""
    addresses = [cluster.nodes[name].address for name in names]
    done = on(cluster, node, "python", "-c", LOOK, *addresses)
    assert done.returncode == 0, done.stderr
    # Of a node that died, Ray prints a line on standard output.
    found: list[list[object]] = json.loads(done.stdout.splitlines()[-1])
    return found


def reaches(cluster: LocalCluster, node: str) -> bool:
    """Whether a node reaches the head's GCS."""
    head = cluster.nodes[HEAD].address
    return on(cluster, node, "python", "-c", KNOCK, head, str(cluster.port)).returncode == 0


def drivers(cluster: LocalCluster) -> list[str]:
    """The nodes that a driver runs on."""
    found = []
    for name, node in cluster.nodes.items():
        for pid in processes.tree(node.process) if node.process is not None else []:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[1:4] == [b"-m", b"lens_ray", b"run"]:
                found.append(name)
    return found


def test_each_node_is_a_machine_of_its_own(nodes: LocalCluster) -> None:
    extra = nodes.add(cpus=3, gpus=2, resources={"disk": 5}, labels={"market": "spot"})
    there = [name for name, node in nodes.nodes.items() if node.process is not None]
    found = look(nodes, extra, there)
    subnet = nodes.host.rpartition(".")[0]
    assert found == [
        [f"{subnet}.10", 0, 0, 0, None, False],
        [f"{subnet}.11", 2, 0, 0, None, False],
        [f"{subnet}.12", 2, 0, 0, None, False],
        [f"{subnet}.13", 3, 2, 5, "spot", True],  # a driver finds the raylet of its own node
    ]
    nodes.kill(extra)
    assert [one[0] for one in look(nodes, HEAD, there[:3])] == [
        f"{subnet}.{n}" for n in (10, 11, 12)
    ]


def test_a_cable_is_pulled_and_put_back(nodes: LocalCluster) -> None:
    extra = nodes.add()
    assert reaches(nodes, extra)
    nodes.cut(extra)
    assert not reaches(nodes, extra)
    nodes.heal(extra)
    assert reaches(nodes, extra)
    nodes.cut(extra)
    look(nodes, HEAD, [HEAD, "worker-1", "worker-2"])  # the head takes it for dead
    nodes.kill(extra)  # cut off, it does not hear of that, and goes on


def test_what_is_reserved_for_a_driver_is_no_room_for_a_replica(nodes: LocalCluster) -> None:
    code = (
        "import json; from lens_ray.engine.cluster import Cluster\n"
        "with Cluster('auto') as c: print(json.dumps([(r.cpus, r.gpus) for r in c.rooms()]))"
    )
    reserved = [*nodes.command("worker-1", ["env", "LENS_RAY_DRIVER_CPUS=0.5"]), "python", "-c"]
    for command, cpus in ((reserved, 1.5), (nodes.command("worker-1", ["python", "-c"]), 2.0)):
        done = subprocess.run(
            [*command, code], env=nodes.environment(), capture_output=True, text=True, check=True
        )
        assert sorted(json.loads(done.stdout.splitlines()[-1])) == [[0, 0], [cpus, 0], [2, 0]]


def test_a_slow_node_is_one_of_the_cluster(nodes: LocalCluster) -> None:
    nodes.slow("worker-2", 20)
    loaded = LocalCluster.load(nodes.folder)  # another process may end it
    assert loaded.nodes["worker-2"].percent == 20
    look(nodes, "worker-1", [HEAD, "worker-1", "worker-2"])
    nodes.slow("worker-2", 100)
    node = nodes.nodes["worker-2"]
    assert (node.percent, node.slower) == (100, None)


def test_the_probe_names_every_node(
    nodes: LocalCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cluster import probe

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(nodes.token_file))
    assert nodes.dashboard is not None
    assert probe.main(["--address", nodes.dashboard, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = [HEAD, "worker-1", "worker-2"]
    assert [one["address"] for one in found] == [nodes.nodes[name].address for name in wanted]
    assert [(one["head"], one["cpus"]) for one in found] == [(True, 0), (False, 2), (False, 2)]
    assert {one["ray"] for one in found} == {"2.60.0"}


def test_the_drivers_node_dies_and_the_job_goes_on(
    cli: Cli,
    nodes: LocalCluster,
    bucket_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import boto3

    for key, value in bucket_keys(nodes, bucket_port).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(nodes.token_file))
    assert nodes.dashboard is not None
    boto3.client("s3").create_bucket(Bucket="rows")
    store = "s3://rows/store"
    job, at = tmp_path / "job.yaml", ("--address", nodes.dashboard, "--env", "AWS_ACCESS_KEY_ID")
    job.write_text(JOB.format(store=store, slow=tmp_path / "slow"))
    name = cli("submit", job, *at, "--json").json["id"]
    server = JobServer(nodes.dashboard)
    with closing(server.follow(name)) as lines:
        heard = ""
        while "talker: running" not in heard:
            heard += next(lines)
    [driver] = drivers(nodes)
    assert driver != HEAD  # its store may be written from anywhere
    nodes.kill(driver)
    nodes.add(cpus=2, environment=bucket_keys(nodes, bucket_port))
    ended = server.wait(name)
    assert (ended.status, ended.exit_code) == ("FAILED", None)
    again = cli("submit", job, *at, "--wait", "--json")
    assert (again.code, again.json["attempt"]) == (0, 2), again.err
    [first, second] = cli("jobs", *at[:2], "--json").json
    assert (first["done"], first["expected"], first["status"]) == (SAMPLES, SAMPLES, "SUCCEEDED")
    assert second["id"] == name
    ids = Store(store).rows(columns=["sample_id"])["sample_id"].to_pylist()
    assert len(ids) == len(set(ids)) == SAMPLES
    assert Store(store).check() == []
    assert "test-secret" not in json.dumps(first) + json.dumps(second)


def test_wrong_use(nodes: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("--folder", str(nodes.folder))
    assert main(["status", "--folder", str(tmp_path)]) == 2
    assert f"type: python -m cluster.local up --folder {tmp_path}" in capsys.readouterr().err
    assert main(["kill", *folder, "nobody"]) == 2
    assert "no node 'nobody' runs; there are head, " in capsys.readouterr().err
    assert main(["up", *folder]) == 5
    assert "holds a cluster already" in capsys.readouterr().err
    assert main(["slow", *folder, HEAD, "0"]) == 2
    assert "give more than 0 and at most 100" in capsys.readouterr().err
    assert main(["exec", *folder, HEAD, "--", "sh", "-c", "exit 7"]) == 7


def test_without_namespaces_the_nodes_are_on_loopback(tmp_path: Path) -> None:
    with LocalCluster.up(tmp_path, nodes=1, namespaces=False) as cluster:
        assert cluster.token  # since Ray listens on every address here
        found = look(cluster, HEAD, [HEAD, "worker-1"])
        assert [one[:2] for one in found] == [["127.0.0.2", 0], ["127.0.0.3", 1]]
        cluster.kill("worker-1")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["head.log", "worker-1.log"]
