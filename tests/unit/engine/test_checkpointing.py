"""Gradient checkpointing: measured bytes, the number of layers a budget asks for."""

from __future__ import annotations

import pytest

from provetune.engine.checkpointing import checkpoint_layers, layers_of, layers_within, saved_bytes
from tests.models import random_rows, tiny_llama

[ROW] = random_rows([200])


def test_each_checkpointed_layer_keeps_less() -> None:
    model = tiny_llama(num_hidden_layers=4).train()
    kept = []
    for count in range(5):
        checkpoint_layers(model, count)
        kept.append(saved_bytes(model, ROW))
    steps = [a - b for a, b in zip(kept, kept[1:], strict=False)]
    assert max(steps) < 1.05 * min(steps) and min(steps) > 200 * 64 * 4 * 8
    assert kept[4] < 0.3 * kept[0]


def test_what_is_kept_grows_with_the_tokens_alone() -> None:
    model = tiny_llama()
    short, long = (saved_bytes(model, random_rows([n])[0]) / n for n in (100, 400))
    assert short == pytest.approx(long, rel=0.08)  # the gradient of the head does not grow


def test_as_many_layers_as_the_budget_asks_for() -> None:
    model = tiny_llama(num_hidden_layers=4).train()
    whole = saved_bytes(model, ROW)
    checkpoint_layers(model, 4)
    least = saved_bytes(model, ROW)
    each = (whole - least) / 4
    budgets = [1.001 * whole, 0.999 * whole, whole - 1.01 * each, least, 0]
    assert [layers_within(model, [ROW], 200, budget) for budget in budgets] == [0, 1, 2, 4, 4]
    assert layers_within(model, [ROW], 400, whole) >= 3 and not any(layer.gradient_checkpointing for layer in layers_of(model))
