"""Tests that may be looked at after every label: betting against a claimed mean, and how soon a change shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BETS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Stakes on a loss above the claim."""
PAIRED_BETS = (0.1, 0.25, 0.5, 0.75)
"""Stakes on a paired difference above 0."""
ALARM = 20.0
"""Wealth at which level 5 % is reached (Ville's inequality: P(wealth ever >= 1 / alpha) <= alpha)."""
RUN_LENGTH = 4000.0
"""Labels between false alarms of the Shiryaev-Roberts form, on average, at least."""
_LARGEST = 1e300


def bets_against(claim: float) -> Floats:
    """The stakes that no loss of 0 can ruin: those below 1 / claim.

    >>> bets_against(0.6).tolist()
    [0.1, 0.25, 0.5, 0.75, 1.0, 1.5]
    """
    if not 0 < claim < 1:
        raise ValueError(f"found a claimed mean loss of {claim}, wanted one between 0 and 1")
    return np.array([bet for bet in BETS if bet * claim < 1])


@dataclass(frozen=True)
class Betting:
    """Evidence that the mean of losses in [0, 1] lies above `claim`, kept between labels; `seen` losses so far.

    `wealth` is the mean over stakes b of the products of 1 + b (loss - claim): an e-process, valid at every moment and at any rate of
    labels, in order of arrival. `run` is the mean of the Shiryaev-Roberts sums S <- (S + 1)(1 + b (loss - claim)), which a long good
    history does not slow down; under the claim it takes `RUN_LENGTH` labels or more, on average, to reach that number.
    Sources: Waudby-Smith and Ramdas 2024 (betting); Shin, Ramdas and Rinaldo, "E-detectors", 2023.

    >>> state = Betting(0.1).after([0, 0, 1, 1, 1])
    >>> state.seen, round(state.wealth, 2), round(state.run, 1)
    (5, 5.54, 24.8)
    """

    claim: float
    seen: int = 0
    products: tuple[float, ...] = ()
    sums: tuple[float, ...] = ()
    highest: float = field(default=0.0)

    @property
    def wealth(self) -> float:
        """The e-process; 1 before the first loss."""
        return float(np.mean(self.products)) if self.products else 1.0

    @property
    def run(self) -> float:
        """The Shiryaev-Roberts statistic; 0 before the first loss."""
        return float(np.mean(self.sums)) if self.sums else 0.0

    def after(self, losses: Sequence[float]) -> Betting:
        """The state after these losses. ValueError on a loss outside [0, 1]."""
        if any(not 0 <= loss <= 1 for loss in losses):
            raise ValueError(f"found losses from {min(losses)} to {max(losses)}, wanted 0 to 1")
        stakes = bets_against(self.claim)
        products = np.array(self.products or np.ones(len(stakes)))
        sums = np.array(self.sums or np.zeros(len(stakes)))
        highest = self.highest
        for loss in losses:
            factors = 1 + stakes * (loss - self.claim)
            products = np.minimum(products * factors, _LARGEST)
            sums = np.minimum((sums + 1) * factors, _LARGEST)
            highest = max(highest, float(products.mean()))
        return replace(self, seen=self.seen + len(losses), products=tuple(products.tolist()), sums=tuple(sums.tolist()), highest=highest)

    def alarm(self, level: float = ALARM, run_length: float = RUN_LENGTH) -> bool:
        """Whether the wealth ever reached `level`, or the run is at `run_length` now."""
        return self.highest >= level or self.run >= run_length


def wealth_paths(losses: NDArray[Any], claim: float, stakes: Floats | None = None) -> Floats:
    """The e-process after each loss, along the last axis; any number of streams at once. `stakes` default to `bets_against(claim)`.

    With `claim` 0 and `PAIRED_BETS` it tests that the mean of paired differences in [-1, 1] is above 0 (a canary worse than the champion).

    >>> wealth_paths(np.array([1, 1, 0]), 0.1).round(2).tolist()
    [1.78, 3.51, 3.06]
    """
    found = np.zeros(losses.shape)
    chosen = bets_against(claim) if stakes is None else stakes
    for stake in chosen:
        # far beyond any alarm the exact number does not matter
        found += np.exp(np.minimum(np.cumsum(np.log1p(stake * (losses - claim)), axis=-1), 600.0))
    return found / len(chosen)


def run_paths(losses: NDArray[Any], claim: float) -> Floats:
    """The Shiryaev-Roberts statistic after each loss, along the last axis; any number of streams at once.

    >>> run_paths(np.array([1, 1, 0]), 0.1).round(2).tolist()
    [1.78, 5.29, 5.57]
    """
    stakes = bets_against(claim)
    found = np.zeros(losses.shape)
    sums = np.zeros((*losses.shape[:-1], len(stakes)))
    for place in range(losses.shape[-1]):
        sums = np.minimum((sums + 1) * (1 + stakes * (losses[..., place, None] - claim)), _LARGEST)
        found[..., place] = sums.mean(axis=-1)
    return found


def paired_wealth(differences: Sequence[float]) -> float:
    """Evidence, at its highest so far, that paired losses of a challenger lie above the champion's; at `ALARM` it is worse at level 5 %.

    `differences` are challenger's loss minus champion's, in [-1, 1], in order of arrival.

    >>> round(paired_wealth([1, 0, 1, 1, 0, 1, 1, 1]), 1)
    11.4
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.size and (values.min() < -1 or values.max() > 1):
        raise ValueError(f"found differences from {values.min()} to {values.max()}, wanted -1 to 1")
    return float(max(1.0, wealth_paths(values, 0.0, np.array(PAIRED_BETS)).max())) if values.size else 1.0


def first_at(paths: Floats, level: float) -> NDArray[np.int64]:
    """Number of losses after which each path first is at `level`; 0 where it never is.

    >>> first_at(np.array([[1.0, 3.0], [1.0, 1.0]]), 2.0).tolist()
    [2, 0]
    """
    reached = paths >= level
    found: NDArray[np.int64] = np.where(reached.any(axis=-1), reached.argmax(axis=-1) + 1, 0)
    return found
