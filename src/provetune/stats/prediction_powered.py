"""A mean from few labels of people and many of a judge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from provetune.stats.estimate import Estimate

FEWEST = 200
"""Labels of people from which on the interval covers what it promises (0.85 instead of 0.95 was measured at 50)."""
CORRELATION = 0.3
"""A judge that agrees less with people than this adds more noise than it takes away."""


def prediction_powered_mean(
    labels: Sequence[float], judged: Sequence[float], others: Sequence[float], confidence: float = 0.95
) -> Estimate:
    """The mean of the people's labels over all rows, helped by a judge (PPI++).

    `labels` and `judged` are people's and judge's values of the same rows, `others` the judge's of rows without a label. The weight
    of the judge is w = cov(labels, judged) / (var(judged) (1 + n / N)), and the mean w mean(others) + mean(labels - w judged).
    The judge is used only from `FEWEST` labels and a correlation of `CORRELATION` on; else the mean of the labels stands alone.
    Source: Angelopoulos, Duchi and Zrnic, "PPI++", 2023.

    >>> str(prediction_powered_mean([1, 0, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1]))
    '0.750 [0.260, 1.000], n=4'
    """
    if len(labels) != len(judged):
        raise ValueError(f"found {len(labels)} labels and {len(judged)} judgements of the same rows, wanted as many")
    truth, proxy, rest = (np.asarray(values, dtype=np.float64) for values in (labels, judged, others))
    n = len(truth)
    if n < 2:
        return Estimate(None, None, None, n, confidence, "mean of the labels")
    z = float(ndtri((1 + confidence) / 2))
    weight = _weight(truth, proxy, len(rest))
    if weight is None:
        method, value, error = "mean of the labels", float(truth.mean()), math.sqrt(float(truth.var(ddof=1)) / n)
    else:
        method = "prediction-powered mean"
        value = float(weight * rest.mean() + (truth - weight * proxy).mean())
        error = math.sqrt(weight**2 * float(rest.var(ddof=1)) / len(rest) + float((truth - weight * proxy).var(ddof=1)) / n)
    if error == 0:  # all labels alike: at most 3 of n rows say otherwise (rule of three)
        error = 3 / n / z
    return Estimate(value, max(0.0, value - z * error), min(1.0, value + z * error), n, confidence, method)


def _weight(truth: np.ndarray, proxy: np.ndarray, others: int) -> float | None:
    """The judge's weight; None where it is not to be used."""
    n = len(truth)
    if n < FEWEST or others < 2 or truth.std() == 0 or proxy.std() == 0:
        return None
    if float(np.corrcoef(truth, proxy)[0, 1]) < CORRELATION:
        return None
    return float(np.cov(truth, proxy)[0, 1] / (proxy.var(ddof=1) * (1 + n / others)))
