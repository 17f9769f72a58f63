"""Why OpenAI, or a server that speaks like it, gave no answer: an `ApiFailure` for each way.

Sources, read on 2026-11-27: ``openai/_exceptions.py`` and ``types/responses/response_error.py`` of
the SDK (3.57.0); OpenAI's guides "Error codes", "Rate limits" and "Batch API" in stored copies;
Azure's and vLLM's messages as issues and their documentation quote them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from lens_ray.models.api import calls
from lens_ray.models.api.adapter import ApiFailure, Kind
from lens_ray.models.api.headers import OPENAI, duration, limits, retry_after
from lens_ray.models.api.keys import Key
from lens_ray.models.api.options import Absent

_CREDIT = frozenset(
    {
        "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded", "organization_usage_limit_exceeded",
        "billing_hard_limit_reached", "billing_not_active", "account_deactivated",
    }
)  # fmt: skip
_MODERATION = frozenset(
    {
        "content_policy_violation", "content_filter", "moderation_blocked", "bio_policy",
        "misalignment_policy_violation", "image_content_policy_violation",
        "responsibleaipolicyviolation",
    }
)  # fmt: skip
_OVERLOADED = frozenset(
    {"rate_limit_exceeded", "slow_down", "server_is_overloaded", "overloaded_error", "overloaded"}
)
_MODEL = frozenset(
    {"model_not_found", "deploymentnotfound", "model_not_available", "unsupported_model"}
)
_CONTEXT = frozenset({"context_length_exceeded", "string_above_max_length"})
_TOO_LARGE = frozenset({"image_too_large", "image_file_too_large"})
_EXPIRED = frozenset({"batch_expired", "batch_cancelled"})
#: Statuses with which a question can be refused for what it is (None: told without one).
_OF_QUESTION = (None, 400, 403, 413, 415, 422)
#: Those of a model's options: what is wrong with them is wrong for every question.
_PARAMETERS = (
    "temperature", "top_p", "seed", "stop", "max_tokens", "max_completion_tokens",
    "max_output_tokens", "reasoning", "logprobs", "include", "service_tier",
)  # fmt: skip

_FLAGGED = re.compile(r"(usage|content|content management) polic|flagged|moderation", re.I)
_TOO_LONG = re.compile(
    r"maximum context length|context window|context_length|prompt is too long"
    r"|too many (input )?tokens|longer than the maximum model"
    r"|exceeds? the (model'?s? )?(maximum|context)[\w ]*(length|tokens)",
    re.I,
)
_IMAGE_SIZE = re.compile(
    r"image[^.]{0,60}(too large|too big|exceed)|exceed[^.]{0,60}\bimage|[\d,]+ patches", re.I
)
_NEVER_FITS = re.compile(r"request too large.*must be reduced", re.I | re.S)
_NO_MODEL = re.compile(r"model .{1,120}(does not exist|not found|deprecated)", re.I)
_BUSY = re.compile(r"overloaded|slow down|over capacity|at capacity|temporarily rate", re.I)
_AGAIN = re.compile(
    r"(?:try again|retry)\s+(?:in|after)\s+([0-9][0-9.hmsd]*)(?:\s*(milli|minute))?", re.I
)
_SECRET = re.compile(r"\b(sk|rk|pk|sess)-[A-Za-z0-9_*.-]{6,}|[A-Za-z0-9_-]*\*{3,}[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the server tells it.

    Attributes:
        code: In lower case; empty where there is none.
        type: As above.
        param: As above.
        message: Free text.
        told: Whether it came in the form of the interface, not as a page of something in between.
    """

    code: str = ""
    type: str = ""
    param: str = ""
    message: str = ""
    told: bool = False


def read_problem(body: object) -> Problem:
    """The error in a body: ``{"error": {...}}``, its inside alone, or anything else.

    FastAPI's ``{"detail": ...}`` and a bare text count as messages.
    """
    inner = body.get("error", body) if isinstance(body, Mapping) else body
    if isinstance(inner, str):
        return Problem(message=inner, told=isinstance(body, Mapping))
    if not isinstance(inner, Mapping):
        return Problem()
    deeper = inner.get("innererror")
    code = str(inner.get("code") or "").lower()
    if isinstance(deeper, Mapping) and not code:
        code = str(deeper.get("code") or "").lower()
    message = inner.get("message") or inner.get("detail") or ""
    return Problem(
        code,
        str(inner.get("type") or "").lower(),
        str(inner.get("param") or "").lower(),
        message if isinstance(message, str) else str(message),
        told=bool(inner.get("message") or inner.get("code") or inner.get("detail")),
    )


