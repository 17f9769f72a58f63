"""Questions and answers in the form of OpenAI's two interfaces: Responses and Chat Completions.

The same bodies go live and into batches, and the same reading is done of both, from plain JSON:
servers that only resemble OpenAI leave out fields that the SDK's types ask for.

Sources, read on 2026-11-27: ``types/responses/response_create_params.py``, ``response.py``,
``response_usage.py``, ``types/chat/completion_create_params.py``, ``chat_completion.py`` and
``types/completion_usage.py`` of the SDK (openai 3.57.0).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import exp, isfinite
from typing import Literal
from urllib.parse import urlsplit

from lens_ray.models.api.adapter import Answer, ApiFailure, Kind, Question
from lens_ray.models.api.calls import count_of, sendable
from lens_ray.models.api.openai_errors import failure, one_line
from lens_ray.models.api.openai_models import bills_cache_writes, gives_logprobs, thinks
from lens_ray.models.api.options import Absent, OpenAIOptions
from lens_ray.models.api.ports import Limits

_CHAT_FINISH = {
    "stop": "stop",
    "eos": "stop",  # Together and others
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}


def body_of(
    question: Question,
    model: str,
    options: OpenAIOptions,
    absent: Collection[Absent],
    live: bool = True,
) -> dict[str, object]:
    """What is posted for a question.

    Of OpenAI's own models the default service tier is asked for, and no cache of prompts where
    writing to it costs more: so the price table holds whatever a project's settings say.

    Args:
        question: To ask.
        model: Its id at the provider.
        options: Of the job.
        absent: Generation parameters that are left out.
        live: Whether it is asked alone, not in a batch.
    """
    chat = options.api == "chat"
    body = _chat(question, model, options) if chat else _response(question, model, options)
    if chat:
        newer = _maker(options) != "another" or thinks(model) or "temperature" in absent
        # The older name is the one that every other maker's server knows; models that think
        # refuse it, behind whatever gateway.
        body["max_completion_tokens" if newer else "max_tokens"] = _output(question, options)
    generation = question.generation
    if "temperature" not in absent:
        body["temperature"] = generation.temperature
    if "top_p" not in absent and generation.top_p != 1.0:
        body["top_p"] = generation.top_p
    if "seed" not in absent and generation.seed is not None:
        body["seed"] = generation.seed
    if "stop" not in absent and generation.stop:
        body["stop"] = [sendable(text) for text in generation.stop]
    if _maker(options) == "openai":
        if live:
            body["service_tier"] = "default"
        if bills_cache_writes(model):
            body["prompt_cache_options"] = {"mode": "explicit"}
    return body


def _response(question: Question, model: str, options: OpenAIOptions) -> dict[str, object]:
    content: list[dict[str, object]] = [
        {"type": "input_image", "image_url": url, "detail": options.image_detail}
        for url in _data_urls(question)
    ]
    content.append({"type": "input_text", "text": sendable(question.text)})
    body: dict[str, object] = {
        "model": model,
        "input": [{"role": "user", "content": content}],
        "max_output_tokens": _output(question, options),
        "store": False,
    }
    if options.system_prompt:
        body["instructions"] = sendable(options.system_prompt)
    if options.reasoning_effort is not None:
        body["reasoning"] = {"effort": options.reasoning_effort}
    if gives_logprobs(model):
        body["include"] = ["message.output_text.logprobs"]
    return body


def _chat(question: Question, model: str, options: OpenAIOptions) -> dict[str, object]:
    # Servers of other makers may not know ``detail``; left out, it is ``auto`` everywhere.
    detail = {} if options.image_detail == "auto" else {"detail": options.image_detail}
    content: list[dict[str, object]] = [
        {"type": "image_url", "image_url": {"url": url, **detail}} for url in _data_urls(question)
    ]
    content.append({"type": "text", "text": sendable(question.text)})
    messages: list[dict[str, object]] = []
    if options.system_prompt:
        messages.append({"role": "system", "content": sendable(options.system_prompt)})
    messages.append({"role": "user", "content": content if question.images else content[0]["text"]})
    body: dict[str, object] = {"model": model, "messages": messages}
    if options.reasoning_effort is not None:
        body["reasoning_effort"] = options.reasoning_effort
    if gives_logprobs(model):
        body["logprobs"] = True
    return body


def _maker(options: OpenAIOptions) -> Literal["openai", "azure", "another"]:
    """Whose server is asked."""
    if options.api_version is not None:
        return "azure"
    host = urlsplit(options.base_url or "//api.openai.com").hostname or ""
    if host == "api.openai.com" or host.endswith(".api.openai.com"):  # of a region
        return "openai"
    return "azure" if host.endswith(".azure.com") else "another"


def _output(question: Question, options: OpenAIOptions) -> int:
    return options.most_output(question.generation.max_new_tokens)


def _data_urls(question: Question) -> Iterator[str]:
    for image in question.images:
        yield f"data:{image.media_type};base64,{b64encode(image.data).decode('ascii')}"


def answer_of(body: object, limits: Limits | None = None) -> Answer:
    """The answer in a response's body, of either interface.

    Args:
        body: Decoded JSON.
        limits: From the headers.

    Raises:
        ApiFailure: It is an error after all, or no response.
    """
    if not isinstance(body, Mapping):
        raise _malformed("the response is no JSON object")
    if body.get("error"):
        raise failure(None, body, {})
    answer = _read_chat(body) if "choices" in body else _read_response(body)
    if answer is None:
        raise _malformed(f"a response with the keys {sorted(map(str, body))[:8]}")
    text, finish, confidence = answer
    served = body.get("model")
    if not isinstance(served, str) or not served:
        raise _malformed("the response names no model")
    tokens_in, tokens_out = _usage(body.get("usage"))
    return Answer(text, finish, served, tokens_in, tokens_out, confidence, limits or Limits())


def _read_response(body: Mapping[str, object]) -> tuple[str, str, float | None] | None:
    """Text, finish reason and confidence of a ``response`` object."""
    output = body.get("output")
    if not isinstance(output, list):
        return None
    parts = [part for item in output for part in _parts(item)]
    text = "".join(_text(part) for part in parts if part.get("type") == "output_text")
    refusal = "".join(str(part.get("refusal") or "") for part in parts)
    status = body.get("status", "completed")
    if status == "incomplete":
        details = body.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        finish = {"max_output_tokens": "length", "content_filter": "content_filter"}.get(
            str(reason)
        )
        if finish is None:
            raise _malformed(f"a response that is incomplete for the reason {reason!r}")
        return text, finish, None
    if status != "completed":
        raise ApiFailure(Kind.SERVER, f"the response has the status {one_line(str(status))!r}")
    if refusal and not text:
        return refusal, "refusal", None
    return text, "stop", _confidence(entry for part in parts for entry in _list(part, "logprobs"))


def _read_chat(body: Mapping[str, object]) -> tuple[str, str, float | None] | None:
    """As above, of a ``chat.completion`` object."""
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return None
    if isinstance(choice.get("error"), Mapping):  # OpenRouter, of a host that broke off
        raise failure(None, choice, {})
    reason = choice.get("finish_reason")
    finish = _CHAT_FINISH.get(str(reason))
    if finish is None:
        raise _malformed(f"a choice that finished for the reason {reason!r}")
    content = message.get("content")
    if isinstance(content, list):
        text = "".join(_text(part) for part in content if isinstance(part, Mapping))
    elif content is None or isinstance(content, str):
        text = content or ""
    else:
        return None
    refusal = message.get("refusal")
    if refusal and not text and finish != "content_filter":
        return str(refusal), "refusal", None
    logprobs = choice.get("logprobs")
    entries = _list(logprobs, "content") if isinstance(logprobs, Mapping) else []
    return text, finish, _confidence(iter(entries)) if finish == "stop" else None


def _parts(item: object) -> list[Mapping[str, object]]:
    if not isinstance(item, Mapping) or item.get("type") != "message":
        return []  # what the model thought, or a tool's call
    return [part for part in _list(item, "content") if isinstance(part, Mapping)]


def _list(of: Mapping[str, object], name: str) -> Sequence[object]:
    found = of.get(name)
    return found if isinstance(found, list) else []


def _text(part: Mapping[str, object]) -> str:
    found = part.get("text")
    return found if isinstance(found, str) else ""


def _confidence(entries: Iterator[object]) -> float | None:
    """Probability of the whole answer: the product over its tokens."""
    total, count = 0.0, 0
    for entry in entries:
        value = entry.get("logprob") if isinstance(entry, Mapping) else None
        if not isinstance(value, int | float) or not isfinite(value):
            return None
        total, count = total + min(value, 0.0), count + 1
    return exp(total) if count else None


def _usage(usage: object) -> tuple[int | None, int | None]:
    """Tokens in and out. Where a total says more than both, thinking was left out of the second."""
    if not isinstance(usage, Mapping):
        return None, None
    tokens_in = _count(usage, "input_tokens", "prompt_tokens")
    tokens_out = _count(usage, "output_tokens", "completion_tokens")
    total = _count(usage, "total_tokens")
    if tokens_in is not None and tokens_out is not None and total is not None:
        tokens_out = max(tokens_out, total - tokens_in)
    return tokens_in, tokens_out


def _count(usage: Mapping[str, object], *names: str) -> int | None:
    for name in names:
        if (count := count_of(usage.get(name))) is not None:
            return count
    return None


def _malformed(what: str) -> ApiFailure:
    return ApiFailure(Kind.MALFORMED, one_line(what))
