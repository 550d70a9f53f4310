"""Greedy completions: the common prefix is read once, rows of similar length share a batch.

Batch layout is a function of the prompts alone (sorted by length, then by place), so the same prompts
give the same completions again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from provetune.engine.choices import Node
from provetune.engine.prefix import SHARED_PREFIX, SharedPrefix, can_share_prefix, own_mask

BATCH_TOKENS = 4096
BATCH_ROWS = 64


@dataclass(frozen=True)
class Written:
    """New tokens of one prompt, without the stop token; `stopped` tells whether one came."""

    ids: list[int]
    stopped: bool


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Number of leading tokens that all prompts share, at least one short of the shortest.

    >>> common_prefix([[1, 2, 3], [1, 2, 4, 5]])
    2
    >>> common_prefix([[1, 2], [1, 2]])
    1
    """
    rows = [list(prompt) for prompt in prompts]
    first, last = min(rows), max(rows)
    limit = min(len(prompt) for prompt in prompts) - 1
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), limit)
    return min(shared, limit)


@contextmanager
def attention(model: Any, name: str) -> Iterator[None]:
    """Use the attention called `name` inside the block, whatever the model was trained with."""
    before = model.config._attn_implementation
    model.config._attn_implementation = name
    try:
        yield
    finally:
        model.config._attn_implementation = before


def batches(lengths: Sequence[int], prefix: int) -> list[list[int]]:
    """Row numbers by batch: shortest first, at most `BATCH_ROWS` rows and `BATCH_TOKENS` tokens after the prefix."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    found: list[list[int]] = []
    for row in order:
        if not found or len(found[-1]) == BATCH_ROWS or (len(found[-1]) + 1) * (lengths[row] - prefix) > BATCH_TOKENS:
            found.append([])
        found[-1].append(row)
    return found


@dataclass(frozen=True)
class Rules:
    """When a completion ends: at a stop token or after `max_new_tokens`; with `choices` it is one of theirs, whole."""

    stop_ids: frozenset[int]
    max_new_tokens: int
    choices: Node | None = None


@torch.inference_mode()
def generate(
    model: Any, prompts: Sequence[Sequence[int]], rules: Rules, progress: Callable[[int], None] = lambda done: None
) -> list[Written]:
    """One greedy completion per prompt (each at least one token long), in order."""
    written: list[Written] = [Written([], False)] * len(prompts)
    if not prompts:
        return written
    model.eval()
    prefix = common_prefix(prompts) if len(prompts) > 1 and can_share_prefix(model) else 0
    shared = _read_prefix(model, prompts[0][:prefix]) if prefix else None
    prefix = shared.length if shared else 0
    done = 0
    with attention(model, SHARED_PREFIX if shared else "sdpa"):
        for rows in batches([len(prompt) for prompt in prompts], prefix):
            tails = [list(prompts[row][prefix:]) for row in rows]
            for row, result in zip(rows, _decode(model, tails, shared, rules), strict=True):
                written[row] = result
            done += len(rows)
            progress(done)
    return written


def _read_prefix(model: Any, ids: Sequence[int]) -> SharedPrefix | None:
    """The prefix's keys and values; None where a layer keeps something else (linear attention)."""
    cache: Any = DynamicCache(config=model.config)
    with attention(model, "sdpa"):
        model(input_ids=torch.tensor([list(ids)], device=model.device), past_key_values=cache, use_cache=True, logits_to_keep=1)
    kept = [
        (layer.keys[0], layer.values[0])
        for layer in cache.layers
        if type(layer) is DynamicLayer and layer.keys is not None and layer.values is not None
    ]
    return SharedPrefix(len(ids), kept) if len(kept) == len(cache.layers) else None


def _decode(model: Any, tails: list[list[int]], shared: SharedPrefix | None, rules: Rules) -> list[Written]:
    longest, start = max(map(len, tails)), 0 if shared is None else shared.length
    pads = torch.tensor([longest - len(tail) for tail in tails])
    ids = torch.tensor([[tail[0]] * (longest - len(tail)) + tail for tail in tails])
    columns = torch.arange(longest)[None, :]
    state = _Batch(ids, columns >= pads[:, None], (start + columns - pads[:, None]).clamp(min=0), list(range(len(tails)))).to(model.device)
    cache: Any = DynamicCache(config=model.config)
    writers = [_Writer(rules) for _ in tails]
    for _ in range(rules.max_new_tokens):
        logits = _next_logits(model, state, cache, shared)
        likeliest = logits.argmax(-1).tolist()
        tokens = [writers[row].take(logits[place], likeliest[place]) for place, row in enumerate(state.rows)]
        waiting = [place for place, row in enumerate(state.rows) if not writers[row].done]
        if not waiting:
            break
        state = state.grown(torch.tensor(tokens, device=model.device))
        if 2 * len(waiting) <= len(state.rows):  # finished rows leave the batch
            state = state.only(waiting)
            cache.batch_select_indices(torch.tensor(waiting, device=model.device))
    return [Written(writer.ids, writer.done) for writer in writers]


class _Writer:
    """The completion of one row as it grows."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.node = rules, rules.choices
        self.ids: list[int] = []
        self.done = False

    def take(self, logits: torch.Tensor, likeliest: int) -> int:
        """Add the next token, chosen from `logits` `[vocabulary]`; returns it, or any token where the row is done."""
        if self.done:
            return likeliest
        token = likeliest if self.node is None else self._choice(logits)
        self.done = self.done or token in self.rules.stop_ids
        if not self.done:
            self.ids.append(token)
        if self.node is not None and not self.done:
            self.node = self.node.following[token]
            if self.node.rest is not None:  # one choice is left: no need to ask the model for its other tokens
                self.ids += self.node.rest
                self.done = True
        return token

    def _choice(self, logits: torch.Tensor) -> int:
        assert self.node is not None
        allowed = [*self.node.following, *(sorted(self.rules.stop_ids) if self.node.ends else [])]
        return allowed[int(logits[allowed].argmax())]


@dataclass(frozen=True)
class _Batch:
    """Tokens to be read next `[rows, new]`, which cells so far are real `[rows, all]`, positions of the new ones, row numbers."""

    ids: torch.Tensor
    real: torch.Tensor
    positions: torch.Tensor
    rows: list[int]

    def to(self, device: torch.device) -> _Batch:
        return _Batch(self.ids.to(device), self.real.to(device), self.positions.to(device), self.rows)

    def grown(self, chosen: torch.Tensor) -> _Batch:
        real = torch.cat([self.real, self.real.new_ones(len(chosen), 1)], dim=1)
        return _Batch(chosen[:, None], real, self.positions[:, -1:] + 1, self.rows)

    def only(self, places: list[int]) -> _Batch:
        return _Batch(self.ids[places], self.real[places], self.positions[places], [self.rows[place] for place in places])


def _next_logits(model: Any, state: _Batch, cache: DynamicCache, shared: SharedPrefix | None) -> torch.Tensor:
    """Logits of each row's next token, `[rows, vocabulary]`; the cache grows by the tokens read."""
    if shared is None:
        out = model(
            input_ids=state.ids,
            attention_mask=state.real.long(),
            position_ids=state.positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
    else:
        out = model(
            input_ids=state.ids,
            position_ids=state.positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            shared=shared,
            own_mask=own_mask(state.real, state.ids.shape[1]),
        )
    logits: torch.Tensor = out.logits[:, -1]
    return logits
