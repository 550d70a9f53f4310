"""What a metric is: how one completion is observed, and how the observations become a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from provetune.stats.measure import Kind

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One completion and all that a metric may hold it against; what is not known stays at its default.

    `references` are texts that are as right as the target. `prompt` holds the words of all turns before the target, `meta` the row's
    other columns. `probabilities` are those of the labels, in their order; `nats` and `tokens` are the target's negative
    log-likelihood and length under the candidate; `similarity` is the one of target and completion under some embedding.
    """

    target: str
    completion: str
    labels: Sequence[str] = ()
    references: Sequence[str] = ()
    prompt: str = ""
    schema: str | None = None
    meta: Mapping[str, JsonValue] = field(default_factory=dict)
    probabilities: Sequence[float] = ()
    nats: float | None = None
    tokens: int = 0
    similarity: float | None = None

    @property
    def right_texts(self) -> tuple[str, ...]:
        """The target and every other text that is as right."""
        return (self.target, *self.references)


Need = Literal["labels", "probabilities", "loglikelihood", "embedding", "schema", "json", "tools", "instructions", "answerable"]
"""What a metric cannot do without, beside target and completion."""

Observe = Callable[[Row], tuple[float, ...] | None]
Aggregate = Callable[[FloatArray, FloatArray], FloatArray]


def always(row: Row) -> bool:
    """A metric of every row."""
    return True


def no_signature(rows: Sequence[Row]) -> str:
    """A metric without variants."""
    return ""


@dataclass(frozen=True)
class Metric:
    """A rule that turns completions into a number between `bounds`.

    `observe(row)` gives one row of numbers, None where the row lacks what the metric needs (a bad completion is no such case: it
    scores 0); `aggregate(observations [n, k], weights [B, n])` gives B values, one per weighting of the rows (all ones: the value
    itself). `applies` says whether a row, whatever was completed, can be measured at all; `signature` which variant was computed.
    """

    name: str
    version: int
    kind: Kind
    observe: Observe
    aggregate: Aggregate
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    needs: frozenset[Need] = frozenset()
    applies: Callable[[Row], bool] = always
    signature: Callable[[Sequence[Row]], str] = no_signature


def weighted_mean(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean of the first column under each weighting."""
    mean: FloatArray = weights @ observations[:, 0] / weights.sum(axis=1)
    return mean
