"""Canary keys: planted on the nodes of a real Ray, sent through every fault, and found nowhere.

The server repeats each key in its errors, odd bodies and headers; every logger of every process
writes at its lowest level; a replica is killed in the middle. Searched are the store, the report,
all that the commands print, Ray's session folder, and Ray's metadata by its state API.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from lens_ray.models.api.keys import Key
from lens_ray.store import Store
from lens_ray.testing.processes import descendants
from lens_ray.testing.provider import BatchScript, Fault, Latency, ProviderServer, Script
from lens_ray.testing.provider.script import FaultKind
from tests.chaos.harness import title

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
#: By the variable that holds it, or with ``_FILE`` names the file that does.
CANARIES = {
    "CANARY_OPENAI": "cnry/oPenAI+" + os.urandom(12).hex() + "=endA",
    "CANARY_ANTHROPIC": "cnry-ant-" + os.urandom(12).hex() + "'endB",
    "CANARY_GEMINI": "cnry.gem_" + os.urandom(12).hex() + "-endC",
    # A key that is refused or spent ends every model that asks with it.
    "CANARY_DEAD": "cnry-dead" + os.urandom(12).hex() + "-endD",
    "CANARY_SPENT": "cnry-spnt" + os.urandom(12).hex() + "-endE",
}
#: What every process that has this folder on its path does first.
LOUD = """\
import logging
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("fsspec").setLevel(logging.INFO)
"""
LIMIT = 16
DUMP = """\
import json, sys, ray
from ray._private import worker
from ray.util.state import api
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
found = {}
for name in ("actors", "jobs", "workers", "tasks", "objects", "runtime_envs", "nodes",
             "placement_groups"):
    listed = getattr(api, f"list_{name}")(detail=True, limit=5000, raise_on_missing_output=False)
    found[name] = [str(one) for one in listed]
gcs = worker.global_worker.gcs_client
kept = {}
for space in (b"", b"job", b"fun", b"actor_cls", b"runtime_env", b"session", b"dashboard", b"usage",
              b"job_info", b"serve", None):
    for key in gcs.internal_kv_keys(b"", space):
        kept[str((space, key))] = repr(gcs.internal_kv_get(key, space))
print(json.dumps({"state": found, "kept": kept}))
"""


@dataclass(frozen=True)
class Cluster:
    """A Ray with a dashboard, whose processes have the canaries in their environment."""

    address: str
    dashboard: str
    folder: Path
    environment: Mapping[str, str]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    # Sockets of Ray need a short path.
    folder = Path(tempfile.mkdtemp(prefix="lr-", dir="/tmp"))
    loud = tmp_path / "loud"
    loud.mkdir()
    (loud / "sitecustomize.py").write_text(LOUD)
    mounted = tmp_path / "mounted"
    mounted.write_text(CANARIES["CANARY_ANTHROPIC"] + "\n")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{loud}:{ROOT}",
        **{name: key for name, key in CANARIES.items() if name != "CANARY_ANTHROPIC"},
        "CANARY_ANTHROPIC_FILE": str(mounted),
        "OPENAI_LOG": "debug",
        "ANTHROPIC_LOG": "debug",
        "PYTHONASYNCIODEBUG": "1",
        "RAY_BACKEND_LOG_LEVEL": "debug",
        "RAY_USAGE_STATS_ENABLED": "0",
        "NO_PROXY": "127.0.0.1",
        "LENS_RAY_HOME": str(tmp_path / "home"),
    }
    ports = free_ports(3)
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={ports[0]}",
        f"--dashboard-port={ports[1]}", f"--dashboard-agent-listen-port={ports[2]}",
        "--include-dashboard=true", "--num-cpus=2",
        f"--temp-dir={folder}", "--disable-usage-stats", "--node-ip-address=127.0.0.1", "--block",
        "--object-store-memory=83886080",
    ]  # fmt: skip
    log = (tmp_path / "ray.log").open("w")
    process = subprocess.Popen(
        command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        for port in ports:
            wait_for(port, process)
        yield Cluster(f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", folder, environment)
    finally:
        for pid in (process.pid, *descendants(process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nobody listens on port {port}")


def model(name: str, backend: str, url: str, **options: object) -> dict[str, object]:
    """A model whose name is its id at the server, by which its faults find it."""
    given = {
        "base_url": url, "api_key_env": f"CANARY_{backend.upper()}", "timeout_s": 1.0,
        "patience_s": 4.0, "concurrency": 8, **options,
    }  # fmt: skip
    return {"name": name, "backend": backend, "path": name, "access": "closed", "options": given}


def faults(name: str, *kinds: FaultKind) -> Iterator[Fault]:
    """Each kind strikes its part of a model's questions once; the rest goes well."""
    part = 0.8 / len(kinds)
    for place, kind in enumerate(kinds):
        yield Fault(
            kind=kind, model=name, low=part * place, high=part * (place + 1), tries=1, seconds=2.0
        )


