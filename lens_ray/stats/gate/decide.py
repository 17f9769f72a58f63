"""The gate, top-down: `gate` reads a store, `judge` decides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens_ray.stats.gate.checks import checks_of
from lens_ray.stats.gate.evidence import Verdict, decided, overall
from lens_ray.stats.gate.ground import Ground, load_ground
from lens_ray.stats.gate.policy import Policy, as_policy
from lens_ray.stats.joint import REPLICATES

if TYPE_CHECKING:
    from lens_ray.store import Store


def gate(
    policy: Policy | Mapping[str, Any] | str | Path,
    store: Store | str,
    *,
    candidate: str | None = None,
    baseline: str | None = None,
    suite: str | None = None,
) -> Verdict:
    """Hold a candidate against a policy.

    Args:
        policy: The policy, its content, or its file.
        store: Where the runs are, or its URL.
        candidate: In the place of the policy's.
        baseline: Likewise.
        suite: Likewise.

    Returns:
        GO where every requirement is shown to hold, NO-GO where one is shown not to (or a count
        breaks a bound), else cannot say; each with its evidence. See
        `lens_ray.stats.gate.evidence` for the two errors that are held down.

    Raises:
        UserError: The policy is not valid, or names what is not there.
        StoreUnavailable: The store is out of reach or damaged.
    """
    chosen = with_names(as_policy(policy), candidate, baseline, suite)
    return judge(chosen, load_ground(opened(store), chosen))


def judge(policy: Policy, ground: Ground, replicates: int = REPLICATES) -> Verdict:
    """Decide on what was read.

    Args:
        policy: The policy.
        ground: What was read.
        replicates: Of each bootstrap.

    Raises:
        UserError: The policy names an ability that the suite does not have.
    """
    checks = tuple(decided(checks_of(policy, ground, replicates), policy.level))
    runs = ground.runs
    return Verdict(
        policy=policy.name,
        decision=overall(checks),
        candidate=ground.candidate,
        baseline=ground.baseline,
        candidate_run=runs[0].run_id if runs else "",
        baseline_run=runs[1].run_id if len(runs) > 1 else None,
        suite=ground.marks.suite if ground.marks else runs[0].suite,
        suite_digest=ground.marks.suite_digest if ground.marks else runs[0].suite_digest,
        level=policy.level,
        checks=checks,
        notes=ground.marks.notes if ground.marks else (),
    )


def with_names(
    policy: Policy, candidate: str | None, baseline: str | None, suite: str | None
) -> Policy:
    """A policy with what was named at the call."""
    named = {"candidate": candidate, "baseline": baseline, "suite": suite}
    return policy.model_copy(update={key: name for key, name in named.items() if name is not None})


def opened(store: Store | str) -> Store:
    """A store, where its URL may be given.

    Raises:
        StoreError: There is none.
    """
    from lens_ray.store import open_store

    return open_store(store)
