"""What a row answers, to be compared with another version of its question: `answer_of`, `base_of`.

How often models keep their answers is counted by `lens_ray.stats.versions`, and, for gates, by
`lens_ray.stats.gate.kept`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lens_ray.scoring.plain import normalise
from lens_ray.suites.templates import LETTERS

#: Columns of the rows that are read.
PAIRED_COLUMNS = (
    "sample_id", "ability", "format", "variant", "cluster_id", "status", "score", "extracted",
)  # fmt: skip


def base_of(sample_id: str, variant: str | None) -> str:
    """The id of the sample that a control's sample was made of.

    Raises:
        ValueError: It is no sample of a control.
    """
    label = "" if variant is None else variant.rpartition("#")[2]
    base = sample_id.removesuffix(f"#{label}")
    if not label or base == sample_id:
        raise ValueError(f"sample {sample_id!r} is not that of a control")
    return base


def answer_of(
    row: Mapping[str, Any],
    variant: Mapping[str, Any],
    base: Mapping[str, Any],
    choices: Mapping[str, Sequence[str]],
) -> str | None:
    """What a row answers, in a form that can be compared with its partner's.

    Args:
        row: The row: the base's or the variant's.
        variant: The row of the variant.
        base: The row of the base.
        choices: Options by sample id; letters are compared by the options that they stand for.

    Raises:
        ValueError: Letters of rotated options are to be compared without the options.
    """
    answer: str | None = row["extracted"]
    if answer is None:
        return None
    if row["format"] == "multiple_choice":
        both = base["sample_id"] in choices and variant["sample_id"] in choices
        place = LETTERS.find(answer) if len(answer) == 1 else -1
        if both and 0 <= place < len(choices[row["sample_id"]]):
            return choices[row["sample_id"]][place]
        if not both and variant["variant"].rpartition("#")[2].startswith("rotate"):
            raise ValueError(
                f"sample {variant['sample_id']!r}: give the samples of both suites, since letters "
                "of rotated options stand for other answers"
            )
    return normalise(answer)
