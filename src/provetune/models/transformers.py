"""Causal language models of transformers, with PEFT adapters, behind `protocols.Generator`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from provetune.chat import encode_prompt
from provetune.engine import generation
from provetune.engine.choices import choice_tree
from provetune.errors import ModelError
from provetune.protocols import Completion, Progress, Tokenizer
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message


def load_model(folder: Path, adapter: Path | None = None) -> Any:
    """The model in float32 on a CPU, in its own dtype on a GPU; `adapter` is a PEFT folder (safetensors only)."""
    disable_progress_bar()  # ours shows what is under way; a second bar would tear it
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float32 if device == "cpu" else "auto"
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: the model could not be loaded ({error})") from error
    model = model.to(device)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    return model.eval()


class TransformersGenerator:
    """Greedy completions of one loaded model; prompts longer than the context are not measured."""

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """Complete each conversation with one assistant turn, in order."""
        ids = [encode_prompt(messages, self.tokenizer) for messages in prompts]
        limit = self.tokenizer.context_length - settings.max_new_tokens
        fitting = [place for place, row in enumerate(ids) if len(row) <= limit]
        choices = choice_tree([self.tokenizer.encode(text) for text in settings.choices]) if settings.choices else None
        written = generation.generate(
            self.model,
            [ids[place] for place in fitting],
            generation.Rules(self.tokenizer.stop_ids, settings.max_new_tokens, choices),
            lambda done: progress("completions", done, len(fitting)),
        )
        found = {
            place: Completion(self.tokenizer.decode(result.ids), len(ids[place]), len(result.ids), result.stopped)
            for place, result in zip(fitting, written, strict=True)
        }
        return [found.get(place) or self._too_long(len(row), limit) for place, row in enumerate(ids)]

    @staticmethod
    def _too_long(length: int, limit: int) -> Completion:
        return Completion(None, length, 0, False, f"the prompt has {length} tokens, the context leaves {limit}")
