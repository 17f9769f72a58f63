"""The policy file of a verification: `Policy`, `load_policy`, and `decide`.

::

    name: release
    tiers: [V0, V1, V2, V4, V5]
    behaviour: {margin: 0.02}
    critical: {samples: ["valves/*"], zero_tolerance: true}
    rules:
      - {checks: V4.stability, cannot_say: go}

Every check decides by the first rule that matches it; without one a failure is a NO-GO, and what
cannot be said, or was skipped, is cannot say.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lens_ray.merging.checks import Tier
from lens_ray.models.spec import NAME_PATTERN, ClosedModel

#: What a verification, or one check of it, comes to.
Decision = Literal["go", "no_go", "cannot_say"]
TIERS: tuple[Tier, ...] = ("V0", "V1", "V2", "V3", "V4", "V5")


class AlgebraLimits(ClosedModel):
    """How much of V1 is recomputed.

    Attributes:
        tensors: Drawn, on which identities are tried.
        blocks: Row blocks drawn, recomputed in float64.
        ulp: Units in the last place of the written type by which a number may be off.
        seed: Of what is drawn.
    """

    tensors: int = Field(default=8, ge=1, le=10_000)
    blocks: int = Field(default=24, ge=1, le=10_000)
    ulp: float = Field(default=1.0, ge=0, le=64)
    seed: int = Field(default=0, ge=0)


class FunctionLimits(ClosedModel):
    """V2.

    Attributes:
        probes: Questions with reference answers.
        nll_tolerance: How far the mean negative log-likelihood per token of the reference answers
            may be above the worst parent's, in nats.
        variance_low: Least ratio of a block's activation variance to the weighted parents'.
        variance_high: Largest.
        divergence: Most that a block's output may be apart from the weighted parents', relative to
            how far the parents are apart; None reports it only.
        seed: Of the probes drawn.
    """

    probes: int = Field(default=48, ge=4, le=4096)
    nll_tolerance: float = Field(default=0.05, ge=0, le=10)
    variance_low: float = Field(default=0.8, gt=0, lt=1)
    variance_high: float = Field(default=1.25, gt=1)
    divergence: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)


class EngineLimits(ClosedModel):
    """V3.

    Attributes:
        probes: Questions asked of both engines.
        agreement: Least share of equal greedy answers.
        seed: Of the probes drawn.
    """

    probes: int = Field(default=48, ge=4, le=4096)
    agreement: float = Field(default=0.95, gt=0, le=1)
    seed: int = Field(default=0, ge=0)


class BehaviourLimits(ClosedModel):
    """V4.

    Attributes:
        margin: Of the corrected score: how much of an ability's best parent may be lost.
        level: Of one-sided tests, over the abilities by Holm.
        composite_by: How far the composite must be above the final checkpoint's.
        refused_by: How far the share of refused answers may be above the highest parent's.
        unparsed_by: The same of answers that could not be read.
        stability_by: How much less steady an ability may be than its best parent.
        consistency: Least share of samples that all parents answer alike on which the merge
            answers so too; None reports it only.
        blind_by: How much the score may fall less than the parents' without the image.
        min_clusters: With fewer clusters a test cannot say.
        seed: Of resampling.
    """

    margin: float = Field(default=0.02, gt=0, le=0.5)
    level: float = Field(default=0.05, gt=0, le=0.25)
    composite_by: float = Field(default=0.0, ge=-0.5, le=0.5)
    refused_by: float = Field(default=0.01, ge=0, le=1)
    unparsed_by: float = Field(default=0.01, ge=0, le=1)
    stability_by: float = Field(default=0.02, gt=0)
    consistency: float | None = Field(default=None, ge=0, le=1)
    blind_by: float = Field(default=0.1, gt=0, le=2)
    min_clusters: int = Field(default=20, ge=2)
    seed: int = Field(default=0, ge=0)


class CriticalSamples(ClosedModel):
    """Samples on which no new failure is tolerated.

    Attributes:
        samples: Ids, or globs over ids (``valves/*``).
        max_new_failures: Failures where no parent (of ``against``) fails; 0 is zero tolerance.
        against: Whom a failure is new against: every parent that is right, or the final checkpoint.
        bound: Largest upper 95 % bound (Clopper and Pearson) of the rate of new failures; None
            reports the bound only.
    """

    samples: tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...] = ()
    max_new_failures: int = Field(default=0, ge=0)
    against: Literal["any_parent", "final"] = "any_parent"
    bound: float | None = Field(default=None, gt=0, lt=1)


class CheckRule(ClosedModel):
    """What some checks decide.

    Attributes:
        checks: Glob over ``TIER.name`` and ``TIER.name[subject]``: ``V4.*``, ``V4.held[ocr]``.
        fail: What it decides if it fails.
        cannot_say: What it decides if the data do not decide.
        skipped: What it decides if it was not looked at.
    """

    checks: str = Field(min_length=2, max_length=256)
    fail: Decision = "no_go"
    cannot_say: Decision = "cannot_say"
    skipped: Decision = "cannot_say"


class Policy(ClosedModel):
    """When a merge may be shipped.

    Attributes:
        version: Of the form.
        name: Of the policy.
        tiers: That must be there.
        algebra: Limits of V1.
        function: Limits of V2.
        engines: Limits of V3.
        behaviour: Limits of V4.
        critical: Samples on which no new failure is tolerated.
        rules: What checks decide; the first that matches.
    """

    version: Literal[1] = 1
    name: str = Field(default="built-in", pattern=NAME_PATTERN)
    tiers: tuple[Tier, ...] = ("V0", "V1", "V2", "V4", "V5")
    algebra: AlgebraLimits = Field(default_factory=AlgebraLimits)
    function: FunctionLimits = Field(default_factory=FunctionLimits)
    engines: EngineLimits = Field(default_factory=EngineLimits)
    behaviour: BehaviourLimits = Field(default_factory=BehaviourLimits)
    critical: CriticalSamples = Field(default_factory=CriticalSamples)
    rules: tuple[CheckRule, ...] = ()
