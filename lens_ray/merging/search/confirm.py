"""Whether a merge is better, on samples that no step has seen: `confirmation_of`.

Three things must hold, each by a one-sided bound: the composite is ahead of the final checkpoint,
ahead of the best single one, and no ability is behind the final one, which would be shipped, by
more than the margin. (Of two checkpoints in conflict a mixture lies below each in what it can
best.) All must hold together, so none is adjusted for the others: a merge that lacks one of them
passes with the error of that one bound at most (intersection-union test, Berger 1982).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lens_ray.merging.record import Score
from lens_ray.merging.search.found import Change, Claim, Confirmation
from lens_ray.merging.search.table import Table
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.contrast import Difference
from lens_ray.stats.multiplicity import holm


def confirmation_of(
    table: Table, merge: str, final: str, single: str, *, margin: float
) -> Confirmation:
    """Check all claims.

    Args:
        table: Of these, on the samples that confirm.
        merge: Name of the merge.
        final: Name of the checkpoint that would be shipped without it.
        single: Name of the best single checkpoint, as chosen on other samples.
        margin: How much of an ability may be lost.
    """
    against = list(dict.fromkeys((final, single)))
    claims = [
        claim
        for other in against
        for claim in _claims(table, merge, other, margin)
        # What another checkpoint can better than the final one is not lost by who ships that.
        if other == final or claim.figure == OVERALL
    ]
    return Confirmation(
        claims=tuple(claims),
        holds=all(each.holds for each in claims),
        scores=named_scores(table, table.marks.models, merge, final),
        single=None
        if single == final
        else table.differences(single, final, with_mde=True)[OVERALL],
        n=len(table.marks.ids),
    )


def named_scores(
    table: Table, models: Sequence[str], merge: str, final: str
) -> dict[str, dict[str, Score]]:
    """Scores by model; ``merge`` and ``final`` stand for whatever they are called."""
    scores = table.scores(models)
    found: dict[str, dict[str, Score]] = {"merge": scores[merge], "final": scores[final]}
    found.update({name: each for name, each in scores.items() if name != merge})
    return found


def _claims(table: Table, merge: str, other: str, margin: float) -> Iterator[Claim]:
    """What must hold against one checkpoint."""
    bounds = table.differences(merge, other, one_sided=True)
    told = table.differences(merge, other, with_mde=True)
    abilities = table.abilities
    # Of six abilities that did not change, one seems to have in a quarter of all merges.
    moved = dict(zip(abilities, holm([_p(told[name]) for name in abilities]), strict=True))
    moved[OVERALL] = _p(told[OVERALL])
    for name in (OVERALL, *abilities):
        low = bounds[name].ci_low
        least = 0.0 if name == OVERALL else -margin
        holds = low is not None and low > least
        shown = moved[name] < 1 - table.confidence
        change = _change(told[name], shown, low, margin)
        yield Claim(name, other, told[name], low, least, holds, change)


def _change(told: Difference, shown: bool, low: float | None, margin: float) -> Change:
    """What became of a figure; within the margin it is held, whichever way it went."""
    if told.difference is None or low is None:
        return "inconclusive"
    if shown and told.difference > 0:
        return "improved"
    if low > -margin:
        return "held"
    return "regressed" if shown and told.difference < 0 else "inconclusive"


def _p(each: Difference) -> float:
    return 1.0 if each.p is None else each.p


def summary(confirmation: Confirmation) -> str:
    """How it came out, in one line."""
    overall = [each for each in confirmation.claims if each.figure == OVERALL]
    if confirmation.holds:
        ahead = " and ".join(f"of {each.against} by {_told(each)}" for each in overall)
        return f"ahead {ahead} on {confirmation.n:,} samples that no step had seen; no ability lost"
    failed = [each for each in confirmation.claims if not each.holds]
    first = failed[0]
    what = "is not shown to be ahead" if first.figure == OVERALL else f"may lose {first.figure}"
    more = f"; {len(failed) - 1} more claims do not hold" if len(failed) > 1 else ""
    return f"{what} against {first.against}: {_told(first)}, needed above {first.least:g}{more}"


def _told(claim: Claim) -> str:
    if claim.difference.difference is None or claim.low is None:
        return f"nothing known ({claim.difference.reason})"
    return f"{claim.difference.difference:+.4f} (at least {claim.low:+.4f})"
