"""Ratios of sums: against the textbook's case of equal sizes, and by how often the interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from provetune.stats.ratio import ratio_difference


def test_equal_sizes_give_the_difference_of_two_means() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(3, 1, 50), draw.normal(2, 2, 80)
    found = ratio_difference((a, np.ones(50)), (b, np.ones(80)))
    spread = math.sqrt(a.var(ddof=1) / 50 + b.var(ddof=1) / 80) * norm.ppf(0.975)
    assert found.value == pytest.approx(a.mean() - b.mean()) and found.high == pytest.approx(a.mean() - b.mean() + spread)


def test_rows_count_by_their_size() -> None:
    found = ratio_difference((np.array([2.0, 30.0]), np.array([2.0, 10.0])), (np.array([1.0, 1.0]), np.array([1.0, 1.0])))
    assert found.value == pytest.approx(32 / 12 - 1)


def test_fewer_than_two_rows_are_not_measured() -> None:
    one = (np.array([1.0]), np.array([1.0]))
    assert ratio_difference(one, (np.ones(5), np.ones(5))).value is None


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)

    def rows(mean: float) -> tuple[np.ndarray, np.ndarray]:
        sizes = draw.integers(1, 20, 60).astype(float)
        return sizes * draw.gamma(2, mean / 2, 60), sizes

    held = 0
    for _ in range(2000):
        found = ratio_difference(rows(1.5), rows(1.0))
        assert found.low is not None and found.high is not None
        held += found.low <= 0.5 <= found.high
    assert 0.92 <= held / 2000 <= 0.97
