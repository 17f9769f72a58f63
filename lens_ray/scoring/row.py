"""From a completion to the row that is stored: `make_row`, `make_unanswered`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from lens_ray.models.protocol import Completion
from lens_ray.scoring.mark import INFRA_ERROR, OVER_BUDGET, mark
from lens_ray.scoring.plain import storable
from lens_ray.suites.sample import Sample


@dataclass(frozen=True, slots=True)
class RowContext:
    """What a row records besides the question and the answer.

    Attributes:
        run_id: The run.
        model: Name of the model in the job.
        model_key: Identity of what answered.
        weights_digest: Digest of its weights.
        suite_digest: Digest of the suite.
        template: Prompt template.
        step: Training step, or None.
        backend: Backend name.
        backend_version: Version of the library that computed.
        replica: Which replica answered.
        attempt: Which attempt this was, from 1.
        prompt_hash: Hash of the rendered prompt, the images and the generation parameters.
        created_at: When the answer came, with time zone; None means now.
    """

    run_id: str
    model: str
    model_key: str
    weights_digest: str
    suite_digest: str
    template: str
    step: int | None
    backend: str
    backend_version: str
    replica: str
    attempt: int
    prompt_hash: str
    created_at: datetime | None = None


def make_row(sample: Sample, completion: Completion, context: RowContext) -> dict[str, object]:
    """Mark a completion and make its row, with every column of `lens_ray.store.schema.ROWS`.

    An engine's failure becomes ``infra_error`` without a score; a refusal, an unparsable or a cut
    answer is the model's doing and earns 0.

    Args:
        sample: The question.
        completion: What the backend gave.
        context: The run, the model and where it was computed.

    Returns:
        Column name to value.

    Raises:
        UserError: The sample's metric is unknown or gives no score.
        ValueError: The completion belongs to another sample, or the time has no zone.
    """
    if completion.request_id != sample.sample_id:
        raise ValueError(f"completion {completion.request_id!r} is not of {sample.sample_id!r}")
    if completion.error is not None or completion.finish_reason == "error":
        cause = (completion.error or "").strip() or "the backend reported an error without a cause"
        return make_unanswered(sample, INFRA_ERROR, cause, context, completion)
    # The stored form is marked, so that `rescore` reads what was marked here.
    outcome = mark(sample, storable(completion.text), completion.finish_reason)
    row = _base(sample, context, completion)
    row.update(
        status=outcome.status,
        cause=outcome.cause,
        extracted=outcome.extracted,
        extraction=outcome.extraction,
        score=outcome.score,
    )
    return row


def make_unanswered(
    sample: Sample,
    status: str,
    cause: str,
    context: RowContext,
    completion: Completion | None = None,
) -> dict[str, object]:
    """The row of a sample that got no answer through no fault of the model; its score is None.

    Args:
        sample: The question.
        status: ``infra_error`` or ``over_budget``.
        cause: Why, in one line.
        context: The run, the model and where it was tried.
        completion: What the backend gave, where it gave something.

    Returns:
        Column name to value.

    Raises:
        ValueError: Any other status, or an empty cause.
    """
    if status not in (INFRA_ERROR, OVER_BUDGET):
        raise ValueError(f"status {status!r} belongs to an answer")
    if not cause.strip():
        raise ValueError(f"a row of status {status!r} names its cause")
    row = _base(sample, context, completion)
    row.update(
        status=status,
        cause=storable(" ".join(cause.split())),
        extracted=None,
        extraction="none",
        score=None,
    )
    return row


def _base(sample: Sample, context: RowContext, completion: Completion | None) -> dict[str, object]:
    created_at = context.created_at or datetime.now(UTC)
    if created_at.tzinfo is None:
        raise ValueError("created_at needs a time zone")
    return {
        "run_id": context.run_id,
        "model": context.model,
        "model_key": context.model_key,
        "weights_digest": context.weights_digest,
        "suite_digest": context.suite_digest,
        "sample_id": sample.sample_id,
        "sample_digest": sample.content_digest(),
        "ability": sample.ability,
        "source": sample.source,
        "subtask": sample.subtask,
        "format": sample.format,
        "template": context.template,
        "variant": sample.variant,
        "cluster_id": sample.cluster_id,
        "group_id": sample.group_id,
        "split": sample.split,
        "step": context.step,
        "domain": sample.domain,
        "metric": sample.metric,
        "prompt_hash": context.prompt_hash,
        "text": storable(completion.text) if completion else None,
        "finish_reason": storable(completion.finish_reason) if completion else None,
        "confidence": completion.confidence if completion else None,
        "chance": sample.chance,
        "upper": sample.upper,
        "tokens_in": completion.tokens_in if completion else None,
        "tokens_out": completion.tokens_out if completion else None,
        "latency_s": completion.latency_s if completion else None,
        "cost_usd": completion.cost_usd if completion else None,
        "attempt": context.attempt,
        "replica": context.replica,
        "backend": context.backend,
        "backend_version": context.backend_version,
        "weight_version": (completion.served or completion.weight_version) if completion else None,
        "created_at": created_at.astimezone(UTC),
    }
