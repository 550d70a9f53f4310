"""Groups, chunks and the interval of no variation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from provetune.stats.units import chunks, flat_interval, numbered_groups, unit_count


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20))
def test_renumbering_keeps_who_is_together(groups: Any) -> None:
    numbers = numbered_groups(np.array(groups), len(groups))
    if numbers is None:
        assert len(set(groups)) == len(groups)
        return
    together = np.equal.outer(groups, groups)
    assert (np.equal.outer(numbers, numbers) == together).all()
    assert set(numbers) == set(range(unit_count(numbers, len(groups))))


def test_groups_must_fit_the_rows() -> None:
    assert numbered_groups(None, 4) is None
    assert numbered_groups(np.array([], dtype=np.int64), 0) is None
    with pytest.raises(ValueError, match="one group number for each of the 4 rows"):
        numbered_groups(np.array([1, 2, 3]), 4)


@pytest.mark.parametrize(("resamples", "width"), [(2000, 1), (2000, 5000), (10, 10_000_000), (7, 0)])
def test_chunks_add_up_and_stay_small(resamples: Any, width: Any) -> None:
    sizes = list(chunks(resamples, width))
    assert sum(sizes) == resamples
    assert all(size == 1 or size * width <= 4_000_000 for size in sizes)


@pytest.mark.parametrize("n", [1, 5, 20, 100, 100_000])
def test_no_variation_is_the_exact_bound_for_no_failures(n: Any) -> None:
    low, high = flat_interval(1.0, n, (0.0, 1.0), 0.95)
    assert high == 1.0
    assert 1 - low == pytest.approx(beta.ppf(0.95, 1, n), rel=1e-9)
    # One-sided 95 % is asked for as 90 % two-sided; the bound must not loosen.
    assert flat_interval(1.0, n, (0.0, 1.0), 0.90) == (low, high)
    assert flat_interval(1.0, n, (0.0, 1.0), 0.99)[0] < low


def test_no_variation_in_a_difference() -> None:
    low, high = flat_interval(0.0, 20, (-1.0, 1.0), 0.95)
    assert (low, high) == pytest.approx((-0.139108, 0.139108), abs=1e-6)


BOUNDS = st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (0.0, 100.0)])


@given(st.floats(0, 1), st.integers(1, 10**6), st.floats(0.5, 0.999), BOUNDS)
def test_no_variation_mirrors_and_never_reaches_too_far(share: float, n: int, confidence: float, bounds: tuple[float, float]) -> None:
    value = bounds[0] + share * (bounds[1] - bounds[0])
    low, high = flat_interval(value, n, bounds, confidence)
    assert bounds[0] <= low <= value <= high <= bounds[1]
    # The share that could hide is the same at any value, and so is the width.
    assert high - low == pytest.approx((bounds[1] - bounds[0]) * (1 - min(0.05, 1 - confidence) ** (1 / n)), rel=1e-6)
    assert flat_interval(-value, n, (-bounds[1], -bounds[0]), confidence) == pytest.approx((-high, -low))
