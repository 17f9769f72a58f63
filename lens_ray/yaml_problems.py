"""What is wrong with a YAML file that a user wrote, in one line: place, key, advice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from lens_ray.job_yaml import Document, Place
from lens_ray.job_yaml import Path as KeyPath

# A problem is a path of keys, whether the key (and not its value) is at fault, and what to say.
Problem = tuple[KeyPath, bool, str]


def first_line(name: str, problems: Sequence[Problem], document: Document) -> str:
    """The line to show: the first problem in the order of the file."""

    def place(problem: Problem) -> Place:
        path, at_key, _ = problem
        known = document.keys if at_key else document.values
        while path not in known:  # of a missing key, its mapping
            path, known = path[:-1], document.values
        return known[path]

    def order(problem: Problem) -> tuple[int, int]:
        return place(problem).line, place(problem).column

    first = min(problems, key=order)
    path, _, what = first
    others = len({(problem[0], problem[1]) for problem in problems}) - 1
    more = f" (and {others} more)" if others else ""
    key = f"{_dotted(path)}: " if path else ""
    what = what if len(what) <= 400 else f"{what[:397]}..."
    return f"{name}:{place(first).line}:{place(first).column}: {key}{what}{more}"


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        name = f"[{part}]" if isinstance(part, int) else f".{part[:80]}"
        text += name if text else name.removeprefix(".")
    return text


def near(found: str, known: Iterable[str]) -> list[str]:
    """The one known name that a misspelt one may stand for, or none."""
    return get_close_matches(found, list(known), 1, 0.5)


def nearest(found: str, known: Iterable[str]) -> str:
    """A hint: the nearest of the known names, or all of them."""
    close = near(found, known)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def some_or_all(value: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """A validator: a list that is left out takes all, and one that is empty is a mistake."""
    if value is not None and not value:
        raise PydanticCustomError(
            "empty_list", "the list is empty; leave the key out to take all of the suite's"
        )
    return value


def problem(place: tuple[str | int, ...], kind: str, what: str, **words: str) -> InitErrorDetails:
    """A mistake at a place of a checked file, in our words.

    Args:
        place: Keys and places in lists.
        kind: Name of the mistake, for programs.
        what: What is wrong and what to type; ``{NAME}`` stands for one of ``words``.
        words: What the template fills in.
    """
    return {"type": PydanticCustomError(kind, what, words), "loc": place, "input": None}


def repeated(values: Iterable[str], key: str, of: str) -> list[InitErrorDetails]:
    """What stands twice under a key of a list's items, at its place in the list.

    Args:
        values: One an item.
        key: Of the items.
        of: The list's own key: ``models``, whose items are each a model.
    """
    first: dict[str, int] = {}
    problems: list[InitErrorDetails] = []
    for index, value in enumerate(values):
        if value in first:
            error = PydanticCustomError(
                "repeated",
                "{found} is the {key} of {of}[{first}] too; give each {one} its own",
                {
                    "found": repr(value), "key": key, "of": of, "first": first[value],
                    "one": of.removesuffix("s"),
                },
            )  # fmt: skip
            problems.append({"type": error, "loc": (index, key), "input": value})
        first.setdefault(value, index)
    return problems


#: What to type instead, by pydantic's name of the mistake.
_WANTED = {
    "string_type": "write a text, in quotes where it looks like a number",
    "string_too_short": "write at least one character",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "tuple_type": "write a list: [ONE, TWO]",
    "list_type": "write a list: [ONE, TWO]",
    "dict_type": "write a mapping of keys to values",
    "model_type": "write a mapping of keys to values",
}
#: What the patterns of texts allow, in words.
_PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$": "use letters, digits and . _ @ + - only, at most 128",
    r"^\d+(\.\d+)?[smhd]$": "write a number and s, m, h or d: 90s, 30m, 2h",
    r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$": "use letters, digits and . _ - only, at most 64",
}


def described(
    error: ValidationError,
    values: Mapping[str, object],
    known_keys: Callable[[KeyPath, Mapping[str, object]], Iterable[str]],
) -> list[Problem]:
    """What pydantic found, in our words.

    Args:
        error: Of the model that the file is to be.
        values: What stands in the file.
        known_keys: The keys that the mapping at a path of the file may have.
    """
    problems: dict[KeyPath, Problem] = {}
    wrong: dict[KeyPath, list[ErrorDetails]] = {}
    meant: set[KeyPath] = set()
    for detail in error.errors(include_url=False):
        path = _standing(detail["loc"], values)
        if detail["type"] == "extra_forbidden":
            known = list(known_keys(path[:-1], values))
            meant.update((*path[:-1], key) for key in near(str(path[-1]), known))
            what = f"unknown key; {nearest(str(path[-1]), known)}"
            problems[path] = (path, True, what)
        elif detail["type"] == "missing":
            path = (*path, detail["loc"][-1])
            problems[path] = (path, False, f"the key is missing; write {path[-1]}: ...")
        else:
            wrong.setdefault(path, []).append(detail)
    # A misspelt key is one mistake, not a missing key besides.
    kept = [problem for path, problem in problems.items() if path not in meant or problem[1]]
    return kept + [(path, False, _say(details)) for path, details in wrong.items()]


def _standing(location: Sequence[str | int], values: Any) -> KeyPath:
    """The part of a location that stands in the file (a union adds the name of its member)."""
    path: list[str | int] = []
    for part in location:
        if isinstance(values, str):  # text can be indexed too
            break
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            break
        path.append(part)
    return tuple(path)


def _say(details: Sequence[ErrorDetails]) -> str:
    """What is wrong with one value; each member of a union has said its own."""
    first = details[0]
    subject, should, _ = first["msg"].partition(" should ")
    if not should or " " in subject:  # said by one of our own validators
        return first["msg"]
    found = "nothing" if first["input"] is None else repr(first["input"])
    found = found if len(found) <= 60 else found[:57] + "..."
    wanted = dict.fromkeys(_wanted(detail) for detail in details)
    return f"{found} was found; {' or '.join(wanted)}".replace(" or write ", " or ")


def _wanted(detail: ErrorDetails) -> str:
    if detail["type"] == "literal_error":
        return f"write {detail['ctx']['expected']}"
    if detail["type"] == "string_pattern_mismatch":
        pattern = str(detail.get("ctx", {}).get("pattern"))
        return _PATTERNS.get(pattern, f"it should match {pattern}")
    return _WANTED.get(detail["type"], f"it should {detail['msg'].partition(' should ')[2]}")
