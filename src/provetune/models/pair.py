"""A tuned model beside its base, so that both can be asked the same; an adapter is switched off to get the base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provetune.chat import encode_training
from provetune.engine.divergence import row_divergence
from provetune.engine.pull import base_of
from provetune.models.transformers import TransformersGenerator, load_model
from provetune.protocols import Completion, Likelihoods, Progress, Speaker, TokenDivergence, TuningTokenizer
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message

TEXTS_TOGETHER = 64


class WithoutAdapter:
    """The base inside an adapter's model, as `Generator` and `LogLikelihood`."""

    def __init__(self, tuned: TransformersGenerator) -> None:
        self._tuned = tuned

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """What the base writes."""
        with base_of(self._tuned.model):
            return self._tuned.generate(prompts, settings, progress)

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        """How likely each choice is for the base."""
        with base_of(self._tuned.model):
            return self._tuned.loglikelihood(prompts, choices, progress)


class ModelPair:
    """`before` and `after` tuning. With `full` weights two models are loaded, with an `adapter` one."""

    def __init__(self, base_folder: Path, tokenizer: TuningTokenizer, *, adapter: Path | None = None, full: Path | None = None) -> None:
        self._tokenizer = tokenizer
        self.after = TransformersGenerator(load_model(full or base_folder, adapter), tokenizer)
        self._base = None if adapter is not None else load_model(base_folder, new_tokens=tokenizer.new_tokens)
        self.before: Speaker = WithoutAdapter(self.after) if self._base is None else TransformersGenerator(self._base, tokenizer)

    def divergence(self, talks: Sequence[Sequence[Message]], progress: Progress) -> list[TokenDivergence | None]:
        """At every token of the assistant turns; None for a conversation longer than the context."""
        rows = [encode_training(messages, self._tokenizer) for messages in talks]
        fitting = [place for place, row in enumerate(rows) if len(row) <= self._tokenizer.context_length]
        found: dict[int, TokenDivergence] = {}
        for start in range(0, len(fitting), TEXTS_TOGETHER):
            part = fitting[start : start + TEXTS_TOGETHER]
            found |= zip(part, row_divergence(self.after.model, [rows[place] for place in part], self._base), strict=True)
            progress("texts", start + len(part), len(fitting))
        return [found.get(place) for place in range(len(rows))]
