"""McNemar's test of paired rights and wrongs: `mcnemar_exact`."""

from __future__ import annotations


def mcnemar_exact(better: int, worse: int) -> float:
    """Two-sided p-value of "one is ahead as often as the other", by the binomial distribution.

    Args:
        better: Independent units that only the first model has right.
        worse: Independent units that only the second has right.

    Returns:
        Twice the smaller tail, at most 1; 1 where no unit differs.
    """
    from scipy.special import bdtr

    units = better + worse
    return min(1.0, 2 * float(bdtr(min(better, worse), units, 0.5))) if units else 1.0
