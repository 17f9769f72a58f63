"""``lens-ray submit`` and its siblings, as far as no cluster is needed."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from lens_ray import Store
from lens_ray.cli.logs import shown
from lens_ray.cli.submit import exit_code, outcome
from lens_ray.engine.job_progress import ModelDone, Stores
from lens_ray.engine.job_server import Job, dashboard_address, find_token
from lens_ray.engine.submission import Submission, attempt_of, next_id, prepare
from lens_ray.errors import JobError, SuiteError, UserError
from lens_ray.job import load_job
from lens_ray.suites import Suite
from tests.cli.conftest import Cli

JOB = """\
# A comment that changes nothing.
name: pretended
suite: mini:quick
store: {store}
limit: 30
abilities: [counting, ocr]
models:
  - {{name: talker, backend: fake, path: "", options: {{latency_s: 0.5}}}}
  - {{name: other, backend: fake, path: "", options: {{seed: 1}}}}
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    file = tmp_path / "job.yaml"
    file.write_text(JOB.format(store="s3://bucket/store"))
    return file


# What is sent.


def test_the_same_job_has_the_same_id_and_another_one_another(job: Path, tmp_path: Path) -> None:
    first = prepare(job)
    assert first.base.startswith("lens-pretended-")
    assert len(first.base.removeprefix("lens-pretended-")) == 12
    again = tmp_path / "copy.yaml"
    again.write_text(JOB.format(store="s3://bucket/store").replace("# A comment", "# Another"))
    assert prepare(again).base == first.base
    assert prepare(job, store="s3://bucket/other").base != first.base
    assert prepare(job, image="ours:1").base != first.base
    assert prepare(job, working_dir=tmp_path, folder_digest="1").base != first.base
    again.write_text(JOB.format(store="s3://bucket/store").replace("seed: 1", "seed: 2"))
    assert prepare(again).base != first.base


def test_attempts_are_counted_within_one_job() -> None:
    base = "lens-a-0123456789ab"
    assert next_id(base, []) == f"{base}-a1"
    assert next_id(base, [f"{base}-a1", f"{base}-a9", f"{base}-a10"]) == f"{base}-a11"
    assert next_id(base, [f"{base}x-a4", f"x{base}-a5", "raysubmit_1"]) == f"{base}-a1"
    assert attempt_of(f"{base}-a12", base) == 12
    assert attempt_of(f"{base}-a0", base) is None
    assert attempt_of("lens.a-0123456789ab-a1", "lens?a-0123456789ab") is None


def test_names_that_no_url_can_carry_are_written_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(JOB.format(store="s3://b/s").replace("pretended", "a+b@c"))
    assert prepare(file).base.startswith("lens-a-b-c-")


def test_metadata_is_texts_without_secrets(job: Path) -> None:
    facts = prepare(job).metadata
    # 30 is less than the two abilities have, and their groups are single samples or pairs.
    samples = facts["samples"]
    assert dict(facts) | {"samples": "", "lens_ray": ""} == {
        "lens_ray": "",
        "job": "pretended",
        "suite": "mini:quick",
        "models": "talker,other",
        "store": "s3://bucket/store",
        "abilities": "counting,ocr",
        "limit": "30",
        "samples": "",
    }
    assert 25 <= int(samples) <= 30


