"""What the rules for option letters share."""

from __future__ import annotations

import re

from lens_ray.suites.sample import Sample

_LEADING = re.compile(r"\s*([A-Z])\.")


def leading_or_raw(text: str) -> str:
    """The capital and point with which a text opens, without the point; else all of the text."""
    match = _LEADING.match(text)
    return match[1] if match else text


def as_letter(sample: Sample, answer: str) -> str | None:
    """The option that an answer is, upper case; None where it is no letter of the options."""
    answer = answer.strip().upper()
    return (
        answer if len(answer) == 1 and 0 <= ord(answer) - ord("A") < len(sample.choices) else None
    )
