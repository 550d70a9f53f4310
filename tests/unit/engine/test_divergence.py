"""Divergence from the base against a loop over single tokens; a base inside an adapter's model equals one beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from provetune.chat import TokenRow
from provetune.engine import divergence
from provetune.engine.divergence import row_divergence
from provetune.engine.pull import base_of
from provetune.protocols import TokenDivergence
from tests.models import random_rows, tiny_llama
from tests.unit.engine.architectures import alike_rows

# PEFT asks for an attribute that transformers has renamed
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

ROWS = [*random_rows([11, 4, 25, 2, 9]), *alike_rows([(40, 4), (40, 3)])]


@torch.no_grad()
def slow(base: Any, model: Any, row: TokenRow) -> TokenDivergence:
    p, q = (torch.log_softmax(one(input_ids=torch.from_numpy(row.ids)[None]).logits[0].double(), -1) for one in (base, model))
    columns = []
    for t in range(1, len(row)):
        if row.labelled[t]:
            kl = float((p[t - 1].exp() * (p[t - 1] - q[t - 1])).sum())
            columns.append((kl, -float(p[t - 1, row.ids[t]]), -float(q[t - 1, row.ids[t]])))
    return TokenDivergence(*np.array(columns).T)


def check(found: list[TokenDivergence], wanted: list[TokenDivergence]) -> None:
    for one, other in zip(found, wanted, strict=True):
        for a, b in ((one.kl, other.kl), (one.before, other.before), (one.after, other.after)):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def adapted(seed: int = 0) -> Any:
    model = get_peft_model(tiny_llama(seed), LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.2)
    return model


@pytest.mark.parametrize("chunk", [1, 2**22])
def test_two_models_against_the_slow_twin(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divergence, "CHUNK_ELEMENTS", chunk)
    base, model = tiny_llama(0), tiny_llama(1)
    check(row_divergence(model, ROWS, base), [slow(base, model, row) for row in ROWS])


def test_the_base_inside_an_adapters_model_equals_the_base_beside_it() -> None:
    model = adapted()
    check(row_divergence(model, ROWS), [slow(tiny_llama(0), model, row) for row in ROWS])
    assert min(one.kl.mean() for one in row_divergence(model, ROWS)) > 0.01
    with base_of(model):
        pass
    assert row_divergence(model, ROWS[:1])[0].kl.max() > 0.01, "the adapter is on again"


def test_a_model_that_cannot_be_packed_goes_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divergence, "packed_path", lambda model, rows: False)
    base, model = tiny_llama(0), tiny_llama(1)
    check(row_divergence(model, ROWS, base), [slow(base, model, row) for row in ROWS])


def test_a_model_does_not_diverge_from_itself() -> None:
    model = tiny_llama()
    assert all(np.abs(one.kl).max() < 1e-6 and np.array_equal(one.before, one.after) for one in row_divergence(model, ROWS, model))


def test_nothing_asked() -> None:
    assert row_divergence(tiny_llama(), [], tiny_llama()) == []
