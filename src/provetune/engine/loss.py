"""Cross-entropy at labelled tokens, without the tensor of all logits.

The gradient is computed chunk by chunk in the forward pass (as the divisor, the number of labelled
tokens of the whole optimizer step, is known beforehand), so only the gradient of the hidden states is
kept. Same loss and gradients as `torch.nn.functional.cross_entropy(..., reduction="sum") / n`.
"""

from __future__ import annotations

from typing import Any

import torch

CHUNK_ELEMENTS = 2**22
"""Logits held at once: rows of a chunk times the vocabulary."""


class _LabelledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, divisor: float) -> torch.Tensor:
        rows = max(1, CHUNK_ELEMENTS // weight.shape[0])
        work = weight.detach().to(hidden.dtype)
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        d_hidden = torch.empty_like(hidden) if hidden.requires_grad else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if weight.requires_grad else None
        for start in range(0, len(targets), rows):
            h, t = hidden[start : start + rows], targets[start : start + rows, None]
            z = torch.nn.functional.linear(h, work)
            p = torch.softmax(z, dim=-1, dtype=torch.float32)
            # the largest probability is 1 / sum(exp(z - max)): log-sum-exp without a second pass of exp
            lse = z.amax(-1).float() - p.amax(-1).log()
            loss += (lse - z.gather(1, t)[:, 0].float()).sum()
            if d_hidden is None and d_weight is None:
                continue
            p.scatter_add_(1, t, torch.full_like(t, -1, dtype=p.dtype))
            g = p.div_(divisor).to(hidden.dtype)
            if d_hidden is not None:
                d_hidden[start : start + rows] = g @ work
            if d_weight is not None:
                d_weight += (g.T @ h).float()
        ctx.save_for_backward(*(x for x in (d_hidden, d_weight) if x is not None))
        ctx.has = (d_hidden is not None, d_weight is not None)
        ctx.weight_dtype = weight.dtype
        return loss / divisor

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = list(ctx.saved_tensors)
        d_hidden = saved.pop(0) if ctx.has[0] else None
        d_weight = saved.pop(0) if ctx.has[1] else None
        scale = upstream[0]
        return (
            None if d_hidden is None else d_hidden * scale.to(d_hidden.dtype),
            None if d_weight is None else (d_weight * scale).to(ctx.weight_dtype),
            None,
            None,
        )


def labelled_cross_entropy(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, divisor: float) -> torch.Tensor:
    """Sum of -log p(target) over rows, divided by `divisor`; a float32 scalar, in nats.

    Shapes: hidden `[N, H]`, weight `[V, H]` (the LM head), targets `[N]`. The product runs in the dtype
    of `hidden` (of autocast where that is on), the softmax in float32.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    with torch.autocast(hidden.device.type, enabled=False):
        loss: torch.Tensor = _LabelledCrossEntropy.apply(hidden, weight, targets, divisor)  # type: ignore[no-untyped-call]
        return loss
