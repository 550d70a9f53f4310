"""A base and a tuned model that answer from tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from provetune.protocols import Completion, Likelihoods, Progress, TokenDivergence
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


class Table:
    """`likelihood(prompt, option)` in nats, at most 0; texts by prompt. What is in neither was not measured."""

    def __init__(self, likelihood: Callable[[str, str], float | None], texts: Mapping[str, str] | None = None) -> None:
        self.likelihood, self.texts = likelihood, dict(texts or {})
        self.asked: list[tuple[Message, ...]] = []

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        self.asked += [tuple(messages) for messages in prompts]
        found = [self.texts.get(messages[-1].content) for messages in prompts]
        return [Completion(text, 1, 1, True, None if text is not None else "not in the table") for text in found]

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        found = []
        for messages, options in zip(prompts, choices, strict=True):
            nats = [self.likelihood(messages[-1].content, option) for option in options]
            measured = tuple(value for value in nats if value is not None)
            whole = len(measured) == len(options)
            found.append(Likelihoods(measured if whole else None, (1,) * len(options), 1, None if whole else "too long"))
        return found


class Pair:
    """Both, and a divergence of 0.5 nats at every letter of the last turn."""

    def __init__(self, before: Table, after: Table) -> None:
        self.before, self.after = before, after

    def divergence(self, talks: Sequence[Sequence[Message]], progress: Progress) -> list[TokenDivergence | None]:
        sizes = [len(talk[-1].content) for talk in talks]
        return [TokenDivergence(np.full(size, 0.5), np.full(size, 2.0), np.full(size, 2.25)) if size else None for size in sizes]
