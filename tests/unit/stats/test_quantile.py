"""Quantiles with intervals of order statistics, against published tables and by how often they cover."""

from __future__ import annotations

import numpy as np
import pytest

from provetune.stats.quantile import quantile


@pytest.mark.parametrize(
    ("n", "places"),
    # the usual tables of the 95 % interval of a median, which inverts the sign test
    [(6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (25, (8, 18)), (50, (18, 33)), (100, (40, 61))],
)
def test_places_of_the_published_table(n: int, places: tuple[int, int]) -> None:
    found = quantile([float(number) for number in range(n, 0, -1)], 0.5)
    assert (found.low, found.high) == places and found.n == n and found.value == pytest.approx((n + 1) / 2)


def test_too_few_values_for_an_end() -> None:
    found = quantile([1.0, 3.0, 2.0], 0.95)
    assert found.high == 3.0 and found.method == "order statistics, too few values for the upper end"
    assert quantile([1.0, 3.0, 2.0], 0.05).method == "order statistics, too few values for the lower end"
    assert quantile([], 0.5).value is None


def test_it_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(5).exponential(size=(2000, 150))
    truth = -np.log(1 - 0.9)
    found = [quantile(list(row), 0.9) for row in draws]
    covered = np.mean([e.low is not None and e.high is not None and e.low <= truth <= e.high for e in found])
    assert 0.94 <= covered <= 0.985


@pytest.mark.parametrize(("share", "confidence"), [(0.0, 0.95), (1.0, 0.95), (0.5, 1.0)])
def test_shares_that_are_none(share: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="wanted a number between 0 and 1"):
        quantile([1.0], share, confidence)
