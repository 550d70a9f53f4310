"""Means: scipy's bootstrap and permutation tests as oracles, analytic errors, clusters, coverage, mirrors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test
from scipy.stats import norm as normal
from scipy.stats import t as student

from provetune.stats.resampling import mean_interval, paired_mean_difference, sign_flip_p
from provetune.stats.units import Resampling
from tests.unit.stats.known import known, mirrored, width

DRAW = Resampling(seed=1)
UNIT, SIGNED = (0.0, 1.0), (-1.0, 1.0)
Z95 = 1.959963984540054


def skewed(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(0.6, 2.5, n)


def ends_by_scipy(sums: np.ndarray, sizes: np.ndarray, confidence: float) -> tuple[float, float]:
    """The hull of scipy's BCa and percentile intervals, tails moved out by t (Hesterberg 2015), and of Tukey's jackknife t."""
    units, value = len(sums), sums.sum() / sizes.sum()
    t = student.ppf((1 + confidence) / 2, units - 1)
    ends = []
    for method in ("BCa", "percentile"):
        oracle = bootstrap(
            (sums, sizes.astype(float)),
            lambda sums, counts, axis: sums.sum(axis=axis) / counts.sum(axis=axis),
            n_resamples=20_000,
            paired=True,
            vectorized=True,
            confidence_level=float(2 * normal.cdf(t * np.sqrt(units / (units - 1))) - 1),
            method=method,
            rng=np.random.default_rng(9),
        ).confidence_interval
        ends += [oracle.low, oracle.high]
    squares = np.square((sums.sum() - sums) / (sizes.sum() - sizes) - value)
    half = t * np.sqrt((units - 1) / units * (squares.sum() + squares.max()))  # the farthest unit counts twice
    return max(0.0, min(*ends, value - half)), max(*ends, value + half)


@pytest.mark.parametrize("n", [12, 60])
@pytest.mark.parametrize("confidence", [0.90, 0.95])
def test_agrees_with_scipy(n: Any, confidence: Any) -> None:
    values = skewed(n)
    found, ends = mean_interval(values, None, Resampling(1, confidence), bounds=UNIT), ends_by_scipy(values, np.ones(n), confidence)
    assert (found.low, found.high) == pytest.approx(ends, abs=0.03 * (ends[1] - ends[0]))
    assert found.value == pytest.approx(values.mean()) and found.method == "BCa bootstrap and jackknife t" and found.n == n


def test_width_is_that_of_the_analytic_standard_error() -> None:
    values = np.random.default_rng(3).uniform(size=400)
    found = mean_interval(values, None, DRAW, bounds=UNIT)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert width(found) / (2 * Z95) == pytest.approx(error, rel=0.1)
    half = student.ppf(0.975, 399) * error
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_cluster_width_is_that_of_the_analytic_cluster_error() -> None:
    generator = np.random.default_rng(4)
    groups = np.repeat(np.arange(150), generator.integers(1, 6, 150))
    values = np.clip(0.5 + 0.2 * generator.normal(size=150)[groups] + 0.05 * generator.normal(size=len(groups)), 0, 1)
    found = mean_interval(values, groups, DRAW, bounds=UNIT)
    residual = np.bincount(groups, weights=values - values.mean())
    error = np.sqrt(150 / 149 * (residual**2).sum()) / len(values)
    assert width(found) / (2 * Z95) == pytest.approx(error, rel=0.1)
    assert found.n == 150 and found.method == "cluster BCa bootstrap and jackknife t"
    rows = mean_interval(values, None, DRAW, bounds=UNIT)
    assert width(found) > 1.3 * width(rows)


def test_clusters_of_unequal_size_agree_with_scipy() -> None:
    generator = np.random.default_rng(12)
    sizes = generator.geometric(0.25, 25)
    groups = np.repeat(np.arange(25), sizes)
    values = generator.beta(0.5, 2.0, 25)[groups]
    found, ends = mean_interval(values, groups, DRAW, bounds=UNIT), ends_by_scipy(np.bincount(groups, weights=values), sizes, 0.95)
    assert (found.low, found.high) == pytest.approx(ends, abs=0.03 * (ends[1] - ends[0]))


def test_one_row_per_group_equals_no_groups() -> None:
    values = skewed(40)
    groups = np.random.default_rng(0).permutation(40) + 100
    assert mean_interval(values, groups, DRAW, bounds=UNIT) == mean_interval(values, None, DRAW, bounds=UNIT)
    differences = values - 0.3
    assert sign_flip_p(differences, groups, Resampling(2)) == sign_flip_p(differences, None, Resampling(2))


def test_copies_of_a_row_are_no_evidence() -> None:
    differences = np.array([0.2, -0.1, 0.3, 0.1, 0.2, -0.2, 0.4])
    copied, groups = np.repeat(differences, 5), np.repeat(np.arange(7), 5)
    assert sign_flip_p(copied, groups, Resampling(0)) == sign_flip_p(differences, None, Resampling(0))
    once, often = mean_interval(differences, None, DRAW, bounds=SIGNED), mean_interval(copied, groups, DRAW, bounds=SIGNED)
    assert (often.value, often.low, often.high, often.n) == pytest.approx((once.value, once.low, once.high, once.n), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=15), st.booleans())
def test_never_zero_width_and_mirrored_by_swapping(differences: Any, paired_rows: Any) -> None:
    values = np.array(differences)
    groups = np.arange(len(values)) // 2 if paired_rows else None
    found, other = paired_mean_difference(values, groups, DRAW, bounds=SIGNED), paired_mean_difference(-values, groups, DRAW, bounds=SIGNED)
    value, low, high = known(found)
    assert -1 <= low <= value <= high <= 1
    assert high - low > 1e-9
    assert known(other) == pytest.approx(mirrored(found), abs=1e-12)
    assert sign_flip_p(values, groups, Resampling(1)) == sign_flip_p(-values, groups, Resampling(1))


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_equal_values_still_leave_doubt(level: Any) -> None:
    found = mean_interval(np.full(20, level), None, DRAW, bounds=UNIT)
    unseen = 1 - 0.05 ** (1 / 20)
    assert (found.low, found.high) == pytest.approx((level - unseen * level, level + unseen * (1 - level)))
    assert found.method == "no-variation bound"


def test_groups_with_equal_means_still_leave_doubt() -> None:
    found = mean_interval(np.tile([0.0, 1.0], 10), np.repeat(np.arange(10), 2), DRAW, bounds=UNIT)
    assert width(found) == pytest.approx(1 - 0.05 ** (1 / 10))
    assert found.method == "cluster no-variation bound" and found.n == 10


def test_coverage_of_a_skewed_mean() -> None:
    truth, generator, inside = 0.6 / 3.1, np.random.default_rng(5), 0
    for seed in range(300):
        _, low, high = known(mean_interval(generator.beta(0.6, 2.5, 40), None, Resampling(seed), bounds=UNIT))
        inside += low <= truth <= high
    assert inside / 300 >= 0.91


def test_sign_flips_in_full_agree_with_brute_force() -> None:
    differences = np.array([0.3, -0.1, 0.25, 0.4, 0.05, -0.2, 0.3, 0.1])
    observed = abs(differences.sum()) - 1e-12
    patterns = list(itertools.product((-1, 1), repeat=len(differences)))
    slow = sum(abs(np.dot(signs, differences)) >= observed for signs in patterns) / len(patterns)
    assert sign_flip_p(differences, None, Resampling(0)) == slow


def test_sampled_sign_flips_agree_with_scipy() -> None:
    differences = np.random.default_rng(6).normal(0.12, 0.4, 40).clip(-1, 1)
    oracle = permutation_test(
        (differences, np.zeros(40)),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        n_resamples=10_000,
        rng=np.random.default_rng(1),
    ).pvalue
    assert sign_flip_p(differences, None, Resampling(0)) == pytest.approx(oracle, abs=0.02)


def test_sampled_and_full_enumeration_agree() -> None:
    differences = np.random.default_rng(7).normal(0.2, 0.4, 13).clip(-1, 1)
    full = sign_flip_p(differences, None, Resampling(0, resamples=2**13))
    sampled = sign_flip_p(differences, None, Resampling(0, resamples=2**13 - 1))
    assert full != sampled
    assert sampled == pytest.approx(full, abs=0.02)


def test_size_of_the_sign_flip_test() -> None:
    generator = np.random.default_rng(8)
    found = [sign_flip_p(generator.choice([-1.0, 0.0, 1.0], 30), None, Resampling(seed, resamples=500)) for seed in range(400)]
    assert np.mean(np.array(found) <= 0.05) <= 0.075


def test_itself_is_never_different_and_nothing_is_nothing() -> None:
    assert sign_flip_p(np.zeros(100), None, Resampling(0)) == 1.0
    assert sign_flip_p(np.array([]), None, Resampling(0)) == 1.0
    empty = mean_interval(np.array([]), None, DRAW, bounds=UNIT)
    assert (empty.value, empty.low, empty.high, empty.n) == (None, None, None, 0)


def test_seed_decides_the_draw() -> None:
    values = skewed(30)
    assert mean_interval(values, None, DRAW, bounds=UNIT) == mean_interval(values, None, DRAW, bounds=UNIT)
    assert mean_interval(values, None, DRAW, bounds=UNIT) != mean_interval(values, None, Resampling(seed=2), bounds=UNIT)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        mean_interval(np.array([0.5, np.nan]), None, DRAW, bounds=UNIT)
    with pytest.raises(ValueError, match="not a finite number"):
        sign_flip_p(np.array([0.5, np.inf]), None, Resampling(0))
    with pytest.raises(ValueError, match="wanted all within"):
        mean_interval(np.array([0.5, 1.5]), None, DRAW, bounds=UNIT)
    with pytest.raises(ValueError, match="two finite numbers"):
        mean_interval(np.array([0.5]), None, DRAW, bounds=(0.0, np.inf))
