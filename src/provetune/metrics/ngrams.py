"""BLEU and chrF of a whole corpus, from statistics that add up over rows: they can be resampled, and equal `sacrebleu`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from provetune.metrics.base import FloatArray, Metric, Row
from provetune.metrics.overlap import exact_match

WORDS = 4
"""BLEU looks at up to so many words in a row."""
CHARACTERS = 6
"""chrF looks at up to so many characters in a row."""
BETA2 = 4.0
"""chrF counts recall twice as much as precision: beta = 2, squared."""


@cache
def _tokenizer() -> Any:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()  # type: ignore[no-untyped-call]


def _version() -> str:
    import sacrebleu

    return str(sacrebleu.__version__)


def _ngrams(tokens: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[skip:] for skip in range(size)), strict=False))


def _right(row: Row) -> tuple[float, float]:
    """Two numbers that are equal where the completion says the same as a right text: they tell won rows from lost ones."""
    return max(exact_match(text, row.completion) for text in row.right_texts), 1.0


def bleu_counts(row: Row) -> tuple[float, ...]:
    """Whether right (two numbers), length written, closest right length, then matches and totals of 1 to 4 words."""
    written = _tokenizer()(row.completion.rstrip()).split()
    wanted = [_tokenizer()(text.rstrip()).split() for text in row.right_texts]
    closest = min((abs(len(words) - len(written)), len(words)) for words in wanted)[1]
    matches, totals = [], []
    for size in range(1, WORDS + 1):
        allowed: Counter[tuple[str, ...]] = Counter()
        for words in wanted:
            allowed |= _ngrams(words, size)
        ours = _ngrams(written, size)
        matches.append(float((ours & allowed).total()))
        totals.append(float(max(len(written) - size + 1, 0)))
    return (*_right(row), float(len(written)), float(closest), *matches, *totals)


def bleu(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """BLEU between 0 and 1 (Papineni et al. 2002), smoothing `exp`, over the lengths of words that occur (effective order).

    sacrebleu's own default takes all four lengths, so that a corpus of texts below four words scores 0 whatever they say;
    where one completion has four words both are equal.
    """
    sums = weights @ observations[:, 2:]
    written, wanted, matches, totals = sums[:, 0], sums[:, 1], sums[:, 2 : 2 + WORDS], sums[:, 2 + WORDS :]
    missed = (matches <= 0) & (totals > 0)
    floor = 0.5 ** np.cumsum(missed, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(missed, floor, matches) / totals)
        brevity = np.where(written < wanted, np.exp(1 - wanted / written), 1.0)
    order = (totals > 0).sum(axis=1)
    value = brevity * np.exp(np.where(totals > 0, logs, 0.0).sum(axis=1) / np.maximum(order, 1))
    nothing = np.where(wanted > 0, 0.0, 1.0)  # no words at all: right where none were wanted
    found: FloatArray = np.where(written > 0, np.where(matches.sum(axis=1) > 0, value, 0.0), nothing)
    return found


def chrf_counts(row: Row) -> tuple[float, ...]:
    """Whether right (two numbers), then of each length from 1 to 6: characters in a row written, wanted, and shared.

    Of several right texts the one counts that scores best on this row. Spaces do not count.
    """
    written = "".join(row.completion.split())
    found = [_chrf_row(written, "".join(text.split())) for text in row.right_texts]
    best = max(found, key=lambda counts: float(_chrf_score(np.array([counts]))[0]))
    return (*_right(row), *best)


def _chrf_row(written: str, wanted: str) -> list[float]:
    counts: list[float] = []
    for size in range(1, CHARACTERS + 1):
        ours, theirs = (Counter(text[at : at + size] for at in range(len(text) - size + 1)) for text in (written, wanted))
        counts += [float(ours.total()) if theirs else 0.0, float(theirs.total()), float((ours & theirs).total())]
    return counts


def _chrf_score(sums: FloatArray) -> FloatArray:
    written, wanted, shared = sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]
    counted = (written > 0) & (wanted > 0)
    order = np.maximum(counted.sum(axis=1), 1)
    precision = np.divide(shared, written, out=np.zeros_like(shared), where=counted).sum(axis=1) / order
    recall = np.divide(shared, wanted, out=np.zeros_like(shared), where=counted).sum(axis=1) / order
    below = BETA2 * precision + recall
    value: FloatArray = np.divide((1 + BETA2) * precision * recall, below, out=np.zeros_like(below), where=below > 0)
    return value


def chrf(observations: FloatArray, weights: FloatArray) -> FloatArray:
    """chrF2 between 0 and 1 (Popović 2015): F-score of characters in a row, for every script, with or without spaces."""
    sums = weights @ observations[:, 2:]
    nothing = (sums.sum(axis=1) == 0) & (weights @ (1 - observations[:, 0]) == 0)
    value: FloatArray = np.where(nothing, 1.0, _chrf_score(sums))
    return value


def _references(rows: Sequence[Row]) -> str:
    counts = {len(row.right_texts) for row in rows}
    return f"nrefs:{counts.pop() if len(counts) == 1 else 'var'}|case:mixed"


def _bleu_signature(rows: Sequence[Row]) -> str:
    return f"{_references(rows)}|eff:yes|tok:13a|smooth:exp|version:{_version()}"


def _chrf_signature(rows: Sequence[Row]) -> str:
    return f"{_references(rows)}|eff:yes|nc:6|nw:0|space:no|version:{_version()}"


BLEU = Metric("bleu", 1, "corpus", bleu_counts, bleu, signature=_bleu_signature)
CHRF = Metric("chrf", 1, "corpus", chrf_counts, chrf, signature=_chrf_signature)
