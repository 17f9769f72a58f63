"""What a training run changed on its way: `changes_in`, from the ``run.yaml`` beside checkpoints.

Two forms are read, and everything else in the file is left alone::

    changes:                      # by step, in the trainer's own words
      8700: "mix: ocr tripled, entity dropped"

    phases:                       # one after the other, as jobs/train_minivlm.py writes them
      - {steps: 8700, lr: [0.002, 0.0001], mix: {ocr: 1.4, entity: 0.9}}
      - {steps: 900, lr: 0.0008, mix: {ocr: 3}}

A phase's other keys are named where they change. The file is somebody else's: a wrong one is one
line, and no reason to stop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from lens_ray.errors import StoreUnavailable, UserError
from lens_ray.job_yaml import Document, YamlProblem, read_yaml
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.models.resolve import BUILTIN, builtin_root
from lens_ray.online.spec import RunSpec
from lens_ray.yaml_problems import first_line

NAME = "run.yaml"
#: More are no help to anybody who reads curves.
_MOST = 1000
_LONGEST = 300
_LAST_STEP = 10**12
#: Learning rates nearer than this, relatively, are the same.
_SAME_RATE = 0.01


class _Problem(Exception):
    def __init__(self, path: KeyPath, what: str, *, at_key: bool = False) -> None:
        super().__init__(what)
        self.path, self.what, self.at_key = path, what, at_key


def read_changes(run: RunSpec, checkpoint: str | None = None) -> tuple[dict[int, str], str | None]:
    """The changes of a run, and what was wrong with its file, in one line.

    Args:
        run: ``run_yaml`` names its file; else it is looked for in ``path``.
        checkpoint: Path of one of its checkpoints, beside which it is looked for first: of a
            replay that is another place than ``path``.
    """
    for place in _places(run, checkpoint):
        try:
            data = _read(place)
        except (OSError, UserError, StoreUnavailable) as error:
            return {}, f"{place} cannot be read: {' '.join(str(error).split())}"
        if data is not None:
            try:
                return changes_in(data, place), None
            except UserError as error:
                return {}, str(error)
    return {}, f"{run.run_yaml} is not there" if run.run_yaml is not None else None


def changes_in(data: bytes, name: str) -> dict[int, str]:
    """The changes that a file tells, by ascending step.

    Args:
        data: The file.
        name: What to call it in an error.

    Raises:
        UserError: It is no such file: ``NAME:LINE:COLUMN: KEY: what is wrong``.
    """
    try:
        document = read_yaml(data)
    except YamlProblem as error:
        line, column = error.place.line, error.place.column
        raise UserError(f"{name}:{line}:{column}: {error.what}") from error
    try:
        return _changes(document)
    except _Problem as error:
        problem = (error.path, error.at_key, error.what)
        raise UserError(first_line(name, [problem], document)) from error


def _places(run: RunSpec, checkpoint: str | None) -> list[str]:
    if run.run_yaml is not None:
        return [run.run_yaml]
    beside = (checkpoint or "").rstrip("/").rpartition("/")[0]
    folders = dict.fromkeys(folder for folder in (beside, run.path.rstrip("/")) if folder)
    return [
        str(builtin_root() / folder.removeprefix(BUILTIN) / NAME)
        if folder.startswith(BUILTIN)
        else f"{folder}/{NAME}"
        for folder in folders
    ]


def _read(place: str) -> bytes | None:
    """The bytes of a file here or in a bucket; None where there is none."""
    from lens_ray.job_yaml import MAX_BYTES

    if place.startswith("s3://"):
        from lens_ray.store.objects import open_objects

        folder, _, name = place.rpartition("/")
        return open_objects(folder).get(name)
    path = Path(place.removeprefix("file://")).expanduser()
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _changes(document: Document) -> dict[int, str]:
    body = document.value
    if not isinstance(body, dict):
        raise _Problem((), "write a mapping with changes: or phases:")
    found: dict[int, list[str]] = {}
    for step, text in _phases(body.get("phases")) + _told(body.get("changes")):
        found.setdefault(step, []).append(text)
    if len(found) > _MOST:
        raise _Problem((), f"{len(found)} changes; {_MOST} at most are shown beside curves")
    return {step: "; ".join(found[step]) for step in sorted(found)}


def _told(given: object) -> list[tuple[int, str]]:
    """Of ``changes``."""
    if given is None:
        return []
    if not isinstance(given, dict):
        raise _Problem(("changes",), 'write a mapping of steps to texts: {8700: "text"}')
    found = []
    for key, text in given.items():
        if not (key.isascii() and key.isdecimal() and len(key) < len(str(_LAST_STEP))):
            raise _Problem(("changes", key), "write the step as a whole number", at_key=True)
        if not isinstance(text, str) or not text.strip():
            raise _Problem(("changes", key), "write what changed, in quotes")
        found.append((int(key), _short(text)))
    return found


def _phases(given: object) -> list[tuple[int, str]]:
    """Of ``phases``: how each differs from the one before, at the step where it begins."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise _Problem(("phases",), "write a list of phases, each with steps:")
    phases = [_Phase(place, each) for place, each in enumerate(given)]
    begin, found = 0, []
    for before, after in pairwise(phases):
        begin += before.steps
        after.go_on(before)
        if text := after.unlike(before):
            found.append((begin, _short(text)))
    return found


