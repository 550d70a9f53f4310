"""Words of two samples in one matrix, label-blind, and how far apart the samples are in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import hypergeom, rankdata

from provetune.monitoring.sample import Sample
from provetune.monitoring.text import words_of
from provetune.stats.combine import weighted_sum
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson
from provetune.stats.two_sample import auc_interval

LARGE_AUC = 0.60
"""From this area under the curve on, window and reference are told apart well enough to act."""
LARGE_SHARE = 0.05
"""From this share of texts with new words on, there is something to act on."""
FEWEST_TEXTS = 5
"""Texts of both sides together that must hold a word before it is tested."""
_FOLDS = 5
_CHOSEN, _CHOSEN_P = 30, 0.003


@dataclass(frozen=True, eq=False)
class Pooled:
    """Words that two texts or more hold, over both samples: `counts` and TF-IDF `weights` [texts, words], reference first."""

    words: tuple[str, ...]
    counts: csr_array
    weights: csr_array
    first: int

    def held(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """In how many of these texts each word is."""
        chosen = self.counts if rows is None else self.counts[rows]
        return np.bincount(chosen.indices, minlength=len(self.words)).astype(np.int64)


@dataclass(frozen=True)
class TextEffect:
    """How far the window is from the reference: area under the curve of a domain classifier by words, and share of texts with new words.

    `farthest` are places in the window of the texts that look least like the reference.
    """

    auc: Estimate
    new_share: Estimate
    farthest: tuple[int, ...]

    @property
    def large(self) -> bool:
        """Whether one of the two is at its floor."""
        return (self.auc.value or 0.0) >= LARGE_AUC or (self.new_share.value or 0.0) >= LARGE_SHARE


@lru_cache(maxsize=8)
def pooled_terms(reference: Sample, window: Sample) -> Pooled:
    """TF-IDF of both samples together: 1 + log of counts, words in two texts or more, rows of length 1."""
    numbers: dict[str, int] = {}
    columns: list[int] = []
    values: list[int] = []
    edges = [0]
    for text in chain(reference.texts, window.texts):
        counted = Counter(words_of(text))
        columns += [numbers.setdefault(word, len(numbers)) for word in counted]
        values += counted.values()
        edges.append(len(columns))
    shape = (len(edges) - 1, len(numbers))
    counts = csr_array((np.array(values, dtype=np.float64), np.array(columns, dtype=np.int64), np.array(edges)), shape=shape)
    held = np.bincount(columns, minlength=len(numbers)) if columns else np.zeros(len(numbers))
    kept = np.flatnonzero(held >= 2)
    names = list(numbers)
    counts = counts[:, kept]
    rarity = np.log((1 + shape[0]) / (1 + held[kept])) + 1
    weights = counts.copy()
    weights.data = (1 + np.log(counts.data)) * rarity[counts.indices]
    lengths = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
    weights.data /= np.repeat(np.maximum(lengths, 1e-12), np.diff(weights.indptr))
    return Pooled(tuple(names[place] for place in kept), counts, weights, len(reference.rows))


@lru_cache(maxsize=8)
def text_effect(reference: Sample, window: Sample, seed: int = 7) -> TextEffect:
    """How far apart two samples of 10 texts or more each are; nothing is measured on rows that it was fitted to."""
    pooled = pooled_terms(reference, window)
    folds = _folds(pooled, _FOLDS, seed)
    value, scores = _domain_auc(pooled, folds)
    m = len(window.rows)
    return TextEffect(
        auc=auc_interval(value, pooled.first, m),
        new_share=_new_share(pooled, _folds(pooled, 2, seed + 1)),
        farthest=tuple(np.argsort(-scores[pooled.first :], kind="stable")[:20].tolist()),
    )


def _folds(pooled: Pooled, count: int, seed: int) -> NDArray[np.int64]:
    """Which fold each text is in, both samples spread evenly."""
    random = np.random.default_rng(seed)
    sizes = (pooled.first, pooled.counts.shape[0] - pooled.first)
    return np.concatenate([random.permutation(np.arange(size) % count) for size in sizes])


def _domain_auc(pooled: Pooled, folds: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """Mean area under the curve over folds of the difference of means, and each text's score by the fold that did not see it."""
    later = np.arange(len(folds)) >= pooled.first
    scores = np.zeros(len(folds))
    found = []
    for fold in range(_FOLDS):
        out = folds == fold
        means = [np.asarray(pooled.weights[~out & side].mean(axis=0)).ravel() for side in (later, ~later)]
        scores[out] = pooled.weights[out] @ (means[0] - means[1])
        ranks, mine = rankdata(scores[out]), later[out]
        n, m = np.count_nonzero(~mine), np.count_nonzero(mine)
        found.append((ranks[mine].sum() - m * (m + 1) / 2) / (n * m))
    return float(np.mean(found)), scores


def _new_share(pooled: Pooled, halves: NDArray[np.int64]) -> Estimate:
    """Share of window texts that hold a word chosen on the other half, less the reference's share."""
    later = np.arange(len(halves)) >= pooled.first
    hits = {False: 0, True: 0}
    for half in (0, 1):
        chosen = _over_represented(pooled, np.flatnonzero((halves == half) & ~later), np.flatnonzero((halves == half) & later))
        for side in (False, True):
            rows = pooled.counts[np.flatnonzero((halves != half) & (later == side))]
            marked = np.isin(rows.indices, chosen)
            hits[side] += int(np.count_nonzero(np.bincount(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))[marked])))
    n, m = pooled.first, len(halves) - pooled.first
    return weighted_sum([(1, wilson(hits[True], m)), (-1, wilson(hits[False], n))])


def _over_represented(pooled: Pooled, first: NDArray[np.int64], second: NDArray[np.int64]) -> Sequence[int]:
    a, b = pooled.held(first), pooled.held(second)
    p = np.asarray(hypergeom.sf(b - 1, len(first) + len(second), a + b, len(second)), dtype=np.float64)
    order = np.argsort(p, kind="stable")[:_CHOSEN]
    return [int(place) for place in order if p[place] <= _CHOSEN_P]
