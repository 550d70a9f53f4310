"""Rows in short form, and a metric's value over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from provetune.metrics import METRICS
from provetune.metrics.base import Row


def value(name: str, rows: Sequence[Row]) -> float:
    """The metric over all rows, each of which must be measurable."""
    observed = [METRICS[name].observe(row) for row in rows]
    assert None not in observed
    return float(METRICS[name].aggregate(np.array(observed, dtype=float), np.ones((1, len(rows))))[0])


def one(name: str, target: str, completion: str) -> float:
    """The metric of one completion against one target."""
    return value(name, [Row(target, completion)])
