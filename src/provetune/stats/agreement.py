"""Inter-annotator agreement beyond chance, with intervals over items.

All intervals are Bayesian bootstraps over items (Rubin 1981): each draw weighs the items by Exp(1). Where annotators agree on nearly
everything there is hardly a disagreement to draw, and the interval would be far too narrow. So the lower end is taken with one more item,
never seen, on which two annotators disagree: with k disagreements seen their weight is then Gamma(k + 1), as at the upper end of Clopper
and Pearson's interval for rare events. `n` counts the items that at least two annotators rated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from provetune.stats.estimate import Estimate
from provetune.stats.units import FLAT, FloatArray, IntArray, Resampling, clipped

Scale = Literal["nominal", "ordinal", "interval", "ratio"]

METHOD = "Bayesian bootstrap over items"
DRAWS = 2_000
"""Draws where `Resampling.resamples` is None."""
_BATCH = 50
"""Draws that share one unseen item."""

Statistic = Callable[[FloatArray, FloatArray], FloatArray]
"""`statistic(items [U, k], weights [B, U])` gives [B] values, NaN where it is undefined; each row of weights has mean 1."""


@dataclass(frozen=True)
class _Coefficient:
    """What is computed of which items; the item, never seen, that is added for the lower end of the interval, and for the upper one."""

    statistic: Statistic
    items: FloatArray
    low_item: Callable[[np.random.Generator], FloatArray]
    high_item: FloatArray | None = None
    bounds: tuple[float, float] = (-1.0, 1.0)


@dataclass(frozen=True)
class ClassAgreement:
    """One class: its share of all ratings, and how often a second annotator chose it where a first one did."""

    prevalence: Estimate
    agreement: Estimate


def tabulate(ratings: FloatArray) -> tuple[IntArray, FloatArray]:
    """Ratings [items, annotators], NaN where missing, as counts [items, values] and the sorted values [values].

    >>> counts, values = tabulate(np.array([[1.0, 3.0, np.nan], [3.0, 3.0, 3.0]]))
    >>> counts.tolist(), values.tolist()
    ([[1, 1], [0, 3]], [1.0, 3.0])
    """
    values = np.unique(ratings[~np.isnan(ratings)])
    counts = np.stack([(ratings == value).sum(axis=1) for value in values], axis=1) if len(values) else np.zeros((len(ratings), 0))
    return counts.astype(np.int64), values


def krippendorff_alpha(counts: IntArray, scale: Scale, resampling: Resampling, values: FloatArray | None = None) -> Estimate:
    """Krippendorff's alpha (2011) of counts [items, values]: 1 - observed / expected disagreement; ratings may be missing.

    Ordinal takes the columns in their order; interval and ratio take the number of each column from `values` [values]. An item with fewer
    than two ratings does not count. None where nobody rated an item twice, or where all chose the same (chance then explains everything).
    Raises ValueError on counts below 0, on missing or infinite values, and on negative ones for ratio.

    >>> counts, _ = tabulate(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    >>> str(krippendorff_alpha(counts, "nominal", Resampling(seed=0)))
    '0.533 [-0.501, 0.978], n=4'
    """
    _check_counts(counts)
    distances = None if scale in ("nominal", "ordinal") else _distances(scale, values, counts.shape[1])
    items = counts[counts.sum(axis=1) >= 2].astype(np.float64)

    def statistic(rows: FloatArray, weights: FloatArray) -> FloatArray:
        totals = weights @ rows
        observed, expected = _disagreements(rows, weights, totals, distances) if scale != "ordinal" else _ordinal(rows, weights, totals)
        with np.errstate(divide="ignore", invalid="ignore"):
            alpha: FloatArray = np.where(expected > FLAT, 1 - observed * (totals.sum(axis=1) - 1) / expected, np.nan)
        return alpha

    apart = partial(_two_chosen, items.sum(axis=0), (1, 1))
    return _estimate(_Coefficient(statistic, items, apart), resampling)


def fleiss_kappa(counts: IntArray, resampling: Resampling) -> Estimate:
    """Fleiss' kappa (1971) of counts [items, classes], each item rated equally often, at least twice.

    Raises ValueError where items were rated unequally often: alpha is for those. None without items, or where all chose the same.

    >>> fleiss_kappa(np.array([[2, 0], [1, 1], [0, 2], [0, 2]]), Resampling(seed=0)).value
    0.4666666666666667
    """
    _check_counts(counts)
    raters = counts.sum(axis=1)
    if len(raters) and (raters.min() < 2 or raters.min() != raters.max()):
        raise ValueError(f"items have between {raters.min()} and {raters.max()} ratings, wanted the same number, 2 or more; use alpha")
    items = counts.astype(np.float64)
    each = int(raters[0]) if len(raters) else 2

    def statistic(rows: FloatArray, weights: FloatArray) -> FloatArray:
        agreed = weights @ (((rows**2).sum(axis=1) - each) / (each * (each - 1))) / weights.sum(axis=1)
        shares = weights @ rows / (weights.sum(axis=1) * each)[:, None]
        return _beyond_chance(agreed, (shares**2).sum(axis=1))

    apart = partial(_two_chosen, items.sum(axis=0), (each - each // 2, each // 2))
    return _estimate(_Coefficient(statistic, items, apart), resampling)


def cohen_kappa(first: IntArray, second: IntArray, resampling: Resampling) -> Estimate:
    """Cohen's kappa (1960) of two annotators: their class numbers [items] for the same items.

    Raises ValueError unless both rated every item. None without items, or where both chose one class only.

    >>> str(cohen_kappa(np.array([0, 0, 1, 1] * 10), np.array([0, 1, 1, 1] * 10), Resampling(seed=0)))
    '0.500 [0.227, 0.709], n=40'
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"ratings have shapes {first.shape} and {second.shape}, wanted one class number of each annotator per item")
    names, numbers = np.unique(np.stack([first, second]), return_inverse=True)
    items = numbers.reshape(2, -1).T.astype(np.float64)
    classes = np.arange(len(names))

    def statistic(rows: FloatArray, weights: FloatArray) -> FloatArray:
        total = weights.sum(axis=1)
        ours, theirs = (weights @ (rows[:, [k]] == classes) / total[:, None] for k in (0, 1))
        return _beyond_chance(weights @ (rows[:, 0] == rows[:, 1]) / total, (ours * theirs).sum(axis=1))

    def unseen(generator: np.random.Generator) -> FloatArray:
        row = _two_chosen(np.bincount(numbers.ravel(), minlength=len(names)).astype(np.float64), (1, 2), generator)
        return np.array([row.tolist().index(1), row.tolist().index(2)], dtype=np.float64)

    return _estimate(_Coefficient(statistic, items, unseen), resampling)


