"""Attention over packed rows: each row sees itself only, and no projection is spent on padding.

The linear layers of the model run on the packed tokens `[1, T, H]`. Only inside attention are the rows
laid out as `[rows, longest, heads, head_dim]` for one causal scaled-dot-product call; causality keeps
the filler at the end of a row out of sight of its real tokens, so the result is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface

ATTENTION_NAME = "provetune_rows"


@dataclass(frozen=True)
class RowLayout:
    """Where the tokens of a pack stand in the `[rows, longest]` grid.

    `positions` `[1, T]` restart at 0 in every row; `to_grid` `[rows * longest]` names the token of each
    cell (filler cells name token 0); `from_grid` `[T]` names the cell of each token.
    """

    rows: int
    longest: int
    positions: torch.Tensor
    to_grid: torch.Tensor
    from_grid: torch.Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device | str = "cpu") -> RowLayout:
        """Layout of rows with these lengths, in this order."""
        sizes = torch.tensor(lengths, dtype=torch.long)
        longest = int(sizes.max())
        column = torch.arange(longest)
        real = column[None, :] < sizes[:, None]
        starts = torch.cumsum(sizes, 0) - sizes
        to_grid = torch.where(real, starts[:, None] + column[None, :], 0).reshape(-1)
        from_grid = torch.nonzero(real.reshape(-1)).reshape(-1)
        positions = column[None, :].expand(len(lengths), -1)[real][None, :]
        return cls(len(lengths), longest, positions.to(device), to_grid.to(device), from_grid.to(device))


def _fused_causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=q.shape[1] != k.shape[1])


def _dense_causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """Scores as two batched products: twice as fast as the fused kernel for bfloat16 on a CPU."""
    rows, heads, longest, width = q.shape
    repeat = heads // k.shape[1]
    if repeat > 1:
        k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    above = torch.full((longest, longest), float("-inf"), dtype=q.dtype, device=q.device).triu(1)
    flat = [x.reshape(rows * heads, longest, width) for x in (q, k, v)]
    scores = torch.baddbmm(above, flat[0], flat[1].transpose(1, 2), alpha=scale)
    return torch.bmm(torch.softmax(scores, -1), flat[2]).view(rows, heads, longest, width)


def row_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention interface of transformers: `[1, heads, T, head_dim]` in, `[1, T, heads, head_dim]` out.

    Needs `rows=RowLayout` among the model's keyword arguments. Any number of arguments is the contract
    of `transformers.AttentionInterface`.
    """
    layout: RowLayout = kwargs["rows"]

    def grid(x: torch.Tensor) -> torch.Tensor:
        tokens = x[0].transpose(0, 1).index_select(0, layout.to_grid)
        return tokens.view(layout.rows, layout.longest, *tokens.shape[1:]).transpose(1, 2)

    if torch.is_autocast_enabled(query.device.type):  # rotary embedding leaves float32 behind
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    attend = _dense_causal if query.dtype == torch.bfloat16 and query.device.type == "cpu" else _fused_causal
    out = attend(grid(query), grid(key), grid(value), kwargs.get("scaling") or query.shape[-1] ** -0.5)
    flat = out.transpose(1, 2).reshape(layout.rows * layout.longest, out.shape[1], out.shape[3])
    return flat.index_select(0, layout.from_grid)[None], None


AttentionInterface.register(ATTENTION_NAME, row_attention)
