"""SEED-Bench: the first character of the text."""

from __future__ import annotations

from lens_ray.scoring.published.letter import as_letter
from lens_ray.suites.sample import Sample


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The letter and its mark, whatever its case."""
    first = text.strip()[:1]
    right = first.lower().strip() == sample.answers[0].lower()
    return as_letter(sample, first), float(right)
