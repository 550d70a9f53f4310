"""Are two samples drawn from the same source? Permutation tests that are exact whatever the features, and a test of single terms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.special import ndtri
from scipy.stats import hypergeom, rankdata

from provetune.stats.estimate import Estimate
from provetune.stats.multiple import holm

Floats = NDArray[np.float64]
_WAVES = 4
ENOUGH = 20
"""Permutations at or above the observed value after which no more are drawn."""
_FEW, _DRAWN = 64, 256
"""Permutations whose sums are held in memory at a time: first, then."""


def mmd(features: Any, first: int, permutations: int = 1999, seed: int = 0) -> tuple[float, float]:
    """Unbiased squared maximum mean discrepancy of two samples under a linear kernel, and its permutation p-value.

    `features` [rows, columns], dense or sparse, hold the `first` rows of the first sample, then those of the second; they must be made
    without looking at who belongs to which. Then the p-value is exact at any size: (1 + #{permuted >= observed}) / (1 + permutations),
    or, as soon as `ENOUGH` permutations reach the observed value, `ENOUGH` over the number drawn so far (Besag and Clifford 1991).
    Many permutations take one matrix product: with S the sum of the first sample's rows, T that of all, q the squared lengths,
    MMD^2 = (|S|^2 - q1) / (n (n - 1)) + (|T - S|^2 - q2) / (m (m - 1)) - 2 S (T - S) / (n m).
    Source: Gretton et al., "A kernel two-sample test", JMLR 2012. Raises ValueError unless both samples have 2 rows or more.

    >>> rows = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    >>> value, p = mmd(rows, 3)
    >>> round(value, 2), 0.05 < p < 0.15  # 2 of the 20 ways to label them are as far apart
    (24.99, True)
    """
    second = features.shape[0] - first
    if min(first, second) < 2:
        raise ValueError(f"found samples of {first} and {second} rows, wanted 2 or more each")
    sparse = issparse(features)
    squared = features.multiply(features) if sparse else features**2
    squares = np.asarray(squared.sum(axis=1), dtype=np.float64).ravel()
    total = np.asarray(features.sum(axis=0), dtype=np.float64).ravel()
    turned = features.T

    def values(labels: NDArray[np.float32]) -> Floats:
        sums = np.asarray(turned @ labels, dtype=np.float64)
        lengths, along, own = (sums**2).sum(axis=0), total @ sums, squares @ labels
        others = total @ total - 2 * along + lengths - (squares.sum() - own)
        spread = (lengths - own) / (first * (first - 1)) + others / (second * (second - 1))
        return np.asarray(spread - 2 * (along - lengths) / (first * second))

    truth = np.zeros((first + second, 1), dtype=np.float32)
    truth[:first] = 1
    observed = float(values(truth)[0])
    # the same split drawn again differs by rounding only, and counts as equal
    threshold = observed - 1e-6 * max(abs(observed), 2 * float(squares.mean()) / min(first, second))
    return observed, _besag_clifford(values, threshold, truth, permutations, seed)


def _besag_clifford(values: Any, threshold: float, truth: NDArray[np.float32], permutations: int, seed: int) -> float:
    random = np.random.default_rng(seed)
    reached, drawn = 0, 0
    while drawn < permutations:
        labels = random.permuted(np.repeat(truth, min(_FEW if drawn == 0 else _DRAWN, permutations - drawn), axis=1), axis=0)
        high = values(labels) >= threshold
        if reached + high.sum() >= ENOUGH:
            last = int(np.flatnonzero(high)[ENOUGH - reached - 1])
            return ENOUGH / (drawn + last + 1)
        reached, drawn = reached + int(high.sum()), drawn + labels.shape[1]
    return (1 + reached) / (1 + drawn)


def rank_features(values: Sequence[float]) -> Floats:
    """Columns for `mmd` that see where numbers lie and how far they spread: the first terms of Cramer and von Mises' kernel on mid-ranks.

    Source: Anderson and Darling 1952, the expansion sum of cos(k pi u) cos(k pi v) / (k pi)^2.
    """
    places = (rankdata(values) - 0.5) / max(1, len(values))
    waves = np.arange(1, _WAVES + 1)
    found: Floats = math.sqrt(2) * np.cos(np.pi * np.outer(places, waves)) / (np.pi * waves)
    return found


def category_features(values: Sequence[str]) -> Floats:
    """Columns for `mmd` that make it the chi-square test of two samples' shares: one per category, over the root of its share."""
    names, codes, counts = np.unique(np.asarray(values, dtype=object).astype(str), return_inverse=True, return_counts=True)
    found = np.zeros((len(values), len(names)))
    found[np.arange(len(values)), codes] = np.sqrt(len(values) / counts[codes])
    return found


def rbf_features(vectors: NDArray[Any], seed: int, count: int = 512) -> NDArray[np.float32]:
    """Columns for `mmd` that stand for a Gaussian kernel whose bandwidth is the median distance: random Fourier features.

    Any draw of them leaves the permutation test exact. Source: Rahimi and Recht, "Random features for large-scale kernel machines", 2007.
    """
    random = np.random.default_rng(seed)
    rows = np.asarray(vectors, dtype=np.float64)
    picked = rows[random.permutation(len(rows))[:400]]
    squares = (picked**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * picked @ picked.T
    apart = distances[np.triu_indices(len(picked), 1)]
    apart = apart[apart > 1e-12]
    width = math.sqrt(float(np.median(apart))) if len(apart) else 1.0
    waves = random.standard_normal((rows.shape[1], count // 2)) / width
    turned = rows @ waves
    found: NDArray[np.float32] = np.hstack([np.cos(turned), np.sin(turned)]).astype(np.float32) / np.float32(math.sqrt(count // 2))
    return found


def new_terms(held: tuple[NDArray[np.int64], NDArray[np.int64]], texts: tuple[int, int]) -> Floats:
    """Holm's adjusted p-value of each term: is it in more texts of the second sample than chance puts there?

    `held` are each term's document counts in the first and in the second sample, `texts` the samples' sizes. One-sided and exact
    (hypergeometric): P(X >= count in the second), as all texts that hold the term are dealt to the samples at random.

    >>> new_terms((np.array([0, 6]), np.array([9, 5])), (240, 60)).round(4).tolist()
    [0.0, 0.0471]
    """
    first, second = held
    raw = np.clip(np.asarray(hypergeom.sf(second - 1, sum(texts), first + second, texts[1]), dtype=np.float64), 0.0, 1.0)
    return np.array(holm(raw.tolist()))


def auc(first: NDArray[Any], second: NDArray[Any], confidence: float = 0.95) -> Estimate:
    """How often a row of the second sample scores above one of the first (ties half), with Hanley and McNeil's interval (1982).

    >>> str(auc(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])))
    '1.000 [0.714, 1.000], n=6'
    """
    n, m = len(first), len(second)
    if min(n, m) == 0:
        return Estimate(None, None, None, n + m, confidence, "Hanley-McNeil")
    ranks = rankdata(np.concatenate([first, second]))
    return auc_interval(float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m)), n, m, confidence)


def auc_interval(value: float, n: int, m: int, confidence: float = 0.95) -> Estimate:
    """An area under the curve of n and m rows with Hanley and McNeil's interval (1982).

    >>> str(auc_interval(0.7, 50, 50))
    '0.700 [0.598, 0.802], n=100'
    """
    # a perfect order has no variance of its own: one pair more counts as turned over
    inner = min(max(value, 1 / (n * m + 1)), 1 - 1 / (n * m + 1))
    q1, q2 = inner / (2 - inner), 2 * inner**2 / (1 + inner)
    variance = (inner * (1 - inner) + (m - 1) * (q1 - inner**2) + (n - 1) * (q2 - inner**2)) / (n * m)
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt(max(0.0, variance))
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), n + m, confidence, "Hanley-McNeil")
