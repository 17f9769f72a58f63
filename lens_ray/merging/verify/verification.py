"""What a verification found, whole: `Verification`, and the file ``verification.json``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lens_ray.merging.checks import Check, Tier
from lens_ray.merging.record import MergeRecord
from lens_ray.merging.verify.policy import TIERS, Decision, Policy
from lens_ray.merging.verify.provenance import VERIFIED

#: What each tier asks, for people.
ASKS: Mapping[Tier, str] = {
    "V0": "Structure: is it a checkpoint like its parents?",
    "V1": "Algebra: are the numbers what the recipe says?",
    "V2": "Function: does it still compute, block by block?",
    "V3": "Engine parity: does the serving engine answer alike?",
    "V4": "Behaviour: which abilities were won, held or lost?",
    "V5": "Provenance: is it what its record tells of?",
}
WORDS: Mapping[Decision, str] = {"go": "GO", "no_go": "NO-GO", "cannot_say": "cannot say"}


@dataclass(frozen=True, slots=True)
class Verification:
    """All that was found of one merge.

    Attributes:
        folder: Of the merge.
        record: Of it.
        policy: That decided.
        checks: All that was looked at, by tier.
        decisions: Of each check, in their order.
        decision: Of the whole.
        reasons: What stands against a GO, the gravest first.
        made_at: ISO 8601 in UTC.
        tools: Versions.
        ground: What V4 was asked on: suite, store, models; empty where it was not asked.
        seconds: That each tier took.
    """

    folder: str
    record: MergeRecord
    policy: Policy
    checks: tuple[Check, ...]
    decisions: tuple[Decision, ...]
    decision: Decision
    reasons: tuple[str, ...]
    made_at: str
    tools: Mapping[str, str]
    ground: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def of(self, tier: Tier) -> tuple[tuple[Check, Decision], ...]:
        """The checks of one tier with what they decide."""
        pairs = zip(self.checks, self.decisions, strict=True)
        return tuple((check, decision) for check, decision in pairs if check.tier == tier)

    def counts(self) -> dict[Tier, dict[str, int]]:
        """How many checks of each tier came out how."""
        found: dict[Tier, dict[str, int]] = {}
        for tier in TIERS:
            for check, _ in self.of(tier):
                held = found.setdefault(tier, {})
                held[check.verdict] = held.get(check.verdict, 0) + 1
        return found

    def left_behind(self) -> tuple[str, ...]:
        """What abilities lost against the parents that were best at them, where that stops nobody.

        One line for each that is not shown to be held.
        """
        return tuple(
            f"{check.subject}: {check.what}"
            for check, decision in self.of("V4")
            if check.name == "ability" and check.verdict != "pass" and decision == "go"
        )

    def to_json(self) -> dict[str, Any]:
        """As ``verification.json`` and ``--json`` have it."""
        return {
            "version": 1,
            "folder": self.folder,
            "decision": WORDS[self.decision],
            "reasons": list(self.reasons),
            "left_behind": list(self.left_behind()),
            "policy": self.policy.model_dump(mode="json"),
            "weights_digest": self.record.weights_digest,
            "made_at": self.made_at,
            "tools": dict(self.tools),
            "ground": dict(self.ground),
            "seconds": {tier: round(spent, 3) for tier, spent in self.seconds.items()},
            "checks": [
                {**asdict(check), "figures": dict(check.figures), "decides": WORDS[decision]}
                for check, decision in zip(self.checks, self.decisions, strict=True)
            ],
            "record": self.record.model_dump(mode="json"),
        }


def in_order(checks: Sequence[Check]) -> tuple[Check, ...]:
    """By tier; within one as they came."""
    return tuple(sorted(checks, key=lambda check: TIERS.index(check.tier)))


def keep(verification: Verification) -> Path:
    """Write ``verification.json`` beside the merge's record, at once and whole.

    Raises:
        OSError: The folder cannot be written.
    """
    told = json.dumps(_finite(verification.to_json()), indent=1, allow_nan=False)
    return written(Path(verification.folder) / VERIFIED, f"{told}\n")


def written(path: Path, text: str) -> Path:
    """A small text file, there whole or not at all, that others can read.

    Raises:
        OSError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity; they become null."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    return value
