"""What the vectors of a data set tell: how varied it is, and how near each row is to others.

All products of vectors of length 1 are cosines. Sets above 20,000 rows are compared with an even draw of 20,000, so that time
grows with the number of rows and not with its square.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from provetune.stats.estimate import Estimate

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]
Places = NDArray[np.int64]

MOST_REFERENCES = 20_000
MOST_SCORED = 100_000
_BLOCK = 256


def drawn(count: int, most: int = MOST_REFERENCES) -> Places:
    """All places below `count`, or an even draw of `most` of them, in order; the same on every machine.

    >>> drawn(5).tolist(), len(drawn(100, 7))
    ([0, 1, 2, 3, 4], 7)
    """
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def nearest(rows: Vectors, references: Vectors, k: int, own: Places | None = None) -> Values:
    """Cosines of each row to its k nearest references, nearest first, shape (rows, k).

    `own` [rows] is the place of each row among the references, which is left out (-1: it is not among them). Where fewer than k
    are left the shape is narrower.
    """
    k = min(k, len(references) - (own is not None))
    if k < 1 or not len(rows):
        return np.zeros((len(rows), max(k, 0)))
    found = np.empty((len(rows), k))
    for low in range(0, len(rows), _BLOCK):
        cosines = rows[low : low + _BLOCK] @ references.T
        if own is not None:
            mine = own[low : low + _BLOCK]
            cosines[np.flatnonzero(mine >= 0), mine[mine >= 0]] = -np.inf
        top = np.partition(cosines, -k, axis=1)[:, -k:]
        found[low : low + len(top)] = -np.sort(-top, axis=1)
    return found


def nearest_others(vectors: Vectors, k: int) -> Values:
    """Cosines of each row to its k nearest other rows, nearest first, shape (rows, k)."""
    chosen = drawn(len(vectors))
    own = np.full(len(vectors), -1)
    own[chosen] = np.arange(len(chosen))
    return nearest(vectors, vectors[chosen], k, own)


def vendi(vectors: Vectors, confidence: float = 0.95) -> Estimate:
    """Vendi score, the effective number of different texts: exp of the entropy of the eigenvalues of V'V / n.

    1 where all texts are the same; at most the number of texts and of dimensions. Copying every text changes nothing. Rows of
    zeros are left out; above 100,000 rows as many are drawn. Source: Friedman and Dieng, "The Vendi Score", TMLR 2023, with cosines
    as the kernel. The interval is of the delta method: a row x moves the entropy H of the matrix C by -x' log(C) x - H.

    >>> str(vendi(np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1, 2, 3]]))
    '4.000 [4.000, 4.000], n=8'
    """
    told = vectors[np.any(vectors != 0, axis=1)]
    told = told[drawn(len(told), MOST_SCORED)].astype(np.float64)
    if not len(told):
        return Estimate(None, None, None, 0, confidence, "delta")
    shares, axes = np.linalg.eigh(told.T @ told / len(told))
    there = shares > 1e-12
    logs, axes = np.log(shares[there]), axes[:, there]
    entropy = float(-(shares[there] * logs).sum())
    pulls = -((told @ axes) ** 2 @ logs) - entropy
    half = NormalDist().inv_cdf((1 + confidence) / 2) * float(pulls.std()) / math.sqrt(len(told))
    low, value, high = (math.exp(entropy + shift) for shift in (-half, 0.0, half))
    return Estimate(value, max(1.0, low), high, len(told), confidence, "delta")


def median(values: Values, confidence: float = 0.95) -> Estimate:
    """Median with the interval between the order statistics that the sign test leaves (Thompson 1936).

    >>> str(median(np.arange(1.0, 22.0)))
    '11.000 [6.000, 16.000], n=21'
    """
    from scipy.stats import binom

    if not len(values):
        return Estimate(None, None, None, 0, confidence, "order statistics")
    ordered = np.sort(values)
    below = max(0, int(binom.ppf((1 - confidence) / 2, len(values), 0.5)) - 1)
    return Estimate(
        float(np.median(ordered)), float(ordered[below]), float(ordered[-1 - below]), len(values), confidence, "order statistics"
    )
