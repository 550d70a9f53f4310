"""Drawing the next token: temperature, then the nucleus (Holtzman et al. 2020), then one uniform number a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Sampling:
    """Draw from the softmax of logits / `temperature` (above 0), cut to the likeliest tokens that hold `top_p` of it together."""

    temperature: float
    top_p: float = 1.0
    seed: int = 0

    def numbers(self, row: int) -> np.random.Generator:
        """The random numbers of one row: the same whatever shares its batch, others for every row."""
        return np.random.default_rng([self.seed, row])


def probabilities(logits: torch.Tensor, settings: Sequence[Sampling]) -> torch.Tensor:
    """Weights `[rows, vocabulary]` in float32 by which to draw, zero outside the nucleus; a row of them need not sum to one.

    The nucleus holds the likeliest tokens, as few as have at least `top_p` of the probability together, and any that are exactly
    as likely as the last of them.

    >>> probabilities(torch.tensor([[0.5, 0.3, 0.2]]).log(), [Sampling(1.0, top_p=0.6)])
    tensor([[0.5000, 0.3000, 0.0000]])
    """
    column = torch.tensor([[one.temperature, one.top_p] for one in settings], device=logits.device)
    found = (logits - logits.amax(-1, keepdim=True)).float().div_(column[:, :1]).softmax(-1)
    top_p = column[:, 1:]
    if bool((top_p >= 1).all()):
        return found
    likeliest = _sorted(found)
    before = likeliest.cumsum(-1, dtype=torch.float64).sub_(likeliest)
    kept = ((before < top_p) | (top_p >= 1)).sum(-1, keepdim=True)
    return found * (found >= likeliest.gather(-1, kept - 1))


def draw(logits: torch.Tensor, settings: Sequence[Sampling], uniform: Sequence[float]) -> list[int]:
    """One token a row: where the running sum of the weights, in the order of the vocabulary, passes `uniform` (0 <= u < 1).

    That order, not the order of the weights: a change in the last digits of the logits then moves few draws.
    """
    through = probabilities(logits, settings).cumsum(-1, dtype=torch.float64)
    # below the total, even rounded, as u is below 1: what stands behind the last weight is never drawn
    target = torch.tensor(uniform, dtype=torch.float64, device=logits.device)[:, None] * through[:, -1:]
    tokens: list[int] = torch.searchsorted(through, target, right=True)[:, 0].tolist()
    return tokens


def _sorted(rows: torch.Tensor) -> torch.Tensor:
    """Each row in falling order; on a CPU numpy sorts them about 30 times faster than torch."""
    if rows.device.type == "cpu":
        return torch.from_numpy(-np.sort(-rows.numpy(), axis=-1))
    return rows.sort(-1, descending=True).values
