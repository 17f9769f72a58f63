"""The hub's own client against a small hub on this machine."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from lens_ray.errors import EnvironmentFailure, SuiteError
from lens_ray.suites.readers.hub import bring_split, is_offline

MAIN, OLD, MADE = "a" * 40, "b" * 40, "c" * 40
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


class Hub(ThreadingHTTPServer):
    """Data sets by id, commits by revision, files by name; every request is noted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sets: dict[str, dict[str, dict[str, bytes]]] = {}
        self.revisions: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.down = False

    def put(
        self, name: str, files: dict[str, bytes], commit: str = MAIN, ref: str = "main"
    ) -> None:
        self.sets.setdefault(name, {})[commit] = files
        self.revisions.setdefault(name, {}).update({ref: commit, commit: commit})


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        if self.server.down:
            self._send(503, b"", {})
        elif path.startswith("/api/datasets/"):
            self._info(path.removeprefix("/api/datasets/"))
        elif "/resolve/" not in path:
            self._send(404, b"{}", {})
        else:
            self._file(path.removeprefix("/datasets/"))

    def _info(self, rest: str) -> None:
        name, _, revision = rest.partition("/revision/")
        if name not in self.server.sets:
            return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        commit = self.server.revisions[name].get(revision or "main")
        if commit is None:
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": file} for file in self.server.sets[name][commit]]
        facts = {"id": name, "sha": commit, "siblings": siblings}
        return self._send(200, json.dumps(facts).encode(), {})

    def _file(self, rest: str) -> None:
        name, _, rest = rest.partition("/resolve/")
        commit, _, file = rest.partition("/")
        data = self.server.sets[name][commit][file]
        self._send(200, data, {"ETag": f'"{hash((name, file)) & 0xFFFFFFFF:x}"',
                               "X-Repo-Commit": commit})  # fmt: skip

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in OFFLINE:
        monkeypatch.delenv(name, raising=False)
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


SHARDS = {f"data/test-0000{n}-of-00002.parquet": b"shard %d" % n for n in range(2)}


def brought(*ids: str, revision: str | None = None) -> tuple[list[bytes], str, list[str]]:
    said: list[str] = []
    files, commit = bring_split(ids, None, "test", revision, said.append)
    return [file.read_bytes() for file in files], commit, said


def test_a_split_is_fetched_once(hub: Hub) -> None:
    hub.put("a/b", {**SHARDS, "data/train-00000-of-00001.parquet": b"x", "README.md": b"card"})
    data, commit, said = brought("a/b")
    assert (data, commit) == ([b"shard 0", b"shard 1"], MAIN)
    assert said == [f"a/b: file {n} of 2, data/test-0000{n - 1}-of-00002.parquet" for n in (1, 2)]
    assert not any("train" in one for one in hub.asked)
    hub.asked.clear()
    assert brought("a/b")[0] == data
    assert not any(one.startswith("GET /datasets") for one in hub.asked)


def test_owners_move(hub: Hub) -> None:
    hub.put("old/b", SHARDS)
    assert brought("new/b", "old/b")[1] == MAIN
    with pytest.raises(SuiteError) as caught:
        brought("new/b", "newer/b")
    assert str(caught.value).startswith(
        "hub: new/b: not found, or private; newer/b: not found, or private; accept its terms"
    )


def test_a_pinned_revision(hub: Hub) -> None:
    hub.put("a/b", SHARDS)
    hub.put("a/b", {"test.parquet": b"old"}, OLD, "v1")
    assert brought("a/b", revision=OLD)[:2] == ([b"old"], OLD)
    assert brought("a/b", revision="v1")[:2] == ([b"old"], OLD)
    with pytest.raises(SuiteError, match="a/b has no revision 'v9'"):
        brought("a/b", revision="v9")


def test_what_the_hub_made_itself_is_taken_where_there_is_no_parquet(hub: Hub) -> None:
    hub.put("a/b", {"images.zip": b"z", "test.json": b"{}"})
    hub.put("a/b", {"default/test/0000.parquet": b"made"}, MADE, "refs/convert/parquet")
    assert brought("a/b")[:2] == ([b"made"], MADE)


@pytest.mark.parametrize("variable", OFFLINE)
def test_offline(hub: Hub, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    hub.put("a/b", {**SHARDS, "README.md": b"card"})
    online = brought("a/b")
    hub.asked.clear()
    monkeypatch.setenv(variable, "1")
    assert is_offline()
    assert brought("new/b", "a/b")[:2] == online[:2]
    assert brought("a/b", revision=MAIN)[:2] == online[:2]
    with pytest.raises(SuiteError, match=r"offline, and .* has no copy of revision v1 of a/b"):
        brought("a/b", revision="v1")
    with pytest.raises(
        SuiteError, match=r"offline, and .* has no copy of c/d; unset HF_HUB_OFFLINE"
    ):
        brought("c/d")
    assert hub.asked == []


def test_offline_with_half_a_copy(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put("a/b", SHARDS)
    files, _ = bring_split(["a/b"], None, "test", None, lambda line: None)
    files[1].unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SuiteError, match=r"that is whole .*1 of 2 files are missing"):
        brought("a/b")


class _Clock:
    """Waits that the client makes between its tries take no time."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        pass


def test_a_hub_that_is_down(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put("a/b", SHARDS)
    hub.down = True
    monkeypatch.setattr(_http, "time", _Clock())
    with pytest.raises(EnvironmentFailure, match=r"hub: a/b cannot be fetched .*--from"):
        brought("a/b")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentFailure, match="hub: a/b cannot be fetched"):
        brought("a/b")
