"""Untrusted text made harmless: what a model wrote is shown, and never run.

A model's text may hold markup, terminal escapes, NUL, lone surrogates, characters that turn the
reading direction, or a megabyte of one letter. `visible` makes each of them something to look at;
`script_json` carries it into the page as data; `content_policy` forbids the page all but its own
style and script.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence

#: C0 controls and DEL have pictures of themselves; the C1 controls, the characters that turn the
#: direction of what follows and the invisible ones are written out.
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
_HIDDEN = (
    *range(0x80, 0xA0), 0xAD, 0x61C, *range(0x200B, 0x2010), *range(0x2028, 0x202F),
    *range(0x2060, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080),
)  # fmt: skip
_TABLE: dict[int, str] = _PICTURES | {
    code: f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}" for code in _HIDDEN
}
_LINES: dict[int, str] = {code: text for code, text in _TABLE.items() if chr(code) not in "\n\t"}

#: Inside a script element these could end it, open a comment in it, or end a line of it.
_UNSAFE = re.compile("[<>&\u2028\u2029]")


def visible(text: str) -> str:
    """The text with every control character shown by a sign; line breaks and tabs are kept."""
    return _whole(text).replace("\r\n", "\n").translate(_LINES)


def visible_line(text: str) -> str:
    """As `visible`, in one line."""
    return _whole(text).translate(_TABLE)


def script_json(value: object) -> str:
    """JSON that can stand in a script element: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", _whole(text))


def content_policy(style: str, *scripts: str) -> str:
    """A content security policy that allows one style, some scripts, and images within the page.

    Where there is a second script, it is a library that makes an empty style sheet and fills it
    rule by rule, so the empty one is allowed too.
    """
    styles = [style, *([""] if len(scripts) > 1 else [])]
    rules = (
        "default-src 'none'",
        "img-src data:",
        f"style-src {_sources(styles)}",
        f"script-src {_sources(scripts)}",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def _sources(texts: Sequence[str]) -> str:
    return " ".join(f"'{_source_hash(text)}'" for text in texts)


def _source_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _whole(text: str) -> str:
    r"""The text as UTF-8 can hold it: a lone surrogate is written out as ``\udc80``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
