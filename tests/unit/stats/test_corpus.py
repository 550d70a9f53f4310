"""Metrics of all rows: scikit-learn's macro F1 as oracle, slow twins, clusters, mirrors, size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from provetune.stats.corpus import aggregate_interval, approximate_randomization_p, paired_aggregate_difference
from provetune.stats.measure import Measure
from provetune.stats.resampling import sign_flip_p
from provetune.stats.units import Resampling
from tests.unit.stats.known import known, mirrored, width

DRAW = Resampling(seed=1)
LABELS = (0, 1, 2)


def macro_f1(rows: np.ndarray, weights: np.ndarray) -> Any:
    """Columns target, completion; mean over LABELS, a label seen nowhere counts 0."""
    scores = []
    for label in LABELS:
        target, named = rows[:, 0] == label, rows[:, 1] == label
        both = weights @ (target.astype(float) + named)
        scores.append(2 * (weights @ (target & named).astype(float)) / np.maximum(both, 1))
    return np.mean(scores, axis=0)


def share_right(rows: np.ndarray, weights: np.ndarray) -> Any:
    return weights @ (rows[:, 0] == rows[:, 1]).astype(float) / weights.sum(axis=1)


MACRO_F1, SHARE_RIGHT = Measure("corpus", macro_f1), Measure("corpus", share_right)


def two_candidates(n: int, right: float = 0.8, other: float = 0.6, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    target = generator.integers(0, 3, n)

    def written(share: float) -> Any:
        return np.where(generator.random(n) < share, target, generator.integers(0, 3, n))

    columns = (np.column_stack([target, written(share)]).astype(float) for share in (right, other))
    return tuple(columns)


def test_value_is_that_of_scikit_learn() -> None:
    target, named = [0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1]
    found = aggregate_interval(MACRO_F1, np.column_stack([target, named]).astype(float), None, DRAW)
    assert found.value == pytest.approx(0.8 / 3) == pytest.approx(f1_score(target, named, average="macro"))
    a, b = two_candidates(80)
    difference = paired_aggregate_difference(MACRO_F1, a, b, None, DRAW)
    oracle = [f1_score(rows[:, 0], rows[:, 1], average="macro", labels=LABELS) for rows in (a, b)]
    assert difference.value == pytest.approx(oracle[0] - oracle[1], abs=1e-12)


def test_interval_agrees_with_a_slow_bootstrap_by_scikit_learn() -> None:
    a, b = two_candidates(60)
    generator, draws = np.random.default_rng(7), []
    for _ in range(300):
        drawn = generator.integers(0, 60, 60)
        scores = [f1_score(rows[drawn, 0], rows[drawn, 1], average="macro", labels=LABELS, zero_division=0) for rows in (a, b)]
        draws.append(scores[0] - scores[1])
    low, high = np.quantile(draws, [0.025, 0.975])
    found = paired_aggregate_difference(MACRO_F1, a, b, None, DRAW)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.12 * (high - low))


@pytest.mark.parametrize("n", [200, 3000])
def test_width_is_that_of_the_analytic_standard_error(n: Any) -> None:
    a, b = two_candidates(n)
    right = (a[:, 0] == a[:, 1]).astype(float)
    found = aggregate_interval(SHARE_RIGHT, a, None, DRAW)
    assert width(found) / 3.92 == pytest.approx(right.std() / np.sqrt(n), rel=0.1)
    change = right - (b[:, 0] == b[:, 1])
    paired = paired_aggregate_difference(SHARE_RIGHT, a, b, None, DRAW)
    assert width(paired) / 3.92 == pytest.approx(change.std() / np.sqrt(n), rel=0.1)


def test_randomization_agrees_with_sign_flips_for_a_mean() -> None:
    a, b = two_candidates(60, 0.75, 0.62)
    change = (a[:, 0] == a[:, 1]).astype(float) - (b[:, 0] == b[:, 1])
    exact = sign_flip_p(change, None, Resampling(3))
    assert approximate_randomization_p(SHARE_RIGHT, a, b, None, Resampling(3, resamples=5000)) == pytest.approx(exact, abs=0.03)


def test_randomization_agrees_with_swapping_rows_by_hand() -> None:
    a, b = two_candidates(40, 0.75, 0.55, seed=5)
    ones, generator = np.ones((1, 40)), np.random.default_rng(2)
    observed = abs(macro_f1(a, ones)[0] - macro_f1(b, ones)[0])
    extreme = 0
    for _ in range(1500):
        kept = generator.random(40)[:, None] < 0.5
        first, second = np.where(kept, a, b), np.where(kept, b, a)
        extreme += abs(macro_f1(first, ones)[0] - macro_f1(second, ones)[0]) >= observed - 1e-12
    slow = (1 + extreme) / 1501
    assert approximate_randomization_p(MACRO_F1, a, b, None, Resampling(3)) == pytest.approx(slow, abs=0.04)


def test_randomization_agrees_with_the_shifted_bootstrap() -> None:
    a, b = two_candidates(150, 0.7, 0.6, seed=11)
    generator = np.random.default_rng(4)
    weights = generator.multinomial(150, np.full(150, 1 / 150), size=4000).astype(float)
    draws = macro_f1(a, weights) - macro_f1(b, weights)
    observed = (macro_f1(a, np.ones((1, 150))) - macro_f1(b, np.ones((1, 150))))[0]
    shifted = np.mean(np.abs(draws - draws.mean()) >= abs(observed))
    assert approximate_randomization_p(MACRO_F1, a, b, None, Resampling(3, resamples=4000)) == pytest.approx(shifted, abs=0.03)


def test_a_candidate_against_itself() -> None:
    a, _ = two_candidates(50)
    assert approximate_randomization_p(MACRO_F1, a, a.copy(), None, Resampling(0)) == 1.0
    found = paired_aggregate_difference(MACRO_F1, a, a.copy(), None, DRAW)
    half = 1 - 0.05 ** (1 / 50)
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -half, half))
    assert found.method == "paired no-variation bound"


@pytest.mark.parametrize("seed", range(8))
def test_rounding_is_no_evidence(seed: Any) -> None:
    # All rows in one group: swapping gives the same difference or its mirror, up to rounding.
    a, b = np.random.default_rng(seed).random((2, 37, 1))

    def mean(rows: np.ndarray, weights: np.ndarray) -> Any:
        return weights @ rows[:, 0] / weights.sum(axis=1)

    assert approximate_randomization_p(Measure("mean", mean), a, b, np.zeros(37, dtype=np.int64), Resampling(0, resamples=50)) == 1.0


def test_size_under_no_difference() -> None:
    found = []
    for seed in range(300):
        a, b = two_candidates(40, 0.7, 0.7, seed)
        found.append(approximate_randomization_p(MACRO_F1, a, b, None, Resampling(seed, resamples=199)))
    assert np.mean(np.array(found) <= 0.05) <= 0.085


def test_swapping_candidate_and_baseline_mirrors() -> None:
    a, b = two_candidates(60)
    groups = np.arange(60) // 3
    for numbers in (None, groups):
        one = paired_aggregate_difference(MACRO_F1, a, b, numbers, DRAW)
        two = paired_aggregate_difference(MACRO_F1, b, a, numbers, DRAW)
        assert known(two) == pytest.approx(mirrored(one), abs=1e-12)
        forth, back = (approximate_randomization_p(MACRO_F1, *pair, numbers, Resampling(0)) for pair in ((a, b), (b, a)))
        assert forth == back


def test_one_row_per_group_equals_no_groups_and_copies_are_no_evidence() -> None:
    a, b = two_candidates(30)
    singles = np.random.default_rng(0).permutation(30)
    assert aggregate_interval(MACRO_F1, a, singles, DRAW) == aggregate_interval(MACRO_F1, a, None, DRAW)
    assert paired_aggregate_difference(MACRO_F1, a, b, singles, DRAW) == paired_aggregate_difference(MACRO_F1, a, b, None, DRAW)
    a_copies, b_copies = [np.repeat(rows, 4, axis=0) for rows in (a, b)]
    groups = np.repeat(np.arange(30), 4)
    once, often = (
        paired_aggregate_difference(MACRO_F1, a, b, None, DRAW),
        paired_aggregate_difference(MACRO_F1, a_copies, b_copies, groups, DRAW),
    )
    assert (often.low, often.high, often.n) == pytest.approx((once.low, once.high, 30), abs=1e-12)
    p_once = approximate_randomization_p(MACRO_F1, a, b, None, Resampling(0))
    assert approximate_randomization_p(MACRO_F1, a_copies, b_copies, groups, Resampling(0)) == p_once


def test_a_perfect_candidate_is_not_certain() -> None:
    target = np.tile([0.0, 1.0, 2.0], 20)
    found = aggregate_interval(SHARE_RIGHT, np.column_stack([target, target]), None, DRAW)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 0.05 ** (1 / 60), 1.0))


def test_nothing_measured_and_nonsense() -> None:
    empty = np.empty((0, 2))
    for found in (aggregate_interval(MACRO_F1, empty, None, DRAW), paired_aggregate_difference(MACRO_F1, empty, empty, None, DRAW)):
        assert (found.value, found.low, found.high, found.n) == (None, None, None, 0)
    assert approximate_randomization_p(MACRO_F1, empty, empty, None, Resampling(0)) == 1.0
    a, b = two_candidates(10)
    with pytest.raises(ValueError, match="same rows of both candidates"):
        paired_aggregate_difference(MACRO_F1, a, b[:-1], None, DRAW)
    with pytest.raises(ValueError, match="same rows of both candidates"):
        approximate_randomization_p(MACRO_F1, a, b[:-1], None, Resampling(0))
    with pytest.raises(ValueError, match="the metric gave"):
        aggregate_interval(Measure("corpus", lambda rows, weights: 5 + macro_f1(rows, weights)), a, None, DRAW)
    with pytest.raises(ValueError, match="not a finite number"):
        aggregate_interval(MACRO_F1, np.full((3, 2), np.nan), None, DRAW)
