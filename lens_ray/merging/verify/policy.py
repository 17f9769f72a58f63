"""The policy file of a verification: `Policy`, `load_policy`, and `decide`.

::

    name: release
    tiers: [V0, V1, V2, V4, V5]
    behaviour: {margin: 0.02}
    critical: {samples: ["valves/*"]}
    rules:
      - {checks: V4.stability, cannot_say: go}

A check decides by the first rule that matches it. Without one a failure is a NO-GO, what the data
do not decide is "cannot say", and so is what was skipped of a tier that ``tiers`` demands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from lens_ray.job_yaml import Path as KeyPath
from lens_ray.merging.checks import Check, Tier
from lens_ray.models.spec import NAME_PATTERN, ClosedModel
from lens_ray.yaml_file import FileKind, load_file

#: What a verification, or one check of it, comes to.
Decision = Literal["go", "no_go", "cannot_say"]
TIERS: tuple[Tier, ...] = ("V0", "V1", "V2", "V3", "V4", "V5")
#: Kinds of tests in V4 that may fail by chance: abilities, composite, stability, churn, refused,
#: unparsed, blind.
FAULT_KINDS = 7


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
        divergence: Most that a block's output may be apart from the nearest parent's, in units of
            how far the other parents are; of methods whose merges lie between their parents (task
            vectors, TIES and DARE may go beyond: there it is told only). Halves have 0.50 to 0.51,
            swapped layers 6 and more; the limit was chosen on faults and merges of one model,
            ``minivlm-a``. None tells it only, of all methods.
        seed: Of the probes drawn.
    """

    probes: int = Field(default=48, ge=4, le=4096)
    nll_tolerance: float = Field(default=0.05, ge=0, le=10)
    variance_low: float = Field(default=0.8, gt=0, lt=1)
    variance_high: float = Field(default=1.25, gt=1)
    divergence: float | None = Field(default=1.5, gt=0)
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
        margin: Of the corrected score: how much of an ability may be lost, against the final
            checkpoint and against the ability's best parent.
        level: Error of a claim that something is held: of one-sided tests, over the abilities by
            Holm. A GO takes all of them, so the whole errs no more often than one.
        fault_level: Error of calling a sound merge faulty. One failure is enough for that, so the
            `FAULT_KINDS` kinds of tests share it equally, each by Holm over what it looks at.
        composite_by: How far the composite must be above the final checkpoint's.
        refused_by: How far the share of refused answers may be above the highest parent's.
        unparsed_by: The same of answers that could not be read.
        stability_by: How much less steady an ability may be than that of the final checkpoint;
            where it is not known, of the ability's best parent.
        consistency: Least share of samples that all parents answer alike on which the merge
            answers so too; None reports it only.
        blind_by: How much the score may fall less than the parents' without the image.
        min_clusters: With fewer clusters a test cannot say.
        seed: Of resampling.
    """

    margin: float = Field(default=0.02, gt=0, le=0.5)
    level: float = Field(default=0.05, gt=0, le=0.25)
    fault_level: float = Field(default=0.05, gt=0, le=0.25)
    composite_by: float = Field(default=0.0, ge=-0.5, le=0.5)
    refused_by: float = Field(default=0.01, ge=0, le=1)
    unparsed_by: float = Field(default=0.01, ge=0, le=1)
    stability_by: float = Field(default=0.02, gt=0)
    consistency: float | None = Field(default=None, ge=0, le=1)
    blind_by: float = Field(default=0.1, gt=0, le=2)
    min_clusters: int = Field(default=20, ge=2)
    seed: int = Field(default=0, ge=0)

    @property
    def fault_share(self) -> float:
        """The part of ``fault_level`` that one kind of test may spend."""
        return self.fault_level / FAULT_KINDS


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
        checks: Glob over ``TIER.name`` and ``TIER.name:subject``: ``V4.*``, ``V4.ability:ocr``.
        beside: Glob of the same kind: the rule counts only where such a check was made too.
        fail: What it decides if it fails.
        cannot_say: What it decides if the data do not decide.
        skipped: What it decides if it was not looked at; None is ``cannot_say`` in a tier that is
            demanded, ``go`` in another.
    """

    checks: str = Field(min_length=2, max_length=256)
    beside: str | None = Field(default=None, min_length=2, max_length=256)
    fail: Decision = "no_go"
    cannot_say: Decision = "cannot_say"
    skipped: Decision | None = None

    @model_validator(mode="after")
    def _names_a_tier(self) -> CheckRule:
        for glob in (self.checks, self.beside or self.checks):
            if not any(fnmatchcase(tier, glob.partition(".")[0]) for tier in TIERS):
                raise PydanticCustomError(
                    "no_tier",
                    "{checks} is of no tier; write TIER.name, such as V4.stability or V3.*",
                    {"checks": repr(glob)},
                )
        return self

    def matches(self, check: Check, there: Iterable[Check]) -> bool:
        """Whether it is about a check, among those that were made.

        Args:
            check: The check.
            there: All checks. One that was skipped was not made.
        """
        if not _is(check, self.checks):
            return False
        return self.beside is None or any(
            other.verdict != "skipped" and _is(other, self.beside) for other in there
        )


