"""Sizes and smallest gains: the published tables, Miller's example, statsmodels, inversion."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower

from provetune.stats.power import examples_for_gain, examples_for_mean_gain, examples_for_noninferiority, smallest_provable_gain

GAIN_TABLE = {
    0.05: {0.01: 3923, 0.02: 979, 0.03: 434, 0.05: 155},
    0.10: {0.01: 7847, 0.02: 1960, 0.03: 870, 0.05: 312, 0.10: 77},
    0.20: {0.01: 15696, 0.02: 3923, 0.03: 1742, 0.05: 626, 0.10: 155},
    0.30: {0.01: 23545, 0.02: 5885, 0.03: 2614, 0.05: 940, 0.10: 234},
    0.40: {0.01: 31394, 0.02: 7847, 0.03: 3487, 0.05: 1254, 0.10: 312},
}
SIZES = (50, 80, 100, 200, 500, 1000)
SMALLEST_TABLE = {
    0.10: (None, 9.8, 8.8, 6.2, 4.0, 2.8),
    0.20: (17.3, 13.8, 12.4, 8.8, 5.6, 4.0),
    0.30: (21.2, 16.9, 15.2, 10.8, 6.8, 4.8),
    0.40: (24.5, 19.5, 17.5, 12.5, 7.9, 5.6),
}
NONINFERIORITY_TABLE = {
    0.05: {0.01: 3092, 0.02: 773, 0.03: 344, 0.05: 124},
    0.10: {0.01: 6183, 0.02: 1546, 0.03: 687, 0.05: 248},
    0.20: {0.01: 12366, 0.02: 3092, 0.03: 1374, 0.05: 495},
}


def test_examples_for_gain_table() -> None:
    for discordance, row in GAIN_TABLE.items():
        assert {gain: examples_for_gain(gain, discordance) for gain in row} == row


def test_smallest_provable_gain_table() -> None:
    for discordance, row in SMALLEST_TABLE.items():
        for n, points in zip(SIZES, row, strict=True):
            found = smallest_provable_gain(n, discordance)
            assert found is None if points is None else found == pytest.approx(points / 100, abs=5.1e-4)


def test_noninferiority_table() -> None:
    for discordance, row in NONINFERIORITY_TABLE.items():
        assert {margin: examples_for_noninferiority(margin, discordance) for margin in row} == row


def test_mean_gain_table_and_millers_example() -> None:
    found = {sd: (examples_for_mean_gain(0.02, sd), examples_for_mean_gain(0.05, sd)) for sd in (0.15, 0.25, 0.35)}
    assert found == {0.15: (442, 71), 0.25: (1227, 197), 0.35: (2404, 385)}
    assert examples_for_mean_gain(0.03, (1 / 9) ** 0.5) == 969
    assert examples_for_mean_gain(0.03, (1 / 9 + 1 / 6 + 1 / 6) ** 0.5) == 3876
    assert examples_for_mean_gain(0.03, (1 / 9 + (1 / 6 + 1 / 6) / 10) ** 0.5) == 1260


def test_mean_gain_agrees_with_statsmodels() -> None:
    needed = NormalIndPower(ddof=0).solve_power(effect_size=0.2, power=0.9, alpha=0.01, ratio=0)
    assert examples_for_mean_gain(0.2, 1.0, power=0.9, confidence=0.99) == pytest.approx(needed, abs=1)


@given(st.integers(30, 5000), st.floats(0.02, 1.0), st.sampled_from([0.8, 0.9]), st.sampled_from([0.9, 0.95, 0.99]))
def test_smallest_gain_is_the_inverse(n: Any, discordance: Any, power: Any, confidence: Any) -> None:
    gain = smallest_provable_gain(n, discordance, power=power, confidence=confidence)
    if gain is None:
        assert examples_for_gain(discordance, discordance, power=power, confidence=confidence) > n
    else:
        assert examples_for_gain(gain, discordance, power=power, confidence=confidence) == n


def test_edges() -> None:
    assert smallest_provable_gain(0, 0.2) is None
    assert smallest_provable_gain(100, 0.0) is None
    assert examples_for_noninferiority(0.05, 0.0) == 45
    assert examples_for_mean_gain(0.05, 0.0) == 1
    with pytest.raises(ValueError, match="wanted 0 < gain <= discordance <= 1"):
        examples_for_gain(0.1, 0.05)
    with pytest.raises(ValueError, match="wanted n >= 0"):
        smallest_provable_gain(-1, 0.2)
    with pytest.raises(ValueError, match="wanted margin > 0"):
        examples_for_noninferiority(0.0, 0.2)
    with pytest.raises(ValueError, match="wanted gain > 0"):
        examples_for_mean_gain(0.0, 0.2)
    with pytest.raises(ValueError, match="power or confidence of 80"):
        examples_for_gain(0.05, 0.2, power=80)
