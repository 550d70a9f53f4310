"""Means of per-example scores: bootstrap intervals and the sign-flip test, by rows or by groups."""

from __future__ import annotations

import numpy as np

from provetune.stats.estimate import Estimate
from provetune.stats.limits import bootstrap_limits
from provetune.stats.units import (
    FLAT,
    FloatArray,
    IntArray,
    Resampling,
    check_measured,
    chunks,
    clipped,
    flat_interval,
    not_measured,
    numbered_groups,
)

DRAWS = 10_000
"""Bootstrap draws and sign patterns where `Resampling.resamples` is None."""

MIN_VARIED = 6
"""Units that must differ from the others before the bootstrap alone is believed; fewer cannot reach p = .05 in an exact test."""


def mean_interval(values: FloatArray, groups: IntArray | None, resampling: Resampling, *, bounds: tuple[float, float]) -> Estimate:
    """Mean of `values` [n] with the interval of `bootstrap_limits`.

    With `groups` [n] whole groups are drawn and `n` of the estimate counts groups. `bounds` are what one value can be at
    least and at most. The interval never has zero width: without any variation it is `flat_interval`, and where fewer than
    `MIN_VARIED` units differ from the most frequent one it reaches at least as far. No values give an estimate of None.
    Raises ValueError on values that are not finite or lie outside the bounds.

    >>> str(mean_interval(np.linspace(0.2, 0.9, 12), None, Resampling(seed=0), bounds=(0, 1)))
    '0.550 [0.390, 0.710], n=12'
    >>> str(mean_interval(np.ones(100), None, Resampling(seed=0), bounds=(0, 1)))
    '1.000 [0.970, 1.000], n=100'
    """
    check_measured(values, bounds)
    confidence = resampling.confidence
    numbers = numbered_groups(groups, len(values))
    prefix = "" if numbers is None else "cluster "
    if len(values) == 0:
        return not_measured(confidence, "bootstrap")
    if values.min() < bounds[0] - FLAT or values.max() > bounds[1] + FLAT:
        raise ValueError(f"values reach from {values.min()} to {values.max()}, wanted all within {bounds}")
    sums, counts = _unit_totals(values, numbers)
    mean = min(max(float(sums.sum() / counts.sum()), bounds[0]), bounds[1])
    draws, method = _drawn_means(sums, counts, resampling), "no-variation bound"
    low, high = mean, mean
    if np.ptp(draws) > FLAT:
        (low, high), method = bootstrap_limits(draws, mean, _left_out_means(sums, counts), confidence)
    if high - low <= FLAT or _varied_units(sums / counts) < MIN_VARIED:
        unseen = flat_interval(mean, len(sums), bounds, confidence)
        low, high = min(low, unseen[0]), max(high, unseen[1])
    low, high = clipped(low, high, bounds)
    return Estimate(mean, low, high, len(sums), confidence, prefix + method)


def paired_mean_difference(
    differences: FloatArray, groups: IntArray | None, resampling: Resampling, *, bounds: tuple[float, float]
) -> Estimate:
    """Mean of paired `differences` [n], candidate minus baseline; as `mean_interval`, with the bounds of a difference.

    Swapping candidate and baseline mirrors the interval.

    >>> str(paired_mean_difference(np.array([0.1, 0.3, -0.1, 0.2]), None, Resampling(seed=0), bounds=(-1, 1)))
    '0.125 [-0.468, 0.586], n=4'
    """
    return mean_interval(differences, groups, resampling, bounds=bounds)


def sign_flip_p(differences: FloatArray, groups: IntArray | None, resampling: Resampling) -> float:
    """Two-sided p of "candidate and baseline are exchangeable", by flipping signs of `differences` [n] (Fisher 1935).

    p = (1 + #{|flipped mean| >= |mean|}) / (resamples + 1); all sign patterns are taken instead where that is no more work
    than `resamples`. With `groups` [n] the signs of whole groups flip. p is 1 where nothing differs, or nothing was measured.

    >>> sign_flip_p(np.array([0.1, 0.2, 0.3, 0.1, 0.2]), None, Resampling(seed=0))
    0.0625
    >>> sign_flip_p(np.zeros(50), None, Resampling(seed=0))
    1.0
    """
    check_measured(differences, (-1.0, 1.0))
    resamples = resampling.resamples or DRAWS
    sums, _ = _unit_totals(differences, numbered_groups(groups, len(differences)))
    # A unit that sums to zero stays what it is under either sign.
    sums = sums[np.abs(sums) > FLAT]
    units = len(sums)
    threshold = abs(float(sums.sum())) - FLAT * max(1.0, float(np.abs(sums).sum()))
    if 2**units <= resamples:
        patterns = np.arange(2**units)[:, None] >> np.arange(units)
        signs = 1.0 - 2.0 * (patterns & 1)
        return float(np.mean(np.abs(signs @ sums) >= threshold))
    generator = np.random.default_rng(resampling.seed)
    extreme = 0
    for size in chunks(resamples, units):
        signs = 1.0 - 2.0 * generator.integers(0, 2, size=(size, units))
        extreme += int(np.count_nonzero(np.abs(signs @ sums) >= threshold))
    return (1 + extreme) / (resamples + 1)


def _unit_totals(values: FloatArray, numbers: IntArray | None) -> tuple[FloatArray, FloatArray]:
    """Sum of the values and number of rows of each unit."""
    if numbers is None:
        return values.astype(np.float64), np.ones(len(values))
    return np.bincount(numbers, weights=values).astype(np.float64), np.bincount(numbers).astype(np.float64)


def _varied_units(means: FloatArray) -> int:
    """How many units are not what most units are."""
    return len(means) - int(np.unique(np.round(means, 9), return_counts=True)[1].max())


def _drawn_means(sums: FloatArray, counts: FloatArray, resampling: Resampling) -> FloatArray:
    generator = np.random.default_rng(resampling.seed)
    units, draws = len(sums), []
    for size in chunks(resampling.resamples or DRAWS, units):
        drawn = generator.integers(0, units, size=(size, units))
        draws.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(draws)


def _left_out_means(sums: FloatArray, counts: FloatArray) -> FloatArray:
    """The mean without each unit in turn (jackknife); there are at least two units where draws vary."""
    without: FloatArray = (sums.sum() - sums) / (counts.sum() - counts)
    return without
