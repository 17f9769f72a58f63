"""Where a model of a store is weaker than its own mean: `diagnose`.

The looks themselves are in `lens_ray.stats.looks`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from lens_ray.errors import CannotSay, UserError
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.asked import asked_suite
from lens_ray.stats.choose import choose_runs
from lens_ray.stats.frames import Framed
from lens_ray.stats.image_size import with_image_size
from lens_ray.stats.looks import Look, looks_of
from lens_ray.stats.marks import comparable, load_marks

if TYPE_CHECKING:
    from lens_ray.store import RunHeader, Store

#: So many other models are taken where none are named. A much better or weaker model says little
#: of what is hard for this one: near the floor and near the ceiling nothing can differ.
NEAREST = 5

Against = Literal["own", "others"]


@dataclass(frozen=True, slots=True)
class Diagnosis(Framed):
    """Where one model is weaker or stronger.

    Attributes:
        model: The model.
        run_id: Its run.
        suite: Name of the suite.
        suite_digest: Its digest.
        against: ``own`` (its own mean) or ``others`` (what the other models' difficulties leave).
        others: The other models, the nearest in the overall score first unless they were named.
        confidence: Level of the intervals; tests are at 1 minus it.
        tests: How many looks were tested, and adjusted for.
        looks: Weakest first, those that were not tested last.
        notes: What a reader should know, one line each.
    """

    model: str
    run_id: str
    suite: str
    suite_digest: str
    against: Against
    others: tuple[str, ...]
    confidence: float
    tests: int
    looks: tuple[Look, ...]
    notes: tuple[str, ...]

    @property
    def weaker(self) -> tuple[Look, ...]:
        """The weaknesses that were found, weakest first."""
        return tuple(look for look in self.looks if look.finding == "weaker")

    @property
    def stronger(self) -> tuple[Look, ...]:
        """The strengths that were found, strongest first."""
        return tuple(look for look in self.looks[::-1] if look.finding == "stronger")

    def rows(self) -> list[dict[str, Any]]:
        """One record a look, with the model's name."""
        fixed = {"model": self.model, "against": self.against}
        return [{**fixed, **asdict(look)} for look in self.looks]


def diagnose(
    store: Store | str,
    model: str,
    *,
    suite: str | None = None,
    abilities: Sequence[str] | None = None,
    against: str | None = None,
    others: Sequence[str] | None = None,
    images: str | None = None,
    confidence: float = 0.95,
) -> Diagnosis:
    """Look for what one model of a store is weak in.

    Args:
        store: The store or its URL.
        model: The model (or run id).
        suite: ``NAME`` or ``NAME@DIGEST``; needed where it has runs of several.
        abilities: Only these; "own mean" is then that over them.
        against: ``own``, ``others``, or None: others where the store has any that were asked the
            same.
        others: Which other models; None takes the `NEAREST` of those that were asked the same
            whose overall score is nearest.
        images: Folder or URL of the suite, for the sizes of its images; None looks where suites
            are kept.
        confidence: Two-sided level.

    Raises:
        CannotSay: Against others, and there is none.
        NotComparable: The model's run is not finished, or a named other was asked otherwise.
        UserError: A name is unknown, or a number is out of range.
    """
    from lens_ray.store import open_store

    if against not in (None, "own", "others"):
        raise UserError(f"against {against!r}: use own or others")
    if not 0 < confidence < 1:
        raise UserError(f"confidence {confidence:g}: give a level between 0 and 1, such as 0.95")
    opened = open_store(store)
    own = choose_runs(opened, [model], suite=suite)[0]
    exact = f"{own.suite.partition('@')[0]}@{own.suite_digest}"
    peers, notes = _peers(opened, own, exact, against, others)
    runs = [run.run_id for run in (own, *peers)]
    marks = load_marks(opened, runs, suite=exact, abilities=abilities)
    name = marks.models[0]
    found, missing = asked_suite(marks, images)
    if found is not None:
        marks = with_image_size(marks, found)
    else:
        notes.append(f"image size was not looked at: {missing}")
    looks = looks_of(marks, name, marks.models[1:], confidence=confidence)
    return Diagnosis(
        model=name,
        run_id=own.run_id,
        suite=marks.suite,
        suite_digest=marks.suite_digest,
        against="others" if peers else "own",
        others=marks.models[1:],
        confidence=confidence,
        tests=sum(look.p is not None for look in looks),
        looks=looks,
        notes=(*marks.notes, *notes),
    )


def _peers(
    store: Store, own: RunHeader, suite: str, against: str | None, others: Sequence[str] | None
) -> tuple[list[RunHeader], list[str]]:
    """The other models' runs, and why some are left out."""
    if against == "own":
        return [], []
    if others is not None:
        named = choose_runs(store, others, suite=suite)
        peers, notes = [run for run in named if run.run_id != own.run_id], []
    else:
        present = choose_runs(store, suite=suite)
        beside = [run for run in present if run.run_id != own.run_id]
        peers, left_out = comparable(store, own, beside)
        notes = [f"not among the others: {line}" for line in left_out]
        peers = _nearest(store, own, peers)
    if against == "others" and not peers:
        raise CannotSay(
            f"{own.model} has no other model beside it that was asked the same; "
            "type --against own to hold it against its own mean"
        )
    return peers, notes


def _nearest(store: Store, own: RunHeader, peers: Sequence[RunHeader]) -> list[RunHeader]:
    """The peers whose overall score is nearest; those without one come last."""
    overall: dict[str, float] = {
        row["run_id"]: row["corrected"]
        for row in store.scores([run.run_id for run in (own, *peers)]).to_pylist()
        if row["ability"] == OVERALL and row["corrected"] is not None
    }
    level = overall.get(own.run_id, 0.0)

    def distance(run: RunHeader) -> float:
        return abs(overall.get(run.run_id, math.inf) - level)

    return sorted(peers, key=distance)[:NEAREST]
