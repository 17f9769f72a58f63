"""What is known of Anthropic's models by their names: parameters, thinking, tokens.

Read on 2026-11-27 in the SDK 2.14.0 and in stored copies of platform.claude.com ("Vision",
"Coordinates and bounding boxes", "Migrating to Claude Sonnet 5"), and of pages about version
2026-10-21 of the API.
"""

from __future__ import annotations

import re
from math import ceil

from lens_ray.errors import UserError
from lens_ray.models.api.adapter import EncodedImage, Question
from lens_ray.models.api.calls import text_tokens
from lens_ray.models.api.options import Absent, AnthropicOptions

#: What `AnthropicOptions.reasoning_effort` may say (``types/output_config_param.py``).
EFFORTS = ("none", "low", "medium", "high", "xhigh", "max")
#: Of ``thinking.budget_tokens`` (``types/thinking_config_enabled_param.py``).
LEAST_THINKING = 1024

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_NEWEST = (99, 0)
_PATCH = 28
#: Tokens around every prompt.
_AROUND = 16


def known_absent(model: str, options: AnthropicOptions | None = None) -> frozenset[Absent]:
    """Generation parameters that a model does not take, by its name.

    Args:
        model: Its id.
        options: Thinking goes with no temperature but 1.
    """
    version = _version(model)
    absent: set[Absent] = {"seed"}
    if version >= (4, 0):  # 4.1 and later take one of them, and temperature is the one
        absent.add("top_p")
    if version >= (4, 7) or (options is not None and _thinks(options)):
        absent |= {"temperature", "top_p"}
    return frozenset(absent)


def image_tokens(image: EncodedImage, model: str) -> int:
    """Tokens of an image, at most: 28x28 pixels each, after the server has scaled it down.

    Args:
        image: As it is sent.
        model: Those after 4.6 see images of up to 2576 pixels and 4784 tokens, others of up to
            1568 and 1568.
    """
    side, most = (2576, 4784) if _version(model) >= (4, 7) else (1568, 1568)
    scale = min(1.0, side / max(image.width, image.height))
    patches = ceil(image.width * scale / _PATCH) * ceil(image.height * scale / _PATCH)
    return min(patches, most)


def prompt_tokens(model: str, options: AnthropicOptions, question: Question) -> int:
    """Tokens of a prompt, rather too many than too few: `text_tokens` and `image_tokens`."""
    images = sum(image_tokens(image, model) for image in question.images)
    return text_tokens(question.text, options.system_prompt or "") + images + _AROUND


def _thinks(options: AnthropicOptions) -> bool:
    return options.reasoning_tokens > 0 or options.reasoning_effort not in (None, "none")


def check_thinking(model: str, options: AnthropicOptions) -> None:
    """Refuse thinking that a model does not know.

    Raises:
        UserError: In one line.
    """
    effort = options.reasoning_effort
    if effort is not None and effort not in EFFORTS:
        raise UserError(
            f"{model}: reasoning_effort {effort!r}; Anthropic knows {', '.join(EFFORTS)}"
        )
    if _version(model) < (4, 6) and 0 < options.reasoning_tokens < LEAST_THINKING:
        raise UserError(
            f"{model}: reasoning_tokens {options.reasoning_tokens}; this model thinks with "
            f"{LEAST_THINKING} tokens at least, or not at all (0)"
        )


def thinking(model: str, options: AnthropicOptions) -> dict[str, object]:
    """How the model is told to think; nothing is said where the job says nothing.

    Models from 4.6 on decide how much they think and take an effort; those before are given a
    budget of tokens. Either way ``max_tokens`` counts thinking and answer together.
    """
    if options.reasoning_effort == "none":
        return {"thinking": {"type": "disabled"}}
    if not _thinks(options):
        return {}
    said: dict[str, object] = {}
    if options.reasoning_effort is not None:
        said["output_config"] = {"effort": options.reasoning_effort}
    if _version(model) >= (4, 6):
        said["thinking"] = {"type": "adaptive"}
    elif options.reasoning_tokens:
        said["thinking"] = {"type": "enabled", "budget_tokens": options.reasoning_tokens}
    return said


def _version(model: str) -> tuple[int, int]:
    """Of ``claude-opus-4-8`` (4, 8), of ``claude-3-7-sonnet-20250219`` (3, 7); else the newest."""
    found = _VERSION.search(model)
    return _NEWEST if found is None else (int(found[1]), int(found[2] or 0))
