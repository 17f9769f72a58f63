"""What is known of OpenAI's models by their names: parameters that they do not take, and tokens.

Sources, read on 2026-11-27: the types and docstrings of the SDK (openai 3.57.0), OpenAI's guides
"Images and vision" and "Reasoning" in stored copies, and model notes quoted there. A name that is
not known (another server's model) is taken for one that takes every parameter of its interface.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil, floor, sqrt

from lens_ray.models.api.adapter import EncodedImage, Question
from lens_ray.models.api.options import Absent, OpenAIOptions

_GPT = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?:-(.+))?$")
_O_SERIES = re.compile(r"o\d+(-|$)")
_WITH_LOGPROBS = ("gpt-4o", "gpt-4.1", "gpt-4-turbo", "gpt-3.5-turbo")
_WITHOUT_LOGPROBS = ("audio", "realtime", "search", "transcribe", "tts")


def base_name(model: str) -> str:
    """A model's name without a router's prefix (``openai/``) or a fine-tune's (``ft:NAME:...``)."""
    name = model.rsplit("/", 1)[-1].lower()
    return name.split(":")[1] if name.startswith("ft:") and name.count(":") > 1 else name


def thinks(model: str) -> bool:
    """Whether a model reasons before it answers."""
    name = base_name(model)
    version = _version(name)
    return bool(_O_SERIES.match(name)) or (
        version >= (5, 0) and not name.startswith("gpt-5-chat")
    ) or name in ("codex-mini-latest", "computer-use-preview")  # fmt: skip


def known_absent(model: str, options: OpenAIOptions | None = None) -> frozenset[Absent]:
    """Generation parameters that a model does not take.

    The Responses interface has neither ``seed`` nor ``stop``. Reasoning models take no ``stop`` and
    no ``temperature`` or ``top_p``; of them, those from gpt-5.1 to gpt-5.6 do with the effort
    ``none``.

    Args:
        model: Its id, a snapshot or not.
        options: Of the job; None are the defaults.
    """
    options = options or OpenAIOptions()
    absent: set[Absent] = {"seed", "stop"} if options.api == "responses" else set()
    if thinks(model):
        absent.add("stop")
        idle = options.reasoning_effort == "none"
        if not (idle and (5, 1) <= _version(base_name(model)) < (6, 0)):
            absent |= {"temperature", "top_p"}
    return frozenset(absent)


def gives_logprobs(model: str) -> bool:
    """Whether a model is known to give the probabilities of its tokens, which costs nothing."""
    name = base_name(model)
    return name.startswith(_WITH_LOGPROBS) and not any(word in name for word in _WITHOUT_LOGPROBS)


def bills_cache_writes(model: str) -> bool:
    """Whether putting a prompt into the provider's cache costs more than reading it."""
    return _version(base_name(model)) >= (5, 6)


def _version(name: str) -> tuple[int, int]:
    found = _GPT.match(name)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


# Tokens of a prompt.

#: Around each turn, and before the answer.
_FRAME_TOKENS = 8
# The pieces that OpenAI's tokenizers split a text into before they count (o200k_base in tiktoken):
# a word may take the space before it along, a number may not, and has three digits at most.
_PIECE = re.compile(r"(?P<word>[^\W\d_]+)|(?P<number>\d{1,3})|(?P<space>\s+)|(?P<mark>[^\s])")


def text_tokens(text: str) -> int:
    """At most so many tokens has an ordinary text.

    One for four bytes of a word (an English one has about one for six), for two bytes where it is
    not ASCII, for three digits, for each other character, and for white space that no word takes.
    """
    total = 0
    for found in _PIECE.finditer(text):
        piece = found.group()
        match found.lastgroup:
            case "word" if piece.isascii():
                total += ceil(len(piece) / 4)
            case "word":
                total += ceil(len(piece.encode("utf-8", "surrogatepass")) / 2)
            case "space":
                total += len(piece) > 1 or text[found.end() : found.end() + 1].isdigit()
            case "mark" if not piece.isascii():
                total += 3
            case _:
                total += 1
    return total


def prompt_tokens(model: str, options: OpenAIOptions, question: Question) -> int:
    """Tokens of a question, its images and the system prompt, rather too many than too few."""
    total = _FRAME_TOKENS + text_tokens(question.text)
    if options.system_prompt:
        total += _FRAME_TOKENS + text_tokens(options.system_prompt)
    return total + sum(image_tokens(model, options.image_detail, i) for i in question.images)


