"""The mark of one text: extraction, metric and status together."""

from __future__ import annotations

from dataclasses import dataclass

from lens_ray.scoring.extract import OK, REFUSED, TRUNCATED, UNPARSED, extract
from lens_ray.scoring.metrics import Metric, checked, find_metric, score
from lens_ray.suites.sample import Sample

#: Statuses of answers: the model's own doing, so they have a score.
ANSWERED: frozenset[str] = frozenset({OK, UNPARSED, REFUSED, TRUNCATED})
INFRA_ERROR = "infra_error"
OVER_BUDGET = "over_budget"
#: Finish reasons of a provider that leave no answer.
_DECLINED = {
    "refusal": "the model declined to answer",
    "moderation": "the provider's moderation refused the question",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """What is stored of one marked answer.

    Attributes:
        status: One of `ANSWERED`.
        cause: Why it is not ``ok``, else None.
        extracted: The canonical answer, or None.
        extraction: The method that found it; ``none`` where nothing was found.
        score: 0 to 1; 0 for an answer that is refused, truncated or cannot be parsed.
    """

    status: str
    cause: str | None
    extracted: str | None
    extraction: str
    score: float


def mark(sample: Sample, text: str, finish_reason: str) -> Mark:
    """Mark a model's text.

    Args:
        sample: The question, with its accepted answers and its metric.
        text: Raw model text.
        finish_reason: As in `lens_ray.models.protocol.Completion`.

    Returns:
        The mark.

    Raises:
        UserError: The sample's metric is unknown or gives no score.
    """
    metric = find_metric(sample.metric)
    if finish_reason in _DECLINED:  # the text says why, and is no answer
        return Mark(REFUSED, _DECLINED[finish_reason], None, "none", 0.0)
    if metric.whole is not None:
        return _as_published(metric, sample, text, finish_reason)
    found = extract(text, sample.format, sample.choices, finish_reason, numeric=metric.numeric)
    earned = score(sample.metric, found.answer, sample.answers) if found.status == OK else 0.0
    return Mark(found.status, found.cause, found.answer, found.method, earned)


def _as_published(metric: Metric, sample: Sample, text: str, finish_reason: str) -> Mark:
    """The mark of a metric that reads the text by itself; a filtered text is nobody's answer."""
    assert metric.whole is not None
    if finish_reason == "content_filter":
        cause = "the provider's content filter stopped the answer"
        return Mark(REFUSED, cause, None, "none", 0.0)
    answer, earned = metric.whole(sample, text)
    if answer is None:
        return Mark(UNPARSED, f"{metric.name} finds no answer in it", None, "none", 0.0)
    return Mark(OK, None, answer, metric.name, checked(metric.name, earned))
