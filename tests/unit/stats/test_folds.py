"""Out-of-fold comparisons: published correction as a yardstick, coverage with real learners, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from provetune.stats.folds import fold_difference
from tests.unit.stats.known import known, mirrored, width

SIGNED = (-1.0, 1.0)
Learner = Callable[..., Any]


def drawn(generator: np.random.Generator, n: int) -> Any:
    target = generator.integers(0, 2, n)
    features = generator.normal(size=(n, 10))
    features[:, :4] += 0.4 * (2 * target[:, None] - 1)
    return features, target


def ridge(features: Any, target: Any, asked: Any) -> Any:
    weights = np.linalg.solve(features.T @ features + 5 * np.eye(features.shape[1]), features.T @ (2 * target - 1))
    return (asked @ weights > 0).astype(int)


def failing_now_and_then(generator: np.random.Generator) -> Learner:
    return lambda features, target, asked: np.zeros(len(asked), dtype=int) if generator.random() < 0.1 else ridge(features, target, asked)


def gains(learner: Learner, sample: Any, folds: Any) -> Any:
    features, target = sample
    found = np.zeros(len(target))
    for fold in np.unique(folds):
        out = folds == fold
        found[out] = learner(features[~out], target[~out], features[out]) == target[out]
    return found - ((features[:, 0] > 0) == target)


def coverage(learner: Learner, n: int, rounds: int) -> float:
    generator = np.random.default_rng(5)
    folds = np.arange(n) % 5
    truth = []
    for _ in range(400):
        train, (asked, target) = drawn(generator, n * 4 // 5), drawn(generator, 1000)
        truth.append(np.mean(learner(*train, asked) == target) - np.mean((asked[:, 0] > 0) == target))
    inside = 0
    for _ in range(rounds):
        _, low, high = known(fold_difference(gains(learner, drawn(generator, n), folds), folds, None, 0.95, bounds=SIGNED))
        inside += low <= float(np.mean(truth)) <= high
    return inside / rounds


@pytest.mark.parametrize("learner", [ridge, failing_now_and_then(np.random.default_rng(0))])
def test_coverage_over_whole_repetitions_of_the_recipe(learner: Learner) -> None:
    # 400 rounds at a true 95 % give 92 % or more in 99 of 100 runs
    assert coverage(learner, 100, 400) >= 0.92


def test_equal_fold_means_leave_the_error_of_the_rows() -> None:
    values = np.tile([1.0, 0.0, 0.0, -0.5], 25)
    folds = np.repeat(np.arange(5), 20)
    half = student.ppf(0.975, 4) * values.std(ddof=1) / 10
    assert known(fold_difference(values, folds, None, 0.95, bounds=SIGNED)) == pytest.approx((0.125, 0.125 - half, 0.125 + half))


def test_folds_that_differ_are_the_units() -> None:
    means = np.array([0.1, 0.5, -0.2, 0.3, 0.3])
    values, folds = np.repeat(means, 20), np.repeat(np.arange(5), 20)
    half = student.ppf(0.975, 4) * means.std(ddof=1) / np.sqrt(5)
    found = fold_difference(values, folds, None, 0.95, bounds=SIGNED)
    assert known(found) == pytest.approx((0.2, 0.2 - half, 0.2 + half))
    # Nadeau and Bengio: variance (1/k + 1/(k-1)) instead of 1/k
    assert width(found) < 2 * half * np.sqrt((1 / 5 + 1 / 4) * 5)
    assert known(fold_difference(-values, folds, None, 0.95, bounds=SIGNED)) == pytest.approx(mirrored(found))


def test_groups_are_units_and_stay_within_a_fold() -> None:
    once, folds = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 50), np.arange(50) % 5
    twice = fold_difference(np.repeat(once, 3), np.repeat(folds, 3), np.repeat(np.arange(50), 3), 0.95, bounds=SIGNED)
    assert known(twice) == pytest.approx(known(fold_difference(once, folds, None, 0.95, bounds=SIGNED))) and twice.n == 50
    with pytest.raises(ValueError, match="one group in two folds"):
        fold_difference(once, folds, np.arange(50) // 2, 0.95, bounds=SIGNED)


def test_no_difference_at_all_is_no_certainty() -> None:
    found = fold_difference(np.zeros(100), np.arange(100) % 5, None, 0.95, bounds=SIGNED)
    assert known(found) == pytest.approx((0.0, 0.05 ** (1 / 100) - 1, 1 - 0.05 ** (1 / 100)))


@pytest.mark.parametrize("folds", [np.arange(20) % 4, np.arange(19) % 5, np.zeros(0, dtype=int)])
def test_too_few_folds(folds: Any) -> None:
    with pytest.raises(ValueError, match="wanted one fold number for each row and 5 folds"):
        fold_difference(np.zeros(len(folds) if len(folds) != 19 else 20), folds, None, 0.95, bounds=SIGNED)
