"""What a choice of samples leads one to expect: counts, weights, group sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lens_ray.suites.sample import Sample


def expected_counts(samples: Iterable[Sample]) -> dict[str, int]:
    """Samples by ability, as `lens_ray.stats.scores.ability_scores` expects them."""
    return dict(Counter(sample.ability for sample in samples))


def sample_weights(samples: Iterable[Sample]) -> dict[str, dict[str, float]]:
    """Weight of each subtask within its ability: its share of the ability's samples."""
    counts = Counter((sample.ability, sample.subtask) for sample in samples)
    totals: Counter[str] = Counter()
    for (ability, _), number in counts.items():
        totals[ability] += number
    weights: dict[str, dict[str, float]] = {}
    for (ability, subtask), number in sorted(counts.items()):
        weights.setdefault(ability, {})[subtask] = number / totals[ability]
    return weights


def group_sizes(samples: Iterable[Sample]) -> dict[str, int]:
    """Members of each group."""
    return dict(Counter(sample.group_id for sample in samples if sample.group_id is not None))