def class_agreement(counts: IntArray, resampling: Resampling) -> list[ClassAgreement]:
    """Prevalence and specific agreement (Cicchetti & Feinstein 1990) of each class of counts [items, classes].

    Agreement is sum n_ic (n_ic - 1) / sum n_ic (m_i - 1), over items with m_i >= 2 ratings: high for a class that nearly everything belongs
    to, whatever kappa says, and low for the one that annotators confuse. Its `n` counts the items where somebody chose the class; None
    where nobody did.

    >>> [str(found.agreement) for found in class_agreement(np.array([[2, 0], [1, 1], [0, 2]] * 10), Resampling(seed=0))]
    ['0.667 [0.415, 0.835], n=20', '0.667 [0.429, 0.842], n=20']
    """
    _check_counts(counts)
    raters = counts.sum(axis=1)
    twice = raters >= 2
    found = []
    for column in counts.T:
        chosen = twice & (column > 0)
        pairs = np.stack([column * (column - 1), column * (raters - 1)], axis=1)[chosen].astype(np.float64)
        ratings = np.stack([column, raters], axis=1)[raters > 0].astype(np.float64)
        found.append(ClassAgreement(_share(ratings, resampling), _share(pairs, resampling)))
    return found


def _share(items: FloatArray, resampling: Resampling) -> Estimate:
    """Sum of column 0 over sum of column 1, with an unseen item of 0 or 1 at either end."""

    def statistic(rows: FloatArray, weights: FloatArray) -> FloatArray:
        share: FloatArray = (weights @ rows[:, 0]) / (weights @ rows[:, 1])
        return share

    size = float(items[:, 1].mean()) if len(items) else 1.0
    ends = np.array([[0.0, size], [size, size]])
    return _estimate(_Coefficient(statistic, items, lambda _: ends[0], ends[1], (0.0, 1.0)), resampling)


