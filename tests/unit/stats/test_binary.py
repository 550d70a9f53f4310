"""Paired right/wrong scores: published values, statsmodels, and coverage and size by full enumeration."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from provetune.stats.binary import bonett_price, mcnemar_exact, mcnemar_mid_p, paired_shares
from provetune.stats.proportion import clopper_pearson, wilson
from tests.unit.stats.known import known, mirrored

Z95 = 1.959963984540054


@cache
def bonett_price_table(n: int, confidence: float = 0.95, interval: Any = bonett_price) -> Any:
    """Rows (wins, losses, low, high) of every possible outcome of n pairs."""
    rows = []
    for wins in range(n + 1):
        for losses in range(n + 1 - wins):
            found = interval(wins, losses, n, confidence)
            rows.append((wins, losses, found.low, found.high))
    return np.array(rows)


def chances(n: int, wins: np.ndarray, losses: np.ndarray, p10: float, p01: float) -> Any:
    """Multinomial chance of each (wins, losses): wins are binomial, losses binomial among the rest."""
    return binom.pmf(wins, n, p10) * binom.pmf(losses, n - wins, p01 / (1 - p10))


def coverage_and_width(table: np.ndarray, n: int, p10: float, p01: float) -> tuple[float, float]:
    wins, losses, low, high = table.T
    chance = chances(n, wins, losses, p10, p01)
    inside = (low <= p10 - p01) & (p10 - p01 <= high)
    return float(chance @ inside), float(chance @ (high - low))


def tango(wins: int, losses: int, n: int) -> tuple[float, float]:
    """Tango's score interval (1998): the differences not rejected by the score test, by root finding."""

    def score(difference: float) -> float:
        a = 2 * n
        b = -wins - losses + (2 * n - wins + losses) * difference
        c = -losses * difference * (1 - difference)
        constrained = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * constrained + difference * (1 - difference))
        distance = wins - losses - n * difference
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(1e9, distance)

    point = (wins - losses) / n
    low = brentq(lambda d: score(d) - Z95, -1 + 1e-9, point - 1e-12) if point > -1 else -1.0
    high = brentq(lambda d: score(d) + Z95, point + 1e-12, 1 - 1e-9) if point < 1 else 1.0
    return low, high


@pytest.mark.parametrize(
    ("wins", "losses", "exact", "mid", "tolerance"),
    [
        (121, 59, 4e-06, 3e-06, 5e-07),
        (70, 59, 0.378688, 0.334688, 5e-07),
        (80, 59, 0.089452, 0.075551, 5e-07),
        (10, 30, 0.002221, None, 5e-07),
        (25, 15, 0.153860, None, 5e-07),
        (11, 1, 0.006348, None, 5e-07),
        (1, 7, 0.0703125, 0.0390625, 1e-12),
    ],
)
def test_mcnemar_reference_values(wins: Any, losses: Any, exact: Any, mid: Any, tolerance: Any) -> None:
    assert mcnemar_exact(wins, losses) == pytest.approx(exact, abs=tolerance)
    assert mcnemar_exact(losses, wins) == mcnemar_exact(wins, losses)
    if mid is not None:
        assert mcnemar_mid_p(wins, losses) == pytest.approx(mid, abs=tolerance)


@pytest.mark.parametrize("each", [0, 1, 5, 40, 3000])
def test_equal_wins_and_losses_give_p_one(each: Any) -> None:
    assert mcnemar_exact(each, each) == 1.0
    assert mcnemar_mid_p(each, each) == pytest.approx(1.0, abs=1e-9)


def test_mcnemar_agrees_with_statsmodels_and_mid_p_with_its_definition() -> None:
    for wins in range(0, 40, 3):
        for losses in range(0, 40, 4):
            if wins + losses == 0:
                continue
            oracle = float(mcnemar([[5, wins], [losses, 5]], exact=True).pvalue)
            assert mcnemar_exact(wins, losses) == pytest.approx(oracle, abs=1e-12)
            fewer, pairs = min(wins, losses), wins + losses
            definition = 2 * (binom.cdf(fewer, pairs, 0.5) - 0.5 * binom.pmf(fewer, pairs, 0.5))
            assert mcnemar_mid_p(wins, losses) == pytest.approx(definition, abs=1e-12)


