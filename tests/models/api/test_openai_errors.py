"""Which failure an error of OpenAI, Azure, vLLM and others amounts to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens_ray.models.api.adapter import ENDING, LASTING, Kind
from lens_ray.models.api.keys import Key
from lens_ray.models.api.openai_errors import failure, one_line

KEY = Key("sk-proj-canary0123456789", "OPENAI_API_KEY")


def _error(code: str | None, message: str = "m", **more: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, _error("rate_limit_exceeded", "Rate limit reached for gpt-4o"), Kind.RATE_LIMIT),
        (429, _error(None, "Too many tokens: slow down"), Kind.RATE_LIMIT),
        (429, "", Kind.RATE_LIMIT),
        (503, _error("slow_down", "Slow Down"), Kind.RATE_LIMIT),
        (503, _error(None, "The engine is currently overloaded"), Kind.RATE_LIMIT),
        (529, "", Kind.RATE_LIMIT),
        (
            429,
            _error(
                "rate_limit_exceeded",
                "Request too large for gpt-4o on tokens per min (TPM): Limit 10000, Requested "
                "12000. The input or output tokens must be reduced in order to run successfully.",
            ),
            Kind.REQUEST,
        ),
        (429, _error("insufficient_quota"), Kind.CREDIT),
        (429, {"error": {"message": "m", "type": "insufficient_quota", "code": None}}, Kind.CREDIT),
        (429, _error("credit_balance_exhausted"), Kind.CREDIT),
        (429, _error("project_spend_limit_exceeded"), Kind.CREDIT),
        (400, _error("billing_hard_limit_reached"), Kind.CREDIT),
        (402, {"error": {"message": "Insufficient Balance"}}, Kind.CREDIT),
        (401, _error("invalid_api_key"), Kind.KEY),
        (403, _error("unsupported_country_region_territory"), Kind.KEY),
        (403, "<html>Cloudflare</html>", Kind.SERVER),
        (403, _error("model_not_found", "Project has no access to model x"), Kind.MODEL),
        (404, _error("model_not_found"), Kind.MODEL),
        (404, {"error": {"code": "DeploymentNotFound", "message": "m"}}, Kind.MODEL),
        (404, {"object": "error", "message": "The model `x` does not exist."}, Kind.MODEL),
        (400, _error("invalid_value", "invalid model ID", param="model"), Kind.MODEL),
        (400, _error("unsupported_value", "temperature", param="temperature"), Kind.MODEL),
        (400, _error("context_length_exceeded"), Kind.CONTEXT),
        (
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 4096 tokens. However, you "
                    "requested 5000 tokens.",
                    "type": "BadRequestError",
                    "param": "max_tokens",
                    "code": 400,
                }
            },
            Kind.CONTEXT,
        ),
        (400, _error("image_too_large"), Kind.IMAGE),
        (400, _error(None, "The image has 40,000 patches"), Kind.IMAGE),
        (413, "<html>Request Entity Too Large</html>", Kind.IMAGE),
        (400, _error("invalid_image_format"), Kind.REQUEST),
        (400, _error("content_policy_violation"), Kind.MODERATION),
        (
            400,
            _error("invalid_prompt", "Invalid prompt: your prompt was flagged as potentially ..."),
            Kind.MODERATION,
        ),
        (400, _error("invalid_prompt", "Invalid prompt: no messages"), Kind.REQUEST),
        (
            400,
            {
                "error": {
                    "message": "The response was filtered due to the prompt triggering Azure "
                    "OpenAI's content management policy.",
                    "code": "content_filter",
                    "innererror": {"code": "ResponsibleAIPolicyViolation"},
                }
            },
            Kind.MODERATION,
        ),
        (400, {"detail": "bad body"}, Kind.REQUEST),
        (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, Kind.REQUEST),
        (304, "", Kind.SERVER),
        (408, "", Kind.TIMEOUT),
        (409, _error(None), Kind.SERVER),
        (500, _error("server_error"), Kind.SERVER),
        (502, "<html>Bad Gateway</html>", Kind.SERVER),
        (504, "", Kind.SERVER),
        # A response with the status "failed", and a line of a batch's error file, have none.
        (None, {"error": {"code": "server_error", "message": "m"}}, Kind.SERVER),
        (None, {"error": {"code": "rate_limit_exceeded", "message": "m"}}, Kind.RATE_LIMIT),
        (None, {"error": {"code": "invalid_image", "message": "m"}}, Kind.REQUEST),
        (None, {"error": {"code": "bio_policy", "message": "m"}}, Kind.MODERATION),
        (None, {"code": "batch_expired", "message": "m"}, Kind.EXPIRED),
        (None, {"code": "timeout", "message": "m"}, Kind.TIMEOUT),
        (None, {"error": {"code": 429, "message": "upstream"}}, Kind.RATE_LIMIT),
        (None, None, Kind.SERVER),
    ],
)  # fmt: skip
def test_kinds(status: int | None, body: object, kind: Kind) -> None:
    assert failure(status, body, {}).kind is kind


def test_a_503_that_says_when_to_come_again_uses_up_no_attempt() -> None:
    assert failure(503, "", {}).kind is Kind.SERVER
    asked = failure(503, "", {"retry-after": "2"})
    assert (asked.kind, asked.retry_after_s) == (Kind.RATE_LIMIT, 2.0)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 1.2s. Visit ...", 1.2),
        ("Please try again in 6m0s.", 360.0),
        ("Please try again in 120ms.", 0.12),
        ("Please retry after 10 seconds.", 10.0),
        ("Please retry after 2 minutes.", 120.0),
        ("Please try again later.", None),
    ],
)
def test_the_wait_is_read_from_the_message_where_no_header_says_it(
    message: str, seconds: float | None
) -> None:
    assert failure(429, _error("rate_limit_exceeded", message), {}).retry_after_s == seconds
    asked = failure(429, _error("rate_limit_exceeded", message), {"retry-after-ms": "50"})
    assert asked.retry_after_s == 0.05


def test_limits_come_along() -> None:
    told = failure(429, "", {"x-ratelimit-limit-requests": "60"}).limits
    assert told.requests == 60


def test_no_part_of_a_key_is_in_a_line() -> None:
    said = "Incorrect API key provided: sk-proj-can*******6789. You can find your key at ..."
    refused = failure(401, _error("invalid_api_key", said), {}, KEY)
    assert refused.line == "the provider refused the key of OPENAI_API_KEY (401 invalid_api_key)"
    for kind_body in (_error(None, said), _error(None, f"bad header {KEY.reveal()}")):
        line = failure(400, kind_body, {}, KEY).line
        assert "canary" not in line
        assert "6789" not in line
        assert "[key]" in line


def test_a_line_is_one_line_and_not_long() -> None:
    line = failure(400, _error(None, "a\n\nb " + "x" * 5000), {}).line
    assert "\n" not in line
    assert len(line) < 400


def test_what_the_model_does_not_take_says_what_to_type() -> None:
    body = _error("unsupported_value", "Unsupported value: 'temperature'", param="temperature")
    assert "write absent: [temperature] in the model's options" in failure(400, body, {}).line


def test_a_wrong_base_url_says_what_it_should_be() -> None:
    wrong = failure(404, "<html>404</html>", {})
    assert wrong.kind is Kind.MODEL
    assert wrong.line == ("the server has no such path; base_url goes up to and with its /v1 (404)")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["error", "code", "type", "param", "message", "innererror"]), inner
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.none() | st.integers(400, 599), json_values)
def test_no_body_breaks_anything(status: int | None, body: object) -> None:
    found = failure(status, body, {}, KEY)
    assert "\n" not in found.line
    assert not (status in (500, 502, 504) and found.kind in LASTING and not isinstance(body, dict))
    assert status != 429 or found.kind not in LASTING - {Kind.REQUEST}
    assert isinstance(found.kind in ENDING, bool)


@given(st.text(max_size=400))
def test_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
