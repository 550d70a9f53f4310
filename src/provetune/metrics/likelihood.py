"""How well a candidate foresees the targets: perplexity, and bits per byte, which compares models of different tokenizers."""

from __future__ import annotations

import numpy as np

from provetune.metrics.base import FloatArray, Metric, Need, Row

LOGLIKELIHOOD: frozenset[Need] = frozenset({"loglikelihood"})
LARGEST = 1e9
"""A perplexity above this, or more than 64 bits per byte, is shown as this much."""
BITS = 64.0


def _nats_per_token(row: Row) -> tuple[float, ...] | None:
    return None if row.nats is None or row.tokens < 1 else (row.nats, float(row.tokens))


def _nats_per_byte(row: Row) -> tuple[float, ...] | None:
    length = len(row.target.encode("utf-8", "replace"))
    return None if row.nats is None or length < 1 else (row.nats, float(length))


def perplexity(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """exp(sum of nats / sum of tokens), never the mean of the rows' own; columns are nats and tokens of each row."""
    sums = weights @ observations[:, :2]
    value: FloatArray = np.exp(np.minimum(sums[:, 0] / sums[:, 1], np.log(LARGEST)))
    return value


def bits_per_byte(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """Sum of nats / (ln 2 sum of bytes), columns are nats of the target and its UTF-8 bytes."""
    sums = weights @ observations[:, :2]
    value: FloatArray = np.minimum(sums[:, 0] / sums[:, 1] / np.log(2), BITS)
    return value


PERPLEXITY = Metric(
    "perplexity", 1, "corpus", _nats_per_token, perplexity, bounds=(1.0, LARGEST), higher_is_better=False, needs=LOGLIKELIHOOD
)
BITS_PER_BYTE = Metric(
    "bits_per_byte", 1, "corpus", _nats_per_byte, bits_per_byte, bounds=(0.0, BITS), higher_is_better=False, needs=LOGLIKELIHOOD
)
