"""A proxy before an S3 endpoint that fails by script: `FaultProxy`.

A double of S3 never fails by itself. Put this before one, or before a real endpoint, point
``AWS_ENDPOINT_URL`` at it, and say what goes wrong::

    with FaultProxy("http://127.0.0.1:5000") as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.url
        proxy.add(Fault("status", status=503, code="SlowDown", times=3))
        proxy.add(Fault("lost_answer", method="PUT", path=r"manifests/"))

It listens on loopback, unless told otherwise, and passes signed requests on as they came.
"""

from __future__ import annotations

import http.client
import re
import socket
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

Kind = Literal["status", "lost_answer", "silence", "drip"]

#: Headers of one connection, which a proxy does not pass on.
_HOP = frozenset({"connection", "expect", "keep-alive", "proxy-connection", "transfer-encoding"})
_UPSTREAM_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, with which requests and how often.

    Attributes:
        kind: ``status`` answers with an error, ``lost_answer`` passes the request on and closes
            the connection instead of answering, ``silence`` passes it on and never answers,
            ``drip`` sends the true answer in small pieces.
        times: With how many matching requests.
        after: How many matching requests go well before.
        method: Only requests of this method.
        path: Only requests in whose path this regular expression is found.
        status: Of ``status``: the HTTP status.
        code: Of ``status``: S3's name of the error.
        landed: Of ``status``: whether the request is passed on all the same.
        piece: Of ``drip``: bytes of one piece.
        pause_s: Of ``drip``: time between two pieces.
    """

    kind: Kind
    times: int = 1
    after: int = 0
    method: str | None = None
    path: str | None = None
    status: int = 503
    code: str = "SlowDown"
    landed: bool = False
    piece: int = 64
    pause_s: float = 0.01

    def matches(self, method: str, path: str) -> bool:
        """Whether it concerns a request."""
        if self.method is not None and self.method != method:
            return False
        return self.path is None or re.search(self.path, path) is not None


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that came.

    Attributes:
        method: Its method.
        path: Its path with query.
        fault: What went wrong with it, by script.
    """

    method: str
    path: str
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class FaultProxy:
    """An HTTP proxy on a free port; a context manager."""

    def __init__(self, upstream: str, host: str = "127.0.0.1") -> None:
        """Name the endpoint.

        Args:
            upstream: Its URL, ``http`` or ``https``, without a path.
            host: Address to listen on; ``0.0.0.0`` where other machines are to reach it.

        Raises:
            ValueError: It is no such URL.
        """
        parts = urlsplit(upstream)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"upstream {upstream!r}: give an http:// or https:// URL")
        self._upstream = parts
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, int]] = []
        self._seen: list[Seen] = []
        self._closing = threading.Event()
        self._server = _Server((host, 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="fault-proxy",
            daemon=True,
        )

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """What to give as the endpoint, on this machine."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request so far, or since `clear`."""
        with self._lock:
            return tuple(self._seen)

    def add(self, fault: Fault) -> None:
        """Script a fault; of several that match a request the first added one strikes."""
        with self._lock:
            self._faults.append((fault, 0))

    def clear(self) -> None:
        """Forget every fault and every request seen."""
        with self._lock:
            self._faults.clear()
            self._seen.clear()

    def close(self) -> None:
        """Stop listening and end every scripted silence."""
        self._closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def note(self, method: str, path: str) -> Fault | None:
        """Count a request and say what goes wrong with it."""
        with self._lock:
            fault = self._strike(method, path)
            self._seen.append(Seen(method, path, fault))
            return fault

    def wait(self, seconds: float | None) -> None:
        """Wait, but not beyond `close`."""
        self._closing.wait(seconds)

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> _Answer:
        """The endpoint's own answer."""
        kind = (
            http.client.HTTPSConnection
            if self._upstream.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(
            self._upstream.hostname or "", self._upstream.port, timeout=_UPSTREAM_TIMEOUT_S
        )
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            kept = tuple((k, v) for k, v in answer.getheaders() if k.lower() not in _HOP)
            return _Answer(answer.status, kept, answer.read())
        finally:
            connection.close()

    def _strike(self, method: str, path: str) -> Fault | None:
        for index, (fault, met) in enumerate(self._faults):
            if met < fault.after + fault.times and fault.matches(method, path):
                self._faults[index] = (fault, met + 1)
                if met >= fault.after:
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Clients keep their connections open: closing does not wait for their threads.
    block_on_close = False
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is what the script wanted; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: without this each answer waits for an acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: `FaultProxy.seen` has it."""

    def _handle(self) -> None:
        proxy = self.server.proxy
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        body = self._read_body()
        fault = proxy.note(self.command, self.path)
        if fault is not None and fault.kind == "status" and not fault.landed:
            self._send(_scripted(fault))
            return
        answer = proxy.forward(self.command, self.path, headers, body)
        if fault is None:
            self._send(answer)
        elif fault.kind == "status":
            self._send(_scripted(fault))
        elif fault.kind == "drip":
            self._send(answer, fault)
        else:
            if fault.kind == "silence":
                proxy.wait(None)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            pieces = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, answer: _Answer, drip: Fault | None = None) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command == "HEAD":
            self.end_headers()
            return
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        step = drip.piece if drip is not None else max(1, len(answer.body))
        for start in range(0, len(answer.body), step):
            if drip is not None:
                self.server.proxy.wait(drip.pause_s)
            self.wfile.write(answer.body[start : start + step])


def _scripted(fault: Fault) -> _Answer:
    code = escape(fault.code)
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>scripted</Message></Error>"
    return _Answer(fault.status, (("Content-Type", "application/xml"),), body.encode())
