"""What a test would find: `power_of` an effect, and the smallest `detectable` one.

The test is the two-sided t test of an estimate with a standard error. Its power is a tail of the
noncentral t distribution with noncentrality effect / standard error; the wrong side counts too,
as in statsmodels. Infinite degrees of freedom make it the normal test.
"""

from __future__ import annotations

import math

#: Power at which a difference counts as detectable.
POWER = 0.8


def power_of(effect: float, se: float, df: float, level: float = 0.05) -> float:
    """The probability that the test rejects "no difference".

    Args:
        effect: True difference.
        se: Standard error that its estimate will have.
        df: Degrees of freedom of the standard error; ``math.inf`` for the normal test.
        level: Two-sided level of the test.

    Returns:
        The power; ``level`` where there is no effect.

    Raises:
        ValueError: A standard error that is not positive, fewer than one degree of freedom, or a
            level outside (0, 1).
    """
    _check(se, df, level)
    return _power(abs(effect) / se, _quantile(df, 1 - level / 2), df)


def detectable(se: float, df: float, level: float = 0.05, power: float = POWER) -> float:
    """The smallest true difference that the test finds with some power.

    Args:
        se: Standard error of the estimate.
        df: Its degrees of freedom; ``math.inf`` for the normal test.
        level: Two-sided level of the test.
        power: Wanted probability; above ``level``.

    Returns:
        The effect at which `power_of` is ``power``.

    Raises:
        ValueError: As `power_of`, or a power that is not between the level and 1.
    """
    from scipy.optimize import brentq

    _check(se, df, level)
    if not level < power < 1:
        raise ValueError(f"a power of {power:g} at level {level:g}")
    critical = _quantile(df, 1 - level / 2)
    top = critical + 1.0
    while _power(top, critical, df) < power:
        top *= 2
    found: float = brentq(lambda shift: _power(shift, critical, df) - power, 0.0, top, xtol=1e-13)
    return found * se


def _power(shift: float, critical: float, df: float) -> float:
    from scipy.special import nctdtr, ndtr

    if math.isinf(df):
        return float(ndtr(shift - critical) + ndtr(-shift - critical))
    # Far from 0 the small tail comes out as NaN: it is below 1e-140 there.
    below, above = (float(nctdtr(df, shift, bound)) for bound in (-critical, critical))
    return (0.0 if math.isnan(below) else below) + 1.0 - (0.0 if math.isnan(above) else above)


def _quantile(df: float, share: float) -> float:
    from scipy.special import ndtri, stdtrit

    return float(ndtri(share) if math.isinf(df) else stdtrit(df, share))


def _check(se: float, df: float, level: float) -> None:
    if not se > 0 or math.isinf(se):
        raise ValueError(f"a standard error of {se:g}")
    if not df >= 1:
        raise ValueError(f"{df:g} degrees of freedom")
    if not 0 < level < 1:
        raise ValueError(f"a level of {level:g}")
