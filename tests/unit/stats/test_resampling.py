"""Means: scipy's bootstrap and permutation tests as oracles, analytic errors, clusters, coverage, mirrors."""

# An estimate's numbers may be None; a None in a comparison below fails its test.
# mypy: disable-error-code="operator"

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test
from scipy.stats import t as student

from provetune.stats.resampling import mean_interval, paired_mean_difference, sign_flip_p

UNIT: dict[str, Any] = {"bounds": (0.0, 1.0), "confidence": 0.95, "seed": 1}
SIGNED: dict[str, Any] = {"bounds": (-1.0, 1.0), "confidence": 0.95, "seed": 1}
Z95 = 1.959963984540054


def skewed(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(0.6, 2.5, n)


@pytest.mark.parametrize("n", [12, 60])
@pytest.mark.parametrize("confidence", [0.90, 0.95])
def test_agrees_with_scipy_bca(n: Any, confidence: Any) -> None:
    values = skewed(n)
    oracle = bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=confidence, method="BCa", rng=np.random.default_rng(9)
    ).confidence_interval
    found = mean_interval(values, None, bounds=(0.0, 1.0), confidence=confidence, seed=1)
    width = oracle.high - oracle.low
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.03 * width)
    assert found.value == pytest.approx(values.mean()) and found.method == "BCa bootstrap" and found.n == n


def test_width_is_that_of_the_analytic_standard_error() -> None:
    values = np.random.default_rng(3).uniform(size=400)
    found = mean_interval(values, None, **UNIT)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert (found.high - found.low) / (2 * Z95) == pytest.approx(error, rel=0.1)
    half = student.ppf(0.975, 399) * error
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_cluster_width_is_that_of_the_analytic_cluster_error() -> None:
    generator = np.random.default_rng(4)
    groups = np.repeat(np.arange(150), generator.integers(1, 6, 150))
    values = np.clip(0.5 + 0.2 * generator.normal(size=150)[groups] + 0.05 * generator.normal(size=len(groups)), 0, 1)
    found = mean_interval(values, groups, **UNIT)
    residual = np.bincount(groups, weights=values - values.mean())
    error = np.sqrt(150 / 149 * (residual**2).sum()) / len(values)
    assert (found.high - found.low) / (2 * Z95) == pytest.approx(error, rel=0.1)
    assert found.n == 150 and found.method == "cluster BCa bootstrap"
    rows = mean_interval(values, None, **UNIT)
    assert found.high - found.low > 1.3 * (rows.high - rows.low)


def test_clusters_of_unequal_size_agree_with_scipy_bca() -> None:
    generator = np.random.default_rng(12)
    sizes = generator.geometric(0.25, 25)
    groups = np.repeat(np.arange(25), sizes)
    values = generator.beta(0.5, 2.0, 25)[groups]
    oracle = bootstrap(
        (np.bincount(groups, weights=values), sizes.astype(float)),
        lambda sums, counts, axis: sums.sum(axis=axis) / counts.sum(axis=axis),
        n_resamples=20_000,
        paired=True,
        vectorized=True,
        method="BCa",
        rng=np.random.default_rng(9),
    ).confidence_interval
    found = mean_interval(values, groups, **UNIT)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.03 * (oracle.high - oracle.low))


def test_one_row_per_group_equals_no_groups() -> None:
    values = skewed(40)
    groups = np.random.default_rng(0).permutation(40) + 100
    assert mean_interval(values, groups, **UNIT) == mean_interval(values, None, **UNIT)
    differences = values - 0.3
    assert sign_flip_p(differences, groups, seed=2) == sign_flip_p(differences, None, seed=2)


def test_copies_of_a_row_are_no_evidence() -> None:
    differences = np.array([0.2, -0.1, 0.3, 0.1, 0.2, -0.2, 0.4])
    copied, groups = np.repeat(differences, 5), np.repeat(np.arange(7), 5)
    assert sign_flip_p(copied, groups, seed=0) == sign_flip_p(differences, None, seed=0)
    once, often = mean_interval(differences, None, **SIGNED), mean_interval(copied, groups, **SIGNED)
    assert (often.value, often.low, often.high, often.n) == pytest.approx((once.value, once.low, once.high, once.n), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=15), st.booleans())
