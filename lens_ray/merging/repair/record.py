"""What a repair did: `RepairRecord`, the file ``repair.json`` beside the weights that it made."""

from __future__ import annotations

from lens_ray.merging.repair.plan import RepairPlan
from lens_ray.models.spec import ClosedModel

FILE = "repair.json"


class RepairRecord(ClosedModel):
    """Where repaired weights come from.

    Attributes:
        version: Of the form.
        started_from: As it was named: the merge's folder, or the checkpoint trained on.
        start_digest: Weights digest of what was trained; a merge's recipe makes these weights.
        weights_digest: Of the result.
        calibration: Suite that was trained on, as it was named.
        calibration_digest: Of that suite.
        examples: How many different ones there were.
        plan: How it was trained.
        seen: Examples that went through the model, repeats counted.
        tokens: Tokens that went through the model.
        answer_tokens: Of these, those that were learned.
        seconds: Of training.
        loss_before: Mean negative log-likelihood of the first tenth of the steps, in nats.
        loss_after: Of the last tenth.
        tools: Versions: lens_ray, torch, transformers.
    """

    version: int = 1
    started_from: str
    start_digest: str
    weights_digest: str
    calibration: str
    calibration_digest: str
    examples: int
    plan: RepairPlan
    seen: int
    tokens: int
    answer_tokens: int
    seconds: float
    loss_before: float
    loss_after: float
    tools: dict[str, str]
