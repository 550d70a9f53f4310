"""Cross-entropy at labelled tokens, without the tensor of all logits; or, with a teacher, the divergence from the base model there.

The gradient is computed chunk by chunk in the forward pass (as the divisor, the number of labelled
tokens of the whole optimizer step, is known beforehand), so only the gradient of the hidden states is
kept. Same loss and gradients as `torch.nn.functional.cross_entropy(..., reduction="sum") / n`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from provetune.engine.head import Head

CHUNK_ELEMENTS = 2**22
"""Logits held at once: rows of a chunk times the vocabulary."""


@dataclass(frozen=True)
class Teacher:
    """What the model is held to: the base's hidden states `[N, H]` at the same places, its head, and the weight of the divergence."""

    hidden: torch.Tensor
    head: Head
    weight: float


@dataclass(frozen=True)
class _Work:
    head: Head
    targets: torch.Tensor
    divisor: float
    teacher: Teacher | None


class _LabelledCrossEntropy(torch.autograd.Function):
    """Arguments: hidden states, head weight, head bias (may be None), the rest. The first three get gradients."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, work: _Work) -> torch.Tensor:
        needed = ctx.needs_input_grad[:3]
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        d_hidden = torch.empty_like(hidden) if needed[0] else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if needed[1] else None
        d_bias = torch.zeros_like(bias, dtype=torch.float32) if needed[2] and bias is not None else None
        cast = Head(weight.to(hidden.dtype), bias, work.head.scale, work.head.cap)
        rows = max(1, CHUNK_ELEMENTS // weight.shape[0])
        for start in range(0, len(work.targets), rows):
            part = slice(start, start + rows)
            found, g = _chunk(hidden[part], cast, work, part, any(needed))
            loss += found
            if g is None:
                continue
            if d_hidden is not None:
                d_hidden[part] = g @ cast.weight
            if d_weight is not None:
                d_weight += g.T @ hidden[part]
            if d_bias is not None:
                d_bias += g.sum(0, dtype=torch.float32)
        ctx.save_for_backward(*(x for x in (d_hidden, d_weight, d_bias) if x is not None))
        ctx.has = tuple(x is not None for x in (d_hidden, d_weight, d_bias))
        ctx.dtypes = hidden.dtype, weight.dtype, None if bias is None else bias.dtype
        return loss / work.divisor

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)
        scale = upstream[0]
        found = (next(saved) if has else None for has in ctx.has)
        return (*(None if g is None else (g * scale.to(g.dtype)).to(dtype) for g, dtype in zip(found, ctx.dtypes, strict=True)), None)


def _chunk(hidden: torch.Tensor, head: Head, work: _Work, part: slice, wants_gradient: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Summed loss of a chunk and the gradient of the head's product `h W^T + b`, over the divisor, in the dtype of `hidden`."""
    z, t = head.logits(hidden), work.targets[part, None]
    p = torch.softmax(z, dim=-1, dtype=torch.float32)
    # the largest probability is 1 / sum(exp(z - max)): log-sum-exp without a second pass of exp
    lse = z.amax(-1).float() - p.amax(-1).log()
    if (teacher := work.teacher) is not None:
        wanted = torch.log_softmax(teacher.head.logits(teacher.hidden[part]).float(), dim=-1)
        q = wanted.exp()
        loss = teacher.weight * (q * (wanted - z.float() + lse[:, None])).sum()
        p.sub_(q).mul_(teacher.weight)
    else:
        loss = (lse - z.gather(1, t)[:, 0].float()).sum()
        p.scatter_add_(1, t, torch.full_like(t, -1, dtype=p.dtype))
    if not wants_gradient:
        return loss, None
    if head.cap is not None:
        p.mul_(1 - (z.float() / head.cap) ** 2)
    return loss, p.mul_(head.scale / work.divisor).to(hidden.dtype)


def labelled_cross_entropy(
    hidden: torch.Tensor, head: Head, targets: torch.Tensor, divisor: float, teacher: Teacher | None = None
) -> torch.Tensor:
    """Sum of -log p(target) over rows, divided by `divisor`; a float32 scalar, in nats.

    Shapes: hidden `[N, H]`, targets `[N]`. With a teacher it is its weight times KL(base || model) at every row instead
    (Hinton et al. 2015, arXiv 1503.02531, at temperature 1), and the targets do not matter. Products run in the dtype of `hidden` (of
    autocast where that is on), the softmax in float32.
    """
    if torch.is_autocast_enabled(hidden.device.type):
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    with torch.autocast(hidden.device.type, enabled=False):
        work = _Work(head, targets, divisor, teacher)
        loss: torch.Tensor = _LabelledCrossEntropy.apply(hidden, head.weight, head.bias, work)  # type: ignore[no-untyped-call]
        return loss
