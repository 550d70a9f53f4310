"""An estimate that was measured, as plain numbers."""

from __future__ import annotations

from provetune.stats.estimate import Estimate


def known(estimate: Estimate) -> tuple[float, float, float]:
    """(value, low, high); fails where nothing was measured."""
    assert estimate.value is not None and estimate.low is not None and estimate.high is not None
    return estimate.value, estimate.low, estimate.high


def width(estimate: Estimate) -> float:
    """From low to high."""
    _, low, high = known(estimate)
    return high - low


def mirrored(estimate: Estimate) -> tuple[float, float, float]:
    """(value, low, high) of the same comparison the other way round."""
    value, low, high = known(estimate)
    return -value, -high, -low
