"""How evenly the labels are spread."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection

from provetune.audit.inputs import AuditInput, rows_text
from provetune.records.data import Finding
from provetune.stats.proportion import wilson

WARN_ABOVE = 0.8
UNEVEN = 0.5


def class_balance(inputs: AuditInput) -> list[Finding]:
    """A warning where one label has most of the rows; a word where the labels count for less than half their number.

    The effective number of labels is exp of the entropy of their shares: K where all are equally frequent.
    """
    labels = [example.label for example in inputs.examples if example.label is not None]
    counts = Counter(labels)
    if inputs.task.type != "classify" or len(counts) < 2:
        return []
    label, most = min(counts.items(), key=lambda item: (-item[1], item[0]))
    largest = wilson(most, len(labels))
    effective = effective_number(counts.values())
    dominant = largest.low is not None and largest.low > WARN_ABOVE
    if not dominant and effective >= UNEVEN * len(counts):
        return []
    return [
        Finding(
            check="class_balance",
            severity="warning" if dominant else "info",
            message=f"The label {label!r} has {rows_text(most)} of {len(labels):,} ({largest.value:.1%}); the {len(counts):,} labels are "
            f"spread like {effective:.1f} equally frequent ones. Answering {label!r} always would be right that often.",
            count=most,
            observed=largest if dominant else effective,
            threshold=WARN_ABOVE if dominant else UNEVEN * len(counts),
            remedy="Judge by f1_macro (metric: f1_macro), which counts every label alike, and collect rows of the rare labels.",
        )
    ]


def effective_number(counts: Collection[int]) -> float:
    """Exp of the entropy of the shares of these counts.

    >>> effective_number([5, 5]), round(effective_number([99, 1]), 2)
    (2.0, 1.06)
    """
    total = sum(counts)
    return math.exp(-sum(count / total * math.log(count / total) for count in counts if count))
