"""How likely each of a list of completions is after a prompt: all of them in one pass, as a tree of their tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from provetune.chat import TokenRow
from provetune.engine.cache import Branches, Slots, fill, read_prefix, run
from provetune.engine.forward import packed_path
from provetune.engine.generation import FILL_TOKENS, Prompts, as_rows, slots_for
from provetune.engine.head import Head
from provetune.engine.likelihood import row_nats
from provetune.engine.packing import find_groups

LOGITS = 2**24
"""Logits held at once."""


@dataclass(frozen=True)
class TokenTree:
    """Token sequences as a tree. Node 0 is the end of the prompt; only nodes that something follows are kept.

    `tokens`, `depths` `[N]` of the nodes after node 0 (depth 0 follows the prompt), `sees` `[N, N]` their ancestors and
    themselves; an edge is (node, token that follows); `paths` are the edges of each sequence.
    """

    tokens: list[int]
    depths: list[int]
    sees: NDArray[np.bool_]
    edges: list[tuple[int, int]]
    paths: list[list[int]]

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> TokenTree:
        """The tree of these sequences, each at least one token long."""
        nodes: dict[tuple[int, ...], int] = {(): 0}
        edges: dict[tuple[int, int], int] = {}
        paths = []
        for sequence in sequences:
            path = []
            for depth, token in enumerate(sequence):
                node = nodes.setdefault(tuple(sequence[:depth]), len(nodes))
                path.append(edges.setdefault((node, token), len(edges)))
            paths.append(path)
        inner = list(nodes)[1:]
        sees = np.zeros((len(inner), len(inner)), dtype=bool)
        for place, beginning in enumerate(inner):
            for length in range(1, len(beginning) + 1):
                sees[place, nodes[beginning[:length]] - 1] = True
        return cls([b[-1] for b in inner], [len(b) - 1 for b in inner], sees, list(edges), paths)


@torch.inference_mode()
def choice_nats(
    model: Any, prompts: Prompts, choices: Sequence[Sequence[int]], progress: Callable[[int], None] = lambda done: None
) -> list[list[float]]:
    """Negative log-likelihood in nats of every choice's tokens after every prompt: `[prompts][choices]`, in order."""
    model.eval()
    if not prompts:
        return []
    rows = as_rows(prompts)
    if not packed_path(model, rows):
        return [row_nats(model, [joined(prompt, choice) for choice in choices], packed=False) for prompt in prompts]
    tree = TokenTree.of(choices)
    found: list[list[float]] = [[]] * len(prompts)
    done = 0
    for group in find_groups(rows, range(len(rows))):
        prefix = read_prefix(model, prompts[group.rows[0]][: group.prefix])
        waiting = sorted(group.rows, key=lambda row: (len(prompts[row]), row))
        capacity = len(prompts[waiting[-1]]) - group.prefix
        together = max(1, min(slots_for(model, capacity), FILL_TOKENS // max(1, len(tree.tokens))))
        for start in range(0, len(waiting), together):
            part = waiting[start : start + together]
            slots = Slots(prefix, len(part), capacity, model.device)
            nats = _edge_nats(model, slots, [prompts[row][group.prefix :] for row in part], tree)
            for row, edges in zip(part, nats.tolist(), strict=True):
                found[row] = [sum(edges[edge] for edge in path) for path in tree.paths]
            done += len(part)
            progress(done)
    return found


def joined(prompt: Sequence[int], choice: Sequence[int]) -> TokenRow:
    """A prompt and what may follow, which alone is labelled."""
    ids = np.array([*prompt, *choice], dtype=np.int64)
    return TokenRow(ids, np.arange(len(ids)) >= len(prompt))


def _edge_nats(model: Any, slots: Slots, tails: Prompts, tree: TokenTree) -> torch.Tensor:
    """`[rows, edges]`, in float64."""
    rows, nodes, device = len(tails), len(tree.tokens), model.device
    ends = fill(model, slots, tails)
    states = ends[:, None]
    if nodes:
        sees, depths = torch.from_numpy(tree.sees).to(device), torch.tensor(tree.depths, device=device)
        branches = Branches(slots, slice(0, rows), depths, sees)
        grown = run(model, tree.tokens * rows, branches.positions, branches)
        states = torch.cat([states, grown.view(rows, nodes, -1)], 1)
    head = Head.of(model)
    source, target = (torch.tensor(side, device=device) for side in zip(*tree.edges, strict=True))
    found = torch.empty(rows, len(tree.edges), dtype=torch.float64, device=device)
    step = max(1, LOGITS // ((nodes + 1) * head.weight.shape[0]))
    for start in range(0, rows, step):
        part = states[start : start + step]
        logits = head.logits(part.reshape(-1, part.shape[-1])).float().view(len(part), nodes + 1, -1)
        found[start : start + step] = torch.logsumexp(logits, -1).double()[:, source] - logits[:, source, target].double()
    return found
