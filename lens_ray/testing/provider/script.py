"""What a scripted provider does: `Script`, its limits, latencies and faults."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

from lens_ray.models.api.options import Price
from lens_ray.testing.provider.truth import Echo, Truth

FaultKind = Literal[
    # Errors that pass. Nothing was answered, nothing is billed.
    "rate_limit",
    "overloaded",
    "server_error",
    "html",
    "disconnect",
    "silence",
    # An answer was made and is billed, but does not arrive whole.
    "lost_answer",
    "broken_json",
    "wrong_schema",
    "truncated",
    "drip",
    # Answers of another kind.
    "empty",
    "length",
    "refusal",
    "content_filter",
    # Errors that stay.
    "moderation",
    "context",
    "image",
    "invalid",
    "bad_key",
    "no_credit",
    "unknown_model",
    # Of a batch's question.
    "expired",
]

#: Faults after which the same question may be asked again, none of which takes long.
TRANSIENT: tuple[FaultKind, ...] = (
    "rate_limit",
    "overloaded",
    "server_error",
    "html",
    "disconnect",
    "lost_answer",
    "broken_json",
    "wrong_schema",
    "truncated",
)
#: Faults whose answer was made and did not arrive.
SPOILT: frozenset[FaultKind] = frozenset(
    {"lost_answer", "broken_json", "wrong_schema", "truncated"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and with which calls; all that is given must hold.

    Attributes:
        kind: What happens.
        low: Questions whose draw, from 0 to 1, is at least this.
        high: And below this: so ``high=0.2`` strikes a fifth of the questions, always the same.
        tries: Only the first so many calls with one question; None strikes every one.
        after: Only calls after so many.
        until: And up to this one; None has no end. ``after=10, until=40`` is a storm.
        from_s: Only from so many seconds after the server's start.
        to_s: And before these; None has no end.
        provider: Only this one's protocol.
        model: Only model ids in which this regular expression is found.
        text: Only questions in which this regular expression is found.
        status: HTTP status of ``server_error`` and ``html``, where it is another.
        retry_after_s: What ``rate_limit`` and ``overloaded`` ask for.
        seconds: How long ``drip`` takes, and ``silence`` before it closes the connection.
    """

    kind: FaultKind
    low: float = 0.0
    high: float = 1.0
    tries: int | None = None
    after: int = 0
    until: int | None = None
    from_s: float = 0.0
    to_s: float | None = None
    provider: str | None = None
    model: str | None = None
    text: str | None = None
    status: int | None = None
    retry_after_s: float | None = None
    seconds: float = 30.0

    def strikes(
        self, *, draw: float, tried: int, number: int, age_s: float, provider: str, model: str
    ) -> bool:
        """Whether a call is struck; its text is not looked at.

        Args:
            draw: Of the question.
            tried: Calls with it before.
            number: Of the call, from 1.
            age_s: Of the server.
            provider: Of the protocol.
            model: Its id.
        """
        return (
            self.low <= draw < self.high
            and (self.tries is None or tried < self.tries)
            and self.after < number <= (math.inf if self.until is None else self.until)
            and self.from_s <= age_s < (math.inf if self.to_s is None else self.to_s)
            and self.provider in (None, provider)
            and (self.model is None or re.search(self.model, model) is not None)
        )


