"""The batch endpoints of OpenAI and Anthropic."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from aiohttp import BodyPartReader, web

from lens_ray.testing.provider.anthropic import Messages
from lens_ray.testing.provider.batches import Batch, BatchRoom, Entry, Result
from lens_ray.testing.provider.headers import key_of, messages_of, standard_headers
from lens_ray.testing.provider.openai_chat import Chat
from lens_ray.testing.provider.openai_responses import Responses
from lens_ray.testing.provider.service import Sent, Service, json_object, refusal
from lens_ray.testing.provider.spoil import cut, send, send_lines
from lens_ray.testing.provider.wire import (
    Asked,
    Dialect,
    Json,
    Trouble,
    invalid,
    object_of,
    objects_of,
    text_of,
)

_Answer = Callable[[web.Request], Awaitable[Json]]
_MAX_OPENAI = 50_000
_MAX_ANTHROPIC = 100_000
_DAY_S = 86_400


def add(app: web.Application, service: Service, responses: Responses, chat: Chat) -> None:
    """Add the routes."""
    room = BatchRoom(service)
    dialects: dict[str, Dialect] = {"/v1/responses": responses, "/v1/chat/completions": chat}
    OpenAIBatches(service, room, dialects).add(app)
    AnthropicBatches(service, room, Messages("")).add(app)


class _Endpoints:
    """What both have in common."""

    def __init__(self, service: Service, room: BatchRoom, dialect: Dialect) -> None:
        self._service = service
        self._room = room
        self._dialect = dialect

    def _json(self, answer: _Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that checks the key and answers with JSON, or with an error."""

        async def handle(request: web.Request) -> web.StreamResponse:
            headers = standard_headers(self._service, self._dialect.provider)
            try:
                self._service.check(key_of(request))
                self._room.check_busy()
                sent = Sent(200, await answer(request))
            except Trouble as trouble:
                sent = refusal(self._dialect, trouble)
            except _LostError:
                return cut(request)
            return await send(request, sent, headers)

        return handle

    def _named(self, request: web.Request, prefix: str) -> Batch:
        name = request.match_info["batch"]
        for batch in self._room.of(key_of(request), self._dialect.provider):
            if f"{prefix}_{batch.number:024x}" == name:
                return batch
        raise Trouble("unknown_model", f"No batch found with id '{name}'.")

    def _page(self, request: web.Request, after: str, prefix: str) -> tuple[list[Batch], bool]:
        """The newest batches behind the one that a query names."""
        batches = self._room.of(key_of(request), self._dialect.provider)
        names = [f"{prefix}_{one.number:024x}" for one in batches]
        start = names.index(request.query[after]) + 1 if request.query.get(after) in names else 0
        asked = request.query.get("limit", "20")
        if not asked.isdigit():
            raise invalid("limit: expected a number")
        limit = int(asked)
        return batches[start : start + limit], len(batches) > start + limit


class _LostError(Exception):
    """A hand-in whose answer does not arrive."""


