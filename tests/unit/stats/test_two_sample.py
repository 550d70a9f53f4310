"""Two samples: a slow twin, scipy as the oracle, exact levels, and what must not matter."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import chi2_contingency, cramervonmises_2samp, fisher_exact, mannwhitneyu

from provetune.stats.multiple import holm
from provetune.stats.two_sample import auc, category_features, mmd, new_terms, rank_features, rbf_features


def slow_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """The definition, pair by pair."""
    inner = [float(a @ b) for a, b in itertools.permutations(first, 2)]
    outer = [float(a @ b) for a, b in itertools.permutations(second, 2)]
    across = [float(a @ b) for a in first for b in second]
    return float(np.mean(inner) + np.mean(outer) - 2 * np.mean(across))


@pytest.mark.parametrize("sparse", [False, True])
def test_the_matrix_product_agrees_with_the_definition(sparse: bool) -> None:
    random = np.random.default_rng(3)
    rows = random.random((17, 5)) * (random.random((17, 5)) < 0.5)
    for first in (2, 7, 15):
        value, _ = mmd(csr_array(rows) if sparse else rows, first, 9)
        assert value == pytest.approx(slow_mmd(rows[:first], rows[first:]), abs=1e-6)


def test_every_split_of_a_tiny_sample_is_counted_alike() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [7.0], [8.0], [9.5]])
    values = [slow_mmd(rows[list(own)], np.delete(rows, own, axis=0)) for own in itertools.combinations(range(6), 3)]
    exact = np.mean(np.array(values) >= slow_mmd(rows[:3], rows[3:]) - 1e-9)
    assert np.mean([mmd(rows, 3, 20_000, seed)[1] for seed in range(200)]) == pytest.approx(exact, rel=0.1)


def test_shares_give_the_chi_square_statistic() -> None:
    values = ["a"] * 20 + ["b"] * 10 + ["a"] * 12 + ["b"] * 22 + ["c"] * 6
    features, n, m = category_features(values), 30, 40
    gap = features[:n].mean(axis=0) - features[n:].mean(axis=0)
    table = [[values[:n].count(name), values[n:].count(name)] for name in "abc"]
    assert n * m / (n + m) * float(gap @ gap) == pytest.approx(chi2_contingency(table, correction=False).statistic)


def test_ranks_see_what_cramer_and_von_mises_see() -> None:
    random = np.random.default_rng(0)
    for shift, scale in ((0.0, 1.0), (0.4, 1.0), (0.0, 1.8)):
        first, second = random.normal(size=150), random.normal(shift, scale, size=120)
        ours = mmd(rank_features([*first, *second]), 150)[1]
        assert ours == pytest.approx(cramervonmises_2samp(first, second).pvalue, rel=0.35, abs=0.001)


@pytest.mark.parametrize("kind", ["ranks", "shares", "kernel"])
def test_the_level_is_exact_without_a_difference(kind: str) -> None:
    random = np.random.default_rng(11)
    hits = 0
    features: NDArray[Any]
    for trial in range(400):
        if kind == "shares":
            features = category_features(random.choice(["a", "b", "c"], 40, p=[0.6, 0.3, 0.1]).tolist())
        elif kind == "ranks":
            features = rank_features(random.poisson(3, 40).tolist())
        else:
            features = rbf_features(random.normal(size=(40, 3)), trial, 64)
        hits += mmd(features, 22, 199, trial)[1] <= 0.05
    assert hits <= 31  # 99 % limit of a binomial with 0.05


def test_which_rows_are_alike_is_told_at_any_scale() -> None:
    features = rbf_features(np.array([[0.0], [1.0], [2.0]]) * 1000, 0, 4096)
    kernel = features @ features.T
    assert kernel[0, 1] == pytest.approx(np.exp(-(1000**2) / (2 * 1000**2)), abs=0.05)  # the median distance is 1,000
    assert rbf_features(np.ones((4, 2)), 0).shape == (4, 512)  # all rows equal: no bandwidth, no failure


def test_terms_agree_with_fisher_and_holm() -> None:
    first, second, texts = np.array([0, 3, 10, 1]), np.array([8, 3, 5, 6]), (200, 90)
    raw = [
        fisher_exact(np.array([[b, texts[1] - b], [a, texts[0] - a]]), alternative="greater").pvalue
        for a, b in zip(first, second, strict=True)
    ]
    assert new_terms((first, second), texts) == pytest.approx(np.array(holm([float(p) for p in raw])))
    assert new_terms((np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)), texts).shape == (0,)


def test_smallest_counts_that_the_reference_page_lists() -> None:
    """Texts with an all-new term that are enough at 5 %: 240/60, 250 terms: 6; 1000/240, 800 terms: 6."""
    for texts, terms, fewest in (((240, 60), 250, 6), ((1000, 240), 800, 6), ((240, 240), 450, 13)):
        others = np.full(terms - 1, 5)
        for count, flagged in ((fewest - 1, False), (fewest, True)):
            found = new_terms((np.append(others, 0), np.append(0 * others, count)), texts)
            assert (found[-1] <= 0.05) == flagged


def test_auc_agrees_with_mann_and_whitney() -> None:
    random = np.random.default_rng(2)
    first, second = random.integers(0, 9, 60), random.integers(1, 10, 45)
    assert auc(first, second).value == pytest.approx(mannwhitneyu(second, first).statistic / (60 * 45))
    assert auc(first[:0], second).value is None


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted 2 or more each"):
        mmd(np.zeros((6, 1)), 1)
