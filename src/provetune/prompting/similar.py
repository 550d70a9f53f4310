"""Shots that each row gets for itself: the training rows that are nearest to it in meaning.

Source: Liu et al., "What Makes Good In-Context Examples for GPT-3?", 2022.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from provetune.errors import SpecError
from provetune.models.responses import CachedGenerator
from provetune.prompting.strategies import shot_tokens
from provetune.protocols import Completion, Embedder, Generator, Likelihoods, Progress, Tokenizer, likelihood_of
from provetune.records.candidate import GenerationSettings, Prompt, SimilarShots
from provetune.records.data import Example, Message
from provetune.similarity import NEAR_DUPLICATE, jaccard, normalise, shingles
from provetune.store import content_sha256

LOOKED_AT = 4
"""Times `k` near rows are tried before a prompt goes with fewer shots than asked."""
_ROWS = 512


class WithShots:
    """A generator that also picks shots from training rows. A row never gets itself, a row of its source, or a near-duplicate."""

    def __init__(self, generator: Generator, pool: Sequence[Example], embedder: Embedder, tokenizer: Tokenizer) -> None:
        self._generator, self._pool, self._embedder, self._tokenizer = generator, pool, embedder, tokenizer
        self._pool_sha256: str | None = None
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._grams: dict[int, frozenset[int]] = {}

    def afresh(self) -> WithShots:
        """The same with a generator that does not read what it answered before."""
        inner = self._generator.afresh() if isinstance(self._generator, CachedGenerator) else self._generator
        return WithShots(inner, self._pool, self._embedder, self._tokenizer)

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """Ask the generator."""
        return self._generator.generate(prompts, settings, progress)

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        """Ask the generator; SpecError where it cannot say."""
        return likelihood_of(self._generator).loglikelihood(prompts, choices, progress)

    def pick(self, prompt: Prompt, examples: Sequence[Example]) -> list[tuple[Example, ...]]:
        """For each example the up to k nearest rows that fit the room; SpecError where the prompt means other rows or another embedding."""
        if prompt.similar is None:
            return [()] * len(examples)
        similar = prompt.similar
        self._agree(similar)
        costs: dict[int, int] = {}
        found = []
        for example, order in zip(examples, self._nearest_first(examples), strict=True):
            chosen: list[Example] = []
            room, grams = similar.room, shingles(normalise(example.prompt_text))
            for tries, place in enumerate(order, start=1):
                row = self._pool[place]
                if place not in costs:
                    costs[place] = shot_tokens(prompt, row, self._tokenizer)
                if costs[place] <= room and not self._same(place, example, grams):
                    chosen.append(row)
                    room -= costs[place]
                # the room is known to take the shortest row: the search for a first one ends
                if len(chosen) == similar.k or (chosen and tries >= LOOKED_AT * similar.k):
                    break
            found.append(tuple(chosen if similar.nearest == "first" else chosen[::-1]))
        return found

    def _agree(self, similar: SimilarShots) -> None:
        if self._pool_sha256 is None:
            self._pool_sha256 = content_sha256(self._pool)
            self._vectors = self._embedder.embed([row.prompt_text for row in self._pool])
        here = (self._embedder.name, self._pool_sha256)
        if (similar.embedder, similar.pool_sha256) != here:
            raise SpecError(
                f"few-shot: the prompt picks from rows {similar.pool_sha256[:8]} by {similar.embedder}, at hand are rows {here[1][:8]} "
                f"and {here[0]}; run `provetune baseline` again"
            )

    def _nearest_first(self, examples: Sequence[Example]) -> Iterator[list[int]]:
        """Places in the pool by falling similarity, for each example."""
        for start in range(0, len(examples), _ROWS):
            part = self._embedder.embed([example.prompt_text for example in examples[start : start + _ROWS]])
            for row in part @ self._vectors.T:
                yield np.argsort(-row, kind="stable").tolist()

    def _same(self, place: int, example: Example, grams: frozenset[int]) -> bool:
        row = self._pool[place]
        if place not in self._grams:
            self._grams[place] = shingles(normalise(row.prompt_text))
        return row.source_id == example.source_id or jaccard(self._grams[place], grams) >= NEAR_DUPLICATE
