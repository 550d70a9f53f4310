"""Likeness in meaning: every word finds its closest word of the other text (BERTScore, Zhang et al. 2020), by any vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from provetune.metrics.base import Metric, Row, weighted_mean
from provetune.metrics.overlap import unicode_words
from provetune.protocols import Embedder

Vectors = npt.NDArray[np.float32]
WordVectors = Callable[[Sequence[str]], list[Vectors]]
"""Vectors of the words (or tokens) of each text, shape (words, dimensions), of any length."""
LONGEST = 512
"""Words of a text that are compared."""


def greedy_f1(target: Vectors, completion: Vectors) -> float:
    """F1 of each word's best cosine similarity with a word of the other text, cut to 0..1; 0 where a text has no word.

    >>> greedy_f1(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[:1])
    0.6666666666666666
    """
    if not len(target) or not len(completion):
        return 0.0
    likeness = np.clip(_unit(target) @ _unit(completion).T, 0.0, 1.0)
    recall, precision = float(likeness.max(axis=1).mean()), float(likeness.max(axis=0).mean())
    return min(1.0, 2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0


def similarities(targets: Sequence[str], completions: Sequence[str], vectors: WordVectors) -> list[float]:
    """`greedy_f1` of each pair; equal texts are 1 whatever the vectors say. For `Row.similarity`."""
    known = vectors([*targets, *completions])
    pairs = zip(targets, completions, known[: len(targets)], known[len(targets) :], strict=True)
    return [1.0 if a.split() == b.split() else greedy_f1(ours, theirs) for a, b, ours, theirs in pairs]


def word_vectors(embedder: Embedder) -> WordVectors:
    """Each word by itself under a text embedder: no context, no torch, quick on a CPU."""

    def found(texts: Sequence[str]) -> list[Vectors]:
        words = [unicode_words(text)[:LONGEST] for text in texts]
        places = {word: place for place, word in enumerate(sorted({word for row in words for word in row}))}
        vectors = embedder.embed(list(places)) if places else np.zeros((0, 1), dtype=np.float32)
        return [vectors[[places[word] for word in row]] for row in words]

    return found


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def _observe(row: Row) -> tuple[float, ...] | None:
    return None if row.similarity is None else (row.similarity,)


SEMANTIC_SIMILARITY = Metric("semantic_similarity", 1, "mean", _observe, weighted_mean, needs=frozenset({"embedding"}))
