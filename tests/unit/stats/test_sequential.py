"""Sequential tests: exact fractions as the slow twin, false alarms, delays, pauses at any moment."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from provetune.stats.sequential import (
    ALARM,
    BETS,
    PAIRED_BETS,
    Betting,
    bets_against,
    first_at,
    paired_wealth,
    run_paths,
    wealth_paths,
)


def exact(losses: list[int], claim: Fraction) -> tuple[Fraction, Fraction]:
    stakes = [Fraction(bet) for bet in BETS if bet * claim < 1]
    products, sums = [Fraction(1)] * len(stakes), [Fraction(0)] * len(stakes)
    for loss in losses:
        factors = [1 + stake * (loss - claim) for stake in stakes]
        products = [a * b for a, b in zip(products, factors, strict=True)]
        sums = [(a + 1) * b for a, b in zip(sums, factors, strict=True)]
    return sum(products, Fraction(0)) / len(stakes), sum(sums, Fraction(0)) / len(stakes)


def test_it_agrees_with_exact_fractions() -> None:
    losses = [int(x) for x in np.random.default_rng(5).random(60) < 0.3]
    wealth, run = exact(losses, Fraction(1, 8))
    state = Betting(0.125).after(losses[:23]).after(losses[23:])
    assert state.wealth == pytest.approx(float(wealth)) and state.run == pytest.approx(float(run))
    assert wealth_paths(np.array(losses), 0.125)[-1] == pytest.approx(float(wealth))
    assert run_paths(np.array(losses), 0.125)[-1] == pytest.approx(float(run))
    assert state.highest == pytest.approx(wealth_paths(np.array(losses), 0.125).max())


def test_where_the_labels_are_cut_does_not_matter() -> None:
    losses = np.random.default_rng(1).random(300).tolist()
    whole, state = Betting(0.4).after(losses), Betting(0.4)
    for loss in losses:
        state = state.after([loss])
    assert state == whole


def test_no_loss_can_ruin_it_and_no_number_overflows() -> None:
    for claim in (0.01, 0.49, 0.5, 0.51, 0.95):
        assert (1 - bets_against(claim) * claim > 0).all()
    assert np.isfinite(Betting(0.05).after([1.0] * 5000).wealth)
    assert Betting(0.05).after([0.0] * 10_000).alarm() is False


def test_false_alarms_at_the_claim_over_ten_thousand_labels() -> None:
    losses = np.random.default_rng(8).random((400, 10_000)) < 0.10
    ever = (wealth_paths(losses, 0.10).max(axis=1) >= ALARM).mean()
    assert ever <= 0.0775  # 99 % limit of 5 % over 400 streams; measured about 0.04


def test_delay_from_ten_to_twenty_per_cent() -> None:
    random = np.random.default_rng(4)
    fresh = first_at(wealth_paths(random.random((500, 1000)) < 0.20, 0.10), ALARM)
    assert np.median(np.where(fresh == 0, 1001, fresh)) <= 80
    stable = np.hstack([random.random((300, 1000)) < 0.10, random.random((300, 1000)) < 0.20])
    runs = run_paths(stable, 0.12)[:, 1000:]
    for length, most in ((2000.0, 120), (4000.0, 150)):
        delays = first_at(runs, length)
        assert np.median(np.where(delays == 0, 1001, delays)) <= most
        assert (delays == 0).mean() <= 0.01


def test_paired_differences() -> None:
    assert paired_wealth([]) == 1.0
    assert paired_wealth([0] * 50) == 1.0
    assert paired_wealth([1, -1] * 500) < ALARM < paired_wealth([1] * 20)
    values = np.random.default_rng(0).choice([-1, 0, 1], 40, p=[0.05, 0.75, 0.2]).tolist()
    highest = max(float(np.mean([np.prod([1 + bet * d for d in values[: k + 1]]) for bet in PAIRED_BETS])) for k in range(40))
    assert paired_wealth(values) == pytest.approx(max(1.0, highest))


@pytest.mark.parametrize("losses", [[-0.1], [0.5, 1.2]])
def test_losses_are_bounded(losses: list[float]) -> None:
    with pytest.raises(ValueError, match="wanted 0 to 1"):
        Betting(0.1).after(losses)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Betting(1.0).after([0.5])
    with pytest.raises(ValueError, match="wanted -1 to 1"):
        paired_wealth([1.5])