def _is(check: Check, glob: str) -> bool:
    name = f"{check.tier}.{check.name}"
    named = name if check.subject is None else f"{name}:{check.subject}"
    return fnmatchcase(name, glob) or fnmatchcase(named, glob)


#: What the built-in policy says of single checks, the first that matches:
#:
#: * Where a final checkpoint is known, abilities are decided by it. What an ability lost against
#:   the parent that was best at it is told and stops nobody.
#: * Churn is tested without a margin: something is lost, and nothing says that it matters. Somebody
#:   must look; limits with a margin say NO-GO.
#: * The spread over the few subtasks of an ability is known roughly, so it stops nobody unless it
#:   is shown to be worse.
#: * Weights that were trained after the merge are no longer the recipe's. That they are those of
#:   ``repair.json`` is a check of V5; that the recipe made what it started from is ``--rerun``.
BUILT_IN = (
    CheckRule(checks="V4.ability", beside="V4.ability_of_final", fail="go", cannot_say="go"),
    CheckRule(checks="V4.churn", fail="cannot_say"),
    CheckRule(checks="V4.stability", cannot_say="go"),
    CheckRule(checks="V1.repaired", beside="V5.repair", skipped="go"),
)


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
        rules: What checks decide; the first that matches. Left out, `BUILT_IN`.
    """

    version: Literal[1] = 1
    name: str = Field(default="built-in", pattern=NAME_PATTERN)
    tiers: tuple[Tier, ...] = ("V0", "V1", "V2", "V4", "V5")
    algebra: AlgebraLimits = Field(default_factory=AlgebraLimits)
    function: FunctionLimits = Field(default_factory=FunctionLimits)
    engines: EngineLimits = Field(default_factory=EngineLimits)
    behaviour: BehaviourLimits = Field(default_factory=BehaviourLimits)
    critical: CriticalSamples = Field(default_factory=CriticalSamples)
    rules: tuple[CheckRule, ...] = BUILT_IN

    @model_validator(mode="after")
    def _some_tiers(self) -> Policy:
        if not self.tiers:
            raise PydanticCustomError("empty", "tiers is empty; write at least [V0]")
        twice = [tier for tier in TIERS if self.tiers.count(tier) > 1]
        if twice:
            raise PydanticCustomError(
                "twice", "{tier} stands twice in tiers; keep one", {"tier": twice[0]}
            )
        return self


@dataclass(frozen=True, slots=True)
class Decided:
    """What a policy makes of some checks.

    Attributes:
        decision: Of the whole.
        each: Of each check, in their order.
        reasons: One line for each that stands against a GO, the gravest first.
    """

    decision: Decision
    each: tuple[Decision, ...]
    reasons: tuple[str, ...]


def decide(policy: Policy, checks: Sequence[Check]) -> Decided:
    """GO where nothing stands against it; a tier that is demanded and not there does.

    Args:
        policy: The policy.
        checks: All that was looked at.
    """
    each = tuple(_of(policy, check, checks) for check in checks)
    lines: list[tuple[Decision, str]] = [
        (decision, _told(check))
        for check, decision in zip(checks, each, strict=True)
        if decision != "go"
    ]
    there = {check.tier for check in checks}
    lines += [
        ("cannot_say", f"{tier} is demanded by policy {policy.name} and was not looked at")
        for tier in policy.tiers
        if tier not in there
    ]
    lines.sort(key=lambda line: line[0] != "no_go")
    whole: Decision = lines[0][0] if lines else "go"
    return Decided(whole, each, tuple(line for _, line in lines))


def _of(policy: Policy, check: Check, there: Sequence[Check]) -> Decision:
    rule = next(
        (rule for rule in policy.rules if rule.matches(check, there)), CheckRule(checks="V*")
    )
    if check.verdict == "pass":
        return "go"
    if check.verdict == "fail":
        return rule.fail
    if check.verdict == "cannot_say":
        return rule.cannot_say
    if rule.skipped is not None:
        return rule.skipped
    return "cannot_say" if check.tier in policy.tiers else "go"


_WORDS = {"fail": "", "cannot_say": "cannot say: ", "skipped": "not looked at: ", "pass": ""}


def _told(check: Check) -> str:
    subject = f" ({check.subject})" if check.subject is not None else ""
    return f"{check.tier} {check.name}{subject}: {_WORDS[check.verdict]}{check.what}"


def load_policy(path: str | Path) -> Policy:
    """Read and check a policy file.

    Raises:
        JobError: ``path:line:column: key: what was found; what to type``. Where there are several
            mistakes, the first one, and how many more there are.
    """
    return load_file(path, Policy, _KIND)


_PARTS: Mapping[tuple[str, ...], type[BaseModel]] = {
    (): Policy,
    ("algebra",): AlgebraLimits,
    ("function",): FunctionLimits,
    ("engines",): EngineLimits,
    ("behaviour",): BehaviourLimits,
    ("critical",): CriticalSamples,
    ("rules",): CheckRule,
}


def _known_keys(path: KeyPath, values: Mapping[str, object]) -> Iterable[str]:
    """The keys that the mapping at a path may have."""
    return list(_PARTS[tuple(part for part in path if isinstance(part, str))].model_fields)


_KIND = FileKind(
    name="policy file",
    start="start with name:, tiers: and rules:",
    expanded=frozenset(),
    where="no key",
    known_keys=_known_keys,
)
