"""The units that resampling draws: rows, or whole groups where rows come in groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provetune.stats.estimate import Estimate

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ELEMENTS = 4_000_000
"""Largest number of array elements drawn at once: 32 MB of float64."""

FLAT = 1e-12
"""Differences up to this are rounding, not variation."""


FEW_GROUPS, TOO_FEW_GROUPS = 20, 10
"""Below the first an interval over groups is said to rest on few, below the second it settles nothing."""


@dataclass(frozen=True)
class Resampling:
    """How chance is measured: the seed of the draws, the confidence of the interval, the number of draws.

    `resamples` None takes each function's own number. Raises ValueError on a confidence outside (0, 1) and on fewer than one draw.
    """

    seed: int
    confidence: float = 0.95
    resamples: int | None = None

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.resamples is not None and self.resamples < 1:
            raise ValueError(f"resamples is {self.resamples}, wanted 1 or more")


def numbered_groups(groups: IntArray | None, rows: int) -> IntArray | None:
    """Groups renumbered 0..G-1, one number per row; None where every row is a group of its own.

    Raises ValueError unless there is one group number per row.

    >>> numbered_groups(np.array([7, 3, 7]), 3).tolist()
    [1, 0, 1]
    >>> numbered_groups(np.array([7, 3, 5]), 3) is None
    True
    """
    if groups is None:
        return None
    if groups.shape != (rows,):
        raise ValueError(f"groups have shape {groups.shape}, wanted one group number for each of the {rows} rows")
    names, numbers = np.unique(groups, return_inverse=True)
    return None if len(names) == rows else numbers.astype(np.int64)


def unit_count(numbers: IntArray | None, rows: int) -> int:
    """How many units there are: the groups of `numbered_groups`, or the rows.

    >>> unit_count(np.array([1, 0, 1]), 3), unit_count(None, 3)
    (2, 3)
    """
    return rows if numbers is None or rows == 0 else int(numbers.max()) + 1


def chunks(resamples: int, width: int) -> Iterator[int]:
    """Sizes that add up to `resamples`, each at most `ELEMENTS` / `width` (but at least 1).

    >>> list(chunks(2000, 5_000))
    [800, 800, 400]
    """
    size = max(1, ELEMENTS // max(1, width))
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def flat_interval(value: float, units: int, bounds: tuple[float, float], confidence: float) -> tuple[float, float]:
    """Interval for a mean whose units show no variation at all; never of zero width.

    Up to q = 1 - tail ** (1/units) of the population, tail = min(.05, 1 - confidence), can differ from what was seen and
    still not show up in `units` draws (the "rule of three", Hanley & Lippman-Hand 1983). At worst all of that share lies
    at one of the `bounds`, which moves the mean to value - q (value - lower) or value + q (upper - value).

    >>> [round(bound, 4) for bound in flat_interval(1.0, 100, (0.0, 1.0), 0.95)]
    [0.9705, 1.0]
    """
    tail = min(0.05, 1 - confidence)
    unseen = float(-np.expm1(np.log(tail) / units))
    return clipped(value - unseen * (value - bounds[0]), value + unseen * (bounds[1] - value), bounds)


def clipped(low: float, high: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """The interval, cut to what the metric can reach.

    >>> clipped(-0.2, 0.3, (0.0, 1.0))
    (0.0, 0.3)
    """
    return max(float(low), bounds[0]), min(float(high), bounds[1])


def check_measured(values: FloatArray, bounds: tuple[float, float]) -> None:
    """Raise ValueError on a NaN or infinite number, or bounds that are no finite interval."""
    if not np.isfinite(values).all():
        raise ValueError("found a value that is not a finite number; leave out examples that were not measured")
    if not (np.isfinite(bounds).all() and bounds[0] < bounds[1]):
        raise ValueError(f"bounds are {bounds}, wanted two finite numbers, the lower one first")


def check_confidence(confidence: float) -> None:
    """Raise ValueError on a confidence outside (0, 1)."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, wanted a number between 0 and 1, such as 0.95")


def not_measured(confidence: float, method: str) -> Estimate:
    """The estimate of nothing: no rows."""
    return Estimate(None, None, None, 0, confidence, method)
