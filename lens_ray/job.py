"""The YAML a user writes: `JobSpec`, and `load_job`, which names line, column and key of a mistake.

A job file says which models answer which suite, and where the rows live. ``${NAME}`` stands for
an environment variable in ``store``, ``suite`` and a model's ``path`` and ``py_executable``,
nowhere else. Secrets never
stand in a job file: providers' keys are read from the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from lens_ray.errors import JobError, UserError
from lens_ray.job_secrets import is_secret_name, secret_in, variable_for
from lens_ray.job_yaml import MAX_BYTES, Place, YamlProblem, read_yaml
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.models.spec import (
    NAME_PATTERN,
    Budget,
    ClosedModel,
    GenerationOverrides,
    ModelSpec,
    RuntimeEnv,
)
from lens_ray.yaml_problems import Problem, described, first_line, nearest

__all__ = ["JobBudget", "JobSpec", "Until", "load_job"]


class Until(ClosedModel):
    """When enough samples were asked; the others are left out on purpose.

    Attributes:
        halfwidth: An ability is asked until half of the width of the interval of its corrected
            score is no more than this, of each model by itself.
        per: What is asked until then.
        level: Of the interval; much nearer to 1 its quantile is infinite.
        min_samples: At least so many samples of an ability are asked.
    """

    halfwidth: float = Field(gt=0, le=0.5)
    per: Literal["ability"] = "ability"
    level: float = Field(default=0.95, gt=0.5, le=0.9999)
    min_samples: int = Field(default=60, ge=20)


class JobBudget(Budget):
    """The most that all models of a job may cost together, GPU-hours included.

    Attributes:
        accelerator: What the GPUs are, by its name in the price table; None asks Ray.
    """

    accelerator: str | None = Field(default=None, min_length=1, max_length=128)


class JobSpec(ClosedModel):
    """A whole job file.

    Attributes:
        name: Of the job.
        suite: ``mini:quick``, ``mini:full``, ``NAME@DIGEST``, a folder or URL of a built suite.
        abilities: Which of the suite's abilities; None takes all.
        store: Folder or fsspec URL; made at the first row.
        models: Who answers; names are unique.
        limit: At most this many samples of the suite; None takes all.
        splits: Which of the suite's splits; None takes all.
        until: When enough of them were asked; None asks all.
        budget: The most that it may cost; None is not limited.
    """

    name: str = Field(pattern=NAME_PATTERN)
    suite: str = Field(min_length=1, max_length=4096)
    abilities: tuple[str, ...] | None = None
    store: str = Field(min_length=1, max_length=4096)
    models: tuple[ModelSpec, ...]
    limit: int | None = Field(default=None, ge=1)
    splits: tuple[Literal["anchor", "search", "sealed"], ...] | None = None
    until: Until | None = None
    budget: JobBudget | None = None
    _rest: tuple[ModelSpec, ...] = PrivateAttr(())

    @property
    def rest(self) -> tuple[ModelSpec, ...]:
        """Models of the file that `only` left out; what they cost counts in the budget."""
        return self._rest

    def only(self, names: Sequence[str]) -> JobSpec:
        """The same job with some of its models, in its own order.

        Raises:
            UserError: It has no model of a name.
        """
        known = [model.name for model in self.models]
        for name in names:
            if name not in known:
                raise UserError(f"job {self.name} has no model {name!r}; {nearest(name, known)}")
        some = self.model_copy(
            update={"models": tuple(model for model in self.models if model.name in names)}
        )
        left_out = tuple(model for model in self.models if model.name not in names)
        some._rest = self._rest + left_out
        return some

    @field_validator("abilities")
    @classmethod
    def _some_ability(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise PydanticCustomError(
                "no_ability", "the list is empty; leave the key out to take all of the suite's"
            )
        return value

    @field_validator("splits")
    @classmethod
    def _some_split(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:
            raise PydanticCustomError(
                "no_split", "the list is empty; leave the key out to take all of the suite's"
            )
        return value

    @field_validator("models")
    @classmethod
    def _sound_models(cls, models: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
        if not models:
            raise PydanticCustomError("no_model", "the list is empty; name at least one model")
        problems = [*_repeated_names(models), *_unknown_templates(models)]
        if problems:
            raise ValidationError.from_exception_data("JobSpec", problems)
        return models


def load_job(path: str | Path, *, store: str | None = None) -> JobSpec:
    """Read and check a job file.

    Args:
        path: The file.
        store: Used in the place of the file's ``store``, which may then be missing.

    Raises:
        JobError: ``path:line:column: key: what was found; what to type``. Where there are several
            mistakes, the first one, and how many more there are.
    """
    name = str(path)
    try:
        document = read_yaml(_read(path))
        if not isinstance(document.value, dict):
            raise YamlProblem(
                "a job file is a mapping; start with name:, suite:, store: and models:", Place(1, 1)
            )
    except YamlProblem as problem:
        where = f"{name}:{problem.place.line}:{problem.place.column}"
        raise JobError(f"{where}: {problem.what}") from problem
    problems = list(_secrets(document.value, ()))
    if not problems:
        values, problems = _expanded(document.value, store)
    if not problems:
        try:
            return JobSpec.model_validate(values)
        except ValidationError as error:
            problems = described(error, values, _known_keys)
    raise JobError(first_line(name, problems, document))


def _read(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        near = sorted(file.name for file in Path(path).parent.glob("*.y*ml"))
        close = get_close_matches(Path(path).name, near, 1, 0.5)
        hint = f"did you mean {Path(path).parent / close[0]}?" if close else "check the path"
        raise JobError(f"{path}: there is no such job file; {hint}") from error
    except IsADirectoryError as error:
        raise JobError(f"{path}: is a folder; give a job file (YAML)") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise JobError(f"{str(path)!r}: cannot be read ({reason}); give a job file") from error


# Secrets and the environment.

_VARIABLE = re.compile(r"\$\{([^}]{0,200})\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Where variables are replaced, without the number of the model.
_EXPANDED = {
    ("store",), ("suite",), ("models", "path"), ("models", "runtime_env", "py_executable")
}  # fmt: skip


def _secrets(value: object, path: KeyPath, backend: object = None) -> Iterator[Problem]:
    """Everything in a document that looks like a secret; never its text."""
    if isinstance(value, dict):
        backend = value.get("backend", backend)
        for key, item in value.items():
            if is_secret_name(key):
                variable = variable_for(key, backend)
                yield (
                    (*path, key),
                    True,
                    f"a secret must not stand in a job file; set {variable} in the environment "
                    "and take this key out",
                )
            else:
                yield from _secrets(item, (*path, key), backend)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _secrets(item, (*path, index), backend)
    elif isinstance(value, str) and (advice := secret_in(value)):
        yield path, False, advice


def _expanded(
    value: Mapping[str, object], store: str | None
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
            text, what = _expand(item, path)
            if what is not None:
                problems.append((path, False, what))
            return text
        return item

    expanded = {key: walk(item, (key,)) for key, item in values.items()}
    return expanded, problems


def _expand(text: str, path: KeyPath) -> tuple[str, str | None]:
    names = _VARIABLE.findall(text)
    if (path[0], *path[2:]) not in _EXPANDED:
        if not any(_NAME.fullmatch(name) for name in names):
            return text, None
        return text, (
            "${...} is only expanded in store, suite, and a model's path and py_executable; "
            "write it out"
        )
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


# What pydantic found, in our words.


def _repeated_names(models: Sequence[ModelSpec]) -> list[InitErrorDetails]:
    first: dict[str, int] = {}
    problems: list[InitErrorDetails] = []
    for index, model in enumerate(models):
        if model.name in first:
            error = PydanticCustomError(
                "repeated_name",
                "{found} is the name of models[{first}] too; give each model its own",
                {"found": repr(model.name), "first": first[model.name]},
            )
            problems.append({"type": error, "loc": (index, "name"), "input": model.name})
        first.setdefault(model.name, index)
    return problems


def _unknown_templates(models: Sequence[ModelSpec]) -> list[InitErrorDetails]:
    from lens_ray.suites.templates import TEMPLATES

    problems: list[InitErrorDetails] = []
    for index, model in enumerate(models):
        if model.template not in TEMPLATES:
            error = PydanticCustomError(
                "unknown_template",
                "no template is called {found}; {hint}",
                {"found": repr(model.template), "hint": nearest(model.template, TEMPLATES)},
            )
            problems.append({"type": error, "loc": (index, "template"), "input": model.template})
    return problems


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> list[str]:
    """The keys that the mapping at a path may have."""
    model: type[BaseModel] = JobSpec
    if path == ("until",):
        model = Until
    elif path == ("budget",):
        model = JobBudget
    elif path[-1:] == ("budget",):
        model = Budget
    elif path[-1:] == ("generation",):
        model = GenerationOverrides
    elif path[-1:] == ("runtime_env",):
        model = RuntimeEnv
    elif path[-1:] == ("options",):
        model = _options_of(path, values)
    elif path:
        model = ModelSpec
    return list(model.model_fields)


def _options_of(path: Sequence[str | int], values: Mapping[str, object]) -> type[BaseModel]:
    from lens_ray.models import options_class

    at: Any = values
    for part in path[:-1]:
        at = at[part]
    try:
        return options_class(str(at.get("backend", ModelSpec.model_fields["backend"].default)))
    except UserError:  # its own error is on the list
        return ClosedModel
