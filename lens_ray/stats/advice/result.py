"""What `lens_ray.advise` answers: `Advice`, with one `Option` a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lens_ray.errors import UserError
from lens_ray.stats.advice.combine import Combination
from lens_ray.stats.advice.fit import Check, Verdict
from lens_ray.stats.advice.more_samples import Evaluation
from lens_ray.stats.advice.needs import Needs
from lens_ray.stats.frames import Framed


@dataclass(frozen=True, slots=True)
class Option(Framed):
    """One model, as the needs see it.

    Attributes:
        model: Its label.
        run_id: Its run.
        access: ``open`` or ``closed`` weights.
        fit: ``met`` where it meets every hard need, ``missed`` where it misses one, else
            ``undecided``.
        checks: Each hard need.
        score: Weighted mean of its abilities' corrected scores; None with a reason.
        ci_low: Lower bound of its interval.
        ci_high: Upper bound.
        best: Probability that it is the best model that meets the needs.
        possible: Whether it cannot be excluded from being that one.
        regret: Expected score that is lost where it is chosen, against the best.
        could_gain: By how much it may be ahead of the recommended model (upper bound).
        abilities: Corrected score by ability.
        instability: Weighted mean over abilities of the noise-free spread (tau) of its subtask
            scores; lower is steadier. None is unknown.
        usd_per_1000: Dollars for 1,000 answers; None is unknown.
        usd_reason: Why.
        latency_s: Median seconds of an answer; None is unknown.
        memory_gb: GPU memory that it needs, estimated; None is unknown.
        front: Whether no other model is at least as good in score, stability, cost and latency
            and better in one; None where it has no score or misses a need.
        reason: Why it has no score.
    """

    model: str
    run_id: str | None
    access: str | None
    fit: Verdict
    checks: tuple[Check, ...]
    score: float | None
    ci_low: float | None
    ci_high: float | None
    best: float | None
    possible: bool
    regret: float | None
    could_gain: float | None
    abilities: Mapping[str, float | None]
    instability: float | None
    usd_per_1000: float | None
    usd_reason: str | None
    latency_s: float | None
    memory_gb: float | None
    front: bool | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Advice(Framed):
    """What to take, how sure that is, and what would make it surer.

    Attributes:
        suite: Name of the suite.
        suite_digest: Its digest.
        level: Of intervals and of the set of possible best models.
        needs: What was needed.
        weights: Of the abilities, sum 1.
        recommended: The model with the highest score of those that meet every need; None with a
            reason.
        reason: Why none is recommended.
        none_meets: Probability that no model reaches the needed scores.
        options: The models, best first; those that miss a need last.
        undecided: What the data do not decide, one line each.
        next_evaluation: The cheapest evaluation that would decide it; None where nothing is
            undecided or nothing affordable decides it.
        evaluations: All that were thought of, cheapest first.
        combinations: Routing and cascade.
        notes: What a reader should know.
    """

    suite: str
    suite_digest: str
    level: float
    needs: Needs
    weights: Mapping[str, float]
    recommended: str | None
    reason: str | None
    none_meets: float
    options: tuple[Option, ...]
    undecided: tuple[str, ...]
    next_evaluation: Evaluation | None
    evaluations: tuple[Evaluation, ...]
    combinations: tuple[Combination, ...]
    notes: tuple[str, ...]

    @property
    def possible(self) -> tuple[str, ...]:
        """The models that cannot be excluded from being the best."""
        return tuple(option.model for option in self.options if option.possible)

    def option(self, model: str) -> Option:
        """One of the options.

        Raises:
            UserError: There is none of this name.
        """
        for option in self.options:
            if option.model == model:
                return option
        raise UserError(f"no model {model!r} in the advice")

    def rows(self) -> list[dict[str, Any]]:
        """One record a model."""
        return [asdict(option) for option in self.options]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain values; what is unknown is None."""
        found = asdict(replace(self, needs=Needs()))
        return found | {"needs": self.needs.model_dump(), "possible": list(self.possible)}
