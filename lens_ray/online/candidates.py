"""Checkpoints worth merging, as a typed YAML file: `Candidates`.

``lens-ray checkpoints candidates`` writes it, ``merge search`` reads it, and people may write it.
A run's candidates are the best checkpoint of each ability, the best overall, the last one, and the
last one before an ability fell. See `lens_ray.online.best` for what best means.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from lens_ray.errors import EnvironmentFailure, UserError
from lens_ray.job_yaml import Path as KeyPath
from lens_ray.job_yaml import write_yaml
from lens_ray.models.spec import NAME_PATTERN, ClosedModel
from lens_ray.online.best import before_falls, best_checkpoints
from lens_ray.online.findings import Findings
from lens_ray.online.series import Series
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import ability_figures
from lens_ray.yaml_file import FileKind, load_file
from lens_ray.yaml_problems import nearest


def _finite(scores: dict[str, float]) -> dict[str, float]:
    for name, score in scores.items():
        if not abs(score) < float("inf"):
            raise PydanticCustomError(
                "no_number", "{name} has no finite score; take it out", {"name": repr(name)}
            )
    return scores


class Candidate(ClosedModel):
    """One checkpoint.

    Attributes:
        name: Unique in the file.
        path: Folder, ``s3://`` URL, ``builtin:`` name or hub id.
        step: Of its training run, where it has one.
        digest: Of its weights, as rows of the store carry it; None is not known.
        scores: Corrected score by ability, and ``overall``, as far as known.
        best_of: Abilities (or ``overall``) at which it is the best.
        why: In words: ``best of ocr``, ``end``, ``before entity fell``.
    """

    name: str = Field(pattern=NAME_PATTERN)
    path: str = Field(min_length=1, max_length=4096)
    step: int | None = Field(default=None, ge=0)
    digest: str | None = Field(default=None, min_length=1, max_length=128)
    scores: Annotated[dict[str, float], AfterValidator(_finite)] = Field(default_factory=dict)
    best_of: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


def _sound(checkpoints: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """No name stands twice."""
    first: dict[str, int] = {}
    problems: list[InitErrorDetails] = []
    for index, each in enumerate(checkpoints):
        if each.name in first:
            error = PydanticCustomError(
                "repeated_name",
                "{found} is the name of checkpoints[{first}] too; give each its own",
                {"found": repr(each.name), "first": first[each.name]},
            )
            problems.append({"type": error, "loc": (index, "name"), "input": each.name})
        first.setdefault(each.name, index)
    if problems:
        raise ValidationError.from_exception_data("Candidates", problems)
    return checkpoints


class Candidates(ClosedModel):
    """The content of a candidates file.

    Attributes:
        version: Of the form.
        run: The training run; None where they are of no single one.
        suite: On which they were scored.
        suite_digest: Its digest.
        base: Name of the checkpoint into which the others are merged: the last of the run.
        ancestor: What all of them were trained from, for methods over task vectors; None where
            nobody said.
        checkpoints: At least one.
    """

    version: Literal[1]
    run: str | None = Field(default=None, pattern=NAME_PATTERN)
    suite: str | None = Field(default=None, min_length=1, max_length=4096)
    suite_digest: str | None = Field(default=None, min_length=1, max_length=128)
    base: str = Field(pattern=NAME_PATTERN)
    ancestor: str | None = Field(default=None, min_length=1, max_length=4096)
    checkpoints: Annotated[tuple[Candidate, ...], AfterValidator(_sound)] = Field(min_length=1)

    @model_validator(mode="after")
    def _base_is_named(self) -> Candidates:
        names = [each.name for each in self.checkpoints]
        if self.base not in names:
            error = PydanticCustomError(
                "unknown_base",
                "no checkpoint is called {found}; {hint}",
                {"found": repr(self.base), "hint": nearest(self.base, names)},
            )
            detail: InitErrorDetails = {"type": error, "loc": ("base",), "input": self.base}
            raise ValidationError.from_exception_data("Candidates", [detail])
        return self

    @property
    def base_checkpoint(self) -> Candidate:
        """The one into which the others are merged."""
        return next(each for each in self.checkpoints if each.name == self.base)


def candidates_of(
    series: Series,
    findings: Findings,
    paths: Mapping[int, str],
    *,
    margin: float,
    confidence: float = 0.95,
    weights: Mapping[str, float] | None = None,
    among: Collection[int] | None = None,
) -> Candidates:
    """The candidates of one run.

    Args:
        series: The run.
        findings: What was found in it.
        paths: Of its checkpoints, by step; those without one are left out.
        margin: See `lens_ray.online.best.best_checkpoints`.
        confidence: See there.
        weights: See there.
        among: Only checkpoints at these steps, as others are gone; None takes all with a path.

    Raises:
        UserError: No checkpoint of the run has a path.
    """
    steps = [
        step for step in series.steps.tolist() if step in paths and (among is None or step in among)
    ]
    if not steps:
        raise UserError(f"run {series.run}: no checkpoint that was asked is there; none to merge")
    best = best_checkpoints(
        series, margin=margin, confidence=confidence, weights=weights, among=steps
    )
    best_of: dict[int, list[str]] = {}
    why: dict[int, list[str]] = {}
    for name, each in best.items():
        if each.step is not None:
            best_of.setdefault(each.step, []).append(name)
            why.setdefault(each.step, []).append(f"best of {name}")
    for step, ability in before_falls(findings, steps):
        why.setdefault(step, []).append(f"before {ability} fell")
    why.setdefault(steps[-1], []).append("end")
    scores = _scores(series)
    found = tuple(
        Candidate(
            name=f"{series.run}@{step}", path=paths[step], step=step,
            digest=_digest(series, step), scores=scores[step],
            best_of=tuple(best_of.get(step, ())), why=tuple(dict.fromkeys(why[step])),
        )
        for step in sorted(why)
    )  # fmt: skip
    return Candidates(
        version=1, run=series.run, suite=series.marks.suite or None,
        suite_digest=series.marks.suite_digest or None, base=f"{series.run}@{steps[-1]}",
        checkpoints=found,
    )  # fmt: skip


def _scores(series: Series) -> dict[int, dict[str, float]]:
    """Corrected scores of every checkpoint, each on all that it answered."""
    figures = ability_figures(series.marks)
    values = figures.values(means_of(series.marks))
    return {
        step: {
            name: round(float(value), 6)
            for name, value in zip(figures.names, row, strict=True)
            if value == value
        }
        for step, row in zip(series.steps.tolist(), values, strict=True)
    }


def _digest(series: Series, step: int) -> str | None:
    runs = series.marks.runs
    place = series.steps.tolist().index(step)
    return runs[place].weights_digest or None if len(runs) > place else None


def dump_candidates(candidates: Candidates) -> str:
    """The text of a candidates file."""
    head = (
        "# Checkpoints worth merging. `lens-ray merge search` reads this file; edit it freely.\n"
        f"# base is merged with the others; {OVERALL} is the mean of the abilities that count.\n"
    )
    values = candidates.model_dump(mode="json", exclude_defaults=True)
    return head + write_yaml(values, width=100)


def write_candidates(candidates: Candidates, path: str | Path) -> None:
    """Write a candidates file; it appears whole or not at all.

    Raises:
        EnvironmentFailure: It cannot be written.
    """
    place = Path(path)
    temporary = place.with_name(f".{place.name}.{uuid.uuid4().hex}.tmp")
    try:
        try:
            temporary.write_text(dump_candidates(candidates), encoding="utf-8")
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise EnvironmentFailure(
            f"{place}: cannot be written ({why}); give another --out"
        ) from error


def load_candidates(path: str | Path) -> Candidates:
    """Read and check a candidates file.

    Raises:
        JobError: ``path:line:column: key: what was found; what to type``.
    """
    return load_file(path, Candidates, _FILE)


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> list[str]:
    return list((Candidate if path else Candidates).model_fields)


_FILE = FileKind(
    name="candidates file",
    start="start with version: 1, base: and checkpoints:",
    expanded=frozenset({("checkpoints", "path"), ("ancestor",)}),
    where="a checkpoint's path and ancestor",
    known_keys=_known_keys,
)
