"""What verification says: `Check`, in tiers V0 to V5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

#: V0 structure, V1 algebra, V2 function, V3 engine parity, V4 behaviour, V5 provenance.
Tier = Literal["V0", "V1", "V2", "V3", "V4", "V5"]
#: ``cannot_say`` is no ``pass``: the data do not decide. ``skipped`` was not asked for, or cannot
#: be done here, and `Check.what` says why.
Verdict = Literal["pass", "fail", "cannot_say", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        tier: Of the reference's protocol.
        name: Stable, snake_case: a policy names it.
        verdict: How it came out.
        what: What was found, in one line for a safety reviewer; of a fault, where.
        figures: The numbers behind it, as JSON.
        subject: The ability, block or tensor that it is about; None is the whole model.
    """

    tier: Tier
    name: str
    verdict: Verdict
    what: str
    figures: Mapping[str, float | int | str | None] = field(default_factory=dict)
    subject: str | None = None


def failed(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Those that failed."""
    return tuple(check for check in checks if check.verdict == "fail")
