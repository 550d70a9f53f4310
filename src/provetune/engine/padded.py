"""The padded path: for any causal LM of transformers, through its own attention, logits and cache. Slower, nothing shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from provetune.chat import TokenRow
from provetune.engine.packing import Pack, rows_of
from provetune.engine.pull import Pull, base_of
from provetune.engine.writing import Rules, Writer, Written, choose

BATCH_TOKENS, BATCH_ROWS = 4096, 64


def padded_loss(model: Any, rows: Sequence[TokenRow], pack: Pack, divisor: float, pull: Pull | None = None) -> torch.Tensor:
    """Sum of the labelled tokens' negative log-likelihood (nats) over `divisor`, differentiable; with `pull` its term instead."""
    together = [rows[row] for row in rows_of(pack)]
    ids = torch.zeros(len(together), max(map(len, together)), dtype=torch.long)
    real, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, row in enumerate(together):
        tokens = torch.from_numpy(row.ids)
        ids[place, : len(row)], real[place, : len(row)] = tokens, 1
        labels[place, 1 : len(row)] = tokens[1:].masked_fill(~torch.from_numpy(row.labelled[1:]), -100)
    inputs = {"input_ids": ids.to(model.device), "attention_mask": real.to(model.device), "use_cache": False}
    at = labels[:, 1:] >= 0
    kept = model(**inputs).logits[:, :-1][at.to(model.device)].float()
    if pull is None:
        return torch.nn.functional.cross_entropy(kept, labels[:, 1:][at].to(model.device), reduction="sum") / divisor
    with torch.no_grad(), base_of(model, pull.base) as base:
        before = base(**inputs).logits[:, :-1][at.to(model.device)].float().log_softmax(-1)
    return pull.weight * torch.nn.functional.kl_div(kept.log_softmax(-1), before, reduction="sum", log_target=True) / divisor


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Row numbers by batch: shortest first, at most `BATCH_ROWS` rows and `BATCH_TOKENS` tokens."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    found: list[list[int]] = []
    for row in order:
        if not found or len(found[-1]) == BATCH_ROWS or (len(found[-1]) + 1) * lengths[row] > BATCH_TOKENS:
            found.append([])
        found[-1].append(row)
    return found


def generate(model: Any, prompts: Sequence[Sequence[int]], rules: Rules, progress: Callable[[int], None]) -> list[Written]:
    """One completion per prompt, in order; prompts are padded on the left."""
    written: list[Written] = [Written([], False)] * len(prompts)
    done = 0
    for rows in batches([len(prompt) for prompt in prompts]):
        writers = [Writer(rules, row) for row in rows]
        decode(model, [list(prompts[row]) for row in rows], writers)
        for writer in writers:
            written[writer.row] = writer.written
        done += len(rows)
        progress(done)
    return written


def decode(model: Any, prompts: list[list[int]], writers: list[Writer]) -> None:
    """Write the completions of one batch of prompts to their end."""
    longest = max(map(len, prompts))
    pads = torch.tensor([longest - len(prompt) for prompt in prompts])
    ids = torch.tensor([[prompt[0]] * (longest - len(prompt)) + prompt for prompt in prompts]).to(model.device)
    columns = torch.arange(longest)[None, :]
    real = (columns >= pads[:, None]).long().to(model.device)
    positions = (columns - pads[:, None]).clamp(min=0).to(model.device)
    cache: Any = DynamicCache(config=model.config)
    while True:
        out = model(input_ids=ids, attention_mask=real, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
        tokens = choose(writers, out.logits[:, -1])
        if all(writer.done for writer in writers):
            return
        ids = torch.tensor(tokens, device=model.device)[:, None]
        real = torch.cat([real, real.new_ones(len(tokens), 1)], dim=1)
        positions = positions[:, -1:] + 1
