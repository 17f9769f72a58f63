"""Jobs on a real head with its job server, asking for a token."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from cluster.local import LocalCluster, main
from lens_ray.engine.job_server import JobServer
from lens_ray.engine.submission import Submission
from lens_ray.store import Store
from tests.cli.conftest import Cli

pytestmark = [
    pytest.mark.timeout(300),
    # Ray's client hands aiohttp what it used to take.
    pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning"),
]
JOB = """\
name: small
suite: mini:quick
store: {store}
limit: {limit}
models:
  - name: talker
    backend: fake
    replicas: 1
    options: {{parallel: 2{options}}}
"""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory, lens_home: Path) -> Iterator[LocalCluster]:
    """A head that hosts replicas itself, on loopback, so that it starts everywhere."""
    folder = tmp_path_factory.mktemp("cluster")
    with LocalCluster.up(folder, nodes=0, head_cpus=2, dashboard=True, namespaces=False) as cluster:
        yield cluster


@pytest.fixture
def address(head: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of its dashboard, whose token this process has."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(head.token_file))
    assert head.dashboard is not None
    return head.dashboard


def write(folder: Path, *, options: str = "", limit: int = 24, name: str = "store") -> Path:
    file = folder / "job.yaml"
    file.write_text(JOB.format(store=folder / name, options=options, limit=limit))
    return file


def check_whole(folder: Path, samples: int) -> None:
    """Exactly one row a sample, and a store without a fault."""
    store = Store(folder / "store")
    ids = store.rows(columns=["sample_id"])["sample_id"].to_pylist()
    assert len(ids) == len(set(ids)) == samples
    assert store.check() == []


def test_the_real_head_refuses_other_tokens(
    cli: Cli, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    wrong = cli("jobs", "--address", address)
    assert (wrong.code, wrong.err.count("\n")) == (5, 1)
    assert "refuses the token" in wrong.err
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert "asks for a token" in cli("jobs", "--address", address).err


def test_the_port_of_ray_start_is_no_dashboard(cli: Cli, head: LocalCluster, address: str) -> None:
    done = cli("jobs", "--address", head.address)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "not the port of ray start" in done.err


def test_submitted_twice_it_runs_once(cli: Cli, address: str, tmp_path: Path) -> None:
    job, at = write(tmp_path), ("--address", address)
    first = cli("submit", job, *at)
    assert first.code == 0, first.err
    name = first.out.split()[2]
    assert name.endswith("-a1")
    again = cli("submit", job, *at, "--wait", "--json")
    assert again.code == 0, again.err
    told = again.json
    assert (told["id"], told["attached"], told["attempt"]) == (name, True, 1)
    assert (told["status"], told["exit_code"]) == ("SUCCEEDED", 0)
    assert "] talker: done 24/24\n" in again.err
    [shown] = [one for one in cli("jobs", *at, "--json").json if one["id"] == name]
    assert (shown["status"], shown["done"], shown["expected"]) == ("SUCCEEDED", 24, 24)
    assert shown["models"][0]["complete"] is True
    check_whole(tmp_path, 24)


@pytest.mark.chaos
def test_ray_address_does_not_win(cli: Cli, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself lets it."""
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
    assert cli("jobs", "--address", address).code == 0


@pytest.mark.chaos
def test_stopped_in_the_middle_it_goes_on_where_it_was(
    cli: Cli, address: str, tmp_path: Path
) -> None:
    # Half a second an answer, so that the stop finds it at work; who goes on need not be slow.
    slow = f", latency_s: 0.01, slow_replicas: 1, slow_factor: 50, state_dir: {tmp_path / 'slow'}"
    job, at = write(tmp_path, options=slow, limit=40), ("--address", address)
    name = cli("submit", job, *at, "--json").json["id"]
    server = JobServer(address)
    heard = ""
    with closing(server.follow(name)) as lines:
        for text in lines:
            heard += text
            if re.search(r"talker: running [1-9]", heard):
                break
    stopped = cli("stop", name, *at)
    assert (stopped.code, stopped.out) == (
        0, f"{name}: STOPPED; submit the same job again to go on\n",
    )  # fmt: skip
    rows = Store(tmp_path / "store").rows(columns=["sample_id"]).num_rows
    assert 0 < rows < 40
    assert cli("stop", name, *at).out == f"{name} had ended before: STOPPED\n"
    [shown] = [one for one in cli("jobs", *at, "--json").json if one["id"] == name]
    assert (shown["status"], shown["done"], shown["expected"]) == ("STOPPED", rows, 40)
    ended = cli("logs", name, *at, "--follow")
    assert ended.code == 0
    assert "lens-ray: interrupted; the same command goes on" in ended.out
    assert f"lens-ray: job {name}: STOPPED; submit it again to go on\n" == ended.err

    again = cli("submit", job, *at, "--wait", "--json")
    assert (again.code, again.json["attempt"], again.json["attached"]) == (0, 2, False), again.err
    assert again.json["id"] == name.removesuffix("1") + "2"
    assert f"{40 - rows} answers in " in again.err
    assert f", {rows} were there already" in again.err
    check_whole(tmp_path, 40)

    # Nothing is left to do, and a third submission says so and no more.
    third = cli("submit", job, *at, "--wait")
    assert third.code == 0
    assert "attempt 3: it goes on where the store says" in third.out
    assert "0 answers in " in third.err