@pytest.mark.parametrize(
    ("wins", "losses", "corrected", "uncorrected"),
    [
        (121, 59, (20.67222, 5.450095e-06), (21.35556, 3.815136e-06)),
        (70, 59, (0.775194, 0.3786151), (0.937985, 0.3327967)),
        (80, 59, (2.877698, 0.0898143), None),
        (25, 15, (2.025, 0.154729), None),
        (11, 1, (6.75, 0.009375), None),
    ],
)
def test_the_oracle_gives_the_published_chi_squares(wins: Any, losses: Any, corrected: Any, uncorrected: Any) -> None:
    """Neither is offered: ours is the exact test and its mid-p; the tables are the same."""
    for correction, wanted in ((True, corrected), (False, uncorrected)):
        if wanted is not None:
            oracle = mcnemar([[0, wins], [losses, 0]], exact=False, correction=correction)
            assert (oracle.statistic, oracle.pvalue) == pytest.approx(wanted, rel=3e-5)


def test_newcombe_reference_value_lies_near_bonett_price() -> None:
    """Newcombe's method 10 (1998) for the table 36, 12, 2, 0, from Wilson's two intervals."""
    a, b, c, d = 36, 12, 2, 0
    n, (first, second) = 50, (wilson(a + b, 50), wilson(a + c, 50))
    phi = (a * d - b * c) / math.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    (p, low, high), (q, low_q, high_q) = known(first), known(second)
    ends = []
    for ours, theirs in ((p - low, high_q - q), (high - p, q - low_q)):
        ends.append(math.sqrt(ours**2 - 2 * phi * ours * theirs + theirs**2))
    newcombe = (p - q - ends[0], p - q + ends[1])
    assert newcombe == pytest.approx((0.0569296, 0.3404276), abs=1e-7)
    assert known(bonett_price(b, c, n))[1:] == pytest.approx(newcombe, abs=0.01)


def test_power_of_the_one_sided_exact_test() -> None:
    # odds ratio .25, discordance .4, 50 pairs
    power = size = 0.0
    for pairs in range(51):
        losses = np.arange(pairs + 1)
        rejected = np.array([binom.cdf(k, pairs, 0.5) <= 0.05 for k in losses])
        agrees = [
            mcnemar_exact(pairs - int(k), int(k)) == pytest.approx(min(1.0, 2 * binom.cdf(min(k, pairs - k), pairs, 0.5))) for k in losses
        ]
        assert all(agrees)
        power += binom.pmf(pairs, 50, 0.4) * binom.pmf(losses, pairs, 0.2)[rejected].sum()
        size += binom.pmf(pairs, 50, 0.4) * binom.pmf(losses, pairs, 0.5)[rejected].sum()
    assert (power, size) == pytest.approx((0.839357, 0.032579), abs=1e-6)


def test_exact_needs_six_disagreements_all_one_way() -> None:
    assert mcnemar_exact(5, 0) > 0.05 > mcnemar_exact(6, 0)


def test_bonett_price_reference_values() -> None:
    found = bonett_price(12, 2, 50)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0508917, 0.3337237), abs=1e-7)
    still = bonett_price(0, 0, 20)
    assert (still.value, still.low, still.high) == pytest.approx((0.0, -0.1259913, 0.1259913), abs=1e-7)


def test_tango_reference_values_and_agreement_with_bonett_price() -> None:
    assert tango(12, 2, 50) == pytest.approx((0.0611124, 0.3447087), abs=1e-6)
    assert tango(0, 0, 20) == pytest.approx((-0.1611252, 0.1611252), abs=1e-6)
    assert tango(5, 1, 30) == pytest.approx((-0.0342072, 0.3118803), abs=1e-6)
    for n in (100, 200):
        for wins in range(5, 40, 5):
            for losses in range(5, 40, 5):
                ours = bonett_price(wins, losses, n)
                assert (ours.low, ours.high) == pytest.approx(tango(wins, losses, n), abs=1.2 / n)


@pytest.mark.parametrize(
    ("n", "p10", "p01", "coverage", "width"),
    [
        (10, 0.15, 0.05, 0.995, 0.626),
        (20, 0.15, 0.05, 0.981, 0.419),
        (30, 0.30, 0.10, 0.959, 0.432),
        (50, 0.10, 0.10, 0.961, 0.257),
        (100, 0.30, 0.10, 0.953, 0.236),
    ],
)
def test_exact_coverage_of_bonett_price(n: Any, p10: Any, p01: Any, coverage: Any, width: Any) -> None:
    found = coverage_and_width(bonett_price_table(n), n, p10, p01)
    assert found == pytest.approx((coverage, width), abs=6e-4)


