"""The proxy fails as scripted, and otherwise passes on what came."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lens_ray.testing.fault_proxy import Fault, FaultProxy


class _Echo(BaseHTTPRequestHandler):
    """Answers with the method, path, body and one header that came."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    landed: list[str]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.landed.append(f"{self.command} {self.path}")
        text = f"{self.command} {self.path} {body.decode()} {self.headers.get('X-Mark')}"
        self.send_response(201)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("ETag", '"abc"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def landed() -> list[str]:
    return []


@pytest.fixture
def upstream(landed: list[str]) -> Iterator[str]:
    handler = type("Echo", (_Echo,), {"landed": landed})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(upstream: str) -> Iterator[FaultProxy]:
    with FaultProxy(upstream) as made:
        yield made


def ask(
    proxy: FaultProxy, method: str = "GET", path: str = "/b/k?x=1", timeout: float = 20
) -> tuple[int, str, str | None]:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=timeout)
    try:
        body = b"body" if method == "PUT" else None
        connection.request(method, path, body=body, headers={"X-Mark": "m"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.getheader("ETag")
    finally:
        connection.close()


def test_it_passes_on_what_came(proxy: FaultProxy) -> None:
    assert ask(proxy) == (201, "GET /b/k?x=1  m", '"abc"')
    assert ask(proxy, "PUT") == (201, "PUT /b/k?x=1 body m", '"abc"')
    assert ask(proxy, "HEAD") == (201, "", '"abc"')
    assert [(seen.method, seen.fault) for seen in proxy.seen] == [
        ("GET", None), ("PUT", None), ("HEAD", None),
    ]  # fmt: skip


def test_chunked_bodies(proxy: FaultProxy) -> None:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=20)
    connection.request("PUT", "/b/k", body=iter([b"bo", b"dy"]), encode_chunked=True)
    assert connection.getresponse().read() == b"PUT /b/k body None"
    connection.request("GET", "/again")
    assert connection.getresponse().read() == b"GET /again  None"
    connection.close()


def test_an_error_that_did_not_land(proxy: FaultProxy, landed: list[str]) -> None:
    fault = Fault("status", times=2, method="PUT", path=r"^/b/", status=412, code="A<B")
    proxy.add(fault)
    assert ask(proxy)[0] == ask(proxy, "PUT", "/c/k")[0] == 201
    status, body, _ = ask(proxy, "PUT")
    assert status == 412
    assert "<Code>A&lt;B</Code>" in body
    assert ask(proxy, "PUT")[0] == 412
    assert ask(proxy, "PUT")[0] == 201
    assert landed == ["GET /b/k?x=1", "PUT /c/k", "PUT /b/k?x=1"]
    assert [seen.fault for seen in proxy.seen] == [None, None, fault, fault, None]


def test_an_error_that_landed(proxy: FaultProxy, landed: list[str]) -> None:
    proxy.add(Fault("status", status=500, code="InternalError", landed=True, after=1))
    assert [ask(proxy, "PUT")[0] for _ in range(3)] == [201, 500, 201]
    assert len(landed) == 3


def test_an_answer_that_is_lost(proxy: FaultProxy, landed: list[str]) -> None:
    proxy.add(Fault("lost_answer"))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(proxy, "PUT")
    assert landed == ["PUT /b/k?x=1"]
    assert ask(proxy, "PUT")[0] == 201


def test_silence(proxy: FaultProxy, landed: list[str]) -> None:
    proxy.add(Fault("silence"))
    with pytest.raises(TimeoutError):
        ask(proxy, "PUT", timeout=0.2)
    assert landed == ["PUT /b/k?x=1"]


def test_drip(proxy: FaultProxy) -> None:
    proxy.add(Fault("drip", piece=1, pause_s=0.01))
    began = time.monotonic()
    assert ask(proxy)[1] == "GET /b/k?x=1  m"
    assert time.monotonic() - began >= 0.15


def test_several_faults_strike_in_order(proxy: FaultProxy) -> None:
    proxy.add(Fault("status", status=503))
    proxy.add(Fault("status", status=409))
    assert [ask(proxy)[0] for _ in range(3)] == [503, 409, 201]
    proxy.add(Fault("status", times=9))
    proxy.clear()
    assert ask(proxy)[0] == 201
    assert len(proxy.seen) == 1


def test_what_is_no_endpoint() -> None:
    for upstream in ("127.0.0.1:80", "ftp://host", "http://"):
        with pytest.raises(ValueError, match="give an http"):
            FaultProxy(upstream)


def test_closed_before_it_was_entered(upstream: str) -> None:
    FaultProxy(upstream).close()
