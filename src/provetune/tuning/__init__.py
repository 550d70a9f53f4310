"""Tuning: our own training loop, the methods (full, LoRA), checkpoints that survive a kill."""

from __future__ import annotations

from provetune.tuning.request import TuneRequest
from provetune.tuning.tune import tune

__all__ = ["TuneRequest", "tune"]
