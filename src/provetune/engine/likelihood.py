"""Negative log-likelihood of the labelled tokens of rows, packed, without gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from provetune.chat import TokenRow
from provetune.engine.forward import hidden_states, supervised
from provetune.engine.head import Head
from provetune.engine.loss import CHUNK_ELEMENTS
from provetune.engine.packing import Group, PackSettings, pack_rows, rows_of
from provetune.engine.padded import padded_loss

PACK_TOKENS = 2048


@torch.no_grad()
def row_nats(model: Any, rows: Sequence[TokenRow], *, packed: bool = True) -> list[float]:
    """Negative log-likelihood of each row's labelled tokens, summed, in nats; in the order of `rows`.

    With `packed=False` row by row, for a model that cannot keep packed rows apart.
    """
    if not packed:
        return [float(padded_loss(model, [row], (Group(0, (0,)),), 1.0)) for row in rows]
    found = [0.0] * len(rows)
    for pack in pack_rows(rows, range(len(rows)), PackSettings(PACK_TOKENS)):
        places, targets = supervised(rows, pack)
        numbers = rows_of(pack)
        nats = _token_nats(Head.of(model), hidden_states(model, rows, pack), places, targets)
        for row, part in zip(numbers, torch.split(nats, [rows[row].label_count for row in numbers]), strict=True):
            found[row] = float(part.double().sum())
    return found


def mean_nats(model: Any, rows: Sequence[TokenRow], *, packed: bool = True) -> float:
    """Mean over all labelled tokens of all rows, in nats per token; otherwise as `row_nats`."""
    return sum(row_nats(model, rows, packed=packed)) / sum(row.label_count for row in rows)


def _token_nats(head: Head, states: torch.Tensor, places: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of each target `[N]`, in float32, a bounded number of logits at a time."""
    rows = max(1, CHUNK_ELEMENTS // head.weight.shape[0])
    places, targets = places.to(states.device), targets.to(states.device)
    parts = []
    for start in range(0, len(targets), rows):
        chunk = slice(start, start + rows)
        logits = head.logits(states.index_select(0, places[chunk])).float()
        parts.append(torch.nn.functional.cross_entropy(logits, targets[chunk], reduction="none"))
    return torch.cat(parts)
