"""ChartQA: relaxed accuracy, 5 % of the accepted number, else equal but for case."""

from __future__ import annotations

from lens_ray.suites.sample import Sample

TOLERANCE = 0.05


def read(sample: Sample, text: str) -> tuple[str | None, float]:
    """The text and its mark; nothing is taken off the text, not even a final point."""
    gold = sample.answers[0]
    given, target = _number(text), _number(gold)
    if given is not None and target:
        right = abs(given - target) / abs(target) <= TOLERANCE
    else:
        right = text.lower() == gold.lower()
    return text.strip() or None, float(right)


def _number(text: str) -> float | None:
    """What Python's float reads; ``45%`` is 0.45."""
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None
