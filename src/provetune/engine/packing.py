"""Rows of tokens -> packs: the order in which a training run sees its data.

A *pack* is a list of row numbers whose tokens travel through the model in one forward pass without a
single padding token. The order is a pure function of (lengths, settings, seed, epoch), so a run that
is killed and resumed sees the same packs as one that was left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pack_in_order(lengths: Sequence[int], order: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Cut `order` into packs of at most `max_tokens` tokens; a longer row gets a pack of its own.

    >>> pack_in_order([5, 4, 3, 9], [0, 1, 2, 3], max_tokens=9)
    [[0, 1], [2], [3]]
    """
    packs: list[list[int]] = []
    room = -1
    for row in order:
        if not packs or lengths[row] > room:
            packs.append([])
            room = max_tokens
        packs[-1].append(row)
        room -= lengths[row]
    return packs


def plan_epoch(lengths: Sequence[int], rows_per_step: int, max_tokens: int, seed: int, epoch: int) -> list[list[list[int]]]:
    """Optimizer steps of one epoch: each a list of packs, every row exactly once.

    Rows are shuffled, cut into steps of `rows_per_step`, and within a step sorted by length, so that
    rows of similar length share a pack (attention pads inside a pack only).

    >>> steps = plan_epoch([3, 8, 2, 5], rows_per_step=2, max_tokens=10, seed=0, epoch=0)
    >>> sorted(row for packs in steps for pack in packs for row in pack)
    [0, 1, 2, 3]
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths)).tolist()
    steps = []
    for start in range(0, len(order), rows_per_step):
        rows = sorted(order[start : start + rows_per_step], key=lambda row: (lengths[row], row))
        steps.append(pack_in_order(lengths, rows, max_tokens))
    return steps
