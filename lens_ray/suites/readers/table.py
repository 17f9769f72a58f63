"""What a data set is to a build: `Table`; places in it; values of the kind that is asked."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from lens_ray.errors import SuiteError
from lens_ray.suites.sources.base import Kind, Row

#: No list literal of texts may be longer (characters), nor hold more items.
MAX_LITERAL, MAX_ITEMS = 256 * 2**20, 10_000
_STRING = re.compile(r"""\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)")\s*""", re.DOTALL)
_PLAIN = re.compile(r"\s*([+-]?\d{1,20}(?:\.\d{1,20})?|None|True|False)\s*")
_INTEGER = re.compile(r"\s*([+-]?\d{1,18})(?:\.0+)?\s*")


class Table(Protocol):
    """A data set: rows in order, read in bounded memory; pictures on a second pass.

    Rows are numbered from 0; what is said to a person counts from 1.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it has."""
        ...

    def identity(self) -> str:
        """What changes when the files change; found without reading them."""
        ...

    def revision(self) -> str:
        """What is written into a suite: a commit of the hub, or a digest of the files."""
        ...

    def rows(self, kinds: Mapping[str, Kind]) -> Iterator[Row]:
        """Every row, with these columns only.

        Raises:
            SuiteError: A column is missing or holds something else; the file is damaged.
        """
        ...

    def pictures(
        self, wanted: Mapping[int, Sequence[str]]
    ) -> Iterator[tuple[int, Mapping[str, list[bytes]]]]:
        """The encoded images of some rows by column, each row once, in any order.

        Args:
            wanted: Row number to its image columns.
        """
        ...

    def place(self, row: int, column: str | None = None) -> str:
        """Where a row lies: file, row and column."""
        ...


def place_of(file: object, row: int | None = None, column: str | None = None) -> str:
    """A place in one line; rows are counted from 1, without the line of a header."""
    parts = [str(file)]
    if row is not None:
        parts.append(f"row {row + 1}")
    if column is not None:
        parts.append(f"column {column!r}")
    return ", ".join(parts)


def as_kind(value: object, kind: Kind, where: Callable[[], str]) -> object:
    """A value as the kind of its column says; None stays None.

    Raises:
        SuiteError: It is none.
    """
    if value is None:
        return None
    try:
        if kind == "integer":
            return _integer(value)
        if kind == "string":
            return _text(value)
        if kind == "strings":
            return _texts(value)
    except ValueError as error:
        raise SuiteError(f"{where()}: {error}") from error
    return value


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    match = _INTEGER.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"holds {_shown(value)}, not a whole number")
    return int(match[1])


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"holds {_shown(value)}, not text")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        stripped = value.strip()
        return list_literal(stripped) if stripped[:1] == "[" else (value,)
    if isinstance(value, list | tuple):
        return tuple(_text(item) for item in value if item is not None)
    raise ValueError(f"holds {_shown(value)}, not a list of texts")


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"


def list_literal(text: str) -> tuple[str, ...]:
    """The texts of a Python or JSON list of texts and numbers, which is never evaluated.

    Raises:
        ValueError: It is something else, or too large.
    """
    if len(text) > MAX_LITERAL:
        raise ValueError(f"holds a list literal of {len(text)} characters; too large")
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError(f"holds {_shown(text)}, not a list literal")
    items: list[str] = []
    at, end = 1, len(text) - 1
    if not text[1:end].strip():
        return ()
    while True:
        match: re.Match[str] | None = _STRING.match(text, at, end)
        if match is not None:
            items.append(_unescaped(match[0].strip()))
        else:
            match = _PLAIN.match(text, at, end)
            if match is None:
                raise ValueError(f"holds an unsafe list literal at {_shown(text[at : at + 30])}")
            items.append(match[1])
        if len(items) > MAX_ITEMS:
            raise ValueError(f"holds a list literal of more than {MAX_ITEMS} items")
        at = match.end()
        if at < end and text[at] == ",":
            at += 1
            if not text[at:end].strip():
                return tuple(items)  # a trailing comma
        elif at == end:
            return tuple(items)
        else:
            raise ValueError(f"holds an unsafe list literal at {_shown(text[at : at + 30])}")


def _unescaped(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        # One string token by itself: it cannot nest, so it cannot exhaust the parser.
        value: Any = ast.literal_eval(token.replace("\r", "\\r"))
    except (ValueError, SyntaxError, MemoryError) as error:
        raise ValueError(f"holds a list literal with a bad text {_shown(token)}") from error
    return str(value)


def check_columns(have: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Every wanted column is there.

    Raises:
        SuiteError: One is missing; the nearest name is given.
    """
    from difflib import get_close_matches

    for column in wanted:
        if column not in have:
            near = get_close_matches(column, have, 1, 0.6)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            listed = ", ".join(have) if len(have) <= 30 else f"{len(have)} columns"
            raise SuiteError(f"{where}: column {column!r} is missing{hint} (it has {listed})")
