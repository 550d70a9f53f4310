"""What a model can do for us, as small protocols; instances are passed in, never looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`: called often, must return fast."""


@dataclass(frozen=True)
class Completion:
    """What was written; `text` None with an `error` where nothing came back."""

    text: str | None
    prompt_tokens: int
    completion_tokens: int
    stopped: bool
    error: str | None = None


class Generator(Protocol):
    """Writes completions. One completion per prompt, in order; never raises for a single prompt."""

    def generate(self, prompts: Sequence[Sequence[Message]], settings: GenerationSettings, progress: Progress) -> list[Completion]:
        """Complete each conversation with one assistant turn."""
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


class Embedder(Protocol):
    """Turns texts into vectors whose products are similarities."""

    @property
    def name(self) -> str:
        """Which model, as a report names it."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1 (zeros for a text that says nothing), shape (texts, dimensions), in order."""
        ...