def test_never_zero_width_and_mirrored_by_swapping(differences: Any, paired_rows: Any) -> None:
    values = np.array(differences)
    groups = np.arange(len(values)) // 2 if paired_rows else None
    found, other = paired_mean_difference(values, groups, **SIGNED), paired_mean_difference(-values, groups, **SIGNED)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 1e-9
    assert (other.value, other.low, other.high) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-12)
    assert sign_flip_p(values, groups, seed=1) == sign_flip_p(-values, groups, seed=1)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_equal_values_still_leave_doubt(level: Any) -> None:
    found = mean_interval(np.full(20, level), None, **UNIT)
    half = 1 - 0.05 ** (1 / 20)
    assert (found.low, found.high) == pytest.approx((max(0.0, level - half), min(1.0, level + half)))
    assert found.method == "no-variation bound"


def test_groups_with_equal_means_still_leave_doubt() -> None:
    found = mean_interval(np.tile([0.0, 1.0], 10), np.repeat(np.arange(10), 2), **UNIT)
    assert found.high - found.low > 0.4 and found.method == "cluster no-variation bound" and found.n == 10


def test_coverage_of_a_skewed_mean() -> None:
    truth, generator, inside = 0.6 / 3.1, np.random.default_rng(5), 0
    for seed in range(300):
        found = mean_interval(generator.beta(0.6, 2.5, 40), None, bounds=(0.0, 1.0), confidence=0.95, seed=seed)
        inside += found.low <= truth <= found.high
    assert inside / 300 >= 0.91


def test_sign_flips_in_full_agree_with_brute_force() -> None:
    differences = np.array([0.3, -0.1, 0.25, 0.4, 0.05, -0.2, 0.3, 0.1])
    observed = abs(differences.sum()) - 1e-12
    patterns = list(itertools.product((-1, 1), repeat=len(differences)))
    slow = sum(abs(np.dot(signs, differences)) >= observed for signs in patterns) / len(patterns)
    assert sign_flip_p(differences, None, seed=0) == slow


def test_sampled_sign_flips_agree_with_scipy() -> None:
    differences = np.random.default_rng(6).normal(0.12, 0.4, 40).clip(-1, 1)
    oracle = permutation_test(
        (differences, np.zeros(40)),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=10_000,
        rng=np.random.default_rng(1),
    ).pvalue
    assert sign_flip_p(differences, None, seed=0) == pytest.approx(oracle, abs=0.02)


def test_sampled_and_full_enumeration_agree() -> None:
    differences = np.random.default_rng(7).normal(0.2, 0.4, 13).clip(-1, 1)
    full = sign_flip_p(differences, None, resamples=2**13, seed=0)
    sampled = sign_flip_p(differences, None, resamples=2**13 - 1, seed=0)
    assert full != sampled
    assert sampled == pytest.approx(full, abs=0.02)


def test_size_of_the_sign_flip_test() -> None:
    generator = np.random.default_rng(8)
    found = [sign_flip_p(generator.choice([-1.0, 0.0, 1.0], 30), None, resamples=500, seed=seed) for seed in range(400)]
    assert np.mean(np.array(found) <= 0.05) <= 0.075


def test_itself_is_never_different_and_nothing_is_nothing() -> None:
    assert sign_flip_p(np.zeros(100), None, seed=0) == 1.0
    assert sign_flip_p(np.array([]), None, seed=0) == 1.0
    empty = mean_interval(np.array([]), None, **UNIT)
    assert (empty.value, empty.low, empty.high, empty.n) == (None, None, None, 0)


def test_seed_decides_the_draw() -> None:
    values = skewed(30)
    assert mean_interval(values, None, **UNIT) == mean_interval(values, None, **UNIT)
    assert mean_interval(values, None, **UNIT) != mean_interval(values, None, **{**UNIT, "seed": 2})


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        mean_interval(np.array([0.5, np.nan]), None, **UNIT)
    with pytest.raises(ValueError, match="not a finite number"):
        sign_flip_p(np.array([0.5, np.inf]), None, seed=0)
    with pytest.raises(ValueError, match="wanted all within"):
        mean_interval(np.array([0.5, 1.5]), None, **UNIT)
    with pytest.raises(ValueError, match="two finite numbers"):
        mean_interval(np.array([0.5]), None, bounds=(0.0, np.inf), confidence=0.95, seed=0)
