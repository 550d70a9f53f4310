"""A generator that is loaded when it is first asked: nothing is loaded for what is already measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from provetune.protocols import Completion, Generator, Likelihoods, Progress, likelihood_of
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message


class LazyGenerator:
    """Makes its generator when it is first asked and keeps it."""

    def __init__(self, make: Callable[[], Generator]) -> None:
        self._make = make
        self._made: Generator | None = None

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """Ask the generator, loading it first where needed."""
        return self._loaded().generate(prompts, settings, progress)

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        """Ask the generator, loading it first where needed; SpecError where it cannot say."""
        return likelihood_of(self._loaded()).loglikelihood(prompts, choices, progress)

    def _loaded(self) -> Generator:
        if self._made is None:
            self._made = self._make()
        return self._made
