"""How many examples a claim needs, and what a given number of examples can show.

`discordance` is the share of examples on which exactly one of the two candidates is right; gains, margins and discordance are
shares (0.05 is five points).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from provetune.stats.estimate import Estimate

EXPECTED_DISCORDANCE = 0.2
"""Assumed where nothing was measured yet; 20 % is usual for tuning against prompting."""
DISCORDANCES = (0.1, 0.2, 0.3)
"""Shown side by side where nothing was measured yet."""
_COUNTED_UP_TO = 1_000


@dataclass(frozen=True)
class ProvableGain:
    """The smallest gain that is shown with the wanted power at this discordance; None where no gain can be."""

    discordance: float
    gain: float | None


def examples_for_gain(gain: float, discordance: float, *, margin: float = 0.0, power: float = 0.8, confidence: float = 0.95) -> int:
    """Paired examples that show, two-sided and with this power, that a true `gain` in accuracy is more than `margin`.

    n = (z_confidence sqrt(D - margin^2) + z_power sqrt(D - gain^2))^2 / (gain - margin)^2: Connor (1987) for margin 0.
    Raises ValueError unless 0 <= margin < gain <= discordance <= 1.

    >>> examples_for_gain(0.05, 0.2), examples_for_gain(0.07, 0.2, margin=0.02)
    (626, 623)
    """
    if not 0 < gain <= discordance <= 1:
        raise ValueError(f"gain is {gain} and discordance {discordance}, wanted 0 < gain <= discordance <= 1")
    if not 0 <= margin < gain:
        raise ValueError(f"margin is {margin} and gain {gain}, wanted 0 <= margin < gain: no number of examples shows it")
    z_confidence, z_power = _two_sided(confidence), _z(power)
    root = z_confidence * math.sqrt(discordance - margin * margin) + z_power * math.sqrt(discordance - gain * gain)
    return _whole_examples((root / (gain - margin)) ** 2)


def smallest_provable_gain(
    n: int, discordance: float, *, margin: float = 0.0, power: float = 0.8, confidence: float = 0.95
) -> float | None:
    """Smallest gain in accuracy that `n` paired examples show to be more than `margin`, or None where no gain can be shown.

    The inverse of `examples_for_gain`; None where the answer would exceed the discordance, which bounds every gain.
    Raises ValueError unless n >= 0 and 0 <= discordance <= 1.

    >>> round(smallest_provable_gain(80, 0.2), 3), round(smallest_provable_gain(80, 0.2, margin=0.02), 3)
    (0.138, 0.157)
    >>> smallest_provable_gain(50, 0.1) is None
    True
    """
    if n < 0 or not 0 <= discordance <= 1:
        raise ValueError(f"n is {n} and discordance {discordance}, wanted n >= 0 and 0 <= discordance <= 1")
    z_confidence, z_power = _two_sided(confidence), _z(power)

    def missing(gain: float) -> float:
        """Standard errors that the gain lies short of being shown."""
        root = z_confidence * math.sqrt(discordance - margin * margin) + z_power * math.sqrt(max(0.0, discordance - gain * gain))
        return root - math.sqrt(n) * (gain - margin)

    if margin >= discordance or missing(discordance) > 0:
        return None
    low, high = margin, discordance  # `missing` falls from above zero to below it: halving is as sure as Brent's way, and loads nothing
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if missing(middle) > 0 else (low, middle)
    return high


def provable_gains(n: int, discordance: float | None = None, *, margin: float = 0.0, confidence: float = 0.95) -> tuple[ProvableGain, ...]:
    """What `n` paired examples can show with 80 % power: at the measured discordance, else at 10, 20 and 30 %.

    >>> [round(found.gain, 3) for found in provable_gains(200)]
    [0.062, 0.088, 0.108]
    """
    shares = DISCORDANCES if discordance is None else (discordance,)
    return tuple(ProvableGain(share, smallest_provable_gain(n, share, margin=margin, confidence=confidence)) for share in shares)


def chance_to_show(n: int, gain: float, discordance: float, *, edge: float = 0.0, confidence: float = 0.95) -> float:
    """Chance that the interval of `paired_shares` on `n` examples lies above `edge` if the true difference is `gain`.

    Every outcome is counted up to 1,000 examples; above, the normal approximation. `edge` is the margin of a gain, or minus
    the margin of "not worse" (there with two-sided confidence 0.90). Raises ValueError unless |gain| <= discordance <= 1.

    >>> round(chance_to_show(155, 0.10, 0.2), 3), round(chance_to_show(495, 0.0, 0.2, edge=-0.05, confidence=0.9), 3)
    (0.808, 0.8)
    """
    if not abs(gain) <= discordance <= 1 or n < 1:
        raise ValueError(f"n is {n}, gain {gain}, discordance {discordance}; wanted n >= 1 and |gain| <= discordance <= 1")
    z = _two_sided(confidence)
    if n > _COUNTED_UP_TO:
        error = math.sqrt(max(discordance - edge * edge, 0.0)), math.sqrt(max(discordance - gain * gain, 1e-300))
        return NormalDist().cdf((math.sqrt(n) * (gain - edge) - z * error[0]) / error[1])
    from scipy.special import betaincinv, gammaln, xlogy  # loading it takes longer than a whole plan

    wins, losses = np.nonzero(np.add.outer(np.arange(n + 1), np.arange(n + 1)) <= n)
    p, q = (wins + 1) / (n + 2), (losses + 1) / (n + 2)
    low = p - q - z * np.sqrt((p + q - (p - q) ** 2) / (n + 2))
    alone = (losses == 0) & (wins > 0)
    low[alone] = np.minimum(low[alone], betaincinv(wins[alone], n - wins[alone] + 1, (1 - confidence) / 2))
    chance = np.array([(discordance + gain) / 2, (discordance - gain) / 2, 1 - discordance])
    counts = np.stack([wins, losses, n - wins - losses])
    logs = gammaln(n + 1) - gammaln(counts + 1).sum(axis=0) + xlogy(counts, chance[:, None]).sum(axis=0)
    return float(np.exp(logs[low > edge]).sum())


def joint_power(powers: Sequence[float]) -> float:
    """Least chance that all claims are shown together, whatever their dependence (Bonferroni): 1 - sum(1 - power).

    >>> round(joint_power([0.9, 0.85]), 2), joint_power([0.5, 0.4])
    (0.75, 0.0)
    """
    return max(0.0, 1 - sum(1 - power for power in powers))


def examples_for_noninferiority(margin: float, discordance: float, *, power: float = 0.8, confidence: float = 0.95) -> int:
    """Paired examples that show "not worse than by `margin`" with this power if there is no true difference.

    `confidence` is one-sided, as in a non-inferiority gate. n = (z_confidence + z_power)^2 D / margin^2, and at least as many
    as the Bonett-Price bound needs when the two never disagree. Raises ValueError unless margin > 0 and 0 <= discordance <= 1.

    >>> examples_for_noninferiority(0.05, 0.2)
    495
    >>> examples_for_noninferiority(0.05, 0.0)
    45
    """
    if not (margin > 0 and 0 <= discordance <= 1):
        raise ValueError(f"margin is {margin} and discordance {discordance}, wanted margin > 0 and 0 <= discordance <= 1")
    z = _z(confidence)
    normal = (z + _z(power)) ** 2 * discordance / margin**2
    # Without a single disagreement the bound is z sqrt(2) / (n + 2), which must fall below the margin.
    never_disagreeing = z * math.sqrt(2) / margin - 2
    return max(_whole_examples(normal), math.floor(never_disagreeing) + 1)


def examples_for_mean_gain(gain: float, sd: float, *, power: float = 0.8, confidence: float = 0.95) -> int:
    """Paired examples that show a gain in a mean score, two-sided, with this power; `sd` is that of the differences.

    n = (z_confidence + z_power)^2 sd^2 / gain^2 (Miller 2024). Raises ValueError unless gain > 0 and sd >= 0.

    >>> examples_for_mean_gain(0.05, 0.25)
    197
    """
    if not (gain > 0 and sd >= 0):
        raise ValueError(f"gain is {gain} and sd {sd}, wanted gain > 0 and sd >= 0")
    return _whole_examples(((_two_sided(confidence) + _z(power)) * sd / gain) ** 2)


def _whole_examples(n: float) -> int:
    # A whole number that rounding pushed up by 1e-10 is still that number.
    return max(1, math.ceil(n - 1e-9 * max(1.0, n)))


def _two_sided(confidence: float) -> float:
    return _z((1 + confidence) / 2)


def _z(probability: float) -> float:
    if not 0 < probability < 1:
        raise ValueError(f"found a power or confidence of {probability}, wanted a number between 0 and 1")
    return NormalDist().inv_cdf(probability)


def provable_with(found: Estimate, *, margin: float = 0.0, power: float = 0.8) -> float | None:
    """The true difference that an interval as wide as this one shows to be more than `margin` with this power, whatever the metric.

    >>> round(provable_with(Estimate(0.1, 0.05, 0.15, 400, 0.95, "")), 3)
    0.071
    """
    if found.low is None or found.high is None:
        return None
    return margin + (found.high - found.low) / 2 * (1 + _z(power) / _two_sided(found.confidence))
