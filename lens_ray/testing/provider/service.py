"""What a scripted provider does with one question: `Service`. It knows no HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from lens_ray.models.api.options import Price
from lens_ray.testing.provider.counts import Counts
from lens_ray.testing.provider.limits import Gate
from lens_ray.testing.provider.parameters import refused
from lens_ray.testing.provider.script import SPOILT, Fault, Script
from lens_ray.testing.provider.wire import (
    Asked,
    Dialect,
    Finish,
    Json,
    Reply,
    Trouble,
    TroubleKind,
    first_tokens,
    invalid,
    text_tokens,
)

_FREE = Price(input=0.0, output=0.0)
_LINES: Mapping[str, str] = {
    "rate_limit": "Rate limit reached (scripted). Please try again later.",
    "overloaded": "Overloaded (scripted)",
    "server_error": "The server had an error while processing your request (scripted)",
    "bad_key": "Incorrect API key provided. API key not valid. Please pass a valid API key.",
    "no_credit": "Your credit balance is too low; check your plan and billing details.",
    "unknown_model": "The model does not exist or you do not have access to it.",
    "context": "prompt is too long: your input exceeds the context window of this model",
    "image": "image exceeds the maximum allowed size",
    "invalid": "Invalid request (scripted)",
    "moderation": "Output blocked by content filtering policy (scripted)",
}
#: Faults that are answered with an error of the same name.
_ERRORS: Mapping[str, TroubleKind] = {
    "rate_limit": "rate_limit",
    "overloaded": "overloaded",
    "server_error": "server_error",
    "bad_key": "bad_key",
    "no_credit": "no_credit",
    "unknown_model": "unknown_model",
    "context": "context",
    "image": "image",
    "invalid": "invalid",
    "moderation": "moderation",
}
_FINISHES: Mapping[str, Finish] = {
    "length": "length",
    "refusal": "refusal",
    "content_filter": "content_filter",
}
_REFUSAL = "I'm sorry, but I can't help with that."


@dataclass(frozen=True, slots=True)
class Sent:
    """What is to be sent.

    Attributes:
        status: HTTP status.
        body: JSON.
        headers: Further headers.
        fault: What happens to it on its way.
        repeated: A key that stands in bodies that are none of the protocol.
    """

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault | None = None
    repeated: str = ""


class Service:
    """Answers questions by a script, and counts."""

    def __init__(self, script: Script) -> None:
        """Begin.

        Args:
            script: What to do.
        """
        self.script = script
        self.counts = Counts()
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self._gates: dict[tuple[str, str], Gate] = {}
        self._places: dict[tuple[str, str], asyncio.Semaphore] = {}
        self._tried: Counter[str] = Counter()
        self._number = 0

    async def ask(self, dialect: Dialect, key: str, raw: bytes, model: str | None) -> Sent:
        """One question, as it came over HTTP.

        Args:
            dialect: Its protocol.
            key: That was sent; empty where none was.
            raw: The body.
            model: Where the path names it.
        """
        counts = self.counts
        with self.lock:
            counts.calls += 1
            counts.providers[dialect.provider] += 1
            counts.keys[fingerprint(key)] += 1
            number = counts.calls
        try:
            sent = await self._ask(dialect, key, raw, model, number)
        except Trouble as trouble:
            sent = refusal(dialect, self._repeating(trouble, key))
        with self.lock:
            counts.statuses[sent.status] += 1
        if self.script.repeats_keys:
            return replace(sent, headers={**sent.headers, "x-your-key": key}, repeated=key)
        return sent

    def _repeating(self, trouble: Trouble, key: str) -> Trouble:
        """An error that repeats the key, where the script has it so."""
        if not self.script.repeats_keys:
            return trouble
        starred = f"{key[:8]}{'*' * 24}{key[-4:]}"
        line = f"{trouble.line} Incorrect API key provided: {starred}. It was {key}."
        return Trouble(trouble.kind, line, trouble.retry_after_s, trouble.status, trouble.param)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Count a call as held, until its answer is sent."""
        counts = self.counts
        with self.lock:
            counts.waiting += 1
            counts.most_waiting = max(counts.most_waiting, counts.waiting)
        try:
            yield
        finally:
            with self.lock:
                counts.waiting -= 1

    def renew_limits(self) -> None:
        """Let the limits of the script begin anew."""
        self._gates.clear()
        self._places.clear()

    def check(self, key: str, model: str | None = None) -> None:
        """Whether a key and a model are known; raises `Trouble`."""
        script = self.script
        dead = script.dead_after is not None and self.counts.calls > script.dead_after
        if not key or dead or (script.keys is not None and key not in script.keys):
            raise Trouble("bad_key", _LINES["bad_key"])
        if model is not None and script.models is not None and model not in script.models:
            raise Trouble("unknown_model", f"model: {model}. {_LINES['unknown_model']}")
        if script.credit_usd is not None and self.counts.usd >= script.credit_usd:
            raise Trouble("no_credit", _LINES["no_credit"])

    def reply(
        self,
        dialect: Dialect,
        asked: Asked,
        number: int,
        fault: Fault | None = None,
        batch: bool = False,
    ) -> Reply:
        """Make an answer; it is not billed yet."""
        script = self.script
        self._number += 1
        kind = "" if fault is None else fault.kind
        finish = _FINISHES.get(kind, "stop")
        text = "" if kind == "empty" else script.truth.answer(asked)
        if kind == "moderation":
            finish, text = "blocked", ""
        elif finish == "refusal":
            text = _REFUSAL
        elif finish == "content_filter":
            text = ""
        text, finish = _ended(text, finish, asked, script.thinking)
        tokens_out = script.thinking + max(1, text_tokens(text))
        return Reply(
            number=self._number,
            text=text,
            finish=finish,
            served=script.served_at(number, asked.model),
            tokens_in=dialect.tokens(asked),
            tokens_out=tokens_out,
            thinking=script.thinking,
            created=time.time(),
            batch=batch,
        )

    def fault_of(self, dialect: Dialect, asked: Asked, number: int, tried: int) -> Fault | None:
        """What goes wrong with a call."""
        script = self.script
        if not script.faults:
            return None
        draw = script.draw("fault", asked.digest)
        age = time.monotonic() - self.began
        for fault in script.faults:
            if fault.strikes(
                draw=draw, tried=tried, number=number, age_s=age,
                provider=dialect.provider, model=asked.model,
            ) and (fault.text is None or re.search(fault.text, asked.text)):  # fmt: skip
                return fault
        return None

    def tried(self, asked: Asked) -> int:
        """How often a question was asked before; this call counts."""
        digest = asked.digest
        self._tried[digest] += 1
        return self._tried[digest] - 1

    def examine(self, dialect: Dialect, asked: Asked) -> None:
        """Whether a question is within the model's limits; raises `Trouble`."""
        script = self.script
        absent = sorted(asked.parameters & script.absent)
        if absent:
            raise refused(absent[0])
        if len(asked.images) > script.max_images:
            raise invalid(f"Too many images: {len(asked.images)} > {script.max_images}")
        for image in asked.images:
            if max(image.width, image.height) > script.max_image_side:
                raise Trouble("image", f"{_LINES['image']} ({script.max_image_side} pixels)")
            if image.size > script.max_image_bytes:
                raise Trouble("image", f"{_LINES['image']} ({script.max_image_bytes} bytes)")
        if dialect.tokens(asked) + asked.max_tokens > script.max_context:
            raise Trouble("context", f"{_LINES['context']} ({script.max_context} tokens)")

    async def _ask(
        self, dialect: Dialect, key: str, raw: bytes, model: str | None, number: int
    ) -> Sent:
        self.check(key, model)
        if len(raw) > self.script.max_body_bytes:
            raise Trouble("too_large", "Request exceeds the maximum allowed number of bytes.")
        asked = dialect.read(json_object(raw), model)
        self.check(key, asked.model)
        self.counts.parameters.update(asked.parameters)
        self.examine(dialect, asked)
        scope = (key, asked.model)
        try:
            sent = await self._placed(dialect, asked, scope, number)
        except Trouble as trouble:
            sent = refusal(dialect, self._repeating(trouble, key))
            self.counts.rejected += trouble.kind in ("rate_limit", "overloaded")
        limits = self._limit_headers(dialect, scope)
        return replace(sent, headers={**limits, **sent.headers})

    async def _placed(
        self, dialect: Dialect, asked: Asked, scope: tuple[str, str], number: int
    ) -> Sent:
        place = self._place(scope)
        if place is None:
            return await self._answered(dialect, asked, scope, number)
        if place.locked() and not self.script.limits.queue:
            kind: TroubleKind = "overloaded" if self.script.limits.overloaded else "rate_limit"
            raise Trouble(kind, "Too many concurrent requests (scripted)")
        async with place:
            return await self._answered(dialect, asked, scope, number)

    async def _answered(
        self, dialect: Dialect, asked: Asked, scope: tuple[str, str], number: int
    ) -> Sent:
        script = self.script
        self._pass_gate(dialect, asked, scope)
        tried = self.tried(asked)
        fault = self.fault_of(dialect, asked, number, tried)
        if fault is not None:
            self.counts.faults[fault.kind] += 1
            if fault.kind in _ERRORS and not (fault.kind == "moderation" and dialect.blocks):
                raise scripted(fault)
            if fault.kind in ("html", "disconnect", "silence"):
                return Sent(fault.status or 502, {}, fault=fault)
        share = script.draw("latency", asked.digest, str(tried))
        reply = self.reply(dialect, asked, number, fault)
        latency = script.latency.draw(share, reply.tokens_out)
        if latency:
            await asyncio.sleep(latency)
        self.bill(asked, reply, spoilt=fault is not None and fault.kind in SPOILT)
        return Sent(200, dialect.write(asked, reply), fault=fault)

    def _gate(self, scope: tuple[str, str]) -> Gate:
        gate = self._gates.get(scope)
        if gate is None:
            gate = self._gates[scope] = Gate(self.script.limits, time.monotonic())
        return gate

    def _place(self, scope: tuple[str, str]) -> asyncio.Semaphore | None:
        limit = self.script.limits.concurrency
        if limit is None:
            return None
        return self._places.setdefault(scope, asyncio.Semaphore(limit))

    def _pass_gate(self, dialect: Dialect, asked: Asked, scope: tuple[str, str]) -> None:
        tokens = dialect.tokens(asked) + asked.max_tokens
        stopped = self._gate(scope).take(tokens, len(asked.images), time.monotonic())
        if stopped is None:
            return
        name, wait_s = stopped
        said = self.script.limits.retry_after
        again = f"in {wait_s:.3f}s" if said else "later"
        raise Trouble(
            "rate_limit",
            f"Rate limit reached for {asked.model} on {name} per min. Please try again {again}.",
            wait_s if said else None,
        )

    def _limit_headers(self, dialect: Dialect, scope: tuple[str, str]) -> Mapping[str, str]:
        if not self.script.limits.headers:
            return {}
        standings = self._gate(scope).standings(time.monotonic())
        return dialect.headers(standings, time.time()) if standings else {}

    def bill(self, asked: Asked, reply: Reply, spoilt: bool = False) -> None:
        """Count an answer."""
        prices = self.script.prices
        price = prices.get(asked.model) or prices.get("*") or _FREE
        into, out = price.input, price.output
        if reply.batch:
            into = price.input / 2 if price.batch_input is None else price.batch_input
            out = price.output / 2 if price.batch_output is None else price.batch_output
        counts = self.counts
        with self.lock:
            counts.answers += 1
            counts.tokens_in += reply.tokens_in
            counts.tokens_out += reply.tokens_out
            counts.images += len(asked.images)
            counts.usd += (reply.tokens_in * into + reply.tokens_out * out) / 1e6
            if spoilt:
                counts.spoilt += 1
            else:
                counts.arrived[asked.digest] += 1


