"""What a metric is: how one completion is observed, and how the observations become a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from provetune.stats.measure import Kind

FloatArray = npt.NDArray[np.float64]
Observe = Callable[[str, str, Sequence[str]], tuple[float, ...]]
Aggregate = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True)
class Metric:
    """A rule that turns completions into a number between `bounds`; higher is better.

    `observe(target, completion, labels)` gives one row of numbers; `aggregate(observations [n, k],
    weights [B, n])` gives B values, one per weighting of the rows (all ones: the value itself).
    """

    name: str
    version: int
    kind: Kind
    observe: Observe
    aggregate: Aggregate
    bounds: tuple[float, float] = (0.0, 1.0)


def weighted_mean(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean of the first column under each weighting."""
    mean: FloatArray = weights @ observations[:, 0] / weights.sum(axis=1)
    return mean
