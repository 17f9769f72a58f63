"""What a choice of samples leads one to expect: counts and group sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lens_ray.suites.sample import Sample


def expected_counts(samples: Iterable[Sample]) -> dict[str, int]:
    """Samples by ability, as `lens_ray.stats.scores.ability_scores` expects them."""
    return dict(Counter(sample.ability for sample in samples))


def group_sizes(samples: Iterable[Sample]) -> dict[str, int]:
    """Members of each group."""
    return dict(Counter(sample.group_id for sample in samples if sample.group_id is not None))