@pytest.mark.parametrize("n", [10, 20, 30, 50, 100])
def test_bonett_price_covers_94_percent_wherever_the_truth_lies(n: Any) -> None:
    both_ways: list[float] = []
    one_way: list[float] = []
    for percent in range(2, 61, 2):
        for points in range(-30, 31, 5):
            if abs(points) <= percent:
                p10, p01 = (percent + points) / 200, (percent - points) / 200
                covered = coverage_and_width(bonett_price_table(n), n, p10, p01)[0]
                (one_way if abs(points) == percent else both_ways).append(covered)
    assert min(both_ways) >= (0.9395 if n == 20 else 0.945)
    # Where one side can never win, single outcomes on the edge of the interval cost more.
    assert min(one_way) >= 0.92


@pytest.mark.parametrize(("n", "confidence"), [(30, 0.90), (30, 0.95), (30, 0.975), (50, 0.95), (100, 0.95)])
def test_the_interval_of_a_comparison_covers_within_a_point_and_a_half(n: Any, confidence: Any) -> None:
    table = bonett_price_table(n, confidence, paired_shares)
    for percent in range(1, 61, 3):
        for share in np.linspace(-1, 1, 9):
            p10, p01 = percent * (1 + share) / 200, percent * (1 - share) / 200
            # a share of .9 % each is the worst at 97.5 %: 95.7 %
            assert coverage_and_width(table, n, p10, p01)[0] >= confidence - (0.018 if confidence > 0.95 else 0.015)


def test_only_one_side_ever_won() -> None:
    for wins in range(1, 51):
        found, mirror = paired_shares(wins, 0, 50), paired_shares(0, wins, 50)
        exact = clopper_pearson(wins, 50)
        assert known(found)[1] <= known(exact)[1] and known(found)[2] >= known(exact)[2]
        assert known(mirror) == pytest.approx(mirrored(found))
    assert paired_shares(0, 0, 50) == bonett_price(0, 0, 50) and paired_shares(3, 2, 50) == bonett_price(3, 2, 50)


@pytest.mark.parametrize("n", [10, 20, 30, 50, 100, 200, 300])
def test_claiming_a_gain_where_there_is_none_stays_near_2_5_percent_at_most(n: Any) -> None:
    wins, losses, low, _ = bonett_price_table(n).T
    for discordance in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        chance = chances(n, wins, losses, discordance / 2, discordance / 2)
        assert chance[low > 0].sum() <= (0.0246 if discordance <= 0.4 else 0.026)


@pytest.mark.parametrize(("discordance", "gain", "n"), [(0.10, 0.05, 312), (0.20, 0.10, 155), (0.30, 0.10, 234), (0.10, 0.10, 77)])
def test_power_of_the_rule_at_the_planned_size(discordance: Any, gain: Any, n: Any) -> None:
    wins, losses, low, _ = bonett_price_table(n).T
    chance = chances(n, wins, losses, (discordance + gain) / 2, (discordance - gain) / 2)
    assert 0.7935 <= chance[low > 0].sum() <= 0.8085


@pytest.mark.parametrize(
    ("test", "n", "discordance", "gain", "power"),
    [
        (mcnemar_exact, 626, 0.2, 0.05, 0.77895),
        (mcnemar_mid_p, 626, 0.2, 0.05, 0.80286),
        (mcnemar_exact, 155, 0.2, 0.10, 0.76175),
        (mcnemar_mid_p, 155, 0.2, 0.10, 0.80843),
    ],
)
def test_power_of_the_two_sided_tests(test: Any, n: Any, discordance: Any, gain: Any, power: Any) -> None:
    share = (discordance + gain) / 2 / discordance
    found = 0.0
    for pairs in range(n + 1):
        weight = binom.pmf(pairs, n, discordance)
        if weight > 1e-9:
            wins = np.arange(pairs + 1)
            rejected = np.array([test(int(won), pairs - int(won)) <= 0.05 for won in wins])
            found += weight * binom.pmf(wins, pairs, share)[rejected].sum()
    assert found == pytest.approx(power, abs=2e-5)


def test_swapping_candidate_and_baseline_mirrors_and_width_is_never_zero() -> None:
    for wins, losses, low, high in bonett_price_table(30):
        other = bonett_price(int(losses), int(wins), 30)
        assert (low, high) == pytest.approx(mirrored(other)[1:], abs=1e-12)
        assert -1 <= low < high <= 1
        assert low <= (wins - losses) / 30 <= high


def test_nothing_measured_and_nonsense() -> None:
    empty = bonett_price(0, 0, 0)
    assert (empty.value, empty.low, empty.high, empty.n) == (None, None, None, 0)
    with pytest.raises(ValueError, match="more than the 3 pairs"):
        bonett_price(2, 2, 3)
    for function in (mcnemar_exact, mcnemar_mid_p):
        with pytest.raises(ValueError, match="wanted counts of 0 or more"):
            function(-1, 2)
