"""Samples of the eleven sources, made directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lens_ray.scoring.metrics import METRICS
from lens_ray.suites.sample import Sample

LETTERS = "ABCDEFGH"
#: The metrics that read a text as a publisher does.
READERS: dict[str, Callable[[Sample, str], tuple[str | None, float]]] = {
    name: metric.whole
    for name, metric in METRICS.items()
    if metric.whole is not None and ".published." in metric.whole.__module__
}


def sample(
    source: str,
    answers: str | Sequence[str],
    choices: Sequence[str] = (),
    *,
    kind: str | None = None,
    name: str = "1",
    group: str | None = None,
    chance: float = 0.0,
    metric: str | None = None,
    upper: float = 1.0,
    **meta: str,
) -> Sample:
    """A sample whose metric is the source's own; multiple choice where it has choices."""
    return Sample(
        sample_id=f"{source}/{name}", ability="ocr", source=source, subtask=source,
        format=kind or ("multiple_choice" if choices else "open"), domain="photo",
        images=("0" * 64,), question="?", choices=tuple(choices),
        answers=(answers,) if isinstance(answers, str) else tuple(answers),
        metric=metric or source, chance=chance, upper=upper,
        cluster_id=group or f"{source}/{name}", group_id=group, meta=meta,
    )  # fmt: skip
