"""A webhook's other side, on loopback, that behaves as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

#: Of a request's number (from 0): its status; below 0 it is never answered.
Behaviour = Callable[[int], int]


class Hook:
    """Hears alerts.

    Attributes:
        heard: Bodies that came, in their order.
        headers: Of each.
    """

    def __init__(self, behaviour: Behaviour = lambda number: 200) -> None:
        self.heard: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._hang = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                number = len(hook.heard)
                hook.heard.append(json.loads(body))
                hook.headers.append(dict(self.headers))
                status = behaviour(number)
                if status < 0:
                    hook._hang.wait(30)
                    return
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/x")  # type: ignore[attr-defined]
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook/very-secret"

    def wait(self, count: int, seconds: float = 5.0) -> None:
        """Until so many alerts came."""
        end = time.monotonic() + seconds
        while len(self.heard) < count:
            assert time.monotonic() < end, f"{len(self.heard)} of {count} alerts came"
            time.sleep(0.005)

    def __enter__(self) -> Hook:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._hang.set()
        self._server.shutdown()
        self._server.server_close()