@dataclass(frozen=True, slots=True)
class _Tiles:
    """An image is cut into squares of 512 pixels.

    Attributes:
        base: Tokens of any image.
        tile: Tokens of a square.
    """

    base: int
    tile: int


@dataclass(frozen=True, slots=True)
class _Patches:
    """An image is cut into patches.

    Attributes:
        factor: Tokens of a patch.
        budget: Patches of an image at most; larger ones are scaled down. None is any number.
        side: Pixels of the longer side at most.
        pixels: Of a patch's side.
        least: Tokens of any image.
    """

    factor: float
    budget: int | None
    side: int | None
    pixels: int = 32
    least: int = 1


#: Of a model whose rule is not known: patches of 28 pixels (Qwen-VL), and 576 at least (LLaVA).
_UNKNOWN = _Patches(1.0, None, None, pixels=28, least=576)
_LOW_SIDE = 512


def image_tokens(model: str, detail: str, image: EncodedImage) -> int:
    """Tokens of an image.

    Source: "Images and vision", "Model sizing behavior" and "Calculating costs". ``auto`` is taken
    for the closest look that the model may choose.
    """
    rule = _rule(base_name(model), detail)
    if isinstance(rule, _Tiles):
        return rule.base if detail == "low" else _tiled(rule, image.width, image.height)
    return max(rule.least, ceil(round(_patches(rule, image.width, image.height) * rule.factor, 6)))


def _rule(name: str, detail: str) -> _Tiles | _Patches:
    version = _version(name)
    if name.startswith("gpt-4o-mini"):
        return _Tiles(2833, 5667)
    if name.startswith("o4-mini"):
        return _Patches(1.72, 1536, 2048)
    if _O_SERIES.match(name):
        return _Tiles(75, 150)
    if name.startswith("computer-use"):
        return _Tiles(65, 129)
    small = 2.46 if "nano" in name else 1.62 if "mini" in name else None
    if version >= (4, 1) and small is not None:
        return _Patches(small, 1536, 2048)
    if version >= (5, 4):
        return _newer(version, detail)
    if version >= (5, 2):
        # No guide names the factor of these; 1.2 was measured by users of gpt-5.2.
        return _Patches(1.2, 1536, 2048)
    if version >= (5, 0):
        return _Tiles(70, 140)
    return _Tiles(85, 170) if version >= (4, 0) or name.startswith("gpt-4o") else _UNKNOWN


def _newer(version: tuple[int, int], detail: str) -> _Patches:
    if detail == "low":
        return _Patches(1.2, (_LOW_SIDE // 32) ** 2, _LOW_SIDE)
    if detail == "high":
        return _Patches(1.2, 2500, 65_535 if version >= (5, 6) else 2048)
    # From 5.6 on ``auto`` keeps the size, and an image of more than 30,000 patches is refused.
    return _Patches(1.2, None, None) if version >= (5, 6) else _Patches(1.2, 10_000, 6000)


def _tiled(rule: _Tiles, width: int, height: int) -> int:
    """Into 2048 by 2048, then the shorter side to 768, then squares of 512."""
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    across, down = (ceil(round(side * scale, 6) / 512) for side in (width, height))
    return rule.base + rule.tile * across * down


def _patches(rule: _Patches, width: int, height: int) -> int:
    """Patches that cover an image once it is scaled down to the budget."""
    if rule.side is not None and max(width, height) > rule.side:
        scale = rule.side / max(width, height)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    count = ceil(width / rule.pixels) * ceil(height / rule.pixels)
    if rule.budget is None or count <= rule.budget:
        return count
    scale = sqrt(rule.pixels**2 * rule.budget / (width * height))
    across, down = width * scale / rule.pixels, height * scale / rule.pixels
    if min(across, down) < 1:  # thinner than a patch: the formula has no meaning
        return rule.budget
    scale *= min(floor(across) / across, floor(down) / down)
    across, down = round(width * scale, 6), round(height * scale, 6)
    return min(rule.budget, ceil(int(across) / rule.pixels) * ceil(int(down) / rule.pixels))
