"""A scripted provider as an HTTP server on loopback: `ProviderServer`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType

from aiohttp import web

from lens_ray.testing.provider import batch_routes
from lens_ray.testing.provider.counts import Counts
from lens_ray.testing.provider.gemini import GenerateContent
from lens_ray.testing.provider.headers import key_of, messages_of, standard_headers
from lens_ray.testing.provider.openai_chat import Chat
from lens_ray.testing.provider.openai_responses import Responses
from lens_ray.testing.provider.script import Script
from lens_ray.testing.provider.service import Sent, Service, refusal
from lens_ray.testing.provider.spoil import send
from lens_ray.testing.provider.wire import Dialect, Trouble

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: Bytes of a body: a batch file of OpenAI may have 200 MB, one of Anthropic 256 MB.
_MAX_BODY = 300_000_000


class ProviderServer:
    """A scripted provider on a free port, in a thread of its own; a context manager.

    ::

        with ProviderServer(Script(limits=ServerLimits(requests=600))) as server:
            client = AsyncOpenAI(base_url=server.openai_url, api_key="any", max_retries=0)

    It speaks OpenAI's Responses, Chat Completions, files and batches; Anthropic's Messages and
    Message Batches; Gemini's generateContent. It streams nothing.
    """

    def __init__(
        self, script: Script | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """Take a script.

        Args:
            script: What to do; None answers every question with itself.
            host: Address to listen on.
            port: 0 takes a free one.
        """
        self._service = Service(script or Script())
        self._host = host
        self._port = port
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="scripted-provider", daemon=True)

    def start(self) -> ProviderServer:
        """Listen; returns when it does.

        Raises:
            OSError: The port is taken.
        """
        self._thread.start()
        self._ready.wait()
        if self._trouble is not None:
            raise self._trouble
        return self

    def stop(self) -> None:
        """Close every connection, at once."""
        if self._loop is not None and self._end is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()

    def __enter__(self) -> ProviderServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> ProviderServer:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def url(self) -> str:
        """Without a path: the base URL for Anthropic's and Google's SDKs."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_url(self) -> str:
        """The base URL for OpenAI's SDK."""
        return self.url + "/v1"

    @property
    def counts(self) -> Counts:
        """What it has seen so far."""
        with self._service.lock:
            return self._service.counts.copy()

    @property
    def script(self) -> Script:
        """What it does; another may be set, and holds from the next call on, its limits anew."""
        return self._service.script

    @script.setter
    def script(self, script: Script) -> None:
        self._service.script = script
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._service.renew_limits)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        runner = web.AppRunner(
            _application(self._service),
            access_log=None,
            shutdown_timeout=0.01,  # with 0, aiohttp waits for every answer that is being made
            handle_signals=False,
        )
        try:
            self._loop = asyncio.get_running_loop()
            self._end = asyncio.Event()
            await runner.setup()
            # Thousands may connect at once.
            site = web.TCPSite(runner, self._host, self._port, backlog=4096)
            await site.start()
            self._port = runner.addresses[0][1]
        except BaseException as error:  # raised again by who started this thread
            self._trouble = error
            return
        finally:
            self._ready.set()
        await self._end.wait()
        await runner.cleanup()


def _application(service: Service) -> web.Application:
    app = web.Application(client_max_size=_MAX_BODY)
    ask = service
    responses, chat, gemini = Responses(), Chat(), GenerateContent()
    for root in ("", "/v1", "/openai", "/openai/v1"):
        app.router.add_post(f"{root}/responses", _question(ask, responses))
        app.router.add_post(f"{root}/chat/completions", _question(ask, chat))
    app.router.add_post(
        "/openai/deployments/{model}/chat/completions", _question(ask, chat, in_path=True)
    )
    app.router.add_post("/v1/messages", _message(service))
    app.router.add_post("/v1/messages/count_tokens", _count_tokens(service))
    for version in ("v1beta", "v1"):
        app.router.add_post(
            f"/{version}/models/{{model}}:generateContent", _question(ask, gemini, in_path=True)
        )
    for path in ("/models/{model}", "/v1/models/{model}", "/v1beta/models/{model}"):
        app.router.add_get(path, _model(service))
    app.router.add_get("/scripted/counts", _counts(service))
    batch_routes.add(app, service, responses, chat)
    return app


def _question(service: Service, dialect: Dialect, in_path: bool = False) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        model = request.match_info["model"] if in_path else None
        with service.holding():
            sent = await service.ask(dialect, key_of(request), raw, model)
            return await send(request, sent, standard_headers(service, dialect.provider))

    return handle


def _message(service: Service) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        dialect = messages_of(request)
        with service.holding():
            sent = await service.ask(dialect, key_of(request), raw, None)
            return await send(request, sent, standard_headers(service, dialect.provider))

    return handle


def _count_tokens(service: Service) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        dialect = messages_of(request)
        try:
            service.check(key_of(request))
            asked = dialect.read({"max_tokens": 1, **await request.json()}, None)
            sent = Sent(200, {"input_tokens": dialect.tokens(asked)})
        except Trouble as trouble:
            sent = refusal(dialect, trouble)
        return await send(request, sent, standard_headers(service, dialect.provider))

    return handle


def _model(service: Service) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        model = request.match_info["model"]
        dialect = _dialect_of(request)
        try:
            service.check(key_of(request), model)
            sent = Sent(200, _MODELS[dialect.provider](model))
        except Trouble as trouble:
            sent = refusal(dialect, trouble)
        return await send(request, sent, standard_headers(service, dialect.provider))

    return handle


_MODELS: dict[str, Callable[[str], dict[str, object]]] = {
    "openai": lambda model: {
        "id": model, "object": "model", "created": 1_700_000_000, "owned_by": "scripted",
    },
    "anthropic": lambda model: {
        "id": model, "type": "model", "display_name": model, "lifecycle": "active",
        "created_at": "2026-01-01T00:00:00Z",
    },
    "gemini": lambda model: {
        "name": f"models/{model}", "version": "scripted", "displayName": model,
        "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    },
}  # fmt: skip


def _dialect_of(request: web.Request) -> Dialect:
    if request.path.startswith("/v1beta/") or "x-goog-api-key" in request.headers:
        return GenerateContent()
    return messages_of(request) if "anthropic-version" in request.headers else Responses()


def _counts(service: Service) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        with service.lock:
            facts = service.counts.facts()
        return web.json_response(text=json.dumps(facts))

    return handle
