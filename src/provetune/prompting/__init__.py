"""Prompting: the strategies that a tuned model has to beat, as prompts on the same base model."""

from __future__ import annotations

from provetune.prompting.strategies import STRATEGIES, PromptRequest, instruction

__all__ = ["STRATEGIES", "PromptRequest", "instruction"]
