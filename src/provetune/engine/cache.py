"""Keys and values that are kept: of a prefix once for all rows, of every row's own tokens in a slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from provetune.engine.attention import ATTENTION_NAME, PackLayout, attend_pieces, merge
from provetune.engine.forward import attention
from provetune.engine.kernels import FLASH, HIDDEN, Pair, Sight, Triple, kernel_for


@dataclass
class Prefix:
    """Keys and values of `length` tokens by layer: `[length, kv_heads, d]`; filled when the tokens are read."""

    length: int = 0
    layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


@dataclass
class _Reading:
    """Layout of the pass that reads a prefix."""

    layout: PackLayout
    into: Prefix

    def attend(self, layer: int, qkv: Triple, scale: float, window: int | None) -> torch.Tensor:
        self.into.layers[layer] = qkv[1].contiguous(), qkv[2].contiguous()
        return self.layout.attend(layer, qkv, scale, window)


class Slots:
    """Room for `count` rows of `capacity` own tokens behind one prefix; the rows in use are always the first ones."""

    def __init__(self, prefix: Prefix, count: int, capacity: int, device: torch.device) -> None:
        self.prefix, self.count, self.capacity, self.device = prefix, count, capacity, device
        self.lengths: list[int] = []
        self._layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def store(self, layer: int, rows: torch.Tensor, places: torch.Tensor, new: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Keep keys and values `[T, kv_heads, d]` of tokens in these slots at these places."""
        if layer not in self._layers:
            shape = self.count, new[0].shape[1], self.capacity, new[0].shape[2]
            self._layers[layer] = new[0].new_zeros(shape), new[1].new_zeros((*shape[:3], new[1].shape[2]))
        for kept, fresh in zip(self._layers[layer], new, strict=True):
            kept[rows, :, places] = fresh

    def own(self, layer: int, rows: slice, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values `[rows, kv_heads, longest, d]` of the rows' own tokens."""
        keys, values = self._layers[layer]
        return keys[rows, :, :longest], values[rows, :, :longest]

    def resize(self, count: int, capacity: int) -> None:
        """Other room; rows in use keep their tokens and must fit."""
        used = len(self.lengths)
        for layer, pair in self._layers.items():
            wider = [kept.new_zeros(count, kept.shape[1], capacity, kept.shape[3]) for kept in pair]
            for new, kept in zip(wider, pair, strict=True):
                longest = min(capacity, kept.shape[2])
                new[:used, :, :longest] = kept[:used, :, :longest]
            self._layers[layer] = wider[0], wider[1]
        self.count, self.capacity = count, capacity

    def free(self, places: Sequence[int]) -> list[tuple[int, int]]:
        """Give up rows; the last ones move into their places. Returns the moves as (from, to)."""
        left = len(self.lengths) - len(places)
        holes = sorted(place for place in places if place < left)
        movers = [place for place in range(left, len(self.lengths)) if place not in set(places)]
        moves = list(zip(movers, holes, strict=True))
        if moves:
            sources, targets = (torch.tensor(side, device=self.device) for side in zip(*moves, strict=True))
            for kept in (tensor for pair in self._layers.values() for tensor in pair):
                kept[targets] = kept[sources]
        for source, target in moves:
            self.lengths[target] = self.lengths[source]
        del self.lengths[left:]
        return moves


@dataclass
class Filling:
    """Layout of the pass that reads rows into slots, `first` and following."""

    slots: Slots
    layout: PackLayout
    rows: torch.Tensor
    places: torch.Tensor

    @classmethod
    def of(cls, slots: Slots, own: Sequence[int]) -> Filling:
        """Rows with these own lengths, behind those that are there."""
        first = len(slots.lengths)
        layout = PackLayout.behind(slots.prefix.length, own, slots.device)
        rows = torch.cat([torch.full((length,), first + row) for row, length in enumerate(own)]).to(slots.device)
        return cls(slots, layout, rows, layout.positions[0] - slots.prefix.length)

    def attend(self, layer: int, qkv: Triple, scale: float, window: int | None) -> torch.Tensor:
        """See `attention.Layout`."""
        q, k, v = qkv
        self.slots.store(layer, self.rows, self.places, (k, v))
        if self.slots.prefix.length:
            before = self.slots.prefix.layers[layer]
            k, v = torch.cat([k, before[0]]), torch.cat([v, before[1]])
        return attend_pieces(q, k, v, self.layout.pieces(scale, window))[0]


@dataclass
class Branches:
    """Layout of a pass that reads, behind each of `rows` slots, the same `N` new places; `sees` `[N, N]` says which sees which.

    One place that sees itself is a step of decoding, a tree of label tokens is a look at all labels at once.
    `depths` `[N]` is each place's distance from the row's last token, counted from 0. With `keep` the keys and values
    stay in the slots (for a single place).
    """

    slots: Slots
    rows: slice
    depths: torch.Tensor
    sees: torch.Tensor
    keep: bool = False

    @classmethod
    def step(cls, slots: Slots) -> Branches:
        """One more token for every row in use."""
        one = torch.ones(1, 1, dtype=torch.bool, device=slots.device)
        return cls(slots, slice(0, len(slots.lengths)), torch.zeros(1, dtype=torch.long, device=slots.device), one, keep=True)

    def __post_init__(self) -> None:
        self.lengths = torch.tensor(self.slots.lengths[self.rows], device=self.slots.device)
        self.longest = max(self.slots.lengths[self.rows])
        after = self.slots.prefix.length + self.lengths
        self.positions = (after[:, None] + self.depths[None, :]).reshape(1, -1)
        self._masks: dict[int | None, torch.Tensor] = {}

    def attend(self, layer: int, qkv: Triple, scale: float, window: int | None) -> torch.Tensor:
        """See `attention.Layout`."""
        q, k, v = qkv
        prefix = self.slots.prefix
        if window is not None and prefix.length + self.longest + int(self.depths.max()) < window:
            window = None
        fused = self.keep and q.device.type == "cpu" and q.shape[-1] == v.shape[-1]
        if self.keep:
            at = torch.arange(self.rows.start, self.rows.stop, device=self.slots.device)
            self.slots.store(layer, at, self.lengths, (k, v))
        out, log_sum = self._step(layer, q, scale, window) if fused else self._own(layer, qkv, scale, window)
        if prefix.length:
            keys, values = (x[None] for x in prefix.layers[layer])
            sight = Sight(scale, False, window, self.positions[0])
            merge(out, log_sum, slice(None), kernel_for(q[None], values, sight).forward(q[None], keys, values, sight))
        return out

    def _step(self, layer: int, q: torch.Tensor, scale: float, window: int | None) -> Pair:
        """What one new place of each row, already in its slot, finds there; by the fused kernel."""
        if window not in self._masks:
            places = torch.arange(self.longest + 1, device=self.slots.device)
            hidden = places > self.lengths[:, None]
            if window is not None:
                hidden = hidden | (self.lengths[:, None] - places >= window)
            self._masks[window] = torch.zeros(hidden.shape, dtype=q.dtype).masked_fill_(hidden, float("-inf"))[:, None, None]
        keys, values = self.slots.own(layer, self.rows, self.longest + 1)
        out, log_sum = FLASH(q[:, :, None], keys, values, 0.0, False, attn_mask=self._masks[window], scale=scale)
        return out[:, :, 0], log_sum[:, :, 0]

    def _own(self, layer: int, qkv: Triple, scale: float, window: int | None) -> Pair:
        """What the new places find among the rows' own tokens and each other: values `[T, heads, d]`, log-sums `[T, heads]`."""
        count, new = len(self.lengths), len(self.depths)
        q, k, v = (x.reshape(count, new, *x.shape[1:]).transpose(1, 2) for x in qkv)
        kv_heads, width = k.shape[1], k.shape[3]
        # [rows, kv_heads, heads of each, new, d]; the heads that share keys are multiplied at once
        queries = q.reshape(count, kv_heads, -1, width) * scale
        keys, values = self.slots.own(layer, self.rows, self.longest)
        scores = torch.cat([queries @ keys.transpose(2, 3), queries @ k.transpose(2, 3)], -1)
        if window not in self._masks:
            self._masks[window] = self._hidden(window)[:, None, None]
        scores.view(count, kv_heads, -1, new, self.longest + new).masked_fill_(self._masks[window], HIDDEN)
        weights = torch.softmax(scores, -1, dtype=torch.float32)
        log_sum = scores.amax(-1).float() - weights.amax(-1).log()
        weights = weights.to(values.dtype)
        out = weights[..., : self.longest] @ values + weights[..., self.longest :] @ v
        heads = q.shape[1]
        flat = out.view(count, heads, new, -1).transpose(1, 2).reshape(count * new, heads, -1)
        return flat, log_sum.view(count, heads, new).transpose(1, 2).reshape(count * new, heads)

    def _hidden(self, window: int | None) -> torch.Tensor:
        """Which of a row's own tokens and of the new places `[rows, new, own + new]` a new place must not see."""
        own = torch.arange(self.longest, device=self.slots.device).expand(len(self.lengths), -1)
        new = self.lengths[:, None] + self.depths[None, :]
        unseen = (own >= self.lengths[:, None])[:, None, :].expand(-1, len(self.depths), -1)
        hidden = torch.cat([unseen, (~self.sees)[None].expand(len(self.lengths), -1, -1)], -1)
        if window is None:
            return hidden
        return hidden | (new[:, :, None] - torch.cat([own, new], 1)[:, None, :] >= window)


def read_prefix(model: Any, ids: Sequence[int]) -> Prefix:
    """Keys and values of a prefix; none for an empty one."""
    prefix = Prefix(len(ids))
    if ids:
        layout = PackLayout.of([(0, [len(ids)])], model.device)
        run(model, ids, layout.positions, _Reading(layout, prefix))
    return prefix


def fill(model: Any, slots: Slots, tails: Sequence[Sequence[int]]) -> torch.Tensor:
    """Read rows' own tokens into slots; last hidden state `[rows, H]` of each."""
    lengths = [len(tail) for tail in tails]
    filling = Filling.of(slots, lengths)
    states = run(model, [token for tail in tails for token in tail], filling.layout.positions, filling)
    slots.lengths += lengths
    return states[torch.cumsum(torch.tensor(lengths), 0).to(model.device) - 1]


def run(model: Any, ids: Sequence[int] | torch.Tensor, positions: torch.Tensor, layout: Any) -> torch.Tensor:
    """Last hidden states `[T, H]` of one stream of tokens."""
    tokens = torch.as_tensor(ids, device=model.device)
    with attention(model, ATTENTION_NAME):
        out = model.get_decoder()(input_ids=tokens[None], position_ids=positions, use_cache=False, layout=layout)
    states: torch.Tensor = out.last_hidden_state[0]
    return states
