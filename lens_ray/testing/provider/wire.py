"""What every dialect reads and writes: `Asked`, `Reply`, `Trouble`, and the `Dialect` itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, cast

#: JSON, as it is read from a body.
Json = Mapping[str, object]

#: ``blocked``: the prompt was not let through, and this is no error (Gemini).
Finish = Literal["stop", "stop_sequence", "length", "refusal", "content_filter", "blocked"]
TroubleKind = Literal[
    "rate_limit",
    "overloaded",
    "server_error",
    "bad_key",
    "no_credit",
    "unknown_model",
    "context",
    "image",
    "too_large",
    "invalid",
    "moderation",
]

_WORDS = re.compile(r"[A-Za-z]{1,7}|\d{1,3}|[^\sA-Za-z\d]")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as it came.

    Attributes:
        digest: SHA-256 (hex) of its bytes.
        size: Of its bytes.
        width: Pixels.
        height: Pixels.
        detail: How closely it is to be looked at, where the dialect knows that.
        data: Its bytes.
    """

    digest: str
    size: int
    width: int
    height: int
    detail: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it came.

    Attributes:
        model: Id that was asked for.
        text: The user's turn.
        system: The system's text.
        images: In order.
        max_tokens: Most tokens of the answer, those of thinking included.
        stop: Where the answer ends.
        logprobs: Whether probabilities are asked for.
        parameters: Names of all other top-level parameters of the body.
    """

    model: str
    text: str
    system: str
    images: tuple[Picture, ...]
    max_tokens: int
    stop: tuple[str, ...]
    logprobs: bool
    parameters: frozenset[str]

    @property
    def digest(self) -> str:
        """The same for the same model, text and images."""
        parts = (self.model, self.system, self.text, *(image.digest for image in self.images))
        joined = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.sha256(joined).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is put into a dialect.

    Attributes:
        number: Of the answer, for its id.
        text: Of the answer, or of the refusal.
        finish: How it ended.
        served: Model id that is said to have answered.
        tokens_in: Of the prompt.
        tokens_out: Of the answer, those of thinking included.
        thinking: Tokens of thinking among them.
        created: Seconds since 1970.
        batch: Whether it is one of a batch.
    """

    number: int
    text: str
    finish: Finish
    served: str
    tokens_in: int
    tokens_out: int
    thinking: int
    created: float
    batch: bool = False


class Trouble(Exception):
    """A call that is answered with an error.

    Attributes:
        kind: Which.
        line: Its message.
        retry_after_s: When to come back; None says nothing of it.
        status: HTTP status where it is not the usual one of the kind.
        param: The parameter of the body that it is about; empty where it is about none.
    """

    def __init__(
        self,
        kind: TroubleKind,
        line: str,
        retry_after_s: float | None = None,
        status: int | None = None,
        param: str = "",
    ) -> None:
        super().__init__(line)
        self.kind = kind
        self.line = line
        self.retry_after_s = retry_after_s
        self.status = status
        self.param = param


@dataclass(frozen=True, slots=True)
class Standing:
    """How a key stands with one limit.

    Attributes:
        limit: Permitted a minute.
        left: That may be taken now.
        reset_s: Seconds until all of it may be taken again.
    """

    limit: int
    left: int
    reset_s: float


#: By ``requests``, ``tokens``, ``images``.
Standings = Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in a dialect."""

    status: int
    body: Json
    headers: Mapping[str, str]


class Dialect(Protocol):
    """One of the protocols.

    Attributes:
        provider: ``openai``, ``anthropic`` or ``gemini``.
        blocks: Whether a prompt that moderation stops is an answer (``blocked``), not an error.
    """

    provider: ClassVar[str]
    blocks: ClassVar[bool]

    def read(self, body: Json, model: str | None) -> Asked:
        """A body; ``model`` where the path names it. Raises `Trouble`."""
        ...

    def tokens(self, asked: Asked) -> int:
        """Tokens of the prompt by the provider's published rule for images."""
        ...

    def write(self, asked: Asked, reply: Reply) -> Json:
        """The body of an answer."""
        ...

    def failure(self, trouble: Trouble) -> Failure:
        """An error."""
        ...

    def headers(self, standings: Standings, now: float) -> Mapping[str, str]:
        """What is said of limits."""
        ...


def text_tokens(text: str) -> int:
    """About as many as a byte-pair tokenizer makes of English: words, numbers by threes, marks."""
    return len(_WORDS.findall(text))


def first_tokens(text: str, count: int) -> str:
    """A text up to the end of one of its tokens."""
    found = list(_WORDS.finditer(text))[:count]
    return text[: found[-1].end()] if found else ""


def invalid(line: str) -> Trouble:
    """A body that cannot be understood."""
    return Trouble("invalid", line)


def text_of(value: object, where: str) -> str:
    """A string of a body; raises `Trouble`."""
    if not isinstance(value, str):
        raise invalid(f"Invalid type for '{where}': expected a string")
    return value


def number_of(body: Json, name: str, default: int) -> int:
    """A positive number of a body; raises `Trouble`."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise invalid(f"Invalid '{name}': expected a positive integer")
    return value


def objects_of(value: object, where: str) -> Sequence[Json]:
    """A list of objects of a body; raises `Trouble`."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise invalid(f"Invalid type for '{where}': expected an array of objects")
    return cast("Sequence[Json]", value)


def object_of(value: object, where: str) -> Json:
    """An object of a body; raises `Trouble`."""
    if not isinstance(value, dict):
        raise invalid(f"Invalid type for '{where}': expected an object")
    return cast("Json", value)


def texts_of(value: object, where: str) -> tuple[str, ...]:
    """A string, a list of them, or nothing; raises `Trouble`."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise invalid(f"Invalid type for '{where}'")
    return tuple(text_of(one, where) for one in value)


def picture(encoded: str, detail: str = "auto") -> Picture:
    """An image of base64 text; raises `Trouble` where it is none."""
    try:
        data = base64.b64decode(encoded, validate=True)
        width, height = _sides(data)
    except (binascii.Error, ValueError, struct.error, IndexError) as error:
        raise Trouble("invalid", "The image data you provided does not represent a valid image") \
            from error  # fmt: skip
    return Picture(hashlib.sha256(data).hexdigest(), len(data), width, height, detail, data)


def data_url(url: str, detail: str = "auto") -> Picture:
    """An image of a ``data:`` URL; raises `Trouble` where it is none."""
    head, _, encoded = url.partition(";base64,")
    if head not in ("data:image/png", "data:image/jpeg", "data:image/webp", "data:image/gif"):
        raise invalid("Invalid image: expected a base64-encoded data URL with an image MIME type")
    return picture(encoded, detail)


def _sides(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG, a JPEG or a GIF, without decoding it."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if data[:2] == b"\xff\xd8":
        return _jpeg_sides(data)
    if data[:4] in (b"GIF8",):
        width, height = struct.unpack("<HH", data[6:10])
        return width, height
    raise ValueError("no image")


def _jpeg_sides(data: bytes) -> tuple[int, int]:
    place = 2
    while True:
        if data[place] != 0xFF:
            raise ValueError("no JPEG marker")
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        else:
            place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
