"""Prompting: the strategies that a tuned model has to beat, as prompts on the same base model."""

from __future__ import annotations

from provetune.prompting.similar import WithShots
from provetune.prompting.strategies import PromptRequest, instruction, prompt_of
from provetune.prompting.templates import copy_templates, load_templates

__all__ = ["PromptRequest", "WithShots", "copy_templates", "instruction", "load_templates", "prompt_of"]
