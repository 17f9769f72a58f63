"""What further evaluation would decide a choice, and what it is worth: `plan_for`, `worth`.

Preposterior analysis with normal errors (Raiffa and Schlaifer 1961): what is known now has a
covariance; so many more samples of an ability shrink that ability's part by n / (n + more). Before
they are asked, the means that will be known then vary around today's by the covariance that goes
away. From that follow the probability that the choice is decided then, and the expected gain of
score from being able to choose anew (expected value of sample information).

Decided means: whichever model leads then, no other can be ahead of it by more than what does not
matter (indifference zone, Bechhofer 1954).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lens_ray.stats.detectable import POWER
from lens_ray.stats.frames import Framed
from lens_ray.stats.units import Floats

#: Samples of a model beyond which no evaluation is proposed.
MOST = 1_000_000
_DRAWS = 20_000


@dataclass(frozen=True, slots=True)
class Evaluation(Framed):
    """Samples to ask next.

    Attributes:
        question: What it decides, in words.
        models: Who answers them.
        more: Further samples by ability, for each of the models.
        answers: Answers in all.
        usd: What they cost; None with a reason.
        decides: Probability that the question is decided then.
        gain: Expected gain of score from choosing after it and not now; None where the question
            is whether a needed score is reached.
        reason: Why ``usd`` is None.
    """

    question: str
    models: tuple[str, ...]
    more: Mapping[str, int]
    answers: int
    usd: float | None
    decides: float
    gain: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Known:
    """What is known of the score of a few models, ability by ability.

    Attributes:
        value: Score by model, the leader first.
        parts: Abilities x models x models: covariance of each ability's part of the score.
        size: Samples that each model answered, by ability.
    """

    value: Floats
    parts: Floats
    size: Floats

    def after(self, more: Floats) -> Floats:
        """The covariance once so many more samples of each ability are answered."""
        found: Floats = np.einsum("a,aij->ij", self.size / (self.size + more), self.parts)
        return found

    def only(self, place: int) -> Known:
        """The leader and one other."""
        both = np.array([0, place])
        return Known(self.value[both], self.parts[:, both][:, :, both], self.size)


def plan_for(known: Known, error: float, indifference: float) -> Floats | None:
    """The fewest samples that decide between the first model and each other one.

    Args:
        known: Of them.
        error: One-sided error of each comparison.
        indifference: What does not matter.

    Returns:
        More samples by ability; zeros where all is decided, None where `MOST` do not do.
    """
    none = np.zeros(len(known.size))
    if _settled(known, none, error, indifference) >= POWER:
        return none
    own = known.parts[:, 0, 0][:, None]
    others = np.diagonal(known.parts, axis1=1, axis2=2)[:, 1:]
    apart = own + others - 2 * known.parts[:, 0, 1:]
    # Neyman's allocation: by the spread of one sample's difference.
    spread = np.sqrt(np.maximum(apart.max(axis=1), 0.0) * known.size)
    if not spread.any():
        return None

    def more(scale: float) -> Floats:
        found: Floats = np.maximum(np.ceil(scale * spread) - known.size, 0.0)
        return found

    low = high = float((known.size[spread > 0] / spread[spread > 0]).min())
    while _settled(known, more(high), error, indifference) < POWER:
        if more(high).sum() > MOST:
            return None
        low, high = high, 1.5 * high
    for _ in range(30):
        middle = (low + high) / 2
        if _settled(known, more(middle), error, indifference) < POWER:
            low = middle
        else:
            high = middle
    return more(high) if more(high).sum() <= MOST else None


def worth(known: Known, more: Floats, error: float, indifference: float) -> tuple[float, float]:
    """What an evaluation does, by 20,000 seeded draws of what it may find.

    Args:
        known: Of the models.
        more: Samples by ability.
        error: See `plan_for`.
        indifference: See `plan_for`.

    Returns:
        The probability that it decides, and the expected gain of score.
    """
    then = known.after(more)
    gone = known.parts.sum(axis=0) - then
    values, vectors = np.linalg.eigh((gone + gone.T) / 2)
    normal = np.random.default_rng(0).standard_normal((_DRAWS, len(known.value)))
    drawn = known.value + normal @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    gain = float(drawn.max(axis=1).mean() - drawn.mean(axis=0).max())
    leader = drawn.argmax(axis=1)
    variance = np.diagonal(then)
    se = np.sqrt(np.maximum(variance[leader][:, None] + variance - 2 * then[leader], 0.0))
    behind = drawn.max(axis=1)[:, None] - drawn
    done = z_of(error) * se - behind <= indifference
    return float(done.all(axis=1).mean()), max(gain, 0.0)


def settles(apart: float, now: float, then: float, error: float, indifference: float) -> float:
    """Probability that a difference will be known well enough to choose.

    Args:
        apart: The difference, as it is known now.
        now: Its variance.
        then: Its variance after the evaluation.
        error: One-sided error.
        indifference: What does not matter.
    """
    from scipy.special import ndtr

    needed = z_of(error) * max(then, 0.0) ** 0.5 - indifference
    if needed <= 0:
        return 1.0
    spread = max(now - then, 0.0) ** 0.5
    if spread == 0.0:
        return float(abs(apart) >= needed)
    return float(ndtr((apart - needed) / spread) + ndtr((-needed - apart) / spread))


def z_of(error: float) -> float:
    """The normal quantile of a one-sided error."""
    from scipy.special import ndtri

    return float(ndtri(1 - error))


def dollars(
    answers: Mapping[str, int], usd_per_1000: Mapping[str, float | None]
) -> tuple[float | None, str | None]:
    """What answers of models cost, or why that is not known."""
    total = 0.0
    for name, count in answers.items():
        price = usd_per_1000.get(name)
        if price is None:
            return None, f"what answers of {name} cost is not known"
        total += count * price / 1000
    return total, None


def _settled(known: Known, more: Floats, error: float, indifference: float) -> float:
    """The least probability, over the pairs with the leader, that they are decided."""
    now, then = known.parts.sum(axis=0), known.after(more)
    return min(
        settles(
            float(known.value[0] - known.value[place]),
            _apart(now, place),
            _apart(then, place),
            error,
            indifference,
        )
        for place in range(1, len(known.value))
    )


def _apart(covariance: Floats, place: int) -> float:
    return float(covariance[0, 0] + covariance[place, place] - 2 * covariance[0, place])
