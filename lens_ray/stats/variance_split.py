"""Whose is the variance of marks, the questions' or the versions': a two-way split, `split_of`.

Mark = mean + question + version + rest, all random. The components are those of the analysis of
variance (method of moments): rest = MS of the rest, version = (MS of versions - rest) / questions,
question = (MS of questions - rest) / versions, never below 0. With one mark a cell the rest is
both the interaction and chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lens_ray.stats.seeds import seed_of
from lens_ray.stats.units import Floats, Ints

REPLICATES = 1000
#: A variance below this is rounding.
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of the variance; they add up to 1.

    Attributes:
        of_items: Between questions.
        of_versions: Between versions.
        of_both: The rest: a version changes some questions and not others.
        low: Lower bound of the interval of ``of_both`` (bootstrap of clusters).
        high: Upper bound.
    """

    of_items: float
    of_versions: float
    of_both: float
    low: float
    high: float


def split_of(score: Floats, cluster: Ints, seed_key: str, confidence: float = 0.95) -> Split | str:
    """Split the variance of questions x versions.

    Args:
        score: NaN where a version lacks a question. Versions that lack all are left out; only
            questions with all others count.
        cluster: Of each question.
        seed_key: Seeds the bootstrap.
        confidence: Two-sided level.

    Returns:
        The shares, or why there are none.
    """
    known = score[:, ~np.isnan(score).all(axis=0)]
    whole = ~np.isnan(known).any(axis=1)
    marks = known[whole]
    names, row = np.unique(cluster[whole], return_inverse=True)
    if marks.shape[1] < 2 or len(names) < 2:
        return (
            f"a split needs 2 clusters of questions with all versions, there are {len(names)} with "
            f"{marks.shape[1]}"
        )
    if np.ptp(marks) < _TINY:
        return "no mark differs from another: no variance to split"
    # Sums by cluster: of questions, marks by version, squared marks, squared question sums.
    parts = np.column_stack(
        [np.ones(len(marks)), marks, (marks**2).sum(axis=1), marks.sum(axis=1) ** 2]
    )
    sums = np.zeros((len(names), parts.shape[1]))
    np.add.at(sums, row.reshape(-1), parts)
    times = np.random.default_rng(seed_of(seed_key)).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=REPLICATES
    )
    tail = (1.0 - confidence) / 2.0
    shares = _shares(sums.sum(axis=0)[None])[0]
    drawn = _shares(times @ sums)[:, 2]
    low, high = np.nanquantile(drawn, [tail, 1.0 - tail])
    items, versions, both = (float(share) for share in shares)
    return Split(items, versions, both, min(float(low), both), max(float(high), both))


def _shares(sums: Floats) -> Floats:
    """Replicates x (questions, versions, rest), from the sums of `split_of`; NaN where none."""
    size, by_version = sums[:, 0], sums[:, 1:-2]
    squares, of_questions = sums[:, -2], sums[:, -1]
    versions = by_version.shape[1]
    whole = by_version.sum(axis=1) ** 2 / (size * versions)
    between = of_questions / versions - whole
    across = (by_version**2).sum(axis=1) / size - whole
    rest = np.maximum(squares - whole - between - across, 0.0)
    few = np.maximum(size - 1, 1)
    error = rest / (few * (versions - 1))
    item = np.maximum(between / few - error, 0.0) / versions
    version = np.maximum(across / (versions - 1) - error, 0.0) / size
    parts = np.column_stack([item, version, error])
    total = parts.sum(axis=1, keepdims=True)
    found: Floats = np.divide(parts, total, out=np.full(parts.shape, np.nan), where=total > _TINY)
    return found
