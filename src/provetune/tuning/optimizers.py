"""The optimizers of the training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from provetune.tuning.state import LoopSettings

Groups = list[dict[str, Any]]


def _adamw(groups: Groups, settings: LoopSettings) -> torch.optim.Optimizer:
    """Loshchilov and Hutter 2019, arXiv 1711.05101."""
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=1e-8, fused=True)


def _adafactor(groups: Groups, settings: LoopSettings) -> torch.optim.Optimizer:
    """Shazeer and Stern 2018, arXiv 1804.04235: two vectors of state per matrix in place of two matrices."""
    return torch.optim.Adafactor(groups, lr=settings.learning_rate)


OPTIMIZERS: dict[str, Callable[[Groups, LoopSettings], torch.optim.Optimizer]] = {"adamw": _adamw, "adafactor": _adafactor}
