"""The ends of a bootstrap interval that keeps its promise from 30 rows or 20 groups on, skewed or full of ties."""

from __future__ import annotations

import math

import numpy as np

from provetune.stats.units import FLAT, FloatArray


def bootstrap_limits(draws: FloatArray, value: float, left_out: FloatArray | None, confidence: float) -> tuple[tuple[float, float], str]:
    """(low, high) around `value` and the name of the method, from bootstrap `draws` [B] and the values without each unit in turn.

    The hull of three intervals that miss in different places: BCa (Efron 1987, where it is defined) and percentiles, both with
    tails moved out by Student's t (Hesterberg 2015), and a jackknife t interval with one more unit as far out as the farthest
    one seen. BCa alone covers 77 % of the time where 9 of 10 differences of 30 are zero and is too high where a rare label is
    missing; t alone is short on the long side of skewed scores. `left_out` None (too many units) gives the percentiles alone.

    >>> values = np.linspace(0, 1, 11)
    >>> draws = np.random.default_rng(0).choice(values, (2000, 11)).mean(axis=1)
    >>> (low, high), method = bootstrap_limits(draws, 0.5, (5.5 - values) / 10, 0.95)
    >>> round(low, 1), round(high, 1), method
    (0.3, 0.7, 'BCa bootstrap and jackknife t')
    """
    from scipy.special import ndtr, stdtrit  # loading it takes longer than a whole plan

    units = len(left_out) if left_out is not None else len(draws)
    t = float(stdtrit(units - 1, (1 + confidence) / 2))
    z = t * math.sqrt(units / (units - 1))
    ends = [*np.quantile(draws, ndtr([-z, z])), value]
    if left_out is None:
        return (float(min(ends)), float(max(ends))), "percentile bootstrap"
    shift = left_out.mean() - left_out
    tails = _bca_tails(draws, value, shift, np.array([-z, z]))
    squares = shift**2
    half = t * math.sqrt((units - 1) / units * float(squares.sum() + squares.max()))
    ends += [value - half, value + half, *(() if tails is None else np.quantile(draws, tails))]
    method = "percentile bootstrap" if tails is None else "BCa bootstrap"
    return (float(min(ends)), float(max(ends))), f"{method} and jackknife t"


def _bca_tails(draws: FloatArray, value: float, shift: FloatArray, z: FloatArray) -> FloatArray | None:
    """Tail probabilities for the normal quantiles `z`, corrected for bias and acceleration; None where undefined."""
    from scipy.special import ndtr, ndtri

    below = (np.count_nonzero(draws < value) + np.count_nonzero(draws <= value)) / (2 * len(draws))
    spread = float((shift**2).sum())
    if not 0 < below < 1 or spread <= FLAT**2:
        return None
    bias = float(ndtri(below))
    acceleration = float((shift**3).sum()) / (6 * spread**1.5)
    moved = bias + z
    room = 1 - acceleration * moved
    if room.min() <= 0:
        return None
    corrected: FloatArray = ndtr(bias + moved / room)
    return corrected
