"""Sizes and smallest gains: the published tables, Miller's example, statsmodels, inversion."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower

from provetune.stats.binary import bonett_price
from provetune.stats.power import (
    chance_to_show,
    examples_for_gain,
    examples_for_mean_gain,
    examples_for_noninferiority,
    joint_power,
    provable_gains,
    provable_with,
    smallest_provable_gain,
)

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


@pytest.mark.parametrize(("n", "discordance", "power"), [(124, 0.05, 0.745), (248, 0.10, 0.791), (495, 0.20, 0.800)])
def test_enumerated_power_of_not_worse(n: Any, discordance: Any, power: Any) -> None:
    assert chance_to_show(n, 0.0, discordance, edge=-0.05, confidence=0.90) == pytest.approx(power, abs=6e-4)


def test_enumerated_size_of_not_worse_and_small_panels() -> None:
    for n, discordance, size in ((124, 0.05, 0.0495), (248, 0.10, 0.0527), (495, 0.20, 0.0513)):
        assert chance_to_show(n, -0.05, discordance, edge=-0.05, confidence=0.90) == pytest.approx(size, abs=6e-4)
    found = [chance_to_show(n, 0.0, 0.10, edge=-0.05, confidence=0.90) for n in (26, 40, 100, 200)]
    assert found == pytest.approx([0.12, 0.22, 0.44, 0.71], abs=6e-3)


@pytest.mark.parametrize(("discordance", "gain", "n"), [(0.10, 0.05, 312), (0.20, 0.05, 626), (0.20, 0.10, 155), (0.30, 0.10, 234)])
def test_enumerated_power_of_a_gain(discordance: Any, gain: Any, n: Any) -> None:
    assert 0.793 <= chance_to_show(n, gain, discordance) <= 0.809
    # the normal approximation that is used above 1,000 examples
    assert chance_to_show(8 * n, gain / 8**0.5, discordance) == pytest.approx(0.8, abs=0.015)


@pytest.mark.parametrize("margin", [0.0, 0.02, 0.05])
def test_with_a_margin_the_planned_size_has_the_planned_power(margin: float) -> None:
    n = examples_for_gain(margin + 0.08, 0.25, margin=margin)
    assert chance_to_show(n, margin + 0.08, 0.25, edge=margin) == pytest.approx(0.8, abs=0.015)
    assert smallest_provable_gain(n, 0.25, margin=margin) == pytest.approx(margin + 0.08, abs=2e-4)
    assert examples_for_gain(margin + 0.08, 0.25, margin=margin) >= examples_for_gain(margin + 0.08, 0.25)


def test_what_can_be_proven_is_shown_for_three_discordances_or_the_measured_one() -> None:
    assert [found.discordance for found in provable_gains(200)] == [0.1, 0.2, 0.3]
    [found] = provable_gains(200, 0.15, margin=0.02)
    assert found.gain == smallest_provable_gain(200, 0.15, margin=0.02)


def test_after_the_fact_the_width_says_what_could_be_proven() -> None:
    for wins, losses, n in ((30, 10, 200), (120, 80, 1000)):
        found = provable_with(bonett_price(wins, losses, n), margin=0.02)
        assert found == pytest.approx(smallest_provable_gain(n, (wins + losses) / n, margin=0.02), rel=0.06)
    assert provable_with(bonett_price(0, 0, 0)) is None


def test_joint_power_is_never_more_than_the_least() -> None:
    assert joint_power([]) == 1.0 and joint_power([0.8]) == pytest.approx(0.8)
    assert joint_power([0.8, 0.9, 0.95]) == pytest.approx(0.65)


def test_edges() -> None:
    with pytest.raises(ValueError, match="no number of examples shows it"):
        examples_for_gain(0.05, 0.2, margin=0.05)
    assert smallest_provable_gain(10**6, 0.02, margin=0.02) is None
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
