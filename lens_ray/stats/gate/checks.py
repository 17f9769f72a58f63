"""From the rules of a policy to its checks: `checks_of`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import pyarrow.compute as pc

from lens_ray.errors import UserError
from lens_ray.stats.figures import Figures, ability_figures
from lens_ray.stats.gate.bounds import Bounded, measured, share_bounds
from lens_ray.stats.gate.composites import figures_of, label_of
from lens_ray.stats.gate.evidence import Bounds, Check, Decision, any_of, counted, held_against
from lens_ray.stats.gate.ground import Ground
from lens_ray.stats.gate.policy import (
    ALL,
    OVERALL,
    Counted,
    MaxShare,
    MinScore,
    NonInferior,
    Policy,
    Rule,
    Scored,
    Stability,
    Superior,
)
from lens_ray.stats.gate.steady import steadier
from lens_ray.stats.joint import REPLICATES, JointDraws, draw_jointly
from lens_ray.yaml_problems import nearest


def checks_of(policy: Policy, ground: Ground, replicates: int = REPLICATES) -> list[Check]:
    """Every requirement of a policy, held against the data but not yet decided.

    Args:
        policy: The policy.
        ground: The data.
        replicates: Of each bootstrap.

    Raises:
        UserError: The policy names an ability that the suite does not have.
    """
    judge = _Judge(policy, ground, replicates)
    return [check for rule in policy.rules for check in judge.rule(rule)]


class _Judge:
    """The rules of one policy on one ground."""

    def __init__(self, policy: Policy, ground: Ground, replicates: int) -> None:
        self._policy = policy
        self._ground = ground
        self._replicates = replicates

    def rule(self, rule: Rule) -> list[Check]:
        """The checks of one rule."""
        value, kind = rule.value, rule.kind
        if isinstance(value, Scored):
            limit = _limit(value)
            checks = [self._scored(kind, name, limit) for name in self._about(value)]
            several = isinstance(value, Superior) and value.any and len(checks) > 1
            return [any_of(checks)] if several else checks
        if isinstance(value, Stability):
            return [self._steady(kind, name, value) for name in self._names(value.abilities)]
        if isinstance(value, MaxShare):
            return [self._share(kind, name, value) for name in self._names(value.abilities)]
        if isinstance(value, Counted):
            return [self._covered(kind, name, value.share) for name in self._names(value.abilities)]
        assert isinstance(value, float)
        return [self._priced(kind, value)]

    # Which figures.

    def _about(self, rule: Scored) -> list[str]:
        if rule.weights is None:
            return self._names(rule.abilities)
        self._names(tuple(rule.weights))
        return [label_of(rule.weights)]

    def _names(self, abilities: Sequence[str]) -> list[str]:
        """Names of abilities, ``all`` written out."""
        known = self._ground.abilities
        for name in abilities:
            if name not in (*known, ALL, OVERALL):
                raise UserError(
                    f"policy {self._policy.name}: the suite asks nothing of the ability {name!r}; "
                    f"{nearest(name, (*known, OVERALL))}"
                )
        named = [each for name in abilities for each in (known if name == ALL else (name,))]
        return list(dict.fromkeys(named))

    @cached_property
    def _figures(self) -> Figures:
        assert self._ground.marks is not None
        return figures_of(self._policy, self._ground.marks)

    def _unmarked(self, name: str) -> str | None:
        """Why there is no such figure, or None."""
        if self._ground.marks is None:
            return self._ground.reason
        return None if name in self._figures.names else "none of its samples was answered"

    # Scores.

    @cached_property
    def _compared(self) -> dict[str, Bounded]:
        """The figures' differences."""
        ground = self._ground
        assert ground.marks is not None
        assert ground.baseline is not None
        return measured(ground.marks.only([ground.candidate, ground.baseline]), self._figures)

    @cached_property
    def _alone(self) -> dict[str, Bounded]:
        """The candidate's figures."""
        assert self._ground.marks is not None
        return measured(self._ground.marks.only([self._ground.candidate]), self._figures)

    def _scored(self, kind: str, name: str, limit: float) -> Check:
        """One figure of the candidate, or its difference to the baseline's, above a limit."""
        alone = kind == "min_score"
        words = f"{'score' if alone else 'difference'} > {limit:g}"
        check = _open(kind, name, words, limit)
        if (reason := self._unmarked(name)) is not None:
            return replace(check, reason=reason)
        return self._filled(check, (self._alone if alone else self._compared)[name])

    def _steady(self, kind: str, name: str, rule: Stability) -> Check:
        """How much less steady the candidate is, below a limit."""
        if rule.kind == "consistency":
            return self._consistent(kind, name, rule)
        limit = rule.no_worse_by
        check = _open(kind, name, f"{rule.kind} difference < {limit:g}", limit, above=False)
        if (reason := self._unmarked(name)) is not None:
            return replace(check, reason=reason)
        ground = self._ground
        assert ground.marks is not None
        assert ground.baseline is not None
        marks = ground.marks.only([ground.candidate, ground.baseline])
        compared = self._compared.get(name)
        found, bounds = steadier(
            marks, ground.pool, rule.kind, name, self._policy.level, self._draws
        )
        check = replace(
            check, candidate=found.value_a, baseline=found.value_b, estimate=found.difference,
            n=compared.n if compared else None, clusters=compared.clusters if compared else None,
            reason=found.reason,
        )  # fmt: skip
        return self._tested(check, bounds) if bounds else check

    def _consistent(self, kind: str, name: str, rule: Stability) -> Check:
        """How much seldomer the candidate keeps its answers, below a limit."""
        limit = -rule.no_worse_by
        check = _open(kind, name, f"consistency difference > {limit:g}", limit)
        kept = self._ground.kept.get(rule.variants, "no variant was read")
        if isinstance(kept, str):
            return replace(check, reason=kept)
        figures = ability_figures(kept)
        if name not in figures.names:
            return replace(check, reason="no variant of its samples was answered")
        return self._filled(check, measured(kept, figures)[name])

    @cached_property
    def _draws(self) -> JointDraws:
        """The joint bootstrap of candidate and baseline."""
        ground = self._ground
        assert ground.marks is not None
        assert ground.baseline is not None
        marks = ground.marks.only([ground.candidate, ground.baseline])
        return draw_jointly(marks, ground.key, self._replicates)

    # Counts.

    def _share(self, kind: str, name: str, rule: MaxShare) -> Check:
        """The share of the candidate's answers with a status."""
        status = kind.removeprefix("max_")
        check = _open(kind, name, f"share {status} <= {rule.share:g}", rule.share, above=False)
        rows = self._ground.rows
        if rows is not None and name != OVERALL:
            rows = rows.filter(pc.equal(rows["ability"], name))
        if self._ground.unfinished or rows is None or not rows.num_rows:
            return replace(check, reason=self._ground.unfinished or "no sample was answered")
        share = pc.sum(pc.equal(rows["status"], status)).as_py() / rows.num_rows
        check = replace(check, candidate=share, estimate=share, n=rows.num_rows)
        if not rule.tested:
            return counted(check)
        check = replace(check, clusters=len(pc.unique(rows["cluster_id"])))
        bounds = share_bounds(rows["status"].to_pylist(), rows["cluster_id"].to_pylist(), status)
        return self._tested(check, bounds)

    def _covered(self, kind: str, name: str, limit: float) -> Check:
        check = _open(kind, name, f"coverage >= {limit:g}", limit)
        found = (self._ground.coverage or {}).get(name)
        if found is None:
            lacking = self._ground.unfinished or "none of its samples was expected"
            return replace(check, reason=lacking)
        return counted(replace(check, candidate=found, estimate=found))

    def _priced(self, kind: str, limit: float) -> Check:
        """What an answer costs, in dollars or seconds."""
        dollars = kind == "max_usd_per_1000"
        words = f"$ per 1,000 answers <= {limit:g}" if dollars else f"median seconds <= {limit:g}"
        check = _open(kind, OVERALL, words, limit, above=False)
        cost = self._ground.cost
        if self._ground.unfinished or cost is None:
            lacking = self._ground.unfinished or "what its answers cost was not read"
            return replace(check, reason=lacking)
        found = cost.usd_per_1000 if dollars else cost.latency_s
        check = replace(check, candidate=found, estimate=found, n=cost.answers)
        if found is None:
            return replace(check, reason=cost.reason if dollars else cost.latency_reason)
        return counted(check)

    def _filled(self, check: Check, found: Bounded) -> Check:
        check = replace(
            check, candidate=found.candidate, baseline=found.baseline, estimate=found.estimate,
            n=found.n, clusters=found.clusters, reason=found.reason,
        )  # fmt: skip
        return self._tested(check, found.bounds) if found.bounds else check

    def _tested(self, check: Check, bounds: Bounds) -> Check:
        least = self._policy.min_clusters
        found = held_against(check, bounds, self._policy.level)
        if check.clusters is not None and check.clusters < least:
            few = f"{check.clusters} clusters are too few to say; {least} are needed"
            return replace(found, p=None, p_against=None, times=None, reason=few)
        return found


def _limit(rule: Scored) -> float:
    """What the figure or the difference must be above."""
    if isinstance(rule, NonInferior):
        return -rule.margin
    if isinstance(rule, Superior):
        return rule.by
    assert isinstance(rule, MinScore)
    return rule.score


def _open(kind: str, name: str, requirement: str, limit: float, *, above: bool = True) -> Check:
    return Check(kind, name, requirement, Decision.CANNOT_SAY, limit=limit, above=above)
