"""The tiers that need no answers, one after the other: `Looked`, `look`. V4 is asked elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lens_ray.errors import SuiteError
from lens_ray.merging.checks import Check, Tier
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.verify.algebra import algebra
from lens_ray.merging.verify.kin import Kin
from lens_ray.merging.verify.policy import Policy
from lens_ray.merging.verify.provenance import provenance
from lens_ray.merging.verify.structure import structure
from lens_ray.merging.verify.tiers import FunctionGround
from lens_ray.merging.verify.verification import ASKS

#: What is asked of a model whose merge tells of no suite.
_MINI = "mini:quick"
#: Beside a merge that was fine-tuned afterwards: `lens_ray.merging.repair`.
REPAIR = "repair.json"


@dataclass
class Looked:
    """What was found so far.

    Attributes:
        checks: As they came.
        seconds: That each tier took.
        say: Told what is looked at now.
    """

    checks: list[Check] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    say: Callable[[str], None] | None = None

    @contextmanager
    def timed(self, tier: Tier) -> Iterator[None]:
        """Count the time of a tier."""
        if self.say is not None and tier not in self.seconds:
            self.say(f"{tier} {ASKS[tier]}")
        began = time.monotonic()
        yield
        self.seconds[tier] = self.seconds.get(tier, 0.0) + time.monotonic() - began

    def take(self, tier: Tier, look: Callable[[], Sequence[Check]], why_not: str | None) -> None:
        """Look, or say why not."""
        if why_not is not None:
            self.checks.append(Check(tier, "looked_at", "skipped", why_not))
            return
        with self.timed(tier):
            self.checks.extend(look())

    @property
    def broken(self) -> str | None:
        """Why nothing that computes with the merge can be tried: its first fault of V0."""
        for check in self.checks:
            if check.tier == "V0" and check.verdict == "fail":
                return f"V0 {check.name} failed: {check.what}"
        return None


def repaired(folder: Path) -> str | None:
    """Why the numbers of a folder are no longer those of its recipe."""
    if (folder / REPAIR).is_file():
        return (
            f"fine-tuned after the merge ({REPAIR}): its numbers are no longer the recipe's; "
            "--rerun tells whether the recipe made what was trained"
        )
    return None


def look(
    folder: Path,
    record: MergeRecord,
    kin: Kin,
    policy: Policy,
    tiers: Sequence[Tier],
    *,
    suite: str | None = None,
    template: str = "default",
    trust_remote_code: bool = False,
    copied: bool = False,
    say: Callable[[str], None] | None = None,
) -> Looked:
    """V0, V1, V2, V3 and V5, as far as they are wanted and possible.

    Args:
        folder: Of the merge.
        record: Of it.
        kin: Its parents.
        policy: The limits.
        tiers: Which.
        suite: Of the probes; None takes the record's, or the built-in one.
        template: Prompt template.
        trust_remote_code: Of checkpoints that bring their own code.
        copied: Whether the folder is a copy of one in a bucket.
        say: Told what is looked at now.
    """
    found = Looked(say=say)
    trusted = trust_remote_code

    def compare() -> Sequence[Check]:
        there = list(kin.there.values())
        return structure(folder, record.recipe, there, load=True, trust_remote_code=trusted)

    if "V0" in tiers:
        why = None if kin.there else f"nothing to compare it with: {kin.missing}"
        found.take("V0", compare, why)
    trained = repaired(folder)
    if "V1" in tiers and trained is not None:
        found.checks.append(Check("V1", "repaired", "skipped", trained))
    elif "V1" in tiers:
        found.take(
            "V1",
            lambda: algebra(
                folder, record.recipe, kin.folders, kin.base, policy.algebra, adapters=kin.adapters
            ),
            found.broken or kin.missing,
        )
    computing = [tier for tier in ("V2", "V3") if tier in tiers]
    if computing:
        _compute(found, folder, record, kin, policy, computing, suite, template)
    if "V5" in tiers:
        found.take(
            "V5",
            lambda: provenance(folder, record, kin.facts, kin.adapter_digests, copied=copied),
            None,
        )
    return found


def _compute(
    found: Looked,
    folder: Path,
    record: MergeRecord,
    kin: Kin,
    policy: Policy,
    tiers: Sequence[str],
    suite: str | None,
    template: str,
) -> None:
    """V2 and V3, on the probes of one suite."""
    why = found.broken or kin.missing
    ground: FunctionGround | None = None
    if why is None:
        try:
            ground = _ground(folder, record, kin, policy, suite or record.suite, template)
        except SuiteError as error:
            why = " ".join(str(error).split())
    if "V2" in tiers:
        found.take("V2", lambda: _function(ground, policy), why)
    if "V3" in tiers:
        found.take("V3", lambda: _engines(ground, policy), why)


def _ground(
    folder: Path,
    record: MergeRecord,
    kin: Kin,
    policy: Policy,
    suite: str | None,
    template: str,
) -> FunctionGround:
    from lens_ray.merging.verify.probes import choose_probes
    from lens_ray.suites.suite import load_suite

    asked = load_suite(suite or _MINI)
    probes = choose_probes(asked, policy.function.probes, policy.function.seed)
    return FunctionGround(folder, kin.ingredients, asked, probes, record, template)


def _function(ground: FunctionGround | None, policy: Policy) -> Sequence[Check]:
    from lens_ray.merging.verify.function import function

    assert ground is not None
    return function(ground, policy.function)


def _engines(ground: FunctionGround | None, policy: Policy) -> Sequence[Check]:
    from lens_ray.merging.verify.engines import engines

    assert ground is not None
    return engines(ground, policy.engines)