def refusal(dialect: Dialect, trouble: Trouble) -> Sent:
    """An error, in a dialect."""
    failure = dialect.failure(trouble)
    return Sent(failure.status, failure.body, failure.headers)


def scripted(fault: Fault) -> Trouble:
    """The error that a fault of this kind is; that of the server for all that are none."""
    kind = _ERRORS.get(fault.kind, "server_error")
    return Trouble(kind, _LINES[kind], fault.retry_after_s, fault.status)


def json_object(raw: bytes | str) -> Json:
    """A body; raises `Trouble`."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise invalid("Invalid body: expected an object")
    return body


def fingerprint(key: str) -> str:
    """As `lens_ray.models.api.keys.Key.fingerprint`."""
    return hashlib.sha256(b"lens-ray key " + key.encode()).hexdigest()[:12]


def _ended(text: str, finish: Finish, asked: Asked, thinking: int) -> tuple[str, Finish]:
    """A text cut at a stop text and at the most tokens."""
    if finish in ("refusal", "blocked", "content_filter"):
        return text, finish
    places = [place for end in asked.stop if (place := text.find(end)) >= 0]
    if places:
        text, finish = text[: min(places)], "stop_sequence"
    allowed = max(0, asked.max_tokens - thinking)
    if finish == "length":
        allowed = min(allowed, max(0, text_tokens(text) - 1))
    if text_tokens(text) <= allowed:
        return text, finish
    return first_tokens(text, allowed), "length"