class OpenAIBatches(_Endpoints):
    """Files and batches."""

    def __init__(self, service: Service, room: BatchRoom, dialects: Mapping[str, Dialect]) -> None:
        """Begin without files.

        Args:
            service: Answers.
            room: Holds the batches.
            dialects: By ``endpoint``.
        """
        super().__init__(service, room, next(iter(dialects.values())))
        self._dialects = dialects
        self._files: dict[str, tuple[Json, bytes]] = {}

    def add(self, app: web.Application) -> None:
        """Add the routes."""
        for root in ("", "/v1", "/openai", "/openai/v1"):
            app.router.add_post(f"{root}/files", self._json(self._upload))
            app.router.add_get(f"{root}/files/{{file}}", self._json(self._file))
            app.router.add_delete(f"{root}/files/{{file}}", self._json(self._delete))
            app.router.add_get(f"{root}/files/{{file}}/content", self._content)
            app.router.add_post(f"{root}/batches", self._json(self._create))
            app.router.add_get(f"{root}/batches", self._json(self._list))
            app.router.add_get(f"{root}/batches/{{batch}}", self._json(self._get))
            app.router.add_post(f"{root}/batches/{{batch}}/cancel", self._json(self._cancel))

    async def _upload(self, request: web.Request) -> Json:
        purpose, name, data = "", "upload.jsonl", b""
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise invalid("nested multipart bodies are not known here")
            if part.name == "purpose":
                purpose = await part.text()
            elif part.name == "file":
                name, data = part.filename or name, bytes(await part.read())
        if purpose != "batch" or not data:
            raise invalid("a file for purpose 'batch' is needed")
        return self._keep(data, name, "batch")

    def _keep(self, data: bytes, name: str, purpose: str) -> Json:
        number = len(self._files) + 1
        facts: Json = {
            "id": f"file-{number:024x}",
            "object": "file",
            "bytes": len(data),
            "created_at": int(datetime.now(UTC).timestamp()),
            "expires_at": None,
            "filename": name,
            "purpose": purpose,
            "status": "processed",
            "status_details": None,
        }
        self._files[f"file-{number:024x}"] = (facts, data)
        return facts

    def _found(self, name: str) -> tuple[Json, bytes]:
        if name not in self._files:
            raise Trouble("unknown_model", f"No such File object: {name}")
        return self._files[name]

    async def _file(self, request: web.Request) -> Json:
        return self._found(request.match_info["file"])[0]

    async def _delete(self, request: web.Request) -> Json:
        name = request.match_info["file"]
        facts, _ = self._found(name)
        self._files[name] = (facts, b"")
        return {"id": name, "object": "file", "deleted": True}

    async def _content(self, request: web.Request) -> web.StreamResponse:
        headers = standard_headers(self._service, "openai")
        try:
            self._service.check(key_of(request))
            facts, data = self._found(request.match_info["file"])
        except Trouble as trouble:
            return await send(request, refusal(self._dialect, trouble), headers)
        cuts = facts["purpose"] == "batch_output" and self._room.cuts_results()
        return await send_lines(request, data, headers, "application/octet-stream", cuts)

    async def _create(self, request: web.Request) -> Json:
        body = json_object(await request.read())
        endpoint = text_of(body.get("endpoint"), "endpoint")
        if endpoint not in self._dialects or body.get("completion_window") != "24h":
            raise invalid("endpoint or completion_window is not known here")
        input_file = text_of(body.get("input_file_id"), "input_file_id")
        _, data = self._found(input_file)
        given = object_of(body.get("metadata") or {}, "metadata")
        metadata = {name: text_of(value, "metadata") for name, value in given.items()}
        dialect = self._dialects[endpoint]
        entries, problem = _openai_entries(data, endpoint, dialect)
        facts = {"endpoint": endpoint, "input": input_file, "metadata": json.dumps(metadata)}
        batch = self._room.hand_in(dialect, key_of(request), entries, facts)
        if problem:
            batch.facts["problem"] = problem
            self._room.fail(batch)
        if self._room.loses_submit():
            raise _LostError
        return self._facts(batch)

    async def _list(self, request: web.Request) -> Json:
        page, more = self._page(request, "after", "batch")
        data = [self._facts(batch) for batch in page]
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": more,
        }

    async def _get(self, request: web.Request) -> Json:
        return self._facts(self._named(request, "batch"))

    async def _cancel(self, request: web.Request) -> Json:
        batch = self._named(request, "batch")
        self._room.cancel(batch)
        return self._facts(batch)

    def _facts(self, batch: Batch) -> Json:
        if batch.ended is not None and "output" not in batch.facts:
            self._write_files(batch)
        status = {"running": "in_progress" if batch.cancelled is None else "cancelling"}.get(
            batch.state, batch.state
        )
        ended = None if batch.ended is None else int(batch.ended)
        problem = batch.facts.get("problem", "The batch failed (scripted).")
        errors = {
            "object": "list",
            "data": [{"code": "invalid_request", "message": problem, "line": None, "param": None}],
        }
        return {
            "id": f"batch_{batch.number:024x}",
            "object": "batch",
            "endpoint": batch.facts["endpoint"],
            "errors": errors if batch.state == "failed" else None,
            "input_file_id": batch.facts["input"],
            "completion_window": "24h",
            "status": status,
            "output_file_id": batch.facts.get("output") or None,
            "error_file_id": batch.facts.get("failures") or None,
            "created_at": int(batch.created),
            "in_progress_at": int(batch.created),
            "expires_at": int(batch.created) + _DAY_S,
            "finalizing_at": ended,
            "completed_at": ended if batch.state == "completed" else None,
            "failed_at": ended if batch.state == "failed" else None,
            "expired_at": ended if batch.state == "expired" else None,
            "cancelling_at": None if batch.cancelled is None else int(batch.cancelled),
            "cancelled_at": ended if batch.state == "cancelled" else None,
            "request_counts": {
                "total": batch.total,
                "completed": batch.count("succeeded"),
                "failed": batch.count("errored"),
            },
            "metadata": json.loads(batch.facts["metadata"]) or None,
        }

    def _write_files(self, batch: Batch) -> None:
        answers = [one for one in batch.results if one.fate == "succeeded"]
        others = [one for one in batch.results if one.fate != "succeeded"]
        for name, results in (("output", answers), ("failures", others)):
            lines = [self._line(batch, place, one) for place, one in enumerate(results)]
            file = f"batch_{batch.number}_{name}.jsonl"
            batch.facts[name] = (
                str(self._keep(b"".join(lines), file, "batch_output")["id"]) if lines else ""
            )
        batch.results = [Result(one.custom_id, one.fate) for one in batch.results]

    def _line(self, batch: Batch, place: int, result: Result) -> bytes:
        response: Json | None = None
        error: Json | None = None
        request_id = f"{batch.number:08x}{place:024x}"
        if result.fate == "succeeded" and result.body is not None:
            response = {"status_code": 200, "request_id": request_id, "body": result.body}
        elif result.trouble is not None:
            failure = batch.dialect.failure(result.trouble)
            response = {
                "status_code": failure.status, "request_id": request_id, "body": failure.body,
            }  # fmt: skip
        else:
            error = _UNDONE[result.fate]
        line = {
            "id": f"batch_req_{request_id}",
            "custom_id": result.custom_id,
            "response": response,
            "error": error,
        }
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"