def kind_of(status: int | None, problem: Problem) -> Kind:
    """Why there is no answer.

    Args:
        status: Of the response; None where the error came with a 200 or in a batch's file.
        problem: What it says.
    """
    named = {problem.code, problem.type}
    if named & _CREDIT or status == 402:
        return Kind.CREDIT
    if named & _EXPIRED:
        return Kind.EXPIRED
    content = _of_content(problem, named) if status in _OF_QUESTION else None
    if content is not None:
        return content
    if status is None:
        status = _status_of(problem)
    if status == 401 or (status == 403 and problem.told):
        return Kind.MODEL if named & _MODEL else Kind.KEY
    if status == 404 or named & _MODEL:
        return Kind.MODEL
    if status in (400, 422) and problem.param.startswith(("model", *_PARAMETERS)):
        return Kind.MODEL
    if status == 429 and _NEVER_FITS.search(problem.message):
        return Kind.REQUEST
    if status in (429, 529, 498) or named & _OVERLOADED:
        return Kind.RATE_LIMIT
    if status >= 500 and _BUSY.search(problem.message):
        return Kind.RATE_LIMIT
    if status == 408 or "timeout" in problem.code:
        return Kind.TIMEOUT
    if status == 413:
        return Kind.IMAGE
    # A 403 that is no error of the interface is a page of a proxy or a firewall.
    passing = status >= 500 or status < 400 or status in (403, 409, 425)
    return Kind.SERVER if passing else Kind.REQUEST


def _of_content(problem: Problem, named: set[str]) -> Kind | None:
    """The kinds that only the question itself can have caused."""
    said = problem.message
    if named & _MODERATION:
        return Kind.MODERATION
    if problem.code in ("invalid_prompt", "403", "") and _FLAGGED.search(said):
        return Kind.MODERATION
    if named & _CONTEXT or _TOO_LONG.search(said):
        return Kind.CONTEXT
    if named & _TOO_LARGE or _IMAGE_SIZE.search(said):
        return Kind.IMAGE
    return None


def _status_of(problem: Problem) -> int:
    """The status that an error without one amounts to."""
    if problem.code.isdigit():
        return int(problem.code)
    if problem.code.startswith(("invalid", "unsupported", "empty", "failed_to", "image")):
        return 400
    if problem.type.startswith("invalid_request"):
        return 400
    return 404 if _NO_MODEL.search(problem.message) else 500


def failure(
    status: int | None,
    body: object,
    headers: Mapping[str, str],
    key: Key | None = None,
    fallback: str = "",
) -> ApiFailure:
    """The failure that an error response amounts to.

    Args:
        status: As in `kind_of`.
        body: Decoded JSON, or text.
        headers: Of the response; empty in a batch.
        key: Named where the server refuses it.
        fallback: What to say where the body says nothing.
    """
    problem = read_problem(body)
    kind = kind_of(status, problem)
    wait = retry_after(headers)
    if kind is Kind.SERVER and status == 503 and wait is not None:
        kind = Kind.RATE_LIMIT  # it says when to come again: no attempt is used up
    if wait is None and kind is Kind.RATE_LIMIT:
        wait = _wait_in(problem.message)
    return ApiFailure(
        kind, _line(kind, status, problem, key, fallback), wait, limits(headers, OPENAI)
    )


def one_line(text: str) -> str:
    """As `lens_ray.models.api.calls.one_line`, and without what may be a key to these servers."""
    return _SECRET.sub("[key]", calls.one_line(text))


def _line(kind: Kind, status: int | None, problem: Problem, key: Key | None, fallback: str) -> str:
    # What a server says of a key that it refuses may show some of its letters.
    said = "" if kind is Kind.KEY else problem.message
    mark = one_line(f"{status or ''} {problem.code[:64]}")
    line = one_line(said or fallback or "no message")
    line = f"{line} ({mark})" if mark else line
    if kind is Kind.KEY:
        variable = key.variable if key is not None else "the key"
        return f"the provider refused the key of {variable} ({mark})"
    if kind is Kind.MODEL and not problem.told:
        return f"the server has no such path; base_url goes up to and with its /v1 ({mark})"
    name = problem.param.split(".")[0]
    if kind is Kind.MODEL and name in get_args(Absent):
        return f"{line}; write absent: [{name}] in the model's options if it does not take {name}"
    return line


def _wait_in(message: str) -> float | None:
    """Seconds of "Please try again in 1.2s" or "retry after 10 seconds"."""
    found = _AGAIN.search(message)
    if found is None:
        return None
    seconds = duration(found[1].rstrip("."))
    if seconds is None or not found[2]:
        return seconds
    return seconds / 1000 if found[2].lower() == "milli" else seconds * 60
