"""Two models side by side, paired by sample: `compare`, and `compare_marks` on marks at hand.

Every figure is a paired difference (`lens_ray.stats.contrast`). The figures of one facet are one
declared family, whose p-values are adjusted by Holm; of the abilities only those that make the
overall score (the six) are. The overall figure is a question of its own and stands apart. Where
no difference is found, the figure says which one would have been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lens_ray.errors import UserError
from lens_ray.stats.abilities import OVERALL, in_overall
from lens_ray.stats.asked import asked_suite
from lens_ray.stats.contrast import Difference, contrast
from lens_ray.stats.figures import Figures, ability_figures, facet_figures
from lens_ray.stats.flips import Flip, flips_of
from lens_ray.stats.frames import Framed
from lens_ray.stats.marks import Marks, load_marks
from lens_ray.stats.multiplicity import holm
from lens_ray.stats.units import SAME, Bools

if TYPE_CHECKING:
    from lens_ray.store import Store

#: What `compare` can be by.
BY: tuple[str, ...] = ("ability", "source", "subtask", "format", "domain", "metric")
#: A unit counts as right from this share of its upper bound on.
RIGHT = 0.5
#: Family of the abilities that do not make the overall score.
BEYOND = "abilities beyond the overall score"

Winner = Literal["a", "b"]


@dataclass(frozen=True, slots=True)
class Compared(Framed):
    """Two models in one figure, on the units that both answered.

    Attributes:
        figure: The ability, ``overall``, or the value of a facet.
        n: Units that both answered.
        clusters: Clusters of these.
        value_a: Corrected score of ``a``.
        value_b: Of ``b``.
        difference: ``value_a`` - ``value_b``; None with a reason, like the figures of its test.
        ci_low: Lower bound of its interval, alone.
        ci_high: Upper bound.
        p: Two-sided p-value of no difference, alone.
        p_exact: The exact McNemar p-value, alone; None where it does not fit (clusters, several
            subtasks, partial marks).
        p_holm: ``p``, adjusted within the family; ``p`` where the figure stands apart.
        family: Name of the family of tests; None where the figure stands apart.
        mde: Smallest true difference that is found 8 times in 10, whatever the others of the
            family do (at the level divided by the family's size).
        winner: ``a`` or ``b`` where ``p_holm`` is below the level; None else.
        both_right: Units on which both are right (at least half the upper bound).
        only_a: Units on which only ``a`` is right.
        only_b: Units on which only ``b`` is.
        both_wrong: Units on which neither is.
        churn: Share of the units whose mark differs, whoever gains; None without units.
        says: The figure in words.
        method: How interval and p-value were made.
        reason: Why a figure is None.
        note: What a reader of the interval should know; None where it is as good as any.
    """

    figure: str
    n: int
    clusters: int
    value_a: float | None
    value_b: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    p_exact: float | None
    p_holm: float | None
    family: str | None
    mde: float | None
    winner: Winner | None
    both_right: int
    only_a: int
    only_b: int
    both_wrong: int
    churn: float | None
    says: str
    method: str
    reason: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Comparison(Framed):
    """Two models on one suite.

    Attributes:
        a: Label of one model; a difference is positive where it is ahead.
        b: Of the other.
        run_a: Run of ``a``.
        run_b: Run of ``b``.
        suite: Name of the suite.
        suite_digest: Its digest.
        by: The facet.
        confidence: Level of the intervals; tests are at 1 minus it.
        families: Figures that were adjusted together, by the family's name.
        figures: One a value of the facet, then ``overall``.
        flips: Some units whose marks differ.
        notes: What a reader should know, one line each.
    """

    a: str
    b: str
    run_a: str
    run_b: str
    suite: str
    suite_digest: str
    by: str
    confidence: float
    families: Mapping[str, tuple[str, ...]]
    figures: tuple[Compared, ...]
    flips: tuple[Flip, ...]
    notes: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One record a figure, with the models' names."""
        return [{"a": self.a, "b": self.b, "by": self.by, **asdict(each)} for each in self.figures]


def compare(
    store: Store | str,
    a: str,
    b: str,
    *,
    by: str = "ability",
    suite: str | None = None,
    abilities: Sequence[str] | None = None,
    on: str = "all",
    confidence: float = 0.95,
    flips: int = 10,
    wording: bool = False,
) -> Comparison:
    """Compare two models of a store.

    Args:
        store: The store or its URL.
        a: Model (or run id); a difference is positive where it is ahead.
        b: The other.
        by: One of `BY`.
        suite: ``NAME`` or ``NAME@DIGEST``; needed where both have runs of several.
        abilities: Only these; there is then no overall figure.
        on: ``all`` refuses runs that were not asked the same; ``common`` takes what both answered.
        confidence: Two-sided level.
        flips: At most so many units whose marks differ are shown with both answers.
        wording: Whether their questions are read from the suite, where this machine has it.

    Raises:
        NotComparable: See `lens_ray.stats.marks.load_marks`.
        UserError: A model, suite, ability or facet is unknown, or a number is out of range.
    """
    from lens_ray.store import open_store

    if by not in BY:
        raise UserError(f"by {by!r}: use one of {', '.join(BY)}")
    if not 0 < confidence < 1:
        raise UserError(f"confidence {confidence:g}: give a level between 0 and 1, such as 0.95")
    if flips < 0:
        raise UserError(f"flips {flips}: give 0 or more")
    opened = open_store(store)
    marks = load_marks(opened, [a, b], suite=suite, abilities=abilities, on=on)
    one, two = marks.models
    figures = compare_marks(marks, one, two, by=by, confidence=confidence)
    if abilities is not None:
        figures = tuple(each for each in figures if each.figure != OVERALL)
    asked = asked_suite(marks)[0] if wording and flips else None
    families: dict[str, tuple[str, ...]] = {}
    for each in figures:
        if each.family is not None:
            families[each.family] = (*families.get(each.family, ()), each.figure)
    return Comparison(
        a=one,
        b=two,
        run_a=marks.runs[0].run_id,
        run_b=marks.runs[1].run_id,
        suite=marks.suite,
        suite_digest=marks.suite_digest,
        by=by,
        confidence=confidence,
        families=families,
        figures=figures,
        flips=tuple(flips_of(opened, marks, flips, asked)) if flips else (),
        notes=marks.notes,
    )


def compare_marks(
    marks: Marks, a: str, b: str, *, by: str = "ability", confidence: float = 0.95
) -> tuple[Compared, ...]:
    """Compare two models in every value of a facet and overall.

    Args:
        marks: Marks of both.
        a: The model that is ahead where a difference is positive.
        b: The other.
        by: A facet.
        confidence: Two-sided level.

    Raises:
        UserError: A model or the facet is unknown.
    """
    pair = marks.only((a, b))
    fine, figures = facet_figures(pair, by)
    if by != "ability":
        parts = [(fine, figures, f"{by}s"), (pair, ability_figures(pair).only([OVERALL]), None)]
    else:
        six = in_overall(figures.names)
        inside = [name for name in figures.names if name in six]
        beyond = [name for name in figures.names if name not in six and name != OVERALL]
        parts = [
            (pair, figures.only(inside), "the abilities of the overall score"),
            (pair, figures.only(beyond), BEYOND),
            (pair, figures.only([OVERALL]), None),
        ]
    found: list[Compared] = []
    for ground, some, family in parts:
        if some.names:
            found += _family(ground, some, family, by, confidence)
    return tuple(found)


def _family(
    marks: Marks, figures: Figures, family: str | None, by: str, confidence: float
) -> list[Compared]:
    """The figures of one family of tests; each alone where the family is None."""
    a, b = marks.models
    alone = contrast(marks, a, b, figures, confidence=confidence)
    tested = [each for each in alone if each.p is not None]
    level = 1 - confidence
    adjusted = [each.p for each in tested if each.p is not None]
    share = level
    if family is not None and len(tested) > 1:
        adjusted = holm(adjusted)
        share = level / len(tested)
    p_holm = {each.figure: p for each, p in zip(tested, adjusted, strict=True)}
    strict = contrast(marks, a, b, figures, confidence=1 - share) if share < level else alone
    masks = _masks(marks, figures, by if family is not None else "ability")
    return [
        _compared(marks, each, masks[each.figure], p_holm.get(each.figure), family, far.mde, level)
        for each, far in zip(alone, strict, strict=True)
    ]


def _masks(marks: Marks, figures: Figures, by: str) -> dict[str, Bools]:
    """The units of each figure that both models answered."""
    both = marks.answered.all(axis=0)
    if by == "ability":
        return {
            name: both & (figures.slope[place][marks.stratum] != 0)
            for place, name in enumerate(figures.names)
        }
    found = marks.facets[by]
    return {name: both & (found.code == found.labels.index(name)) for name in figures.names}


def _compared(
    marks: Marks,
    test: Difference,
    units: Bools,
    p_holm: float | None,
    family: str | None,
    mde: float | None,
    level: float,
) -> Compared:
    right = marks.score[:, units] >= RIGHT * marks.upper[units]
    one, two = right
    size = int(units.sum())
    moved = np.abs(marks.score[0, units] - marks.score[1, units]) > SAME
    winner: Winner | None = None
    if p_holm is not None and p_holm < level and test.difference:
        winner = "a" if test.difference > 0 else "b"
    return Compared(
        figure=test.figure,
        n=test.n,
        clusters=test.clusters,
        value_a=test.value_a,
        value_b=test.value_b,
        difference=test.difference,
        ci_low=test.ci_low,
        ci_high=test.ci_high,
        p=test.p,
        p_exact=test.p_exact,
        p_holm=p_holm,
        family=family,
        mde=mde,
        winner=winner,
        both_right=int((one & two).sum()),
        only_a=int((one & ~two).sum()),
        only_b=int((~one & two).sum()),
        both_wrong=int((~one & ~two).sum()),
        churn=float(moved.mean()) if size else None,
        says=_words(test, winner, mde),
        method=test.method,
        reason=test.reason,
        note=test.note,
    )


def _words(test: Difference, winner: Winner | None, mde: float | None) -> str:
    """What the figure says to someone who does not read p-values."""
    if test.difference is None:
        return f"cannot be compared: {test.reason}"
    if test.p is None:
        return f"not tested: {test.reason}"
    if winner is not None:
        return f"{winner.upper()} is better by {abs(test.difference):.3f}"
    if mde is None:
        return "no difference found; it is not known which would have been seen"
    return f"no difference found; one of {mde:.2f} would have been seen"