@pytest.mark.chaos
def test_a_job_that_fails_says_why_and_with_the_drivers_code(
    cli: Cli, address: str, tmp_path: Path
) -> None:
    job, at = write(tmp_path), ("--address", address)
    job.write_text(job.read_text().split("  - ")[0] + "  - {name: talker, path: /nowhere}\n")
    done = cli("submit", job, *at, "--wait")
    assert done.code == 2, done.err
    assert "FAILED: model talker: no checkpoint folder at /nowhere" in done.err
    missing = cli("submit", job, *at, "--wait", "--env", "LENS_RAY_TEST_NONE")
    assert missing.code == 5
    assert "FAILED: LENS_RAY_TEST_NONE is not set on the node of the driver" in missing.err


@pytest.mark.chaos
def test_a_folder_is_sent_along_and_logs_follow_to_the_end(
    cli: Cli, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray._private.runtime_env import packaging

    from lens_ray.testing.tiny_checkpoint import make_tiny_checkpoint

    folder = tmp_path / "sent"
    make_tiny_checkpoint(folder / "tiny")
    job, at = write(tmp_path, limit=6), ("--address", address, "--working-dir", folder)
    job.write_text(job.read_text().split("  - ")[0] + "  - {name: talker, path: tiny}\n")
    name = cli("submit", job, *at, "--json").json["id"]
    done = cli("logs", name, *at[:2], "--follow")
    assert done.code == 0, done.out
    assert "] talker: done 6/6\n" in done.out
    assert done.err == f"lens-ray: job {name}: SUCCEEDED\n"
    check_whole(tmp_path, 6)
    assert cli("logs", name, *at[:2]).out == done.out
    near = cli("logs", name[:-1] + "7", *at[:2])
    assert (near.code, near.err.count("\n")) == (2, 1)
    assert f"did you mean {name}?" in near.err
    (folder / "more").write_bytes(b"1" * 3000)
    monkeypatch.setattr(packaging, "GCS_STORAGE_MAX_SIZE", 1000)
    large = cli("submit", job, *at)
    assert (large.code, large.err.count("\n")) == (2, 1)
    assert f"--working-dir {folder}: " in large.err
    assert ".rayignore" in large.err


def test_on_loopback_nothing_can_be_cut(
    head: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cut", "head", "--folder", str(head.folder)]) == 2
    assert "all nodes are on loopback" in capsys.readouterr().err
    assert main(["status", "--folder", str(head.folder)]) == 0
    assert json.loads(capsys.readouterr().out) == head.status()
    assert head.token_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.chaos
def test_two_who_submit_at_once_start_one_job(address: str) -> None:
    one = Submission(
        base=f"lens-race-{secrets.token_hex(6)}",
        entrypoint="exec sleep 600",
        job_file="",
        working_dir=None,
        image=None,
        environment={},
        metadata={},
        on_head=True,
    )
    servers = [JobServer(address) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda server: server.submit(one), servers))
    assert {(each.id, each.attempt) for each in done} == {(f"{one.base}-a1", 1)}
    assert sorted(each.attached for each in done) == [False, True, True]
    assert servers[0].stop(f"{one.base}-a1")
    assert servers[0].wait_stopped(f"{one.base}-a1").status == "STOPPED"
