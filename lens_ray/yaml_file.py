"""How a YAML file that a user wrote becomes a checked model: `FileKind` and `load_file`.

Secrets are refused wherever they stand, and ``${NAME}`` is an environment variable only where the
kind of file says so. Every mistake is one line: file, line, column, key, advice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from lens_ray.errors import JobError
from lens_ray.job_secrets import is_secret_name, secret_in, variable_for
from lens_ray.job_yaml import MAX_BYTES, Place, YamlProblem, read_yaml
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.yaml_problems import Problem, described, first_line

Model = TypeVar("Model", bound=BaseModel)
#: The keys that the mapping at a path of a file may have.
KnownKeys = Callable[[KeyPath, Mapping[str, object]], Iterable[str]]

_VARIABLE = re.compile(r"\$\{([^}]{0,200})\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: What messages call it, such as ``job file``.
        start: How one begins, in words.
        expanded: Where variables are replaced: paths of keys, without the places in lists.
        where: The same in words.
        known_keys: The keys that the mapping at a path may have.
    """

    name: str
    start: str
    expanded: frozenset[tuple[str, ...]]
    where: str
    known_keys: KnownKeys


def load_file(
    path: str | Path, model: type[Model], kind: FileKind, *, store: str | None = None
) -> Model:
    """Read and check a file.

    Args:
        path: The file.
        model: What it is to be.
        kind: What kind of file it is.
        store: Used in the place of the file's ``store``, which may then be missing.

    Raises:
        JobError: ``path:line:column: key: what was found; what to type``. Where there are several
            mistakes, the first one, and how many more there are.
    """
    name = str(path)
    data = _read(path, kind)
    try:
        document = read_yaml(data)
        if not isinstance(document.value, dict):
            raise YamlProblem(f"a {kind.name} is a mapping; {kind.start}", Place(1, 1))
    except YamlProblem as problem:
        what = problem.what
        if what.startswith("the file is empty"):
            what = f"the file is empty; {kind.start}"
        raise JobError(f"{name}:{problem.place.line}:{problem.place.column}: {what}") from problem
    problems = list(_secrets(document.value, (), kind))
    if not problems:
        values, problems = _expanded(document.value, store, kind)
    if not problems:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            problems = described(error, values, kind.known_keys)
    raise JobError(first_line(name, problems, document))


def _read(path: str | Path, kind: FileKind) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        near = sorted(file.name for file in Path(path).parent.glob("*.y*ml"))
        close = get_close_matches(Path(path).name, near, 1, 0.5)
        hint = f"did you mean {Path(path).parent / close[0]}?" if close else "check the path"
        raise JobError(f"{path}: there is no such {kind.name}; {hint}") from error
    except IsADirectoryError as error:
        raise JobError(f"{path}: is a folder; give a {kind.name} (YAML)") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise JobError(f"{str(path)!r}: cannot be read ({reason}); give a {kind.name}") from error


def _secrets(
    value: object, path: KeyPath, kind: FileKind, backend: object = None
) -> Iterator[Problem]:
    """Everything in a document that looks like a secret; never its text."""
    if isinstance(value, dict):
        backend = value.get("backend", backend)
        for key, item in value.items():
            if is_secret_name(key):
                variable = variable_for(key, backend)
                yield (
                    (*path, key),
                    True,
                    f"a secret must not stand in a {kind.name}; set {variable} in the environment "
                    "and take this key out",
                )
            else:
                yield from _secrets(item, (*path, key), kind, backend)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _secrets(item, (*path, index), kind, backend)
    elif isinstance(value, str) and (advice := secret_in(value)):
        yield path, False, advice


def _expanded(
    value: Mapping[str, object], store: str | None, kind: FileKind
) -> tuple[dict[str, object], list[Problem]]:
    """The document with its variables replaced where they may stand, and what was wrong."""
    problems: list[Problem] = []
    values = {**value, "store": store} if store is not None else dict(value)
    skipped = {("store",)} if store is not None else set()

    def walk(item: object, path: KeyPath) -> object:
        if isinstance(item, dict):
            return {key: walk(inner, (*path, key)) for key, inner in item.items()}
        if isinstance(item, list):
            return [walk(inner, (*path, index)) for index, inner in enumerate(item)]
        if isinstance(item, str) and "${" in item and path not in skipped:
            text, what = _expand(item, path, kind)
            if what is not None:
                problems.append((path, False, what))
            return text
        return item

    expanded = {key: walk(item, (key,)) for key, item in values.items()}
    return expanded, problems


def _expand(text: str, path: KeyPath, kind: FileKind) -> tuple[str, str | None]:
    names = _VARIABLE.findall(text)
    if tuple(part for part in path if isinstance(part, str)) not in kind.expanded:
        if not any(_NAME.fullmatch(name) for name in names):
            return text, None
        return text, f"${{...}} is only expanded in {kind.where}; write it out"
    for name in names:
        if not _NAME.fullmatch(name):
            return text, f"'${{{name}}}' is no environment variable; write ${{NAME}}"
        if is_secret_name(name):
            return text, f"${{{name}}} looks like a secret, which is never expanded; take it out"
        if name not in os.environ:
            return text, f"the environment variable {name} is not set; type export {name}=..."
    expanded = _VARIABLE.sub(lambda found: os.environ[found[1]], text)
    if advice := secret_in(expanded):
        return text, advice
    return expanded, None
