"""From rows of tokens to the loss, through any transformers causal LM that supports our attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from provetune.chat import TokenRow
from provetune.engine.attention import ATTENTION_NAME, RowLayout
from provetune.engine.loss import labelled_cross_entropy


def use_row_attention(model: Any) -> None:
    """Let `model` (a transformers causal LM, with or without PEFT adapters) attend row by row."""
    model.config._attn_implementation = ATTENTION_NAME


def hidden_states(model: Any, rows: Sequence[TokenRow]) -> torch.Tensor:
    """Last hidden states `[T, H]` of the packed rows, in their order."""
    ids = torch.from_numpy(np.concatenate([row.ids for row in rows])).to(model.device)
    decoder = model.get_decoder()
    if model.config._attn_implementation == ATTENTION_NAME:
        layout = RowLayout.of([len(row) for row in rows], model.device)
        out = decoder(input_ids=ids[None], position_ids=layout.positions, use_cache=False, rows=layout)
    elif len(rows) == 1:
        out = decoder(input_ids=ids[None], use_cache=False)
    else:
        raise ValueError(f"{len(rows)} rows in one pack need use_row_attention(model)")
    states: torch.Tensor = out.last_hidden_state[0]
    return states


@torch.no_grad()
def rows_stay_apart(model: Any, rows: Sequence[TokenRow]) -> bool:
    """Whether this architecture's packed loss equals the loss of the rows one by one (float32, 1e-4 relative).

    False for an architecture that does not hand our layout to its attention; such a model is trained row by row.
    """
    labels = sum(row.label_count for row in rows)
    before = model.config._attn_implementation
    model.eval()
    try:
        model.config._attn_implementation = "sdpa"
        alone = sum(float(pack_loss(model, [row], labels)) for row in rows)
        use_row_attention(model)
        packed = float(pack_loss(model, rows, labels))
    except (KeyError, TypeError, ValueError, RuntimeError):
        return False
    finally:
        model.config._attn_implementation = before
    return abs(packed - alone) <= 1e-4 * max(1.0, abs(alone))


@torch.no_grad()
def head_is_plain(model: Any, row: TokenRow) -> bool:
    """Whether the model's logits are its last hidden states times the head's weight, as `pack_loss` takes them to be.

    False for an architecture with a bias, a scale or a soft cap behind the head (Cohere, Granite, Gemma 2).
    """
    model.eval()
    ids = torch.from_numpy(row.ids)[None].to(model.device)
    logits = model(input_ids=ids, use_cache=False).logits[0].float()
    states = model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0]
    plain = torch.nn.functional.linear(states, model.get_output_embeddings().weight).float()
    return float((logits - plain).norm()) <= 1e-3 * float(logits.norm())


def supervised(rows: Sequence[TokenRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """(place of the token before each labelled one in the pack, the labelled token's id), both `[N]`."""
    places, targets, start = [], [], 0
    for row in rows:
        at = np.flatnonzero(row.labelled[1:])
        places.append(start + at)
        targets.append(row.ids[at + 1])
        start += len(row)
    return torch.from_numpy(np.concatenate(places)), torch.from_numpy(np.concatenate(targets))


def pack_loss(model: Any, rows: Sequence[TokenRow], divisor: float) -> torch.Tensor:
    """Sum of the labelled tokens' negative log-likelihood (nats) over `divisor`, differentiable."""
    places, targets = supervised(rows)
    states = hidden_states(model, rows)
    picked = states.index_select(0, places.to(states.device))
    head = model.get_output_embeddings()
    return labelled_cross_entropy(picked, head.weight, targets.to(states.device), divisor)
