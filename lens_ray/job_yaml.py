"""YAML as a job file may use it: plain values, each with its line and column; nothing clever.

Anchors may save some typing; tags, merge keys, several documents and keys that stand twice are
refused, and so is whatever would make a small file large. Scalars follow YAML 1.2: only ``true``
and ``false`` are truth values, dates are text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
#: Values that aliases may repeat, all together.
MAX_REPEATED = 1_000

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_SCALARS: tuple[tuple[str, str, list[str]], ...] = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|nan|NaN))$",
        list("-+0123456789."),
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column in a file, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file.

    Attributes:
        value: Dicts, lists, strings, numbers, truth values and None.
        values: Where each value stands, by its path of keys and indices.
        keys: Where each key of a mapping stands, by the path of its value.
    """

    value: object
    values: Mapping[Path, Place]
    keys: Mapping[Path, Place]


class YamlProblem(Exception):
    """The text cannot be a job file: what and where."""

    def __init__(self, what: str, place: Place) -> None:
        super().__init__(what)
        self.what = what
        self.place = place


class _Loader(yaml.SafeLoader):
    """Composes nodes only: no tag, no depth beyond `MAX_DEPTH`, scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise YamlProblem(f"the tag {tag!r} is not allowed; write the plain value", _at(event))
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise YamlProblem(f"nested deeper than {MAX_DEPTH} levels", _at(event))
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Dumper(yaml.SafeDumper):
    """Puts a text in quotes where YAML 1.1 or `_Loader` would read something else: ``08``."""


for _name, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)
    _Dumper.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def write_yaml(value: object, *, width: int = 80) -> str:
    """Plain values as YAML that `read_yaml` and readers of YAML 1.1 take for the same values.

    Args:
        value: Dicts, lists, strings, finite numbers, truth values and None; keys keep their order.
        width: Of a line, in characters, where a text has blanks.
    """
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)
    return text


def read_yaml(data: bytes) -> Document:
    """The one document in the bytes of a file.

    Raises:
        YamlProblem: It is no YAML, or more than a job file needs.
    """
    text = _text(data)
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        what = f"the character {error.character:#x} is not allowed; write plain text"
        raise YamlProblem(what, _place_of(text, error.position)) from error
    except yaml.MarkedYAMLError as error:
        place = _placed(error.problem_mark or error.context_mark)
        said = " ".join(part for part in (error.context, error.problem) if part)
        hint = "; indent with spaces" if "'\\t'" in said else ""
        if "but got '?'" in said:  # within {...}, PyYAML takes it for the mark of a key
            hint = "; put the text in quotes"
        raise YamlProblem(f"not valid YAML: {said}{hint}", place) from error
    if root is None:
        raise YamlProblem("the file is empty; start with name:, suite:, store: and models:", _START)
    reader = _Reader()
    value = reader.read(root, ())
    return Document(value, reader.values, reader.keys)


_START = Place(1, 1)


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise YamlProblem(f"larger than {MAX_BYTES} bytes; this is no job file", _START)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        what = f"the byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8 text"
        raise YamlProblem(what, _place_of(before, len(before))) from error
    if "\0" in text:
        raise YamlProblem(
            "a NUL character is not allowed; write plain text", _place_of(text, text.index("\0"))
        )
    return text


def _place_of(text: str, position: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + 1, position - before.rfind("\n"))


def _at(marked: yaml.Node | yaml.Event) -> Place:
    return _placed(marked.start_mark)


def _placed(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else _START


@dataclass
class _Reader:
    """Turns nodes into values and keeps where they stood."""

    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _repeated: int = 0

    def read(self, node: yaml.Node, path: Path) -> object:
        place = self.values[path] = _at(node)
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        if self._repeated > MAX_REPEATED or len(path) > MAX_DEPTH:
            # The repeated value stands elsewhere; what grew too large stands under this key.
            where = self.keys.get(path[:1], place)
            raise YamlProblem("aliases (*name) repeat too much of the file; write it out", where)
        if isinstance(node, yaml.MappingNode):
            return {key: self.read(value, (*path, key)) for key, value in self._pairs(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(node)

    def _pairs(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node]]:
        first: dict[str, Place] = {}
        for key, value in node.value:
            place = _at(key)
            if not isinstance(key, yaml.ScalarNode):
                raise YamlProblem("a key must be a plain word", place)
            name = str(key.value)
            _refuse_characters(name, place)
            if name in first:
                raise YamlProblem(
                    f"key {name!r} stands twice, first in line {first[name].line}; keep one", place
                )
            first[name] = self.keys[*path, name] = place
            yield name, value


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    kind = node.tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        if len(text) > 100:
            raise YamlProblem(f"a number of {len(text)} digits; write a shorter one", _at(node))
        return int(text)
    if kind == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    _refuse_characters(text, _at(node))
    return text


def _refuse_characters(text: str, place: Place) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise YamlProblem("NUL and surrogate characters are not allowed in a text", place)