_UNDONE: dict[str, Json] = {
    "expired": {
        "code": "batch_expired",
        "message": "This request could not be executed before the completion window expired.",
    },
    "canceled": {
        "code": "batch_cancelled",
        "message": "This request was not executed because the batch was cancelled.",
    },
}


class AnthropicBatches(_Endpoints):
    """Message Batches."""

    def add(self, app: web.Application) -> None:
        """Add the routes."""
        root = "/v1/messages/batches"
        app.router.add_post(root, self._json(self._create))
        app.router.add_get(root, self._json(self._list))
        app.router.add_get(f"{root}/{{batch}}", self._json(self._get))
        app.router.add_post(f"{root}/{{batch}}/cancel", self._json(self._cancel))
        app.router.add_get(f"{root}/{{batch}}/results", self._results)

    async def _create(self, request: web.Request) -> Json:
        given = objects_of(json_object(await request.read()).get("requests"), "requests")
        if not 1 <= len(given) <= _MAX_ANTHROPIC:
            raise invalid(f"requests: between 1 and {_MAX_ANTHROPIC} are needed")
        names = [text_of(one.get("custom_id"), "requests.custom_id") for one in given]
        if len(set(names)) < len(names):
            raise invalid("requests: custom_id must be unique within a batch")
        if any(not 1 <= len(name) <= 64 for name in names):
            raise invalid("requests.custom_id: String should have 1 to 64 characters")
        dialect = messages_of(request)
        entries = [
            Entry(name, _read(dialect, object_of(one.get("params"), "requests.params")))
            for name, one in zip(names, given, strict=True)
        ]
        batch = self._room.hand_in(dialect, key_of(request), entries, {})
        if self._room.loses_submit():
            raise _LostError
        return self._facts(request, batch)

    async def _list(self, request: web.Request) -> Json:
        page, more = self._page(request, "after_id", "msgbatch")
        data = [self._facts(request, batch) for batch in page]
        return {
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": more,
        }

    async def _get(self, request: web.Request) -> Json:
        return self._facts(request, self._named(request, "msgbatch"))

    async def _cancel(self, request: web.Request) -> Json:
        batch = self._named(request, "msgbatch")
        self._room.cancel(batch)
        return self._facts(request, batch)

    async def _results(self, request: web.Request) -> web.StreamResponse:
        headers = standard_headers(self._service, "anthropic")
        try:
            self._service.check(key_of(request))
            batch = self._named(request, "msgbatch")
            if batch.ended is None:
                raise Trouble("unknown_model", "The batch has no results yet.")
        except Trouble as trouble:
            return await send(request, refusal(self._dialect, trouble), headers)
        data = b"".join(self._line(one) for one in batch.results)
        return await send_lines(
            request, data, headers, "application/x-jsonl", self._room.cuts_results()
        )

    def _line(self, result: Result) -> bytes:
        written: dict[str, object] = {"type": result.fate}
        if result.body is not None:
            written["message"] = result.body
        if result.trouble is not None:
            written["error"] = self._dialect.failure(result.trouble).body
        line = {"custom_id": result.custom_id, "result": written}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def _facts(self, request: web.Request, batch: Batch) -> Json:
        name = f"msgbatch_{batch.number:024x}"
        ended = batch.ended is not None
        running = "in_progress" if batch.cancelled is None else "canceling"
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended" if ended else running,
            "request_counts": {
                "processing": 0 if ended else batch.total,
                "succeeded": batch.count("succeeded"),
                "errored": batch.count("errored"),
                "canceled": batch.count("canceled"),
                "expired": batch.count("expired"),
            },
            "created_at": _moment(batch.created),
            "expires_at": _moment(batch.created + _DAY_S),
            "ended_at": _moment(batch.ended),
            "cancel_initiated_at": _moment(batch.cancelled),
            "archived_at": None,
            "results_url": (
                f"http://{request.host}/v1/messages/batches/{name}/results" if ended else None
            ),
        }


def _read(dialect: Dialect, body: Json) -> Asked | Trouble:
    try:
        return dialect.read(body, None)
    except Trouble as trouble:
        return trouble


def _openai_entries(data: bytes, endpoint: str, dialect: Dialect) -> tuple[list[Entry], str]:
    """Questions of an input file, and what is wrong with the file."""
    entries: list[Entry] = []
    names: set[str] = set()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            given = json_object(line)
            name = text_of(given.get("custom_id"), "custom_id")
            body = object_of(given.get("body"), "body")
        except Trouble as trouble:
            return [], f"line {number}: {trouble.line}"
        if given.get("method") != "POST" or given.get("url") != endpoint:
            return [], f"line {number}: method or url does not fit the batch"
        if name in names:
            return [], f"line {number}: custom_id '{name}' is used twice (duplicate_custom_id)"
        names.add(name)
        entries.append(Entry(name, _read(dialect, body)))
    if not entries or len(entries) > _MAX_OPENAI:
        return [], f"a batch has between 1 and {_MAX_OPENAI} requests"
    return entries, ""


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
