"""The YAML a user writes: `JobSpec`, and `load_job`, which names line, column and key of a mistake.

A job file says which models answer which suite, and where the rows live. ``${NAME}`` stands for
an environment variable in ``store``, ``suite`` and a model's ``path`` and ``py_executable``,
nowhere else. Secrets never
stand in a job file: providers' keys are read from the environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from lens_ray.errors import UserError
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.models.spec import (
    NAME_PATTERN,
    Budget,
    ClosedModel,
    GenerationOverrides,
    ModelSpec,
    RuntimeEnv,
)
from lens_ray.yaml_file import FileKind, load_file
from lens_ray.yaml_problems import nearest, repeated, some_or_all

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

    _some_or_all = field_validator("abilities", "splits")(some_or_all)

    @field_validator("models")
    @classmethod
    def _sound_models(cls, models: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
        if not models:
            raise PydanticCustomError("no_model", "the list is empty; name at least one model")
        problems = [
            *repeated((model.name for model in models), "name", "models"),
            *_unknown_templates(models),
        ]
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
    return load_file(path, JobSpec, _KIND, store=store)


# What pydantic found, in our words.


def _unknown_templates(models: Sequence[ModelSpec]) -> list[InitErrorDetails]:
    from lens_ray.suites.templates import unknown_template

    problems: list[InitErrorDetails] = []
    for index, model in enumerate(models):
        if (error := unknown_template(model.template)) is not None:
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


_KIND = FileKind(
    name="job file",
    start="start with name:, suite:, store: and models:",
    expanded=frozenset(
        {("store",), ("suite",), ("models", "path"), ("models", "runtime_env", "py_executable")}
    ),
    where="store, suite, and a model's path and py_executable",
    known_keys=_known_keys,
)