class _Phase:
    """One phase, as far as it is understood."""

    def __init__(self, place: int, given: object) -> None:
        path: KeyPath = ("phases", place)
        if not isinstance(given, dict):
            raise _Problem(path, "write a mapping with steps:")
        steps = given.get("steps")
        if type(steps) is not int or not 0 <= steps <= _LAST_STEP:
            raise _Problem((*path, "steps"), "write how many steps the phase has")
        self.steps = steps
        self.mix = _mix(given.get("mix"), (*path, "mix"))
        self.first, self.last = _rates(given.get("lr"), (*path, "lr"))
        self.other = {k: v for k, v in given.items() if k not in ("steps", "mix", "lr", "warmup")}

    def go_on(self, before: _Phase) -> None:
        """Take over what this phase does not say."""
        if self.mix is None:
            self.mix = before.mix
        if self.first is None:
            self.first = self.last = before.last

    def unlike(self, before: _Phase) -> str:
        """What differs from the phase before; empty where nothing does."""
        parts = []
        new, old = self.mix or {}, before.mix or {}
        moved = [
            f"{name} {old.get(name, 0.0):g} -> {new.get(name, 0.0):g}"
            for name in sorted(new.keys() | old.keys())
            if new.get(name, 0.0) != old.get(name, 0.0)
        ]
        if moved and before.mix is not None:
            parts.append(f"mix: {', '.join(moved)}")
        if self.first is not None and before.last is not None:
            largest = max(abs(self.first), abs(before.last))
            if abs(self.first - before.last) > _SAME_RATE * largest:
                parts.append(f"lr {before.last:g} -> {self.first:g}")
        also = [
            name
            for name in sorted(self.other.keys() | before.other.keys())
            if self.other.get(name) != before.other.get(name)
        ]
        if also:
            parts.append(f"also {', '.join(also)}")
        return "; ".join(parts)


def _mix(given: object, path: KeyPath) -> Mapping[str, float] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise _Problem(path, "write a mapping of names to weights")
    return {name: _number(weight, (*path, name)) for name, weight in given.items()}


def _rates(given: object, path: KeyPath) -> tuple[float | None, float | None]:
    """The first and last learning rate."""
    if given is None:
        return None, None
    if isinstance(given, list):
        if not given:
            raise _Problem(path, "write one rate, or the first and the last")
        rates = [_number(each, (*path, place)) for place, each in enumerate(given)]
        return rates[0], rates[-1]
    rate = _number(given, path)
    return rate, rate


def _number(given: object, path: KeyPath) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise _Problem(path, "write a number")
    return float(given)


def _short(text: str) -> str:
    """One line of printable characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