SCRIPT = Script(
    latency=Latency(median_s=0.1),
    repeats_keys=True,
    batches=BatchScript(takes_s=0.2),
    faults=(
        *faults(
            "passing", "rate_limit", "overloaded", "server_error", "html", "disconnect",
            "lost_answer", "broken_json", "wrong_schema", "truncated",
        ),
        *faults("slow", "silence", "drip"),
        *faults("lasting", "moderation", "context", "image", "invalid", "refusal", "empty"),
        Fault(kind="bad_key", model="dead", after=0),
        Fault(kind="no_credit", model="spent", after=0),
    ),
)  # fmt: skip


def job(store: Path, server: ProviderServer) -> dict[str, object]:
    v1 = server.openai_url
    return {
        "name": "canaries",
        "suite": "mini:quick",
        "store": str(store),
        "limit": LIMIT,
        "models": [
            model("passing-openai", "openai", v1),
            model("slow-anthropic", "anthropic", server.url),
            model("lasting-gemini", "gemini", server.url),
            model(
                "dead-batch", "openai", v1, mode="batch", api_key_env="CANARY_DEAD", timeout_s=30
            ),
            model("spent-chat", "openai", v1, api="chat", api_key_env="CANARY_SPENT", timeout_s=30),
            model("good-batch", "anthropic", server.url, mode="batch"),
        ],
    }


def run(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT, env=dict(cluster.environment), capture_output=True, text=True, check=False,
        timeout=150,
    )  # fmt: skip


def forms(key: str) -> dict[str, bytes]:
    """A key in every form that it may have got into a file, and the ends that a server shows."""
    encoded = base64.b64encode(key.encode()).rstrip(b"=")
    return {
        "itself": key.encode(),
        "in a URL": quote(key, safe="").encode(),
        "in JSON": json.dumps(key)[1:-1].encode(),
        "in base64": encoded,
        "around stars": f"{key[:8]}{'*' * 24}{key[-4:]}".encode(),
        "its middle": key[12:28].encode(),
    }


def found_in(data: bytes) -> list[str]:
    return [
        f"{name} {how}"
        for name, key in CANARIES.items()
        for how, form in forms(key).items()
        if form in data
    ]


def searched(place: Path) -> list[str]:
    """Where in a file, or in the files of a folder, a canary is; there must be some."""
    inside = sorted(place.rglob("*")) if place.is_dir() else [place]
    files = [path for path in inside if path.is_file() and not path.is_symlink()]
    assert files, place
    return [f"{path}: {hit}" for path in files for hit in found_in(path.read_bytes())]