def _estimate(coefficient: _Coefficient, resampling: Resampling) -> Estimate:
    items, units = coefficient.items, len(coefficient.items)
    value = float(coefficient.statistic(items, np.ones((1, units)))[0]) if units else np.nan
    if np.isnan(value):
        return Estimate(None, None, None, units, resampling.confidence, METHOD)
    generator = np.random.default_rng(resampling.seed)
    lows, highs = [], []
    for start in range(0, draws := resampling.resamples or DRAWS, _BATCH):
        weights = generator.exponential(size=(min(_BATCH, draws - start), units + 1))
        lows.append(coefficient.statistic(np.vstack([items, coefficient.low_item(generator)]), _mean_one(weights)))
        if coefficient.high_item is None:
            highs.append(coefficient.statistic(items, _mean_one(weights[:, :-1])))
        else:
            highs.append(coefficient.statistic(np.vstack([items, coefficient.high_item]), _mean_one(weights)))
    tail = (1 - resampling.confidence) / 2
    low, high = float(np.quantile(np.concatenate(lows), tail)), float(np.quantile(np.concatenate(highs), 1 - tail))
    low, high = clipped(min(low, value), max(high, value), coefficient.bounds)
    return Estimate(min(max(value, low), high), low, high, units, resampling.confidence, METHOD)


def _mean_one(weights: FloatArray) -> FloatArray:
    scaled: FloatArray = weights / weights.mean(axis=1, keepdims=True)
    return scaled


def _beyond_chance(agreed: FloatArray, by_chance: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa: FloatArray = np.where(by_chance < 1 - FLAT, (agreed - by_chance) / (1 - by_chance), np.nan)
    return kappa


def _two_chosen(totals: FloatArray, parts: tuple[int, int], generator: np.random.Generator) -> FloatArray:
    """An item [classes] on which two different classes, drawn by their frequency, have `parts` ratings."""
    row = np.zeros(len(totals))
    row[generator.choice(len(totals), size=2, replace=False, p=totals / totals.sum())] = parts
    return row


def _disagreements(
    rows: FloatArray, weights: FloatArray, totals: FloatArray, distances: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Observed and expected disagreement [B], both as sums over ordered pairs of ratings; without `distances`, 1 for every difference."""
    if distances is None:
        between = rows.sum(axis=1) ** 2 - (rows**2).sum(axis=1)
        expected = totals.sum(axis=1) ** 2 - (totals**2).sum(axis=1)
    else:
        between = ((rows @ distances) * rows).sum(axis=1)
        expected = ((totals @ distances) * totals).sum(axis=1)
    return weights @ (between / (rows.sum(axis=1) - 1)), expected


def _ordinal(rows: FloatArray, weights: FloatArray, totals: FloatArray) -> tuple[FloatArray, FloatArray]:
    """As `_disagreements` for the squared distance of mid-ranks, which depend on the totals of each draw."""
    ranks = np.cumsum(totals, axis=1) - totals / 2
    raters = rows.sum(axis=1)
    shares = weights / (raters - 1)
    observed = 2 * (((shares * raters) @ rows) * ranks**2).sum(axis=1) - 2 * (shares * (ranks @ rows.T) ** 2).sum(axis=1)
    expected = 2 * totals.sum(axis=1) * (totals * ranks**2).sum(axis=1) - 2 * (totals * ranks).sum(axis=1) ** 2
    return observed, expected


def _distances(scale: Scale, values: FloatArray | None, columns: int) -> FloatArray:
    if values is None or values.shape != (columns,) or not np.isfinite(values).all():
        raise ValueError(f"found values {values}, wanted one finite number for each of the {columns} columns on scale {scale!r}")
    apart = values[:, None] - values
    if scale == "interval":
        return apart**2
    if values.min(initial=0.0) < 0:
        raise ValueError(f"found the value {values.min():g}, wanted numbers of 0 or more on scale 'ratio'")
    sums = values[:, None] + values
    return np.where(sums > 0, apart / np.where(sums > 0, sums, 1.0), 0.0) ** 2


def _check_counts(counts: IntArray) -> None:
    if counts.ndim != 2 or (counts.size and counts.min() < 0):
        raise ValueError(f"counts have shape {counts.shape}, wanted [items, classes] with numbers of 0 or more")
