"""Whether a repair was worth it: `judge` compares what came out, paired by sample.

Three questions, each a paired difference on the composite with its interval, and per ability with
Holm over the six: is the repaired merge better than the merge; than the final checkpoint trained
on for the same cost; than the final checkpoint as it is?
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lens_ray.merging.repair.record import RepairRecord
from lens_ray.stats.abilities import OVERALL
from lens_ray.stats.compare import Compared, compare_marks
from lens_ray.stats.marks import Marks

Word = Literal["better", "worse", "no difference shown", "not known"]


@dataclass(frozen=True, slots=True)
class Against:
    """The repaired merge against another model.

    Attributes:
        other: The other model.
        word: Of the composite, for the repaired merge.
        overall: The composite.
        abilities: One each.
    """

    other: str
    word: Word
    overall: Compared
    abilities: tuple[Compared, ...]

    def lost(self) -> tuple[str, ...]:
        """Abilities in which the other model is better."""
        return tuple(each.figure for each in self.abilities if each.winner == "b")


@dataclass(frozen=True, slots=True)
class RepairVerdict:
    """What was asked of a repair, and the answers.

    Attributes:
        against: The merge before, the continued checkpoint, the final one; as many as there are.
        says: The verdict in a line or two.
    """

    against: tuple[Against, ...]
    says: tuple[str, ...]


def judge(
    marks: Marks,
    repaired: str,
    *,
    merge: str,
    continued: str | None = None,
    final: str | None = None,
    confidence: float = 0.95,
) -> RepairVerdict:
    """Compare a repaired merge with what else could be shipped.

    Args:
        marks: Of all of them on the same units, none of which was trained on.
        repaired: Label of the repaired merge.
        merge: Of the merge as it was.
        continued: Of the final checkpoint, fine-tuned at the same cost; None was not made.
        final: Of the final checkpoint.
        confidence: Of the intervals; tests are at 1 minus it.
    """
    others = [label for label in (merge, continued, final) if label is not None]
    against = tuple(_against(marks, repaired, other, confidence) for other in others)
    says = tuple(_says(one, repaired) for one in against)
    return RepairVerdict(against, says)


def _against(marks: Marks, repaired: str, other: str, confidence: float) -> Against:
    found = compare_marks(marks, repaired, other, confidence=confidence)
    overall = next(each for each in found if each.figure == OVERALL)
    word: Word = "no difference shown"
    if overall.difference is None:
        word = "not known"
    elif overall.winner is not None:
        word = "better" if overall.winner == "a" else "worse"
    rest = tuple(each for each in found if each.figure != OVERALL)
    return Against(other, word, overall, rest)


def _says(one: Against, repaired: str) -> str:
    each = one.overall
    if each.difference is None:
        return f"{repaired} against {one.other}: not known: {each.reason}"
    text = (
        f"{repaired} against {one.other}: {one.word} "
        f"({each.difference:+.4f} [{each.ci_low:+.4f}, {each.ci_high:+.4f}], n {each.n:,}"
    )
    if one.word == "no difference shown" and each.mde is not None:
        text += f"; {each.mde:.4f} would be found 8 times in 10"
    lost = one.lost()
    return f"{text})" + (f"; it loses {', '.join(lost)}" if lost else "")


def cost_line(repaired: RepairRecord, continued: RepairRecord | None) -> str:
    """What both trainings cost, in one line."""
    mine = f"repair: {repaired.tokens:,} tokens in {repaired.seconds:.0f} s"
    if continued is None:
        return mine
    return f"{mine}; continued: {continued.tokens:,} tokens in {continued.seconds:.0f} s"
