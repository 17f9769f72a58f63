"""What errors of Gemini's API mean: `kind_of`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lens_ray.models.api.adapter import Kind

_CREDIT = re.compile(r"\bcredits?\b")
#: What is wrong with the options of a model is wrong for every question.
_OPTION = re.compile(
    r"generation_?config|\bthinking\b|media_?resolution|system_?instruction|developer instruction"
)


def kind_of(
    code: int, status: str, said: str, details: Sequence[Mapping[str, object]] = ()
) -> Kind:
    """What an error of the API means.

    Source: ai.google.dev/gemini-api/docs/troubleshooting (codes and status), and responses as users
    have posted them (quotas of a day).

    Args:
        code: Of HTTP.
        status: Of google.rpc, such as ``RESOURCE_EXHAUSTED``.
        said: ``error.message``, read only where nothing else tells.
        details: ``error.details``.
    """
    text = said.lower()
    if code == 503 or status == "UNAVAILABLE":  # "The model is overloaded."
        return Kind.RATE_LIMIT
    if code == 504 or status == "DEADLINE_EXCEEDED":
        return Kind.TIMEOUT
    if code == 408 or code >= 500:
        return Kind.SERVER
    if code == 402 or _CREDIT.search(text) or (code == 429 and _spent_for_today(details)):
        return Kind.CREDIT
    if code == 429 or status == "RESOURCE_EXHAUSTED":
        return Kind.RATE_LIMIT
    if code in (401, 403) or _key_is_bad(status, text, details):
        return Kind.KEY
    if code == 404:
        return Kind.MODEL
    if ("token count" in text and "exceeds" in text) or "context window" in text:
        return Kind.CONTEXT
    if code == 400 and _OPTION.search(text):
        return Kind.MODEL
    if code == 413 or "payload size" in text or "image" in text:
        return Kind.IMAGE
    return Kind.REQUEST if 300 <= code < 500 else Kind.SERVER


def _key_is_bad(status: str, text: str, details: Sequence[Mapping[str, object]]) -> bool:
    """A failed precondition is a country without the service, or a project without billing."""
    reasons = {str(detail.get("reason", "")) for detail in details}
    named = bool(reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"})
    return named or status == "FAILED_PRECONDITION" or "api key" in text


def _spent_for_today(details: Sequence[Mapping[str, object]]) -> bool:
    """Whether a quota of requests or tokens a day is used up: no minute will bring it back."""
    for detail in details:
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, Mapping) and "PerDay" in str(violation.get("quotaId", "")):
                return True
    return False
