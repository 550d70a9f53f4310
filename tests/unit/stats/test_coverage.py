"""The tables of docs/statistics.md: intervals hold what they promise from 30 rows or 20 groups on, tests find nothing too often."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import statistics

QUICK, LONG = 200, 2_000
ALLOWED = 1.5
"""Points under what is asked for."""


def chance(rounds: int, share: float = 0.935) -> float:
    """Points that one row of a hundred is off by, up or down, in so many rounds."""
    return float(100 * 2.33 * np.sqrt(share * (1 - share) / rounds))


def short(found: statistics.Coverage, rounds: int) -> bool:
    return found.short > ALLOWED + chance(rounds, found.confidence - ALLOWED / 100)


@pytest.mark.parametrize("n", [30, 60])
@pytest.mark.parametrize("confidence", [0.90, 0.95])
def test_intervals_of_counts_by_enumeration(n: int, confidence: float) -> None:
    found = [one for one in statistics.exact_coverage(n, confidence) if "display only" not in one.interval]
    assert len(found) == 2 and all(one.short <= ALLOWED for one in found), found


def test_means_of_thirty_rows() -> None:
    found = list(statistics.mean_coverage(QUICK, 30, 0.95))
    assert len(found) == 7 and not [one for one in found if short(one, QUICK)], found


def test_means_of_twenty_groups() -> None:
    found = list(statistics.cluster_coverage(QUICK, 20, 0.95))
    assert len(found) == 4 and not [one for one in found if short(one, QUICK)], found


def test_macro_f1_seeds_and_folds() -> None:
    found = [*statistics.f1_coverage(QUICK, 30, 0.95), *statistics.recipe_coverage(QUICK, 0.95)]
    assert len(found) == 4 and not [one for one in found if short(one, QUICK)], found


def test_tests_find_nothing_where_nothing_is() -> None:
    found = [
        *statistics.mcnemar_sizes(10),
        *statistics.mcnemar_sizes(40),
        *statistics.sign_flip_sizes(QUICK, 20),
        *statistics.f1_sizes(QUICK, 30),
    ]
    assert len(found) == 8
    exact = [one for one in found if one.test.startswith("McNemar")]
    assert all(one.found <= 0.06 for one in exact), exact
    assert all(100 * one.found <= 6 + chance(QUICK, 0.06) for one in found), found


@pytest.mark.slow
def test_every_interval_over_many_rounds() -> None:
    found = [one for one in statistics.coverages(LONG) if "display only" not in one.interval]
    assert len(found) == 58 and not [one for one in found if short(one, LONG)], [one for one in found if one.short > 0]


@pytest.mark.slow
def test_every_test_over_many_rounds() -> None:
    found = list(statistics.sizes(LONG))
    assert len(found) == 17 and all(100 * one.found <= 6 + chance(LONG, 0.06) for one in found), found