def mixed_faults(
    share: float, kinds: Sequence[FaultKind] = TRANSIENT, tries: int | None = 1
) -> tuple[Fault, ...]:
    """Faults of several kinds that strike a share of the questions, in equal parts.

    Args:
        share: Of the questions, from 0 to 1.
        kinds: Which.
        tries: Of each of these questions, so many calls fail; None fails every one.
    """
    part = share / len(kinds)
    return tuple(
        Fault(kind=kind, low=part * place, high=part * (place + 1), tries=tries)
        for place, kind in enumerate(kinds)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long an answer takes: lognormal, drawn by question and try.

    Attributes:
        median_s: Of an answer without tokens.
        sigma: Of the logarithm; 0 is always the same.
        per_token_s: More for every token of the answer.
    """

    median_s: float = 0.0
    sigma: float = 0.0
    per_token_s: float = 0.0

    def draw(self, share: float, tokens_out: int) -> float:
        """Seconds; ``share`` is uniform from 0 to 1."""
        seconds = self.median_s
        if self.sigma and seconds:
            inner = min(max(share, 1e-6), 1 - 1e-6)
            seconds *= math.exp(self.sigma * NormalDist().inv_cdf(inner))
        return seconds + self.per_token_s * tokens_out


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What a key may do with one model; None is no limit.

    Attributes:
        requests: A minute.
        tokens: A minute; those of the prompt and the most that the answer may have.
        images: A minute.
        kind: ``bucket`` fills steadily; ``window`` starts anew at fixed times.
        burst_s: Of a bucket: it holds what comes in so many seconds.
        window_s: Of a window: how long it is; it lets through its part of a minute's.
        concurrency: Calls at once.
        queue: Whether calls above ``concurrency`` wait instead of being refused.
        headers: Whether answers say how the key stands.
        retry_after: Whether a refusal says when to come back.
        overloaded: Whether a call above ``concurrency`` is refused as overload (529, 503), not 429.
    """

    requests: int | None = None
    tokens: int | None = None
    images: int | None = None
    kind: Literal["bucket", "window"] = "bucket"
    burst_s: float = 1.0
    window_s: float = 60.0
    concurrency: int | None = None
    queue: bool = False
    headers: bool = True
    retry_after: bool = True
    overloaded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchScript:
    """How batches go.

    Attributes:
        takes_s: From the hand-in to the end.
        ends: How a batch ends; ``expired`` and ``failed`` are those of OpenAI too.
        answered: Share of its questions that are answered before it expires or is cancelled.
        lose_submits: Of the first so many hand-ins the answer is lost; the batches are there.
        cut_results: Of the first so many downloads of results the second half is lost.
        busy_calls: The first so many other calls of the batch endpoints are answered with 429.
    """

    takes_s: float = 0.2
    ends: Literal["completed", "expired", "failed"] = "completed"
    answered: float = 1.0
    lose_submits: int = 0
    cut_results: int = 0
    busy_calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a server does.

    Attributes:
        truth: What is answered.
        latency: How long that takes.
        limits: What a key may do.
        faults: What goes wrong; of several that match a call the first strikes.
        batches: How batches go.
        prices: US dollars a million tokens by model id; ``*`` is any other.
        credit_usd: When this is spent, the key has no credit; None never ends.
        keys: Those that are known; None knows every one.
        dead_after: After so many calls no key is known any more; None is never.
        models: Ids that are known; None knows every one.
        served: From the call of a number on, which id is said to have answered: ``((1, "m-1"),
            (100, "m-2"))``. Before the first, it is the id that was asked for.
        thinking: Tokens of thinking in every answer.
        max_context: Tokens of prompt and answer together.
        max_image_side: Pixels.
        max_image_bytes: Of one image.
        max_images: Of one question.
        max_body_bytes: Of one question.
        absent: Parameters that every model refuses, by their name in the body.
        clock_skew_s: By which the ``date`` header is off.
        repeats_keys: Whether errors, odd bodies and a header repeat the key that was sent, whole
            and around stars, as some servers do: nobody may pass that on.
        seed: Of all draws.
    """

    truth: Truth = field(default_factory=Echo)
    latency: Latency = field(default_factory=Latency)
    limits: ServerLimits = field(default_factory=ServerLimits)
    faults: tuple[Fault, ...] = ()
    batches: BatchScript = field(default_factory=BatchScript)
    prices: Mapping[str, Price] = field(default_factory=dict)
    credit_usd: float | None = None
    keys: frozenset[str] | None = None
    dead_after: int | None = None
    models: frozenset[str] | None = None
    served: tuple[tuple[int, str], ...] = ()
    thinking: int = 0
    max_context: int = 1_000_000
    max_image_side: int = 8000
    max_image_bytes: int = 20_000_000
    max_images: int = 500
    max_body_bytes: int = 32_000_000
    absent: frozenset[str] = frozenset()
    clock_skew_s: float = 0.0
    repeats_keys: bool = False
    seed: int = 0

    def draw(self, *facts: str) -> float:
        """From 0 to 1, the same for the same facts."""
        joined = "\0".join((str(self.seed), *facts)).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(joined).digest()[:6], "big") / 2**48

    def served_at(self, number: int, model: str) -> str:
        """The id that is said to answer a call."""
        said = model
        for start, name in self.served:
            if number >= start:
                said = name
        return said
