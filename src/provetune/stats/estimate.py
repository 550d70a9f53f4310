"""The one type of number that provetune reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; `value` is None where nothing could be measured.

    `low` and `high` bound the value at `confidence` (two-sided); `n` is the number of units it rests on
    (examples, or groups where rows come in groups); `method` names the interval.

    >>> str(Estimate(0.81, 0.77, 0.85, 212, 0.95, "Wilson"))
    '0.810 [0.770, 0.850], n=212'
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    confidence: float
    method: str

    @property
    def in_groups(self) -> bool:
        """Whether `n` counts groups of rows."""
        return "cluster" in self.method

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return f"not measured, n={self.n}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n={self.n}"
