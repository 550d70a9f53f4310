"""What the statistics need to know of a metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from provetune.stats.units import FloatArray

Aggregate = Callable[[FloatArray, FloatArray], FloatArray]
"""`aggregate(observations [n, k], weights [B, n])` gives [B] values, one per weighting; a row of weight 0 counts for nothing."""

Kind = Literal["binary", "mean", "corpus"]
"""Right/wrong in column 0, a score in column 0, or a metric of all rows whose first two columns are equal where a row is right."""


@dataclass(frozen=True)
class Measure:
    """A metric's kind, its aggregate, and the bounds of its value."""

    kind: Kind
    aggregate: Aggregate
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def difference_bounds(self) -> tuple[float, float]:
        """What the difference of two values can be at least and at most."""
        reach = self.bounds[1] - self.bounds[0]
        return -reach, reach
