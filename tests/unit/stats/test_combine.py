"""Sums of independent estimates."""

from __future__ import annotations

import math

import pytest

from provetune.stats.combine import weighted_sum
from provetune.stats.estimate import Estimate
from provetune.stats.proportion import wilson


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 10), 0.6075, 1.0)],
)
def test_of_two_wilson_intervals_it_is_newcombes_hybrid_score(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe (1998), Statistics in Medicine 17, table II, method 10."""
    found = weighted_sum([(1, wilson(*first)), (-1, wilson(*second))])
    assert found.low == pytest.approx(low, abs=1e-4) and found.high == pytest.approx(high, abs=1e-4)


def test_symmetric_intervals_add_by_the_root_of_squares() -> None:
    parts = [Estimate(1.0, 0.7, 1.3, 50, 0.95, "t"), Estimate(2.0, 1.6, 2.4, 80, 0.95, "t")]
    found = weighted_sum([(1, parts[0]), (2, parts[1])])
    half = math.hypot(0.3, 0.8)
    assert (found.value, found.n) == (5.0, 50)
    assert found.low == pytest.approx(5 - half) and found.high == pytest.approx(5 + half)


def test_what_is_exact_only_shifts_and_what_is_missing_leaves_nothing() -> None:
    exact, one = Estimate(3.0, None, None, 0, 0.95, "given"), Estimate(1.0, 0.5, 1.25, 9, 0.9, "t")
    shifted = weighted_sum([(1, one), (-1, exact)])
    assert (shifted.value, shifted.low, shifted.high, shifted.confidence) == (-2.0, -2.5, -1.75, 0.9)
    assert weighted_sum([(2, exact)]) == Estimate(6.0, None, None, 0, 0.95, "exact")
    assert weighted_sum([(1, one), (1, Estimate(None, None, None, 0, 0.95, "not measured"))]).value is None