def test_the_commit_of_the_job_file_is_named(job: Path) -> None:
    git = ["git", "-C", str(job.parent), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    said = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    assert prepare(job).metadata["git_sha"] == said.stdout.strip()


def test_variables_are_replaced_here(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job.write_text(JOB.format(store="${LENS_BUCKET}/store"))
    with pytest.raises(JobError, match=r"LENS_BUCKET is not set; type export LENS_BUCKET="):
        prepare(job)
    monkeypatch.setenv("LENS_BUCKET", "s3://mine")
    ready = prepare(job)
    assert ready.metadata["store"] == "s3://mine/store"
    assert "LENS_BUCKET" not in ready.job_file
    assert yaml.safe_load(ready.job_file)["store"] == "s3://mine/store"


def test_a_store_in_a_folder_is_one_of_the_head(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job.write_text(JOB.format(store="here"))
    ready = prepare(job)
    assert ready.on_head
    assert ready.metadata["store"] == str(tmp_path / "here")
    assert f"--store {tmp_path}/here" in ready.entrypoint
    assert "LENS_RAY_DRIVER_CPUS" not in ready.environment
    away = prepare(job, store="s3://bucket/store")
    assert not away.on_head
    assert float(away.environment["LENS_RAY_DRIVER_CPUS"]) > 0


def test_what_the_shell_makes_of_it(job: Path, tmp_path: Path) -> None:
    """Real `sh`, and a `python` that tells what it was given."""
    store = "s3://bucket/it's here"
    sent = _sh(prepare(job, store=store), tmp_path)
    assert sent.stdout.splitlines()[:6] == [
        "-m", "lens_ray", "run", "lens-job.yaml", "--address", "auto",
    ]  # fmt: skip
    assert sent.stdout.splitlines()[6:] == ["--store", store]
    inline = _sh(prepare(job, image="ours:1"), tmp_path)
    lines = inline.stdout.split("\n")
    assert lines[:4] == ["-m", "lens_ray", "run", "/dev/stdin"]
    whole = tmp_path / "sent.yaml"
    whole.write_text("\n".join(lines[8:]))
    assert load_job(whole) == load_job(job)


def test_what_must_be_set_is_looked_for_before_anything_is_spent(job: Path, tmp_path: Path) -> None:
    ready = prepare(job, variables=["LENS_ONE", "LENS_TWO", "LENS_ONE"])
    done = _sh(ready, tmp_path, LENS_ONE="a")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        "lens-ray: LENS_TWO is not set on the node of the driver; set it where ray start runs on "
        "every node, then submit again\n"
    )
    assert _sh(ready, tmp_path, LENS_ONE="a", LENS_TWO="b").returncode == 0
    assert not {"LENS_ONE", "LENS_TWO"} & set(ready.environment)


def _sh(ready: Submission, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run an entrypoint as Ray does, with a `python` that prints its arguments and its input."""
    told = folder / "bin" / "python"
    told.parent.mkdir(exist_ok=True)
    told.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nif [ "$4" = /dev/stdin ]; then cat; fi\n')
    told.chmod(told.stat().st_mode | stat.S_IXUSR)
    return subprocess.run(
        ready.entrypoint,
        shell=True,
        env={"PATH": f"{told.parent}:{os.environ['PATH']}", **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


# What is refused before anything is sent.


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["AWS_SECRET_ACCESS_KEY=hunter2"],
            r"--env AWS_SECRET_ACCESS_KEY=\.\.\.: values are never",
        ),
        (["A B=hunter2"], r"--env NAME=\.\.\.: values are never sent"),
        (["ok", "1st"], r"--env '1st' is no name of a variable; write --env NAME"),
        (["a;rm"], r"--env 'a;rm' is no name"),
    ],
)
def test_values_are_refused_and_not_repeated(job: Path, names: Sequence[str], said: str) -> None:
    with pytest.raises(JobError, match=said) as caught:
        prepare(job, variables=names)
    assert "hunter2" not in str(caught.value)


def test_paths_of_this_machine_are_refused(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job.write_text(
        JOB.format(store="s3://b/s").replace(
            'backend: fake, path: "", options: {latency_s: 0.5}', "path: ./checkpoint"
        )
    )
    with pytest.raises(JobError, match=r"models\[0\].path: ./checkpoint is on this machine, and "):
        prepare(job)
    with pytest.raises(JobError, match=r"models\[0\].path"):
        prepare(job, working_dir=tmp_path, folder_digest="1")
    (tmp_path / "checkpoint").mkdir()
    assert prepare(job, working_dir=tmp_path, folder_digest="1").working_dir == tmp_path
    job.write_text(job.read_text().replace("./checkpoint", "/on/every/node"))
    prepare(job)
    job.write_text(job.read_text().replace("/on/every/node", "org/name"))
    prepare(job)  # a hub id
    (tmp_path / "org" / "name").mkdir(parents=True)
    with pytest.raises(JobError, match="org/name is on this machine"):
        prepare(job)
    job.write_text(job.read_text().replace("org/name", "merge:./recipe.yaml"))
    with pytest.raises(JobError, match=r"recipe\.yaml is on this machine"):
        prepare(job)


def test_a_suite_is_known_before_anything_is_spent(job: Path) -> None:
    job.write_text(job.read_text().replace("mini:quick", "mini:quik"))
    with pytest.raises(SuiteError, match="nearest is 'mini:quick'"):
        prepare(job)
    job.write_text(job.read_text().replace("mini:quik", "other@0123456789ab"))
    assert "samples" not in prepare(job).metadata  # it may be there on the cluster


def test_wrong_use_of_submit(cli: Cli, job: Path, tmp_path: Path) -> None:
    at = ("--address", "http://127.0.0.1:9")
    both = cli("submit", job, *at, "--image", "a", "--working-dir", tmp_path)
    assert (both.code, both.err.count("\n")) == (2, 1)
    assert "Ray takes one of them" in both.err
    missing = cli("submit", job, *at, "--working-dir", tmp_path / "none")
    assert missing.code == 2
    assert "none: is no folder" in missing.err
    assert cli("submit", tmp_path / "none.yaml", *at).code == 2
    nowhere = cli("submit", job)
    assert nowhere.code == 2
    assert "--address" in nowhere.err


# Addresses, versions, tokens.


class _Stub(BaseHTTPRequestHandler):
    """Answers every request with one status and body, once it has the token that it wants."""

    status = 200
    body = b""
    token: str | None = None

    def do_GET(self) -> None:  # http.server asks for this name
        given = self.headers.get("Authorization")
        status = self.status
        if self.token is not None:
            status = 401 if given is None else 200 if given == f"Bearer {self.token}" else 403
        self.send_response(status)
        self.end_headers()
        self.wfile.write(self.body if status == self.status else b"no")

    def log_message(self, format: str, *args: object) -> None:  # its name in http.server
        pass


@contextmanager
def stub(status: int = 200, body: object = None, token: str | None = None) -> Iterator[str]:
    """An HTTP server on loopback."""
    facts = {"status": status, "body": json.dumps(body).encode(), "token": token}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Stub", (_Stub,), facts)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_another_ray_is_refused_with_both_versions(cli: Cli) -> None:
    with stub(body={"version": "4", "ray_version": "2.9.3"}) as address:
        for verb in (["jobs"], ["logs", "x"], ["stop", "x"]):
            done = cli(*verb, "--address", address)
            assert (done.code, done.err.count("\n")) == (5, 1)
            assert f"the cluster at {address} runs Ray 2.9.3, and here is Ray 2.60.0" in done.err
            assert "pip install 'ray[default]==2.9.3'" in done.err


def test_tokens(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    with stub(body={"ray_version": "2.9.3"}, token="right") as address:
        none = cli("jobs", "--address", address)
        assert (none.code, none.err.count("\n")) == (5, 1)
        assert "asks for a token, and there is none here; set RAY_AUTH_TOKEN" in none.err
        monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong-hunter2")
        wrong = cli("jobs", "--address", address)
        assert (wrong.code, wrong.err.count("\n")) == (5, 1)
        assert "refuses the token, which is wrong or has expired" in wrong.err
        assert "hunter2" not in wrong.err
        monkeypatch.setenv("RAY_AUTH_TOKEN", "right")
        assert "runs Ray 2.9.3" in cli("jobs", "--address", address).err


def test_where_a_token_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    assert find_token() is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of-home\n")
    assert find_token() == "of-home"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"RAY_AUTH_TOKEN_PATH: .*none cannot be read"):
        find_token()
    monkeypatch.setenv("RAY_AUTH_TOKEN", " of-env ")
    assert find_token() == "of-env"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert find_token() is None


@pytest.mark.parametrize(
    "address", ["ray://head:10001", "anyscale://x", "http://", "http://head:port", "head:99999"]
)
def test_what_is_no_address_of_a_dashboard(cli: Cli, address: str) -> None:
    done = cli("jobs", "--address", address)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"--address {address}: is no address of a dashboard; give http://HEAD:8265" in done.err


def test_credentials_in_an_address_are_refused() -> None:
    with pytest.raises(UserError, match="set RAY_AUTH_TOKEN") as caught:
        dashboard_address("http://me:hunter2@head:8265")
    assert "hunter2" not in str(caught.value)
    assert dashboard_address("head:8265") == "http://head:8265"
    assert dashboard_address("https://head/") == "https://head"


def test_nobody_there_and_somebody_else_there(cli: Cli) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and it does not listen
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = cli("jobs", "--address", address)
    assert (done.code, done.err.count("\n")) == (5, 1)
    assert f"no job server at {address} can be reached" in done.err
    for status, body in ((404, "x"), (200, ["x"]), (200, {"version": "4"})):
        with stub(status, body) as address:
            done = cli("jobs", "--address", address)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "what answers is no dashboard" in done.err


def test_a_port_that_speaks_no_http(cli: Cli) -> None:
    """What the GCS at 6379 does: it answers in another language."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):  # the knock, then the question
                connection, _ = server.accept()
                connection.sendall(b"\0\0\x18\4\0\0\0\0\0\n")
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        done = cli("jobs", "--address", f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "not the port of ray start (6379)" in done.err


# What is read back.


def test_progress_comes_from_the_store(filled: Path, tiny_suite: Suite) -> None:
    meta = {"store": str(filled), "suite": "tiny", "models": "good,later", "samples": "8"}
    progress = Stores().progress(Job("a", "RUNNING", meta))
    runs = {header.model: header.run_id for header in Store(filled).runs()}
    assert len(tiny_suite.samples) == 8
    assert progress.models == (
        ModelDone("good", runs["good"], 8, 8, complete=True),
        ModelDone("later", None, 0, 8, complete=False),
    )
    assert (progress.done, progress.expected, progress.reason) == (8, 16, None)
    counted = Stores().progress(Job("a", "RUNNING", {**meta, "samples": "", "limit": "5"}))
    assert [(one.done, one.expected) for one in counted.models] == [(5, 5), (0, 5)]
    other = Stores().progress(Job("a", "RUNNING", {**meta, "suite": "another", "samples": ""}))
    assert [(one.run_id, one.done, one.expected) for one in other.models] == [
        (None, 0, None),
        (None, 0, None),
    ]
    assert other.expected is None


def test_a_store_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    progress = Stores().progress(Job("a", "RUNNING", {"store": str(tmp_path / "none")}))
    assert progress.models == ()
    assert str(tmp_path / "none") in str(progress.reason)


def test_how_a_job_ended_is_the_exit_code() -> None:
    assert exit_code(Job("a", "SUCCEEDED", exit_code=0)) == 0
    assert exit_code(Job("a", "STOPPED")) == 6
    assert exit_code(Job("a", "FAILED", exit_code=2)) == 2
    assert exit_code(Job("a", "FAILED", exit_code=-9)) == 5
    assert exit_code(Job("a", "FAILED")) == 5  # its node died
    message = "failed with exit code 2:\nlens-ray: models[0]: no checkpoint\n\n"
    assert outcome(Job("a", "FAILED", message=message)) == (
        "job a: FAILED: models[0]: no checkpoint"
    )
    assert outcome(Job("a", "STOPPED")) == "job a: STOPPED; submit it again to go on"


def test_logs_cannot_move_a_cursor() -> None:
    assert shown("a\tb\n\x1b[2Jc\r\u202e") == "a\tb\n\\x1b[2Jc\\r\\u202e"


# A watch file.

WATCH = """\
name: nightly
suite: mini:quick
store: {store}
runs:
  - {{name: a, path: s3://bucket/runs/a}}
  - {{name: b, path: /data/runs/b}}
"""


@pytest.fixture
def watch(tmp_path: Path) -> Path:
    file = tmp_path / "watch.yaml"
    file.write_text(WATCH.format(store="s3://bucket/store"))
    return file


def test_a_watch_is_submitted_as_a_watch(watch: Path, job: Path) -> None:
    ready = prepare(watch)
    assert ready.entrypoint.startswith("exec python -m lens_ray watch lens-job.yaml --address auto")
    assert ready.base.startswith("lens-nightly-")
    assert ready.metadata["runs"] == "a,b"
    assert not {"models", "samples"} & ready.metadata.keys()
    assert not ready.on_head
    sent = yaml.safe_load(ready.job_file)
    assert [run["path"] for run in sent["runs"]] == ["s3://bucket/runs/a", "/data/runs/b"]
    assert prepare(job).entrypoint.startswith("exec python -m lens_ray run lens-job.yaml")


def test_a_run_that_is_only_here_is_refused(
    watch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    watch.write_text(watch.read_text().replace("/data/runs/b", "runs"))
    with pytest.raises(JobError, match=r"runs\[1\].path: runs is on this machine"):
        prepare(watch)
    (tmp_path / "runs").rmdir()  # it may come, and on the cluster it never will
    with pytest.raises(JobError, match=r"runs\[1\].path: runs is on this machine"):
        prepare(watch)


def test_mistakes_of_a_watch_file_are_its_own(watch: Path) -> None:
    watch.write_text(watch.read_text().replace("suite: mini:quick", "suit: mini:quick"))
    with pytest.raises(JobError, match=r"watch\.yaml:2:1: suit.*suite"):
        prepare(watch)
    watch.write_text(WATCH.format(store="s3://bucket/store") + "abilities: [smell]\n")
    with pytest.raises(SuiteError, match="smell"):
        prepare(watch)
