"""Attention over a prefix that all rows of a batch share: its keys and values are kept once, not once per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface

SHARED_PREFIX = "provetune_shared_prefix"


@dataclass(frozen=True)
class SharedPrefix:
    """Keys and values of the prefix by layer, each `[kv_heads, length, head_dim]`."""

    length: int
    layers: list[tuple[torch.Tensor, torch.Tensor]]


def can_share_prefix(model: Any) -> bool:
    """Whether the architecture takes its attention from transformers' interface, with plain full attention."""
    decoder = model.get_decoder()
    config = decoder.config.to_dict()
    plain = not config.get("sliding_window") and not config.get("attn_logit_softcapping")
    return bool(type(decoder)._supports_attention_backend) and plain


def own_mask(real: torch.Tensor, new: int) -> torch.Tensor:
    """Additive mask `[rows, 1, 1, new, all]` for the rows' own tokens: real cells `[rows, all]`, up to each new one."""
    total = real.shape[1]
    place = torch.arange(total, device=real.device)
    seen = place[None, :] <= place[total - new :, None]
    allowed = seen[None] & real[:, None, :]
    return torch.zeros(allowed.shape, device=real.device).masked_fill_(~allowed, float("-inf"))[:, None, None]


def prefix_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention interface of transformers, given `shared=SharedPrefix` and `own_mask` by the caller of the model.

    query `[rows, heads, new, head_dim]`, key and value `[rows, kv_heads, all, head_dim]` of the rows' own tokens. One softmax
    over prefix and own tokens together: the same result as with the prefix copied into every row.
    """
    shared: SharedPrefix = kwargs["shared"]
    prefix_key, prefix_value = shared.layers[int(module.layer_idx)]  # type: ignore[arg-type]  # an int on every decoder layer
    rows, heads, new, width = query.shape
    kv_heads = key.shape[1]
    q = query.view(rows, kv_heads, heads // kv_heads, new, width) * (kwargs.get("scaling") or width**-0.5)
    flat = q.transpose(0, 1).reshape(kv_heads, -1, width)
    to_prefix = (flat @ prefix_key.transpose(1, 2)).view(kv_heads, rows, -1, new, shared.length).transpose(0, 1)
    to_own = q @ key[:, :, None].transpose(-1, -2) + kwargs["own_mask"]
    weights = torch.softmax(torch.cat([to_prefix, to_own], dim=-1), dim=-1)
    on_prefix = weights[..., : shared.length].transpose(0, 1).reshape(kv_heads, -1, shared.length) @ prefix_value
    out = on_prefix.view(kv_heads, rows, -1, new, width).transpose(0, 1) + weights[..., shared.length :] @ value[:, :, None]
    return out.reshape(rows, heads, new, width).transpose(1, 2), None


AttentionInterface.register(SHARED_PREFIX, prefix_attention)
