"""Intervals for one proportion: the share of examples that are right."""

from __future__ import annotations

import math

from scipy.special import betaincinv, ndtri

from provetune.stats.estimate import Estimate
from provetune.stats.units import check_confidence, not_measured


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Wilson's score interval (1927) for `successes` of `n`: the one to show.

    Nothing measured (n = 0) gives an estimate of None. Raises ValueError unless 0 <= successes <= n.

    >>> str(wilson(48, 50))
    '0.960 [0.865, 0.989], n=50'
    """
    _check(successes, n, confidence)
    if n == 0:
        return not_measured(confidence, "Wilson")
    z = float(ndtri((1 + confidence) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends the formula gives 0 and 1 exactly; rounding would miss them.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(share, low, high, n, confidence, "Wilson")


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Clopper and Pearson's exact interval (1934) for `successes` of `n`: never covers less than it says.

    Nothing measured (n = 0) gives an estimate of None. Raises ValueError unless 0 <= successes <= n.

    >>> str(clopper_pearson(48, 50))
    '0.960 [0.863, 0.995], n=50'
    """
    _check(successes, n, confidence)
    if n == 0:
        return not_measured(confidence, "Clopper-Pearson")
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Estimate(successes / n, low, high, n, confidence, "Clopper-Pearson")


def _check(successes: int, n: int, confidence: float) -> None:
    if not 0 <= successes <= n:
        raise ValueError(f"found {successes} successes of {n}, wanted 0 <= successes <= n")
    check_confidence(confidence)
