"""Several claims at once: adjusted p-values, and the confidence of a claim that has one end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given: the chance of any false claim stays below the level.

    Raises ValueError on a p-value outside [0, 1].

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p, order = _sorted(p_values)
    adjusted = np.maximum.accumulate(p * np.arange(len(p), 0, -1))
    return _as_given(adjusted, order)


def noninferiority_confidence(confidence: float) -> float:
    """Two-sided confidence of the interval for "not worse": one end alone decides, so each keeps the whole alpha.

    >>> round(noninferiority_confidence(0.95), 4)
    0.9
    """
    return 1 - 2 * (1 - confidence)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values (1995), in the order given: for exploring, as it bounds the share of false finds.

    Raises ValueError on a p-value outside [0, 1].

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    p, order = _sorted(p_values)
    scaled = p * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.minimum.accumulate(scaled[::-1])[::-1]
    return _as_given(adjusted, order)


def _sorted(p_values: Sequence[float]) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], list[int]]:
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"found the p-value {wrong[0]}, wanted numbers from 0 to 1")
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    return np.array([p_values[index] for index in order], dtype=np.float64), order


def _as_given(adjusted: np.ndarray[tuple[int], np.dtype[np.float64]], order: list[int]) -> list[float]:
    given = [0.0] * len(order)
    for index, p in zip(order, adjusted, strict=True):
        given[index] = min(1.0, float(p))
    return given
