"""Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174) of as many layers as a memory budget asks for, and no more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import psutil
import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from provetune.chat import TokenRow
from provetune.engine.forward import pack_loss
from provetune.engine.packing import Group


def layers_of(model: Any) -> list[Any]:
    """The decoder layers that can be checkpointed, in order."""
    return [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]


def checkpoint_layers(model: Any, count: int) -> None:
    """Keep only the inputs of the first `count` layers and compute what is within again for the gradient."""
    for place, layer in enumerate(layers_of(model)):
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
        layer.gradient_checkpointing = place < count


def saved_bytes(model: Any, row: TokenRow) -> int:
    """Bytes that a forward pass of one row keeps for its backward pass, parameters left out; measured."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = pack_loss(model, [row], (Group(0, (0,)),), 1.0)
    del loss
    return sum(kept.values())


def layers_within(model: Any, rows: Sequence[TokenRow], tokens: int, budget_bytes: float) -> int:
    """How many layers must be checkpointed so that the activations of `tokens` tokens stay within the budget.

    What is kept grows in proportion to the tokens (attention keeps no scores), so it is measured on the row nearest to
    256 tokens. All layers where even that is not enough.
    """
    layers = len(layers_of(model))
    row = min(rows, key=lambda row: (abs(len(row) - 256), len(row)))
    checkpoint_layers(model, 0)
    whole = saved_bytes(model, row) / len(row) * tokens
    if whole <= budget_bytes or layers == 0:
        return 0
    checkpoint_layers(model, layers)
    least = saved_bytes(model, row) / len(row) * tokens
    checkpoint_layers(model, 0)
    return min(layers, math.ceil((whole - budget_bytes) / max(1.0, (whole - least) / layers)))


def activation_budget(model: Any) -> float:
    """Bytes that activations may take: half of what is free now, less gradients and optimizer state of what is trained."""
    free: float = torch.cuda.mem_get_info()[0] if model.device.type == "cuda" else psutil.virtual_memory().available
    trained: int = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return 0.5 * max(0.0, free - 12.0 * trained)
