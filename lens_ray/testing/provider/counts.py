"""What a scripted provider has seen: `Counts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class Counts:
    """Totals since the start.

    Attributes:
        calls: Questions that came, refused ones included; those of batches are not among them.
        answers: Answers that were made, in batches too; each is billed.
        spoilt: Of them, those that a fault kept from arriving whole.
        rejected: Calls that a limit stopped, or a scripted storm.
        waiting: Calls that the server holds now.
        most_waiting: The most that it held at once.
        tokens_in: Of all answers.
        tokens_out: Of all answers.
        images: Of all answers.
        usd: Of all answers, by the script's prices.
        batches: Batches that were handed in.
        statuses: HTTP statuses of answers to questions.
        faults: Scripted faults that struck, by kind.
        providers: Calls by protocol.
        keys: Calls by fingerprint of the key, which `lens_ray.models.api.keys.Key` has too.
        arrived: Answers that were made and not spoilt, by the digest of model, text and images.
        parameters: Names of further parameters that were sent.
    """

    calls: int = 0
    answers: int = 0
    spoilt: int = 0
    rejected: int = 0
    waiting: int = 0
    most_waiting: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    images: int = 0
    usd: float = 0.0
    batches: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    providers: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)
    parameters: Counter[str] = field(default_factory=Counter)

    @property
    def prompts(self) -> int:
        """Different questions that were answered."""
        return len(self.arrived)

    @property
    def paid_again(self) -> int:
        """Answers to a question whose answer had arrived before."""
        return sum(self.arrived.values()) - len(self.arrived)

    def copy(self) -> Counts:
        """As they are now."""
        return deepcopy(self)

    def facts(self) -> Mapping[str, object]:
        """For JSON; without the single questions."""
        facts: dict[str, object] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != "arrived":
                counted = isinstance(value, Counter)
                facts[one.name] = {str(k): n for k, n in value.items()} if counted else value
        return {**facts, "prompts": self.prompts, "paid_again": self.paid_again}
