"""Has a training learned its rows by heart? The gap between what it loses on rows it saw and on rows it did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from provetune.chat import TokenRow
from provetune.engine.likelihood import row_nats
from provetune.stats.estimate import Estimate
from provetune.stats.ratio import ratio_difference
from provetune.tuning.state import ValidationPoint

MOST_ROWS = 200
RISEN = 1.02
"""A validation loss that ends this many times above its lowest has turned up."""


def generalisation_gap(model: Any, train: Sequence[TokenRow], validation: Sequence[TokenRow], *, seed: int, packed: bool) -> Estimate:
    """Validation loss minus training loss of the weights as they are, in nats per learned token, on up to MOST_ROWS rows of each."""
    draw = np.random.default_rng(seed)
    sides = []
    for rows in (validation, train):
        drawn = [rows[int(k)] for k in draw.permutation(len(rows))[:MOST_ROWS]]
        sides.append((np.array(row_nats(model, drawn, packed=packed)), np.array([float(row.label_count) for row in drawn])))
    return ratio_difference(sides[0], sides[1])


def memorising(gap: Estimate, points: Sequence[ValidationPoint], best_step: int) -> str:
    """A warning where the kept weights know their training rows by heart; empty where they do not.

    Two signs together: training rows have, beyond chance, less than half the loss of validation rows, and the validation loss has
    turned up again by the end.
    """
    kept = next((point.loss for point in points if point.step == best_step), None)
    if kept is None or gap.value is None or gap.low is None or gap.low <= kept / 2:
        return ""
    lowest, last = min(point.loss for point in points), points[-1].loss
    if last <= RISEN * lowest:
        return ""
    return (
        f"memorising: training rows lose {kept - gap.value:.3f} nats per token, validation rows {kept:.3f}, and the validation loss rose "
        f"from {lowest:.3f} to {last:.3f}; use fewer epochs, a lower learning rate or rank, or more rows"
    )
