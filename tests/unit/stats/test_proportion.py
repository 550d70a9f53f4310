"""Intervals for one proportion: published values, statsmodels, exact coverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from provetune.stats.proportion import clopper_pearson, wilson
from tests.unit.stats.known import known


def test_reference_values() -> None:
    assert wilson(0, 20).high == pytest.approx(0.1611252, abs=1e-7)
    assert (wilson(48, 50).low, wilson(48, 50).high) == pytest.approx((0.865399, 0.988961), abs=1e-6)
    assert (clopper_pearson(48, 50).low, clopper_pearson(48, 50).high) == pytest.approx((0.862862, 0.995119), abs=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [(wilson, "wilson"), (clopper_pearson, "beta")])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_agrees_with_statsmodels(ours: Any, theirs: Any, confidence: Any) -> None:
    for n in (1, 7, 40, 500):
        for successes in sorted({0, 1, n // 3, n - 1, n}):
            low, high = proportion_confint(successes, n, alpha=1 - confidence, method=theirs)
            found = ours(successes, n, confidence)
            assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
            assert found.value == successes / n and found.n == n and found.confidence == confidence


def test_no_failure_in_a_hundred_leaves_room_for_three() -> None:
    assert clopper_pearson(0, 100, 0.90).high == pytest.approx(0.0295, abs=1e-4)


def test_clopper_pearson_never_covers_less_than_it_says() -> None:
    n, shares = 20, np.linspace(0.01, 0.99, 99)
    covered = np.zeros(len(shares))
    for k in range(n + 1):
        _, low, high = known(clopper_pearson(k, n))
        covered += binom.pmf(k, n, shares) * ((low <= shares) & (shares <= high))
    assert covered.min() >= 0.95


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_failures_mirror_successes_and_width_is_never_zero(interval: Any) -> None:
    for n in range(1, 30):
        for k in range(n + 1):
            found, mirrored = interval(k, n), interval(n - k, n)
            assert found.low == pytest.approx(1 - mirrored.high, abs=1e-12)
            assert 0 <= found.low <= found.value <= found.high <= 1
            assert found.low < found.high


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_nothing_measured_and_nonsense(interval: Any) -> None:
    empty = interval(0, 0)
    assert (empty.value, empty.low, empty.high, empty.n) == (None, None, None, 0)
    with pytest.raises(ValueError, match="wanted 0 <= successes <= n"):
        interval(3, 2)
    with pytest.raises(ValueError, match="wanted 0 <= successes <= n"):
        interval(-1, 2)
    with pytest.raises(ValueError, match="confidence is 95"):
        interval(1, 2, 95)
