"""What a scripted provider has seen: `Counts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace


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
        counters = {
            name: Counter(value)
            for name, value in self._values().items()
            if isinstance(value, Counter)
        }
        return replace(self, **counters)  # type: ignore[arg-type]

    def facts(self) -> Mapping[str, object]:
        """For JSON; without the single questions."""
        facts = {
            name: {str(key): times for key, times in value.items()}
            if isinstance(value, Counter)
            else value
            for name, value in self._values().items()
            if name != "arrived"
        }
        return {**facts, "prompts": self.prompts, "paid_again": self.paid_again}

    def _values(self) -> dict[str, object]:
        return {one.name: getattr(self, one.name) for one in fields(self)}
