"""What a model can do for us, as small protocols; instances are passed in, never looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from provetune.errors import SpecError
from provetune.records.candidate import GenerationSettings, Prompt
from provetune.records.data import Example, Message

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`: called often, must return fast. What stands behind ` | ` in `what` changes from call to call."""


@dataclass(frozen=True)
class Completion:
    """What was written; `text` None with an `error` where nothing came back. `kept` from an earlier call, it took no time."""

    text: str | None
    prompt_tokens: int
    completion_tokens: int
    stopped: bool
    error: str | None = None
    kept: bool = field(default=False, compare=False)


class Generator(Protocol):
    """Writes completions. One completion per prompt, in order; never raises for a single prompt."""

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """Complete each conversation with one assistant turn."""
        ...


@dataclass(frozen=True)
class Likelihoods:
    """Natural logarithms of how likely each choice is, and its tokens; `nats` None with an `error` where they could not be had."""

    nats: tuple[float, ...] | None
    tokens: tuple[int, ...]
    prompt_tokens: int
    error: str | None = None
    kept: bool = field(default=False, compare=False)


@runtime_checkable
class LogLikelihood(Protocol):
    """Says how likely given texts are as completions. One answer per prompt, in order; never raises for a single prompt."""

    def loglikelihood(
        self, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], progress: Progress
    ) -> list[Likelihoods]:
        """For each conversation the log-likelihood (at most 0) of each of its own choices as the whole next assistant turn."""
        ...


def likelihood_of(generator: Generator) -> LogLikelihood:
    """The generator, if it can say how likely given texts are; SpecError otherwise."""
    if isinstance(generator, LogLikelihood):
        return generator
    raise SpecError(
        f"{type(generator).__name__} does not say how likely a given text is, as prove.decoding: scored needs; use constrained or free"
    )


@runtime_checkable
class ShotPicker(Protocol):
    """Picks the shots of prompts that give each row its own."""

    def pick(self, prompt: Prompt, examples: Sequence[Example]) -> list[tuple[Example, ...]]:
        """The training rows that stand before each example, in their order in the prompt; `prompt.similar` says how they are picked."""
        ...


class Tokenizer(Protocol):
    """The model's own tokenizer and chat template."""

    @property
    def context_length(self) -> int:
        """Longest conversation in tokens."""
        ...

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an assistant turn."""
        ...

    def render(self, messages: Sequence[Message], open_turn: bool) -> str:
        """The template's text; `open_turn` adds the opening of an assistant turn."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of rendered text, adding nothing."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens left out."""
        ...

    def to_json(self) -> str:
        """The tokenizer in the format of `tokenizer.json`."""
        ...


class TuningTokenizer(Tokenizer, Protocol):
    """A tokenizer that tuning may have grown, and that is written beside the weights then."""

    @property
    def new_tokens(self) -> Mapping[int, str]:
        """Words that the base model's own vocabulary lacks, by id."""
        ...

    def save(self, folder: Path) -> None:
        """Write the tokenizer and its template into a folder."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors whose products are similarities."""

    @property
    def name(self) -> str:
        """Which model, as a report names it."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1 (zeros for a text that says nothing), shape (texts, dimensions), in order."""
        ...


@dataclass(frozen=True)
class TokenDivergence:
    """At each token `[n]` of a text: KL(base || tuned), and the token's negative log-likelihood under both; in nats."""

    kl: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


class Speaker(Generator, LogLikelihood, Protocol):
    """Writes completions and says how likely given ones are."""


class BeforeAndAfter(Protocol):
    """A base model and what was tuned from it."""

    @property
    def before(self) -> Speaker:
        """The base."""
        ...

    @property
    def after(self) -> Speaker:
        """The tuned model."""
        ...

    def divergence(self, talks: Sequence[Sequence[Message]], progress: Progress) -> list[TokenDivergence | None]:
        """At the assistant turns of each conversation; None for one that is longer than the context."""
        ...
