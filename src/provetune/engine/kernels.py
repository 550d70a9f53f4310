"""Attention of a few rows, and its gradient, in two ways that give the same numbers.

Each returns the attended values and, for every query, the log of the sum of its exponentiated scores. With
that log-sum two partial results over different keys can be merged exactly, and the gradient of each part
follows from the merged result alone (Dao et al. 2022, arXiv 2205.14135, section 3 and appendix B).

Shapes: queries `[B, L, heads, d]`, keys and values `[B, M, kv_heads, d]`, log-sums `[B, L, heads]` in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
HIDDEN = -1e30
"""Score of a key that a query must not see; finite, so that a query with no key at all gives no NaN."""

Pair = tuple[torch.Tensor, torch.Tensor]
Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Sight:
    """What a query may see: keys up to its own place (`causal`), at most `window` places back.

    `query_places` `[L]` count from the first key; None: queries and keys begin at the same place.
    """

    scale: float
    causal: bool
    window: int | None = None
    query_places: torch.Tensor | None = None

    def bias(self, queries: int, keys: int, like: torch.Tensor) -> torch.Tensor | None:
        """Added to the scores `[queries, keys]`: 0 where seen, `HIDDEN` elsewhere; None where all is seen."""
        if not self.causal and self.window is None:
            return None
        at = torch.arange(queries, device=like.device) if self.query_places is None else self.query_places
        distance = at[:, None] - torch.arange(keys, device=like.device)[None, :]
        hidden = distance < 0 if self.causal else torch.zeros_like(distance, dtype=torch.bool)
        if self.window is not None:
            hidden = hidden | (distance >= self.window)
        return torch.zeros(queries, keys, dtype=like.dtype, device=like.device).masked_fill_(hidden, HIDDEN)


class Kernel(Protocol):
    """One way to attend."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sight: Sight) -> Pair:
        """Attended values and log-sums."""
        ...

    def backward(self, grad: torch.Tensor, inputs: Triple, merged: Pair, sight: Sight) -> Triple:
        """Gradients of (q, k, v) given those of the values and the merged values and log-sums of all parts."""
        ...


class Flash:
    """The fused kernel of torch for a CPU: no matrix of scores is ever whole in memory."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sight: Sight) -> Pair:
        """See `Kernel`."""
        out, log_sum = FLASH(*(x.transpose(1, 2) for x in (q, k, v)), 0.0, sight.causal, scale=sight.scale)
        return out.transpose(1, 2), log_sum.transpose(1, 2)

    def backward(self, grad: torch.Tensor, inputs: Triple, merged: Pair, sight: Sight) -> Triple:
        """See `Kernel`."""
        q, k, v, grad, out, log_sum = (x.transpose(1, 2) for x in (*inputs, grad, *merged))
        dq, dk, dv = FLASH_BACKWARD(grad, q, k, v, out, log_sum, 0.0, sight.causal, scale=sight.scale)
        return dq.transpose(1, 2), dk.transpose(1, 2), dv.transpose(1, 2)


class Dense:
    """Batched matrix products over a whole matrix of scores; computed again for the gradient instead of kept."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, sight: Sight) -> Pair:
        """See `Kernel`."""
        kv_heads = k.shape[2]
        scores = self._scores(q, k, sight)
        weights = torch.softmax(scores, -1)
        # the largest weight is 1 / sum(exp(score - max))
        log_sum = scores.amax(-1).float() - weights.amax(-1).float().log()
        out = torch.bmm(weights, self._keys(v))
        return self._back(out, (*q.shape[:3], v.shape[3]), kv_heads), self._back(log_sum[..., None], (*q.shape[:3], 1), kv_heads)[..., 0]

    def backward(self, grad: torch.Tensor, inputs: Triple, merged: Pair, sight: Sight) -> Triple:
        """See `Kernel`."""
        q, k, v = inputs
        kv_heads, (out, log_sum) = k.shape[2], merged
        share = (grad * out).sum(-1, dtype=torch.float32)
        g, log_sums, shares = (self._queries(x, kv_heads) for x in (grad, log_sum[..., None], share[..., None]))
        weights = self._scores(q, k, sight).sub_(log_sums).exp_()
        dv = torch.bmm(weights.transpose(1, 2), g)
        d_scores = torch.bmm(g, self._keys(v).transpose(1, 2)).sub_(shares).mul_(weights)
        dq = torch.bmm(d_scores, self._keys(k)).mul_(sight.scale)
        dk = torch.bmm(d_scores.transpose(1, 2), self._queries(q, kv_heads)).mul_(sight.scale)
        return self._back(dq, q.shape, kv_heads), self._keys_back(dk, k.shape), self._keys_back(dv, v.shape)

    def _scores(self, q: torch.Tensor, k: torch.Tensor, sight: Sight) -> torch.Tensor:
        queries, keys = self._queries(q, k.shape[2]), self._keys(k).transpose(1, 2)
        bias = sight.bias(q.shape[1], k.shape[1], q)
        if bias is None:
            return torch.bmm(queries, keys).mul_(sight.scale)
        return torch.baddbmm(bias.repeat(q.shape[2] // k.shape[2], 1), queries, keys, alpha=sight.scale)

    @staticmethod
    def _queries(x: torch.Tensor, kv_heads: int) -> torch.Tensor:
        """`[B, L, heads, d]` -> `[B * kv_heads, heads / kv_heads * L, d]`: the heads that share keys, one after the other."""
        rows, length, heads, width = x.shape
        split = x.reshape(rows, length, kv_heads, heads // kv_heads, width).permute(0, 2, 3, 1, 4)
        return split.reshape(rows * kv_heads, -1, width)

    @staticmethod
    def _back(x: torch.Tensor, shape: tuple[int, ...] | torch.Size, kv_heads: int) -> torch.Tensor:
        rows, length, heads, width = shape
        return x.view(rows, kv_heads, heads // kv_heads, length, width).permute(0, 3, 1, 2, 4).reshape(shape)

    @staticmethod
    def _keys(x: torch.Tensor) -> torch.Tensor:
        rows, length, heads, width = x.shape
        return x.transpose(1, 2).reshape(rows * heads, length, width)

    @staticmethod
    def _keys_back(x: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        rows, length, heads, width = shape
        return x.view(rows, heads, length, width).transpose(1, 2)


FUSED, DENSE = Flash(), Dense()
FEW_KEYS, FEW_SCORES = 48, 2**21


def kernel_for(q: torch.Tensor, v: torch.Tensor, sight: Sight) -> Kernel:
    """The faster of the two by measurement (`docs/LOG.md`): dense for few keys, and for bfloat16 while the scores stay bounded."""
    if q.device.type != "cpu" or sight.window is not None or q.shape[-1] != v.shape[-1]:
        return DENSE
    keys = v.shape[1]
    scores = q.shape[0] * q.shape[1] * q.shape[2] * keys
    small = keys <= FEW_KEYS or (q.dtype == torch.bfloat16 and scores <= 8 * FEW_SCORES)
    return DENSE if small else FUSED
