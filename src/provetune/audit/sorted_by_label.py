"""Is the file sorted by label."""

from __future__ import annotations

import math
from collections import Counter

from provetune.audit.inputs import AuditInput, share
from provetune.records.data import Finding

FEWEST = 50
SURE = 5.0
"""Standard deviations above what chance order gives."""
TWICE = 2.0


def sorted_by_label(inputs: AuditInput) -> list[Finding]:
    """Neighbouring rows that share their label far more often than in random order (the multiple runs test, Mood 1940).

    Told as information: the split and the batches are drawn at random. It warns whoever cuts the file by hand.
    """
    labels = [example.label for example in inputs.examples if example.label is not None]
    counts = Counter(labels)
    n = len(labels)
    if n < FEWEST or len(counts) < 2:
        return []
    equal = sum(a == b for a, b in zip(labels, labels[1:], strict=False))
    squares, cubes = sum(k * k for k in counts.values()), sum(k**3 for k in counts.values())
    expected = (squares - n) / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n * n * (n - 1))
    if variance <= 0 or equal < TWICE * expected or (equal - expected) / math.sqrt(variance) < SURE:
        return []
    return [
        Finding(
            check="sorted_by_label",
            severity="info",
            message=f"The rows stand in an order: {equal / (n - 1):.1%} of neighbouring rows share their label, by chance it would be "
            f"{expected / (n - 1):.1%}.",
            count=equal,
            observed=share(equal, n - 1),
            threshold=TWICE * expected / (n - 1),
            remedy="Nothing to do here, since the split and the batches are drawn at random; never cut such a file by hand into parts.",
        )
    ]
