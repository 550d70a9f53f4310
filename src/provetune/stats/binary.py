"""Paired right/wrong scores: how much better the candidate is, and whether chance explains it.

`wins` are examples that the candidate got right and the baseline wrong, `losses` the reverse; on all others they agree.
"""

from __future__ import annotations

import math
from dataclasses import replace

from scipy.special import bdtr, gammaln, ndtri

from provetune.stats.estimate import Estimate
from provetune.stats.proportion import clopper_pearson
from provetune.stats.units import check_confidence, clipped, not_measured


def bonett_price(wins: int, losses: int, n: int, confidence: float = 0.95) -> Estimate:
    """Difference of two paired proportions, candidate minus baseline, with Bonett and Price's interval (2012).

    p = (wins + 1)/(n + 2), q = (losses + 1)/(n + 2), p - q +- z sqrt((p + q - (p - q)^2)/(n + 2)), cut to [-1, 1]; the value
    is (wins - losses)/n. It never has zero width; asked for 95 % it covers about 94 % or more at n >= 10, unless one side can never win
    (then down to 92 %: see `paired_shares`).
    Nothing measured (n = 0) gives an estimate of None. Raises ValueError unless wins, losses >= 0 and wins + losses <= n.

    >>> str(bonett_price(12, 2, 50))
    '0.200 [0.051, 0.334], n=50'
    """
    _check(wins, losses)
    check_confidence(confidence)
    if wins + losses > n:
        raise ValueError(f"found {wins} wins and {losses} losses, more than the {n} pairs")
    if n == 0:
        return not_measured(confidence, "Bonett-Price")
    z = float(ndtri((1 + confidence) / 2))
    p, q = (wins + 1) / (n + 2), (losses + 1) / (n + 2)
    half = z * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    low, high = clipped(p - q - half, p - q + half, (-1.0, 1.0))
    return Estimate((wins - losses) / n, low, high, n, confidence, "Bonett-Price")


def paired_shares(wins: int, losses: int, n: int, confidence: float = 0.95) -> Estimate:
    """`bonett_price`; where exactly one of wins and losses is 0, at least as wide as the exact interval of the other's share.

    From n = 30 on it covers what it promises less 1.5 points or more, wherever the truth lies.

    >>> str(paired_shares(12, 2, 50)), str(paired_shares(8, 0, 50))
    ('0.200 [0.051, 0.334], n=50', '0.160 [0.042, 0.291], n=50')
    """
    found = bonett_price(wins, losses, n, confidence)
    if (wins == 0) == (losses == 0) or found.low is None or found.high is None:
        return found
    share = clopper_pearson(wins + losses, n, confidence)
    low, high = share.low or 0.0, share.high or 0.0
    low, high = (low, high) if wins else (-high, -low)
    return replace(found, low=min(found.low, low), high=max(found.high, high), method="Bonett-Price, one-sided wins")


def mcnemar_exact(wins: int, losses: int) -> float:
    """Two-sided p of McNemar's exact test: twice the binomial tail, at most 1; 1 where they never disagree.

    >>> mcnemar_exact(1, 7)
    0.0703125
    """
    _check(wins, losses)
    return min(1.0, 2 * float(bdtr(min(wins, losses), wins + losses, 0.5)))


def mcnemar_mid_p(wins: int, losses: int) -> float:
    """Two-sided mid-p of McNemar's test: the observed split counts half (Fagerland, Lydersen & Laake 2013).

    >>> round(mcnemar_mid_p(1, 7), 7)
    0.0390625
    """
    _check(wins, losses)
    fewer, pairs = min(wins, losses), wins + losses
    log_chance = gammaln(pairs + 1) - gammaln(fewer + 1) - gammaln(pairs - fewer + 1) - pairs * math.log(2)
    tail = float(bdtr(fewer, pairs, 0.5))
    return min(1.0, max(0.0, 2 * tail - math.exp(log_chance)))


def _check(wins: int, losses: int) -> None:
    if wins < 0 or losses < 0:
        raise ValueError(f"found {wins} wins and {losses} losses, wanted counts of 0 or more")
