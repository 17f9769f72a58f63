"""OpenAI's batches through the real SDK, over a transport in this process."""

from __future__ import annotations

import asyncio
import json
from email.parser import BytesParser
from typing import Any

import pytest

httpx2 = pytest.importorskip("httpx2")
pytest.importorskip("openai")

from lens_ray.models.api.adapter import Answer, ApiFailure, Kind  # noqa: E402
from lens_ray.models.api.openai import OpenAIAdapter  # noqa: E402
from tests.models.api.openai_bodies import adapter, completion, question, response  # noqa: E402


def _batch(name: str = "batch_1", **changed: Any) -> dict[str, Any]:
    from openai.types import Batch

    body: dict[str, Any] = {
        "id": name,
        "object": "batch",
        "endpoint": "/v1/responses",
        "input_file_id": "file-in",
        "completion_window": "24h",
        "status": "in_progress",
        "created_at": 1000,
        "metadata": {"lens_ray": "tag-1"},
    } | changed
    Batch.model_validate(body)
    return body


class Provider:
    """Files and batches as the documentation describes them."""

    def __init__(self, *batches: dict[str, Any], files: dict[str, str] | None = None) -> None:
        self.batches = list(batches)
        self.files = files or {}
        self.uploaded = ""
        self.purpose = ""
        self.created: dict[str, Any] = {}

    def __call__(self, request: Any) -> Any:
        path, method = request.url.path, request.method
        if (method, path) == ("POST", "/v1/files"):
            self._upload(request)
            return httpx2.Response(200, json=_file())
        if (method, path) == ("POST", "/v1/batches"):
            self.created = json.loads(request.content)
            return httpx2.Response(200, json=_batch(metadata=self.created["metadata"]))
        if (method, path) == ("GET", "/v1/batches"):
            return self._page(request.url.params.get("after"))
        if path.endswith("/content"):
            return httpx2.Response(200, text=self.files[path.split("/")[-2]])
        for batch in self.batches:
            if path == f"/v1/batches/{batch['id']}":
                return httpx2.Response(200, json=batch)
        return httpx2.Response(404, json={"error": {"message": "No batch found with id"}})

    def _upload(self, request: Any) -> None:
        head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + request.content).get_payload()
        for part in parts:
            assert not isinstance(part, str)
            content = part.get_payload(decode=True)
            if part.get_param("name", header="content-disposition") == "file":
                self.uploaded = bytes(content).decode()
            else:
                self.purpose = bytes(content).decode()

    def _page(self, after: str | None) -> Any:
        names = [batch["id"] for batch in self.batches]
        start = names.index(after) + 1 if after else 0
        shown = self.batches[start : start + 2]
        page = {"object": "list", "data": shown, "has_more": start + 2 < len(names)}
        return httpx2.Response(200, json=page)


def _file() -> dict[str, Any]:
    return {
        "id": "file-in",
        "object": "file",
        "bytes": 1,
        "created_at": 1,
        "filename": "lens-ray.jsonl",
        "purpose": "batch",
        "status": "processed",
    }


async def _all(of: OpenAIAdapter, batch_id: str = "batch_1") -> dict[str, Answer | ApiFailure]:
    return {name: result async for name, result in of.results(batch_id)}


