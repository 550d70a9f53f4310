"""Sums of independent estimates, with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from provetune.stats.estimate import Estimate


def weighted_sum(parts: Sequence[tuple[float, Estimate]]) -> Estimate:
    """The sum of weight times value over independent estimates, by the method of variance estimates recovery (Zou & Donner 2008).

    Each end lies as far from the sum as the root of the squared distances of the parts' own ends. A part without an interval counts as
    known exactly; a part that was not measured leaves the sum unmeasured. `n` is the smallest of the parts'.

    >>> a, b = Estimate(0.9, 0.8, 0.95, 50, 0.95, "Wilson"), Estimate(0.5, 0.4, 0.6, 40, 0.95, "Wilson")
    >>> str(weighted_sum([(1, a), (-1, b)]))
    '0.400 [0.259, 0.512], n=40'
    """
    counted = [(weight, part) for weight, part in parts if part.low is not None and part.high is not None]
    confidence = counted[0][1].confidence if counted else 0.95
    n = min((part.n for _, part in counted), default=0)
    if any(part.value is None for _, part in parts):
        return Estimate(None, None, None, n, confidence, "not measured")
    total = math.fsum(weight * (part.value or 0.0) for weight, part in parts)
    if not counted:
        return Estimate(total, None, None, n, confidence, "exact")
    below, above = [], []
    for weight, part in counted:
        ends = sorted(weight * end for end in (part.low or 0.0, part.high or 0.0))
        middle = weight * (part.value or 0.0)
        below.append(middle - ends[0])
        above.append(ends[1] - middle)
    return Estimate(total, total - math.hypot(*below), total + math.hypot(*above), n, confidence, "variance recovery")
