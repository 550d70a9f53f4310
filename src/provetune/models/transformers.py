"""Causal language models of transformers, with PEFT adapters, behind `protocols.Generator`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from llguidance import LLTokenizer
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from provetune.chat import encode_prompt, turn_ids
from provetune.engine import generation
from provetune.engine.choice_scores import choice_nats, joined
from provetune.engine.choices import choice_tree
from provetune.engine.forward import packed_path
from provetune.engine.grammar import Grammar, vocabulary
from provetune.engine.likelihood import row_nats
from provetune.engine.sampling import Sampling
from provetune.engine.writing import Rules
from provetune.errors import ModelError
from provetune.models.quantized import is_quantized, nf4, same_numbers_everywhere
from provetune.models.vocabulary import grow, tokens_of
from provetune.protocols import Completion, Likelihoods, Progress, Tokenizer
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message


def load_model(
    folder: Path,
    adapter: Path | None = None,
    *,
    dtype: torch.dtype | None = None,
    quantized: bool = False,
    new_tokens: Mapping[int, str] | None = None,
) -> Any:
    """The model in `dtype`; where none is given, in float32 on a CPU and in its own dtype on a GPU.

    `adapter` is a PEFT folder (safetensors only); its weights are float32 beside a bfloat16 base, too. With `quantized`, or with an
    adapter that was trained so, the linear layers of the base are in four bits. `new_tokens` have a row each, and so have those of the
    adapter. Raises ModelError.
    """
    disable_progress_bar()  # ours shows what is under way; a second bar would tear it
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wanted = dtype or (torch.float32 if device == "cpu" else "auto")
    fewer_bits = nf4() if quantized or is_quantized(adapter) else None
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=wanted, use_safetensors=True, trust_remote_code=False, quantization_config=fewer_bits
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: the model could not be loaded ({error})") from error
    model = model.to(device) if fewer_bits is None else same_numbers_everywhere(model)
    grow(model, folder, new_tokens or {})
    return (model if adapter is None else with_adapter(model, folder, adapter)).eval()


def with_adapter(model: Any, folder: Path, adapter: Path) -> Any:
    """The loaded base of `folder` with an adapter on it, its vocabulary grown as the adapter's was."""
    from peft import PeftModel  # it brings bitsandbytes and torch's compiler: seconds that full tuning does not need

    grow(model, folder, tokens_of(adapter))
    return PeftModel.from_pretrained(model, str(adapter))


class TransformersGenerator:
    """Completions of one loaded model; prompts longer than the context are not measured."""

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """Complete each conversation with one assistant turn, in order."""
        ids = [encode_prompt(messages, self.tokenizer) for messages in prompts]
        limit = self.tokenizer.context_length - settings.max_new_tokens
        fitting = [place for place, row in enumerate(ids) if len(row) <= limit]
        written = generation.generate(
            self.model,
            [ids[place] for place in fitting],
            self.rules(settings),
            lambda done: progress("completions", done, len(fitting)),
        )
        found = {
            place: Completion(
                None if result.error else self.tokenizer.decode(result.ids), len(ids[place]), len(result.ids), result.stopped, result.error
            )
            for place, result in zip(fitting, written, strict=True)
        }
        return [found.get(place) or self._too_long(len(row), limit) for place, row in enumerate(ids)]

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        """How likely each choice is as the whole next turn, with the token that ends it; one pass where all choices are the same."""
        turns = {text: self._turn(text) for text in {text for texts in choices for text in texts}}
        ids = [encode_prompt(messages, self.tokenizer) for messages in prompts]
        limits = [self.tokenizer.context_length - max(len(turns[text]) for text in texts) for texts in choices]
        fitting = [place for place, row in enumerate(ids) if len(row) <= limits[place]]
        asked = [[turns[text] for text in choices[place]] for place in fitting]
        if asked and all(one == asked[0] for one in asked):
            done = choice_nats(
                self.model, [ids[place] for place in fitting], asked[0], lambda done: progress("likelihoods", done, len(fitting))
            )
        else:
            rows = [joined(ids[place], turn) for place, own in zip(fitting, asked, strict=True) for turn in own]
            nats = iter(row_nats(self.model, rows, packed=packed_path(self.model, rows)))
            done = [[next(nats) for _ in own] for own in asked]
        tokens = [tuple(len(turns[text]) for text in texts) for texts in choices]
        found = {
            place: Likelihoods(tuple(-value for value in values), tokens[place], len(ids[place]))
            for place, values in zip(fitting, done, strict=True)
        }
        return [
            found.get(place) or Likelihoods(None, tokens[place], len(row), self._too_long(len(row), limits[place]).error)
            for place, row in enumerate(ids)
        ]

    def _turn(self, text: str) -> list[int]:
        return turn_ids(text, self.tokenizer)

    def _written(self, text: str) -> list[int]:
        return [token for token in self._turn(text) if token not in self.tokenizer.stop_ids]

    def rules(self, settings: GenerationSettings) -> Rules:
        """How completions under these settings are written; SpecError for a schema that cannot be held."""
        return Rules(
            self.tokenizer.stop_ids,
            settings.max_new_tokens,
            choice_tree([self._written(text) for text in settings.choices]) if settings.choices else None,
            Grammar(self._vocabulary, settings.json_schema) if settings.json_schema is not None else None,
            Sampling(settings.temperature, settings.top_p, settings.seed) if settings.temperature > 0 else None,
        )

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        return vocabulary(self.tokenizer.to_json(), self.tokenizer.stop_ids)

    @staticmethod
    def _too_long(length: int, limit: int) -> Completion:
        return Completion(None, length, 0, False, f"the prompt has {length} tokens, the context leaves {limit}")
