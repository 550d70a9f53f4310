"""Metrics that are a function of all rows at once, such as macro F1: resample rows, then compute the metric again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from provetune.stats.estimate import Estimate
from provetune.stats.limits import bootstrap_limits
from provetune.stats.measure import Measure
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
    unit_count,
)

DRAWS = 2_000
"""Draws where `Resampling.resamples` is None; each computes the whole metric."""
SWAPS = 10_000
"""Random swaps where `Resampling.resamples` is None."""
LEFT_OUT_UP_TO = 1_000
"""Units up to which the metric is also computed without each of them."""

Statistic = Callable[[FloatArray], FloatArray]
"""`statistic(weights [B, n])` gives [B] values, one per weighting of the rows."""


def aggregate_interval(measure: Measure, observations: FloatArray, groups: IntArray | None, resampling: Resampling) -> Estimate:
    """The metric over `observations` [n, k] with the interval of `bootstrap_limits`.

    With `groups` [n] whole groups are drawn and `n` of the estimate counts groups. The interval is cut to the metric's
    bounds and never has zero width: without variation it is `flat_interval`. No rows give an estimate of None. Raises
    ValueError on numbers that are not finite and on a metric that leaves its bounds.

    >>> share = lambda rows, weights: weights @ rows[:, 0] / weights.sum(axis=1)
    >>> rows = np.repeat([[1.0], [0.0]], [30, 10], axis=0)
    >>> str(aggregate_interval(Measure("corpus", share), rows, None, Resampling(seed=0)))
    '0.750 [0.600, 0.895], n=40'
    """
    check_measured(observations, measure.bounds)
    rows = len(observations)
    numbers = numbered_groups(groups, rows)
    if rows == 0:
        return not_measured(resampling.confidence, "bootstrap")
    return _bootstrap_estimate(lambda weights: measure.aggregate(observations, weights), numbers, rows, measure.bounds, resampling)


def paired_aggregate_difference(
    measure: Measure, a: FloatArray, b: FloatArray, groups: IntArray | None, resampling: Resampling
) -> Estimate:
    """The metric over `a` [n, k] minus over `b` [n, k], rows in the same order, with a paired bootstrap interval.

    Both are computed from the same drawn rows (Koehn 2004); otherwise as `aggregate_interval`. Swapping a and b mirrors
    the interval.

    >>> share = lambda rows, weights: weights @ rows[:, 0] / weights.sum(axis=1)
    >>> a, b = np.ones((40, 1)), np.repeat([[1.0], [0.0]], [30, 10], axis=0)
    >>> str(paired_aggregate_difference(Measure("corpus", share), a, b, None, Resampling(seed=0)))
    '0.250 [0.105, 0.400], n=40'
    """
    _check_pair(a, b)
    check_measured(a, measure.bounds)
    check_measured(b, measure.bounds)
    rows = len(a)
    numbers = numbered_groups(groups, rows)
    if rows == 0:
        return not_measured(resampling.confidence, "paired bootstrap")

    def difference(weights: FloatArray) -> FloatArray:
        return measure.aggregate(a, weights) - measure.aggregate(b, weights)

    found = _bootstrap_estimate(difference, numbers, rows, measure.difference_bounds, resampling)
    return replace(found, method=f"paired {found.method}")


def approximate_randomization_p(measure: Measure, a: FloatArray, b: FloatArray, groups: IntArray | None, resampling: Resampling) -> float:
    """Two-sided p of "a and b are exchangeable": swap their rows with probability 1/2 (Noreen 1989; Riezler & Maxwell 2005).

    p = (1 + #{|difference after swapping| >= |difference|}) / (resamples + 1). With `groups` [n] whole groups are swapped.
    Anything against itself gives 1, and so does nothing measured.

    >>> share = lambda rows, weights: weights @ rows[:, 0] / weights.sum(axis=1)
    >>> approximate_randomization_p(Measure("corpus", share), np.eye(20), np.eye(20), None, Resampling(seed=0))
    1.0
    """
    _check_pair(a, b)
    rows, resamples = len(a), resampling.resamples or SWAPS
    numbers = numbered_groups(groups, rows)
    if rows == 0:
        return 1.0
    ones = np.ones((1, rows))
    threshold = abs(float((measure.aggregate(a, ones) - measure.aggregate(b, ones))[0])) - FLAT
    # Swapped rows are a weighting of both candidates' rows, one below the other: weight 1 on exactly one of each pair.
    both = np.concatenate([a, b])
    generator = np.random.default_rng(resampling.seed)
    extreme = 0
    for size in chunks(resamples, 2 * rows):
        kept = generator.integers(0, 2, size=(size, unit_count(numbers, rows))).astype(np.float64)
        kept = kept if numbers is None else kept[:, numbers]
        first, second = np.hstack([kept, 1 - kept]), np.hstack([1 - kept, kept])
        difference = measure.aggregate(both, first) - measure.aggregate(both, second)
        extreme += int(np.count_nonzero(np.abs(difference) >= threshold))
    return (1 + extreme) / (resamples + 1)


def _drawn_weights(numbers: IntArray | None, rows: int, resampling: Resampling) -> Iterator[FloatArray]:
    """How often each row was drawn, [B, n] at a time; rows of a group are drawn together."""
    generator = np.random.default_rng(resampling.seed)
    units = unit_count(numbers, rows)
    for size in chunks(resampling.resamples or DRAWS, rows):
        drawn = generator.integers(0, units, size=(size, units)) + units * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)
        yield weights if numbers is None else weights[:, numbers]


def _without_each(numbers: IntArray | None, rows: int, units: int) -> Iterator[FloatArray]:
    """Weights [B, n] that leave out each unit in turn."""
    place = np.arange(rows) if numbers is None else numbers
    start = 0
    for size in chunks(units, rows):
        yield (place[None, :] != np.arange(start, start + size)[:, None]).astype(np.float64)
        start += size


def _bootstrap_estimate(
    statistic: Statistic, numbers: IntArray | None, rows: int, bounds: tuple[float, float], resampling: Resampling
) -> Estimate:
    """The value where every row counts once, between limits from its values over drawn rows and without each unit."""
    value = float(statistic(np.ones((1, rows)))[0])
    if not bounds[0] - FLAT <= value <= bounds[1] + FLAT:
        raise ValueError(f"the metric gave {value}, wanted a number within {bounds}")
    value = min(max(value, bounds[0]), bounds[1])
    draws = np.concatenate([statistic(weights) for weights in _drawn_weights(numbers, rows, resampling)])
    confidence, units, prefix = resampling.confidence, unit_count(numbers, rows), "" if numbers is None else "cluster "
    low, high, method = value, value, "no-variation bound"
    if np.ptp(draws) > FLAT:
        few = 1 < units <= LEFT_OUT_UP_TO
        left_out = np.concatenate([statistic(weights) for weights in _without_each(numbers, rows, units)]) if few else None
        (low, high), method = bootstrap_limits(draws, value, left_out, confidence)
    if high - low <= FLAT:
        low, high = flat_interval(value, units, bounds, confidence)
    low, high = clipped(low, high, bounds)
    return Estimate(value, low, high, units, confidence, prefix + method)


def _check_pair(a: FloatArray, b: FloatArray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"observations have shapes {a.shape} and {b.shape}, wanted the same rows of both candidates")
