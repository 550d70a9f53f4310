"""Attention over packed rows: each row sees the prefix of its group and itself, and no projection is spent on padding.

The linear layers of the model run on the packed tokens `[1, T, H]`. Attention works in pieces: every prefix, and
blocks of rows of similar length, causally among themselves; then the rows of a group on its prefix. The pieces
are merged exactly (see `kernels`), so loss and gradients equal those of the rows one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import AttentionInterface

from provetune.engine.kernels import Pair, Sight, Triple, kernel_for

ATTENTION_NAME = "provetune"
CROSS_QUERIES = 1024
FILLER_SHARE, FILLER_TOKENS = 0.25, 64
"""A block of rows may be filled up by this share of its tokens, or by this many tokens."""


class Layout(Protocol):
    """What the caller of a model hands to every attention layer as `layout=`."""

    def attend(self, layer: int, qkv: Triple, scale: float, window: int | None) -> torch.Tensor:
        """Attended values `[T, heads, d]` from queries `[T, heads, d]`, keys and values `[T, kv_heads, d]`."""
        ...


@dataclass(frozen=True)
class Block:
    """Tokens `start` to `start + tokens` of the pack as a grid of `rows` x `longest` cells; `filler` cells hold no token of their own.

    `to_grid` names the token of each cell, `from_grid` the cell of each token; all three are None where no cell is filled up.
    """

    start: int
    tokens: int
    rows: int
    longest: int
    to_grid: torch.Tensor | None = None
    from_grid: torch.Tensor | None = None
    filler: torch.Tensor | None = None

    @classmethod
    def of(cls, start: int, lengths: Sequence[int], device: torch.device | str) -> Block:
        """The grid of rows with these lengths."""
        longest, tokens = max(lengths), sum(lengths)
        if tokens == longest * len(lengths):
            return cls(start, tokens, len(lengths), longest)
        sizes = torch.tensor(lengths)
        real = (torch.arange(longest)[None, :] < sizes[:, None]).reshape(-1)
        to_grid = torch.cumsum(real, 0).sub_(1)  # a filler cell takes the token before it
        from_grid, filler = torch.nonzero(real)[:, 0], torch.nonzero(~real)[:, 0]
        return cls(start, tokens, len(lengths), longest, to_grid.to(device), from_grid.to(device), filler.to(device))

    def take(self, x: torch.Tensor, *, blank: bool = False) -> torch.Tensor:
        """Cells `[rows, longest, ...]` of a tensor `[T, ...]`; with `blank` filler cells are zero."""
        own = x[self.start : self.start + self.tokens]
        if self.to_grid is not None and self.filler is not None:
            own = own.index_select(0, self.to_grid)
            if blank:
                own.index_fill_(0, self.filler, 0)
        return own.view(self.rows, self.longest, *x.shape[1:])

    def put(self, into: torch.Tensor, cells: torch.Tensor) -> None:
        """Write cells back to their tokens."""
        flat = cells.reshape(self.rows * self.longest, *cells.shape[2:])
        into[self.start : self.start + self.tokens] = flat if self.from_grid is None else flat.index_select(0, self.from_grid)


@dataclass(frozen=True)
class Cross:
    """Tokens `queries` of a group look at its prefix, the tokens `keys`; `places` of the queries count from the prefix' start."""

    queries: slice
    keys: slice
    places: torch.Tensor


def blocks_of(start: int, lengths: Sequence[int], device: torch.device | str) -> list[Block]:
    """Blocks of rows that follow one another, cut so that few cells are filled up."""
    found: list[Block] = []
    rows: list[int] = []
    for length in lengths:
        cells = max([*rows, length]) * (len(rows) + 1)
        tokens = sum(rows) + length
        if rows and cells - tokens > max(FILLER_TOKENS, FILLER_SHARE * tokens):
            found.append(Block.of(start, rows, device))
            start, rows = start + sum(rows), []
        rows.append(length)
    return [*found, Block.of(start, rows, device)]


