"""The generalisation gap and its warning: on rows learned by heart, and on rows that were not."""

from __future__ import annotations

import pytest
import torch

from provetune.engine.packing import Group
from provetune.engine.padded import padded_loss
from provetune.stats.estimate import Estimate
from provetune.tuning.overfitting import generalisation_gap, memorising
from provetune.tuning.state import ValidationPoint
from tests.models import random_rows, tiny_llama

TRAIN, VALIDATION = random_rows([9, 14, 6, 11, 17, 8]), random_rows([8, 11, 13, 9, 12, 7], seed=1)


def learned(model: torch.nn.Module, steps: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        padded_loss(model, TRAIN, (Group(0, tuple(range(len(TRAIN)))),), 30.0).backward()
        optimizer.step()


def test_no_gap_before_training_and_a_wide_one_by_heart() -> None:
    model = tiny_llama()
    before = generalisation_gap(model, TRAIN, VALIDATION, seed=1, packed=True)
    assert before.low is not None and before.high is not None and before.low < 0 < before.high
    learned(model, 30)
    after = generalisation_gap(model, TRAIN, VALIDATION, seed=1, packed=True)
    assert after.low is not None and after.low > 2 and after.n == 6
    slow = generalisation_gap(model, TRAIN, VALIDATION, seed=1, packed=False)
    assert slow.value == pytest.approx(after.value, rel=1e-3)


@pytest.mark.parametrize(
    ("low", "losses", "warned"),
    [
        (0.6, [1.2, 1.0, 1.5], True),
        (0.4, [1.2, 1.0, 1.5], False),  # the gap may be chance
        (0.6, [1.5, 1.2, 1.0], False),  # the validation loss still falls
    ],
)
def test_both_signs_are_needed(low: float, losses: list[float], warned: bool) -> None:
    points = [ValidationPoint(step, loss, 0.5) for step, loss in enumerate(losses, start=1)]
    best = min(points, key=lambda point: point.loss).step
    found = memorising(Estimate(0.8, low, 1.0, 50, 0.95, "x"), points, best)
    assert bool(found) == warned and (
        not warned or found.startswith("memorising: training rows lose 0.200 nats per token, validation rows 1.000")
    )


def test_what_was_not_measured_warns_of_nothing() -> None:
    assert memorising(Estimate(None, None, None, 0, 0.95, "x"), [ValidationPoint(1, 1.0, 0.5)], 1) == ""
