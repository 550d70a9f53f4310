"""NEFTune: uniform noise on the embeddings of training rows (Jain et al. 2023, arXiv 2310.05914)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from provetune.chat import TokenRow
from provetune.engine.packing import Pack


@contextmanager
def noisy_embeddings(model: Any, scale: torch.Tensor | None) -> Iterator[None]:
    """Inside the block the embeddings of each token get noise from [-s, s]; `scale` holds s by token, None for no noise at all."""
    if scale is None:
        yield
        return

    def add(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        # a teacher's pass of the same pack is without gradients, and without noise
        return output + scale.to(output)[..., None] * torch.empty_like(output).uniform_(-1, 1) if torch.is_grad_enabled() else output

    hook = model.get_input_embeddings().register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()


def noise_scale(model: Any, rows: Sequence[TokenRow], pack: Pack, *, alpha: float, packed: bool) -> torch.Tensor | None:
    """Alpha / sqrt(L d) for each token of a pack, shape as its ids; None where alpha is 0.

    L is the length of the token's own row, d the width. A prefix that rows share takes that of its longest row.
    """
    if alpha == 0:
        return None
    width = model.get_input_embeddings().embedding_dim
    if packed:
        lengths = [
            length
            for group in pack
            for length, count in [
                (max(len(rows[row]) for row in group.rows), group.prefix),
                *((len(rows[row]), len(rows[row]) - group.prefix) for row in group.rows),
            ]
            for _ in range(count)
        ]
        tokens = torch.tensor([lengths], dtype=torch.float32)
    else:
        tokens = torch.tensor([len(rows[row]) for group in pack for row in group.rows], dtype=torch.float32)[:, None]
    return alpha / torch.sqrt(tokens * width)