def _line(custom_id: str, body: object, status: int = 200) -> str:
    made = {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": "x", "custom_id": custom_id, "response": made, "error": None})


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_a_batch_is_a_file_of_the_bodies_that_live_calls_send(api: str) -> None:
    server = Provider()
    of = adapter(server, api=api)
    questions = [question("Première ?"), question("half \ud83d")]
    state = asyncio.run(of.submit(questions, "tag-9"))
    assert (state.batch_id, state.over, state.tag, state.created) == (
        "batch_1", False, "tag-9", 1000.0,
    )  # fmt: skip
    url = "/v1/chat/completions" if api == "chat" else "/v1/responses"
    assert server.created == {
        "input_file_id": "file-in",
        "endpoint": url,
        "completion_window": "24h",
        "metadata": {"lens_ray": "tag-9"},
    }
    assert server.purpose == "batch"
    lines = [json.loads(line) for line in server.uploaded.splitlines()]
    assert [(line["custom_id"], line["method"], line["url"]) for line in lines] == [
        ("q1", "POST", url)
    ] * 2
    assert "Première ?" in json.dumps(lines[0]["body"], ensure_ascii=False)
    assert lines[0]["body"]["model"] == "gpt-4o-2024-11-20"
    assert "service_tier" not in lines[0]["body"]


def test_results_are_those_of_both_files() -> None:
    output = "\n".join(
        [
            _line("a", response()),
            _line("b", completion()),
            "",
            "{broken",
            json.dumps({"custom_id": 7}),
            _line("c", {"error": {"message": "m", "code": "context_length_exceeded"}}, 400),
            _line("d", {"output": "none"}),
        ]
    )
    expired = {"code": "batch_expired", "message": "not executed before the window expired"}
    errors = json.dumps({"id": "x", "custom_id": "e", "response": None, "error": expired}) + "\n"
    ended = _batch(status="expired", output_file_id="file-out", error_file_id="file-err")
    got = asyncio.run(
        _all(adapter(Provider(ended, files={"file-out": output, "file-err": errors})))
    )
    assert sorted(got) == ["a", "b", "c", "d", "e"]
    assert isinstance(got["a"], Answer)
    assert isinstance(got["b"], Answer)
    kinds = {name: found.kind for name, found in got.items() if isinstance(found, ApiFailure)}
    assert kinds == {"c": Kind.CONTEXT, "d": Kind.MALFORMED, "e": Kind.EXPIRED}


def test_a_batch_that_was_cancelled_before_any_answer_has_no_results() -> None:
    assert asyncio.run(_all(adapter(Provider(_batch(status="cancelled"))))) == {}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("token_limit_exceeded", Kind.RATE_LIMIT),
        ("billing_hard_limit_reached", Kind.CREDIT),
        ("invalid_json_line", Kind.REQUEST),
        ("model_not_found", Kind.MODEL),
    ],
)
def test_a_batch_that_was_not_taken_says_why(code: str, kind: Kind) -> None:
    errors = {"object": "list", "data": [{"code": code, "message": "m", "line": 1}]}
    counts = {"total": 0, "completed": 0, "failed": 0}
    batch = _batch(status="failed", errors=errors, request_counts=counts)
    state = asyncio.run(adapter(Provider(batch)).batch("batch_1"))
    assert state.over
    assert state.size is None
    assert state.failure is not None
    assert state.failure.kind is kind


def test_a_batch_says_how_many_questions_it_has() -> None:
    batch = _batch(request_counts={"total": 7, "completed": 1, "failed": 0})
    state = asyncio.run(adapter(Provider(batch)).batch("batch_1"))
    assert (state.size, state.failure) == (7, None)


@pytest.mark.parametrize(
    ("status", "over"),
    [
        ("validating", False),
        ("in_progress", False),
        ("finalizing", False),
        ("cancelling", False),
        ("completed", True),
        ("failed", True),
        ("expired", True),
        ("cancelled", True),
    ],
)
def test_when_a_batch_is_over(status: str, over: bool) -> None:
    state = asyncio.run(adapter(Provider(_batch(status=status))).batch("batch_1"))
    assert state.over is over


def test_a_batch_that_is_not_there_is_not_a_missing_model() -> None:
    with pytest.raises(ApiFailure) as caught:
        asyncio.run(adapter(Provider()).batch("batch_9"))
    assert caught.value.kind is Kind.REQUEST


def test_all_pages_of_batches_are_listed_with_their_tags() -> None:
    made = [_batch(f"batch_{n}", metadata={"lens_ray": f"tag-{n}"}) for n in range(4)]
    made.append(_batch("batch_other", metadata=None))
    states = asyncio.run(adapter(Provider(*made)).batches())
    assert [state.tag for state in states] == ["tag-0", "tag-1", "tag-2", "tag-3", None]


def test_a_file_that_breaks_off_is_a_lost_connection() -> None:
    async def broken() -> Any:
        yield _line("a", response()).encode() + b"\n"
        raise httpx2.ReadError("connection reset")

    ended = _batch(status="completed", output_file_id="file-out")

    def handler(request: Any) -> Any:
        if request.url.path.endswith("/content"):
            return httpx2.Response(200, content=broken())
        return httpx2.Response(200, json=ended)

    seen: list[str] = []

    async def read() -> None:
        async for name, _ in adapter(handler).results("batch_1"):
            seen.append(name)

    with pytest.raises(ApiFailure) as caught:
        asyncio.run(read())
    assert caught.value.kind is Kind.CONNECTION
    assert seen == ["a"]