@dataclass(frozen=True)
class PackLayout:
    """Where the tokens of a pack stand: `positions` `[1, T]` restart after the prefix in every row; `longest` row with its prefix."""

    positions: torch.Tensor
    blocks: tuple[Block, ...]
    crosses: tuple[Cross, ...]
    longest: int

    @classmethod
    def of(cls, groups: Sequence[tuple[int, Sequence[int]]], device: torch.device | str = "cpu") -> PackLayout:
        """Layout of groups, each (length of the prefix, own lengths of its rows), in this order."""
        blocks, crosses, positions, start, longest = [], [], [], 0, 0
        for prefix, own in groups:
            if prefix:
                blocks.append(Block.of(start, [prefix], device))
                positions.append(torch.arange(prefix))
            begin = start + prefix
            blocks += blocks_of(begin, own, device)
            places = torch.cat([torch.arange(prefix, prefix + length) for length in own])
            positions.append(places)
            for first in range(0, len(places) if prefix else 0, CROSS_QUERIES):
                part = places[first : first + CROSS_QUERIES]
                queries = slice(begin + first, begin + first + len(part))
                crosses.append(Cross(queries, slice(start, begin), part.to(device)))
            start, longest = begin + len(places), max(longest, prefix + max(own))
        return cls(torch.cat(positions)[None].to(device), tuple(blocks), tuple(crosses), longest)

    @classmethod
    def behind(cls, prefix: int, own: Sequence[int], device: torch.device | str = "cpu") -> PackLayout:
        """Layout of rows with these own lengths that follow a prefix whose keys and values are known and stand behind theirs."""
        places = torch.cat([torch.arange(prefix, prefix + length) for length in own]).to(device)
        tokens, crosses = len(places), []
        for first in range(0, tokens if prefix else 0, CROSS_QUERIES):
            part = slice(first, min(tokens, first + CROSS_QUERIES))
            crosses.append(Cross(part, slice(tokens, tokens + prefix), places[part]))
        return cls(places[None], tuple(blocks_of(0, own, device)), tuple(crosses), prefix + max(own))

    def attend(self, layer: int, qkv: Triple, scale: float, window: int | None) -> torch.Tensor:
        """Differentiable; see `Layout`."""
        out: torch.Tensor = _PackAttention.apply(*qkv, self.pieces(scale, window))  # type: ignore[no-untyped-call]
        return out

    def pieces(self, scale: float, window: int | None) -> list[Piece]:
        """Every piece of work, blocks first, with what its queries may see."""
        window = window if window is not None and self.longest > window else None
        own: list[Piece] = [(block, Sight(scale, True, window)) for block in self.blocks]
        return own + [(cross, Sight(scale, False, window, cross.places)) for cross in self.crosses]


Piece = tuple[Block | Cross, Sight]


def attend_pieces(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pieces: Sequence[Piece]) -> Pair:
    """Attended values `[T, heads, d]` and log-sums `[T, heads]`; `k` and `v` may go on behind the `T` tokens with keys to look at."""
    out, log_sum = q.new_empty((*q.shape[:2], v.shape[2])), q.new_empty(q.shape[:2], dtype=torch.float32)
    for piece, seen in pieces:
        if isinstance(piece, Block):
            parts = piece.take(q), piece.take(k), piece.take(v)
            found, sums = kernel_for(parts[0], parts[2], seen).forward(*parts, seen)
            piece.put(out, found)
            piece.put(log_sum, sums)
        else:
            parts = q[piece.queries][None], k[piece.keys][None], v[piece.keys][None]
            merge(out, log_sum, piece.queries, kernel_for(parts[0], parts[2], seen).forward(*parts, seen))
    return out, log_sum


class _PackAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, pieces: Sequence[Piece]) -> torch.Tensor:
        out, log_sum = attend_pieces(q, k, v, pieces)
        ctx.save_for_backward(q, k, v, out, log_sum)
        ctx.pieces = pieces
        return out

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, out, log_sum = ctx.saved_tensors
        grad = upstream[0].contiguous()
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        for piece, seen in ctx.pieces:
            if isinstance(piece, Block):
                inputs = piece.take(q), piece.take(k), piece.take(v)
                merged, g = (piece.take(out), piece.take(log_sum)), piece.take(grad, blank=True)
                found = kernel_for(inputs[0], inputs[2], seen).backward(g, inputs, merged, seen)
                for into, cells in zip((dq, dk, dv), found, strict=True):
                    piece.put(into, cells)
            else:
                inputs = q[piece.queries][None], k[piece.keys][None], v[piece.keys][None]
                merged, g = (out[piece.queries][None], log_sum[piece.queries][None]), grad[piece.queries][None]
                found = kernel_for(inputs[0], inputs[2], seen).backward(g, inputs, merged, seen)
                dq[piece.queries] += found[0][0]
                dk[piece.keys] += found[1][0]
                dv[piece.keys] += found[2][0]
        return dq, dk, dv, None


def merge(out: torch.Tensor, log_sum: torch.Tensor, queries: slice, part: Pair) -> None:
    """Add what the queries found among other keys to what they have."""
    values, sums = part[0][0], part[1][0]
    together = torch.logaddexp(log_sum[queries], sums)
    mine = (log_sum[queries] - together).exp_()[..., None]
    out[queries] = (out[queries] * mine + values * (sums - together).exp_()[..., None]).to(out.dtype)
    log_sum[queries] = together


def layout_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention interface of transformers: `[1, heads, T, head_dim]` in, `[1, T, heads, head_dim]` out.

    Needs `layout=` (a `Layout`) among the model's keyword arguments. Any number of arguments is the contract
    of `transformers.AttentionInterface`.
    """
    layout: Layout = kwargs["layout"]
    if kwargs.get("softcap") is not None or kwargs.get("s_aux") is not None:
        raise ValueError("attention with a soft cap or sinks")
    if torch.is_autocast_enabled(query.device.type):  # rotary embedding leaves float32 behind
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    scale = kwargs.get("scaling") or query.shape[-1] ** -0.5
    with torch.autocast(query.device.type, enabled=False):
        out = layout.attend(int(module.layer_idx), (q, k, v), float(scale), kwargs.get("sliding_window"))  # type: ignore[arg-type]
    return out[None], None


AttentionInterface.register(ATTENTION_NAME, layout_attention)
