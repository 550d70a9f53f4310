"""What every detector is told beside the two samples."""

from __future__ import annotations

from dataclasses import dataclass

from provetune.protocols import Embedder, Tokenizer

FEWEST = 30
"""Distinct rows of a side below which nothing is compared."""


@dataclass(frozen=True)
class Settings:
    """Draws of the permutation tests, their seed, and the models that some detectors need (without one they measure nothing)."""

    permutations: int = 1999
    seed: int = 7
    embedder: Embedder | None = None
    tokenizer: Tokenizer | None = None
