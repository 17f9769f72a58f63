"""What errors of Anthropic's API mean: `kind_of`."""

from __future__ import annotations

import re

from lens_ray.models.api.adapter import Kind

#: A message of the API begins with what it is about; options are wrong for every question alike.
_OPTION = re.compile(
    r"[`'\"]?(temperature|top_p|top_k|stop_sequences|max_tokens|thinking|output_config|effort|system)"
    r"\b(?! exceed)"
)

_SPENT = frozenset(
    {
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "linked_organization_billing_unavailable",
    }
)


def kind_of(
    status: int, error_type: str | None, code: str | None, said: str, missing: Kind = Kind.MODEL
) -> Kind:
    """What an error of the API means.

    Source: "Errors" (status and type), and the SDK's classes of ``error.details.error_code``.

    Args:
        status: Of HTTP; 0 where the error stands in a batch's results.
        error_type: ``error.type``.
        code: ``error.details.error_code``.
        said: ``error.message``, read only where nothing else tells.
        missing: What a 404 means.
    """
    if code in _SPENT or status == 402 or error_type == "billing_error":
        return Kind.CREDIT
    if status in (401, 403) or error_type in ("authentication_error", "permission_error"):
        return Kind.KEY
    if status == 404 or error_type == "not_found_error":
        return missing
    if status in (429, 529) or error_type in ("rate_limit_error", "overloaded_error"):
        return Kind.RATE_LIMIT
    if status == 504 or error_type == "timeout_error":
        return Kind.TIMEOUT
    if status in (408, 409, 499) or status >= 500 or error_type == "api_error":
        return Kind.SERVER
    return _of_words(status, error_type, code, said.lower())


def _of_words(status: int, error_type: str | None, code: str | None, text: str) -> Kind:
    """What a refused request had: most have one type, and only words tell them apart."""
    if any(words in text for words in ("credit balance", "usage limits", "spend limit")):
        return Kind.CREDIT
    if code == "organization_on_hold" or "organization has been disabled" in text:
        return Kind.KEY
    if status == 413 or code == "image_dimensions_too_large" or _about_image(text):
        return Kind.IMAGE
    if "prompt is too long" in text or "context limit" in text or "context window" in text:
        return Kind.CONTEXT
    if any(words in text for words in ("content filtering", "content policy", "usage policy")):
        return Kind.MODERATION
    if status in (400, 422) and _OPTION.match(text):
        return Kind.MODEL
    if status in (400, 422) or 300 <= status < 400 or error_type == "invalid_request_error":
        return Kind.REQUEST
    return Kind.SERVER


def _about_image(text: str) -> bool:
    return "image" in text and any(
        words in text for words in ("exceed", "too ", "could not process", "size")
    )
