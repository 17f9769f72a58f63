"""MME: yes or no at the start of the text; two questions an image, marked together."""

from __future__ import annotations

from lens_ray.suites.sample import Sample


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The answer and its mark; the pair of an image counts as acc and acc+ (`Metric.group`)."""
    answer = yes_or_no(text)
    return answer, float(answer == sample.answers[0])


def yes_or_no(text: str) -> str | None:
    """``yes`` or ``no`` as MME's rule reads a text, else None ("other", which is wrong)."""
    answer = text.lower().strip().replace(".", "")
    if len(answer) == 1:
        return {"y": "yes", "n": "no"}.get(answer)
    return in_first_four(answer)


def in_first_four(answer: str) -> str | None:
    """``yes``, else ``no``, where the first four characters hold it."""
    start = answer[:4]
    return "yes" if "yes" in start else "no" if "no" in start else None
