"""The winner's curse: against a published table, against exact values, and as halving must behave."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import binom

from provetune.stats.measure import Measure
from provetune.stats.selection import free_gain, joint_deviations
from provetune.stats.units import FloatArray

RIGHT = Measure("binary", lambda rows, weights: weights @ rows[:, 0] / weights.sum(axis=1))
# free gain in points of the best of 3, 5, 10, 30 equal candidates with true accuracy .70, by rows: independent errors, and errors
# that share items (Gaussian copula, correlation .6)
TABLE = {
    50: ((5.8, 7.2, 9.6, 12.5), (4.2, 6.1, 7.8, 9.9)),
    100: ((3.9, 4.8, 7.1, 8.8), (2.8, 4.0, 5.6, 7.3)),
    200: ((2.9, 3.8, 4.9, 6.4), (2.0, 3.0, 3.7, 5.1)),
    500: ((1.8, 2.5, 3.1, 4.3), (1.4, 1.9, 2.4, 3.2)),
}
CANDIDATES = (3, 5, 10, 30)
TABLE_DRAWS = 150
"""The table says nothing of its draws; its independent half strays from the exact values as means of about so many do."""


def equal_candidates(rows: int, count: int, correlation: float, seed: int) -> list[FloatArray]:
    """Right or wrong of `count` candidates with true accuracy .70 on the same rows."""
    generator = np.random.default_rng(seed)
    shared, own = generator.standard_normal((rows, 1)), generator.standard_normal((rows, count))
    latent = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    return [column[:, None] for column in (latent < ndtri(0.7)).astype(float).T]


def exact_gain(rows: int, count: int) -> float:
    """Expected best of `count` independent binomial shares, minus .70."""
    share_below = binom.cdf(np.arange(rows), rows, 0.7) ** count
    return float((1 - share_below).sum() / rows - 0.7)


@pytest.mark.parametrize(("correlation", "half"), [(0.0, 0), (0.6, 1)])
def test_the_table_of_free_gains_is_met(correlation: float, half: int) -> None:
    deviations = joint_deviations(RIGHT, equal_candidates(4_000, 30, correlation, seed=1), None, seed=2)
    for rows, values in TABLE.items():
        for count, published in zip(CANDIDATES, values[half], strict=True):
            gain = free_gain(deviations[:, :count], 4_000, [(rows, 1)], seed=3)
            assert gain.value is not None and gain.low is not None and gain.high is not None
            one_choice = (gain.high - gain.low) / (2 * 1.96)
            tolerance = 0.05 + 100 * 3 * one_choice / np.sqrt(TABLE_DRAWS)  # points: rounding, and chance in the table
            assert 100 * gain.value == pytest.approx(published, abs=tolerance), (rows, count)


def test_independent_candidates_gain_what_the_binomial_says() -> None:
    deviations = joint_deviations(RIGHT, equal_candidates(8_000, 30, 0.0, seed=4), None, seed=5)
    for rows in (100, 200, 500):
        for count in CANDIDATES:
            found = free_gain(deviations[:, :count], 8_000, [(rows, 1)], seed=6).value
            assert found == pytest.approx(exact_gain(rows, count), rel=0.06), (rows, count)


def test_candidates_that_always_agree_gain_nothing() -> None:
    one = equal_candidates(300, 1, 0.0, seed=7)
    deviations = joint_deviations(RIGHT, one * 10, None, seed=8)
    assert free_gain(deviations, 300, [(300, 1)], seed=9).value == pytest.approx(0, abs=0.002)


def test_rows_in_groups_gain_more() -> None:
    rows = [np.repeat(column, 5, axis=0) for column in equal_candidates(100, 10, 0.0, seed=10)]
    alone = free_gain(joint_deviations(RIGHT, rows, None, seed=11), 500, [(500, 1)], seed=12).value
    together = free_gain(joint_deviations(RIGHT, rows, np.repeat(np.arange(100), 5), seed=11), 500, [(500, 1)], seed=12).value
    assert alone is not None and together is not None
    assert together / alone == pytest.approx(np.sqrt(5), rel=0.1)


def test_halving_agrees_with_halving_played_out() -> None:
    rungs, games = [(50, 10), (150, 4), (450, 1)], 3_000
    generator = np.random.default_rng(13)
    right = generator.random((games, 30, 450)) < 0.7
    waiting = np.zeros((games, 30), dtype=bool)
    for size, kept in rungs:
        scores = np.where(waiting, -1.0, right[:, :, :size].mean(axis=2) + 1e-6 * generator.random((games, 30)))
        np.put_along_axis(waiting, np.argsort(scores, axis=1)[:, :-kept], True, axis=1)
    played = float(right.mean(axis=2)[~waiting].mean() - 0.7)
    deviations = joint_deviations(RIGHT, equal_candidates(8_000, 30, 0.0, seed=14), None, seed=15)
    found = free_gain(deviations, 8_000, rungs, seed=16).value
    assert found == pytest.approx(played, abs=0.0015)
    assert found is not None and found < exact_gain(450, 30)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="same rows of every candidate"):
        joint_deviations(RIGHT, [np.ones((3, 1)), np.ones((4, 1))], None, seed=0)
    with pytest.raises(ValueError, match="wanted growing numbers"):
        free_gain(np.zeros((5, 2)), 10, [(10, 1), (10, 1)], seed=0)
    assert free_gain(np.zeros((0, 0)), 0, [(10, 1)], seed=0).value is None
