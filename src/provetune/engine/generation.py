"""Completions: what rows share is read once, rows come and go while others are being written.

Prompts that begin alike share the keys and values of their common beginning. Rows are taken shortest first, and a row
that is finished makes room for the next one. All of it is a function of the prompts alone, so the same prompts give the
same completions again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from provetune.chat import TokenRow
from provetune.engine import padded
from provetune.engine.cache import Branches, Slots, fill, read_prefix, run
from provetune.engine.forward import packed_path
from provetune.engine.head import Head
from provetune.engine.packing import Group, find_groups
from provetune.engine.writing import Rules, Writer, Written, choose

MAX_ROWS = 128
SLOT_BYTES = 2**28
"""Keys and values of all rows under way, at most (but for a single row)."""
FILL_TOKENS = 4096
STEP_TOKENS = 32
"""A pass for one more token costs as much as reading this many tokens more, however few rows it serves."""
FILL_SHARE = 0.25
"""New rows are read in when this share of the slots is free."""

Prompts = Sequence[Sequence[int]]


def as_rows(prompts: Prompts) -> list[TokenRow]:
    """Prompts as rows whose last token is labelled, so that all before it may be shared."""
    rows = []
    for prompt in prompts:
        labelled = np.zeros(len(prompt), dtype=bool)
        labelled[-1] = True
        rows.append(TokenRow(np.array(prompt, dtype=np.int64), labelled))
    return rows


@torch.inference_mode()
def generate(model: Any, prompts: Prompts, rules: Rules, progress: Callable[[int], None] = lambda done: None) -> list[Written]:
    """One completion per prompt (each at least one token long), in order."""
    if not prompts:
        return []
    model.eval()
    rows = as_rows(prompts)
    if not packed_path(model, rows):
        return padded.generate(model, prompts, rules, progress)
    written: list[Written] = [Written([], False)] * len(prompts)
    done = 0
    for group in find_groups(rows, range(len(rows)), STEP_TOKENS * rules.max_new_tokens):
        for writer in _group(model, prompts, group, rules):
            written[writer.row] = writer.written
            done += 1
            progress(done)
    return written


def slots_for(model: Any, capacity: int) -> int:
    """Number of rows under way at once, of at most `capacity` own tokens each."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    row_bytes = 2 * model.dtype.itemsize * config.num_hidden_layers * heads * width * capacity
    return int(max(1, min(MAX_ROWS, SLOT_BYTES // row_bytes)))


def _group(model: Any, prompts: Prompts, group: Group, rules: Rules) -> Iterator[Writer]:
    """Yield the writers of a group's rows as they finish."""
    prefix = read_prefix(model, prompts[group.rows[0]][: group.prefix])
    waiting = deque(sorted(group.rows, key=lambda row: (len(prompts[row]), row)))
    capacity = len(prompts[waiting[-1]]) - group.prefix + rules.max_new_tokens
    slots = Slots(prefix, min(slots_for(model, capacity), len(waiting)), capacity, model.device)
    writers: list[Writer] = []
    head = Head.of(model)
    tokens: list[int] = []
    while waiting or writers:
        room = slots.count - len(writers)
        if waiting and (not writers or room >= FILL_SHARE * slots.count):
            tails: list[Sequence[int]] = []
            fresh: list[Writer] = []
            while waiting and len(tails) < room and (not tails or sum(map(len, tails)) < FILL_TOKENS):
                row = waiting.popleft()
                tails.append(prompts[row][group.prefix :])
                fresh.append(Writer(rules, row))
            states = fill(model, slots, tails)
            writers += fresh
            tokens += choose(fresh, head.logits(states))
        else:
            step = Branches.step(slots)
            states = run(model, tokens, step.positions, step)
            slots.lengths = [length + 1 for length in slots.lengths]
            tokens = choose(writers, head.logits(states))
        finished = [place for place, writer in enumerate(writers) if writer.done]
        yield from (writers[place] for place in finished)
        for source, target in slots.free(finished):
            writers[target], tokens[target] = writers[source], tokens[source]
        del writers[len(slots.lengths) :], tokens[len(slots.lengths) :]