def kill_replicas(cluster: Cluster, server: ProviderServer) -> bool:
    """One by SIGKILL, and another by SIGABRT, whose handler dumps its stacks."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if server.counts.calls > 20:
            pids = [int(name.name) for name in Path("/proc").glob("[0-9]*")]
            named = [pid for pid in pids if title(pid).startswith("ray::ReplicaActor")]
            replicas = [pid for pid in named if at_home(pid, cluster)]
            if len(replicas) >= 2:
                os.kill(replicas[0], signal.SIGKILL)
                os.kill(replicas[1], signal.SIGABRT)
                return True
        time.sleep(0.05)
    return False


def at_home(pid: int, cluster: Cluster) -> bool:
    """Whether a process is one of this test's Ray."""
    try:
        return str(cluster.folder).encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def test_no_canary_is_found_anywhere(cluster: Cluster, tmp_path: Path) -> None:
    store, file, page = tmp_path / "store", tmp_path / "job.json", tmp_path / "report.html"
    said: dict[str, str] = {}

    def command(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        done = run(cluster, "lens_ray", *words)
        said[f"{name}, output"], said[f"{name}, errors"] = done.stdout, done.stderr
        return done

    with ProviderServer(SCRIPT) as server:
        file.write_text(json.dumps(job(store, server)))
        words = ("submit", str(file), "--address", cluster.dashboard, "--env", "CANARY_OPENAI")
        submitted = command("submit", *words)
        while "No available agent" in submitted.stderr:  # Ray's agent starts after its dashboard
            submitted = command("submit", *words)
        assert submitted.returncode == 0, submitted.stderr
        name = find_id(submitted.stdout)
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(command, "doctor", "doctor", "--job", str(file))
            assert kill_replicas(cluster, server)
            logs = command("logs", "logs", name, "--address", cluster.dashboard, "--follow")
            doctor = asked.result()
            pages = [
                pool.submit(command, "report", "report", "--store", str(store), "--out", str(page)),
                pool.submit(command, "rows", "query", "SELECT * FROM rows", "--store", str(store)),
            ]
            dumped = run_script(cluster, DUMP, cluster.address)
            assert [one.result().returncode for one in pages] == [0, 0]
        counts = server.counts

    # The canaries were there, and went through what they were to go through.
    unseen = [n for n, key in CANARIES.items() if Key(key, n).fingerprint not in counts.keys]
    assert not unseen, said["doctor, output"] + logs.stdout + logs.stderr
    # Which question a fault strikes its digest decides; of so few, some kinds strike none.
    assert len(counts.faults) >= 10, counts.faults
    assert {"html", "bad_key", "no_credit"} <= set(counts.faults)
    assert doctor.returncode == 5
    assert "key_refused" in said["doctor, output"]
    rows = {header.model: header for header in Store(str(store)).runs()}
    assert {"passing-openai", "slow-anthropic", "lasting-gemini"} <= set(rows)
    assert "DEBUG" in "".join(text.read_text(errors="replace") for text in worker_logs(cluster))
    assert dumped["state"]["actors"]
    assert dumped["state"]["jobs"]

    said["Ray's metadata"] = json.dumps(dumped)
    hits = [f"{what}: {hit}" for what, text in said.items() for hit in found_in(text.encode())]
    for place in (store, cluster.folder, tmp_path / "home", page, tmp_path / "ray.log"):
        hits += searched(place)
    assert hits == []
    # What looks for them would find them.
    (tmp_path / "home" / "planted").write_text(f"x{CANARIES['CANARY_GEMINI']}x")
    assert searched(tmp_path / "home")


def find_id(text: str) -> str:
    return next(word.strip(".,;:") for word in text.split() if word.startswith("lens-canaries"))


def worker_logs(cluster: Cluster) -> list[Path]:
    return [path for path in cluster.folder.rglob("worker-*.err") if path.is_file()] + list(
        cluster.folder.rglob("job-driver-*.log")
    )


def run_script(cluster: Cluster, text: str, *words: str) -> dict[str, dict[str, list[str]]]:
    done = subprocess.run(
        [sys.executable, "-c", text, *words],
        cwd=ROOT, env={**cluster.environment, "RAY_ADDRESS": cluster.address},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    loaded: dict[str, dict[str, list[str]]] = json.loads(done.stdout.splitlines()[-1])
    return loaded
