"""Quantiles, such as the 95th percentile of latencies, with intervals that assume nothing about the distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from provetune.stats.estimate import Estimate
from provetune.stats.units import check_confidence, not_measured


def quantile(values: Sequence[float], share: float, confidence: float = 0.95) -> Estimate:
    """The value below which `share` of the values lie, with an interval between order statistics (Conover 1999, section 3.2).

    Where too few values were seen for an end at this confidence, that end is the least or largest value seen, and the method says so.

    >>> str(quantile([float(number) for number in range(1, 11)], 0.5))
    '5.500 [2.000, 9.000], n=10'
    """
    check_confidence(confidence)
    if not 0 < share < 1:
        raise ValueError(f"share is {share}, wanted a number between 0 and 1, such as 0.95")
    n, method = len(values), "order statistics"
    if n == 0:
        return not_measured(confidence, method)
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    tail = (1 - confidence) / 2
    low, high = int(binom.ppf(tail, n, share)), int(binom.ppf(1 - tail, n, share)) + 1
    if low < 1 or high > n:
        method += f", too few values for the {'lower' if low < 1 else 'upper'} end"
    ends = ordered[max(low, 1) - 1], ordered[min(high, n) - 1]
    return Estimate(float(np.quantile(ordered, share)), float(ends[0]), float(ends[1]), n, confidence, method)
