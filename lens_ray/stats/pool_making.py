"""Pools from what models scored: `pool_of_marks`, `extended`, `choose_pool`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lens_ray.errors import UserError
from lens_ray.stats.cells import means_of
from lens_ray.stats.figures import bounds_of
from lens_ray.stats.marks import Marks
from lens_ray.stats.pool import Pool, load_pool, make_pool, pool_for


def pool_of_marks(name: str, marks: Marks, version: int = 1) -> Pool:
    """Freeze the corrected scores of some models, subtask by subtask.

    Args:
        name: Of the pool.
        marks: Of its models, on one whole suite.
        version: From 1.

    Raises:
        UserError: A bad name or version, a subtask that a model did not answer, or one whose
            chance is as high as its upper bound.
    """
    return make_pool(name, version, marks.suite_digest, _corrected(marks))


def extended(pool: Pool, marks: Marks) -> Pool:
    """The next version of a pool, with further models; the pool itself stays what it is.

    Raises:
        UserError: The models answered another suite, one of them is in the pool already, or as
            `pool_of_marks`.
    """
    _require_suite(pool, marks.suite, marks.suite_digest)
    there = [model for model in marks.models if model in pool.scores]
    if there:
        raise UserError(
            f"pool {pool.label} has the model {there[0]!r} already; name only models that it lacks"
        )
    scores: dict[str, Mapping[str, Mapping[str, float]]] = {**pool.scores, **_corrected(marks)}
    return make_pool(pool.name, pool.version + 1, pool.suite_digest, scores)


def choose_pool(reference: str | Path | None, suite: str, suite_digest: str) -> Pool | None:
    """The pool that a verb measures stability against.

    Args:
        reference: A built-in name, ``NAME@VERSION``, or a pool file; None takes the built-in pool
            of the suite, where there is one.
        suite: Name of the suite.
        suite_digest: Its digest.

    Raises:
        UserError: There is no such pool, or it is of another suite.
    """
    if reference is None:
        return pool_for(suite, suite_digest)
    pool = load_pool(reference)
    _require_suite(pool, suite, suite_digest)
    return pool


def _require_suite(pool: Pool, suite: str, suite_digest: str) -> None:
    if pool.suite_digest != suite_digest:
        raise UserError(
            f"pool {pool.label} is of the suite {pool.suite_digest[:12]}, these runs answered "
            f"{suite} ({suite_digest[:12]}); make one of that suite: lens-ray pool make"
        )


def _corrected(marks: Marks) -> dict[str, dict[str, dict[str, float]]]:
    means = means_of(marks)
    chance, upper = bounds_of(marks)
    found: dict[str, dict[str, dict[str, float]]] = {model: {} for model in marks.models}
    for place, (ability, subtask) in enumerate(marks.strata):
        low, high = float(chance[place]), float(upper[place])
        if not high > low:
            raise UserError(f"{ability}/{subtask} has chance {low:g} and upper {high:g}")
        for row, model in enumerate(marks.models):
            mean = float(means[row, place])
            if mean != mean:
                raise UserError(f"{model} has no answered sample of {ability}/{subtask}")
            found[model].setdefault(ability, {})[subtask] = (mean - low) / (high - low)
    return found
