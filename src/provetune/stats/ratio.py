"""Means per unit of size (nats per token, say) over rows of different size, and the difference of two such means."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from provetune.stats.estimate import Estimate
from provetune.stats.units import check_confidence, not_measured

FloatArray = NDArray[np.float64]


def ratio_difference(first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray], confidence: float = 0.95) -> Estimate:
    """Sum of totals over sum of sizes of the first rows minus that of the second; each pair is (totals `[n]`, sizes `[n]`).

    The variance of each ratio R is n / (n - 1) times the sum of (total - R size)^2 over the squared sum of sizes (Cochran 1977,
    Sampling Techniques, section 6.4); the rows of the two are independent. None is measured below two rows on either side.

    >>> ones = np.ones(4)
    >>> str(ratio_difference((np.array([1.0, 2, 3, 2]), ones), (np.array([1.0, 1, 1, 1]), ones)))
    '1.000 [0.200, 1.800], n=4'
    """
    check_confidence(confidence)
    n = min(len(first[0]), len(second[0]))
    if n < 2:
        return not_measured(confidence, "ratio of sums")
    found = [_ratio(*rows) for rows in (first, second)]
    value = found[0][0] - found[1][0]
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt(found[0][1] + found[1][1])
    return Estimate(value, value - half, value + half, n, confidence, "difference of two ratios of sums")


def _ratio(totals: FloatArray, sizes: FloatArray) -> tuple[float, float]:
    ratio, count = float(totals.sum() / sizes.sum()), len(totals)
    return ratio, float(((totals - ratio * sizes) ** 2).sum() / sizes.sum() ** 2 * count / (count - 1))
