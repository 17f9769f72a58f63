"""AI2D: a capital and a point at the start, else the whole text; exact but for punctuation."""

from __future__ import annotations

import string

from lens_ray.scoring.published.letter import as_letter, leading_or_raw
from lens_ray.suites.sample import Sample

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The letter and its mark, whatever its case; blanks around it make it wrong."""
    # The publisher compares in numpy, which drops NUL at the end of a text.
    answer = leading_or_raw(text).lower().translate(_NO_PUNCTUATION).rstrip("\0")
    return as_letter(sample, answer), float(answer == sample.answers[0].lower())
