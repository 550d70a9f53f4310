"""Greedy completions: the common prefix is read once, rows of similar length share a batch.

Batch layout is a function of the prompts alone (sorted by length, then by place), so the same prompts
give the same completions again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

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
def plain_attention(model: Any) -> Any:
    """Decode with the library's own attention, whatever the model was trained with."""
    before = model.config._attn_implementation
    model.config._attn_implementation = "sdpa"
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


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    stop_ids: frozenset[int],
    max_new_tokens: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Written]:
    """One greedy completion per prompt (each at least one token long), in order."""
    written: list[Written] = [Written([], False)] * len(prompts)
    if not prompts:
        return written
    prefix = common_prefix(prompts) if len(prompts) > 1 else 0
    model.eval()
    with plain_attention(model):
        cache = _read_prefix(model, prompts[0][:prefix]) if prefix else None
        done = 0
        for rows in batches([len(prompt) for prompt in prompts], prefix):
            tails = [list(prompts[row][prefix:]) for row in rows]
            for row, result in zip(rows, _decode(model, tails, cache, stop_ids, max_new_tokens), strict=True):
                written[row] = result
            done += len(rows)
            progress(done)
    return written


def _read_prefix(model: Any, ids: Sequence[int]) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    model(input_ids=torch.tensor([list(ids)], device=model.device), past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def _decode(
    model: Any, tails: list[list[int]], prefix: DynamicCache | None, stop_ids: frozenset[int], max_new_tokens: int
) -> list[Written]:
    rows, longest = len(tails), max(map(len, tails))
    start = 0 if prefix is None else prefix.get_seq_length()
    cache = DynamicCache(config=model.config)
    if prefix is not None:
        cache = copy.deepcopy(prefix)
        cache.batch_repeat_interleave(rows)
    pads = [longest - len(tail) for tail in tails]
    ids = torch.tensor([[tail[0]] * pad + tail for tail, pad in zip(tails, pads, strict=True)], device=model.device)
    real = torch.arange(longest)[None, :] >= torch.tensor(pads)[:, None]
    mask = torch.cat([torch.ones(rows, start, dtype=torch.bool), real], dim=1).to(torch.long).to(model.device)
    positions = (start + torch.arange(longest)[None, :] - torch.tensor(pads)[:, None]).clamp(min=0).to(model.device)
    new: list[list[int]] = [[] for _ in tails]
    stopped = [False] * rows
    for _ in range(max_new_tokens):
        out = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        chosen = out.logits[:, -1].argmax(-1)
        for row, token in enumerate(chosen.tolist()):
            if not stopped[row]:
                stopped[row] = token in stop_ids
                if not stopped[row]:
                    new[row].append(token)
        if all(stopped):
            break
        ids, positions = chosen[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(rows, 1)], dim=1)
    return [Written(row_ids, row_stopped) for row_ids, row_stopped in zip(new, stopped, strict=True)]
