"""How many examples a claim needs, and what a given number of examples can show.

`discordance` is the share of examples on which exactly one of the two candidates is right; gains, margins and discordance are
shares (0.05 is five points).
"""

from __future__ import annotations

import math

from scipy.special import ndtri


def examples_for_gain(gain: float, discordance: float, *, power: float = 0.8, confidence: float = 0.95) -> int:
    """Paired examples that show a gain in accuracy, two-sided, with this power (Connor 1987, McNemar's test).

    n = (z_confidence sqrt(D) + z_power sqrt(D - gain^2))^2 / gain^2. Raises ValueError unless 0 < gain <= discordance <= 1.

    >>> examples_for_gain(0.05, 0.2)
    626
    """
    if not 0 < gain <= discordance <= 1:
        raise ValueError(f"gain is {gain} and discordance {discordance}, wanted 0 < gain <= discordance <= 1")
    z_confidence, z_power = _two_sided(confidence), _z(power)
    root = z_confidence * math.sqrt(discordance) + z_power * math.sqrt(discordance - gain * gain)
    return _whole_examples((root / gain) ** 2)


def smallest_provable_gain(n: int, discordance: float, *, power: float = 0.8, confidence: float = 0.95) -> float | None:
    """Smallest gain in accuracy that `n` paired examples show with this power, or None where no gain can be shown.

    The inverse of `examples_for_gain`; None where the answer would exceed the discordance, which bounds every gain.
    Raises ValueError unless n >= 0 and 0 <= discordance <= 1.

    >>> round(smallest_provable_gain(80, 0.2), 3)
    0.138
    >>> smallest_provable_gain(50, 0.1) is None
    True
    """
    if n < 0 or not 0 <= discordance <= 1:
        raise ValueError(f"n is {n} and discordance {discordance}, wanted n >= 0 and 0 <= discordance <= 1")
    z_confidence, z_power = _two_sided(confidence), _z(power)
    inside = n + z_power**2 - z_confidence**2
    if inside < 0 or discordance == 0:
        return None
    # Connor's formula solved for the gain: a quadratic, whose root with the sign of z_power belongs to that power.
    gain = math.sqrt(discordance) * (z_confidence * math.sqrt(n) + z_power * math.sqrt(inside)) / (n + z_power**2)
    return gain if 0 < gain <= discordance else None


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
    return float(ndtri(probability))
