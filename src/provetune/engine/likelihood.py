"""Negative log-likelihood of the labelled tokens of rows, packed, without gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from provetune.chat import TokenRow
from provetune.engine.forward import hidden_states, supervised, use_row_attention
from provetune.engine.loss import CHUNK_ELEMENTS
from provetune.engine.packing import pack_in_order

PACK_TOKENS = 4096


@torch.no_grad()
def row_nats(model: Any, rows: Sequence[TokenRow], *, packed: bool = True) -> list[float]:
    """Negative log-likelihood of each row's labelled tokens, summed, in nats; in the order of `rows`.

    With `packed=False` row by row, for a model that cannot keep packed rows apart.
    """
    before = model.config._attn_implementation
    if packed:
        use_row_attention(model)
    lengths = [len(row) for row in rows]
    order = sorted(range(len(rows)), key=lambda row: (lengths[row], row))
    found = [0.0] * len(rows)
    try:
        for pack in pack_in_order(lengths, order, PACK_TOKENS if packed else 1):
            together = [rows[row] for row in pack]
            places, targets = supervised(together)
            nats = _token_nats(model, hidden_states(model, together), places, targets)
            parts = torch.split(nats, [row.label_count for row in together])
            for row, part in zip(pack, parts, strict=True):
                found[row] = float(part.double().sum())
    finally:
        model.config._attn_implementation = before
    return found


def mean_nats(model: Any, rows: Sequence[TokenRow], *, packed: bool = True) -> float:
    """Mean over all labelled tokens of all rows, in nats per token; otherwise as `row_nats`."""
    return sum(row_nats(model, rows, packed=packed)) / sum(row.label_count for row in rows)


def _token_nats(model: Any, states: torch.Tensor, places: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of each target `[N]`, in float32, a bounded number of logits at a time."""
    head = model.get_output_embeddings()
    rows = max(1, CHUNK_ELEMENTS // head.weight.shape[0])
    parts = []
    for start in range(0, len(targets), rows):
        chunk = slice(start, start + rows)
        logits = head(states.index_select(0, places[chunk].to(states.device))).float()
        parts.append(torch.nn.functional.cross_entropy(logits, targets[chunk].to(states.device), reduction="none"))
    return torch.cat(parts)
