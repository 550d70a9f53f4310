"""Mean negative log-likelihood against a loop over single tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from provetune.chat import TokenRow
from provetune.engine import likelihood
from provetune.engine.likelihood import mean_nats
from tests.models import random_rows, tiny_llama
from tests.unit.engine.architectures import alike_rows

LENGTHS = [11, 4, 25, 2, 9]
SETS = {"strangers": random_rows(LENGTHS), "alike": alike_rows([(40, 4), (0, 3), (20, 3)])}


@torch.no_grad()
def slow_mean(model: Any, rows: Sequence[TokenRow]) -> float:
    nats = []
    for row in rows:
        logs = torch.log_softmax(model(input_ids=torch.from_numpy(row.ids)[None]).logits[0].double(), -1)
        nats += [-float(logs[t - 1, row.ids[t]]) for t in range(1, len(row)) if row.labelled[t]]
    return sum(nats) / len(nats)


@pytest.mark.parametrize("pack_tokens", [1, 15, 4096])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", SETS)
def test_mean_against_its_slow_twin(pack_tokens: int, packed: bool, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "PACK_TOKENS", pack_tokens)
    model, rows = tiny_llama(), SETS[kind]
    wanted = slow_mean(model, rows)
    assert mean_nats(model, rows, packed=packed) == pytest.approx(wanted, rel=1e-5)
    assert mean_nats(model, rows[::-1], packed=packed) == pytest.approx(wanted, rel=1e-5)


def test_attention_is_put_back() -> None:
    model = tiny_llama()
    before = model.config._attn_implementation
    mean_nats(model, random_rows(LENGTHS))
    assert model.config._attn_implementation == before


def test_attention_is_put_back_after_a_failure() -> None:
    model = tiny_llama()
    before = model.config._attn_implementation
    [row] = random_rows([5])
    with pytest.raises(IndexError):
        mean_nats(model, [TokenRow(row.ids + 10_000, row.labelled)])
    assert model.config._attn_implementation == before


def test_no_gradient_is_kept() -> None:
    model = tiny_llama()
    mean_nats(model, random_rows(LENGTHS))
    assert all(p.grad is None for p in model.parameters())
