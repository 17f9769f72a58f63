"""Many tests at once: `holm`."""

from __future__ import annotations

from collections.abc import Sequence


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    Args:
        pvalues: The p-values of one declared family.

    Returns:
        For each the smallest family-wise level at which it is rejected.
    """
    order = sorted(range(len(pvalues)), key=pvalues.__getitem__)
    adjusted = [0.0] * len(pvalues)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(pvalues) - rank) * pvalues[place]))
        adjusted[place] = highest
    return adjusted
