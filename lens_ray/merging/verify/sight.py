"""Whether the merge still looks at the image: `sight`, by the control ``blind``.

A model that answers from the text alone keeps its score when the image is gone. So what counts is
how much of the score goes with the image, of the merge against the parents: a merge that loses
less than they do may have learned to guess, or never looked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lens_ray.merging.checks import Check
from lens_ray.merging.verify.bounded import bounded
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.figures import ability_figures
from lens_ray.stats.gate.bounds import Bounded, measured
from lens_ray.stats.marks import Marks

if TYPE_CHECKING:
    from lens_ray.merging.verify.policy import BehaviourLimits
    from lens_ray.merging.verify.tiers import BehaviourGround

#: The control, in the order of preference; images that are gone before images that are others.
_CONTROLS = ("blind", "shuffle")


def sight(ground: BehaviourGround, limits: BehaviourLimits) -> Check:
    """Whether the merge's score falls about as much without the image as a parent's.

    What the score falls less is the parent's lead with the image, less its lead without it:
    (S_p - S_m) - (B_p - B_m). Bounds of both leads, each at half the level, are added.

    Args:
        ground: With the control ``blind``, or else ``shuffle``.
        limits: How much less it may fall.
    """
    name = next((each for each in _CONTROLS if each in ground.controls), None)
    if name is None:
        why = "the questions were not asked without their images (control blind)"
        return Check("V4", "blind", "skipped", why)
    control = ground.controls[name]
    asked = [parent for parent in ground.parents if parent in control.models]
    if ground.merge not in control.models or not asked:
        why = f"control {name}: the merge and a parent must be asked"
        return Check("V4", "blind", "skipped", why)
    falls = [_falls_less(ground, control, parent) for parent in asked]
    reasons = [fall.reason for fall in falls if fall.reason is not None]
    if reasons:
        return Check("V4", "blind", "cannot_say", f"control {name}: {reasons[0]}")
    most = max(range(len(falls)), key=lambda place: falls[place].estimate or 0.0)
    told = f"control {name}: the score falls less without the image than that of {asked[most]} by"
    return bounded("blind", falls[most], limits.blind_by, limits, told, above=False)


def _falls_less(ground: BehaviourGround, control: Marks, parent: str) -> Bounded:
    """How much less the composite of the merge falls than that of a parent."""
    seeing = _lead(ground.marks, ground.merge, parent)
    blind = _lead(control, ground.merge, parent)
    for each in (seeing, blind):
        if each.bounds is None or each.estimate is None:
            return Bounded(None, None, None, 0, 0, None, each.reason or "it has no score")
    assert seeing.bounds is not None
    assert blind.bounds is not None
    assert seeing.estimate is not None
    assert blind.estimate is not None
    first, second = seeing.bounds, blind.bounds

    def bounds(tail: float) -> tuple[float, float]:
        seen, unseen = first(tail / 2), second(tail / 2)
        return unseen[0] - seen[1], unseen[1] - seen[0]

    return Bounded(
        estimate=blind.estimate - seeing.estimate,
        candidate=_fall(seeing.candidate, blind.candidate),
        baseline=_fall(seeing.baseline, blind.baseline),
        n=min(seeing.n, blind.n),
        clusters=min(seeing.clusters, blind.clusters),
        bounds=bounds,
    )


def _lead(marks: Marks, merge: str, parent: str) -> Bounded:
    return measured(marks.only((merge, parent)), ability_figures(marks))[OVERALL]


def _fall(seeing: float | None, blind: float | None) -> float | None:
    return None if seeing is None or blind is None else seeing - blind
