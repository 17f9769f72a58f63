"""MuirBench: a capital and a point at the start, else the whole text, is the letter.

Its unanswerable twins have an option of their own ("None of the choices provided"), so they are
marked as all others are.
"""

from __future__ import annotations

from lens_ray.scoring.published.letter import as_letter, leading_or_raw
from lens_ray.suites.sample import Sample


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The letter and its mark, whatever its case."""
    answer = leading_or_raw(text)
    right = answer.lower().strip() == sample.answers[0].lower()
    return as_letter(sample, answer), float(right)
