"""Style: as long and as readable as the target, without words that are not wanted; and no longer than needed."""

from __future__ import annotations

from pydantic import JsonValue

from provetune.metrics.base import Metric, Row, weighted_mean
from provetune.metrics.instructions import COUNTS, follows
from provetune.metrics.overlap import unicode_words
from provetune.metrics.structure import parsed

GRADES = 10.0
"""A difference of so many school years in readability scores 0."""


def readability(text: str) -> float:
    """Automated readability index (Senter & Smith 1967): 4.71 letters per word + 0.5 words per sentence - 21.43, in school years.

    It needs no dictionary of syllables; for scripts without spaces between words it says little.

    >>> round(readability("The cat sat. The dog ran."), 2)
    -5.8
    """
    words = unicode_words(text)
    if not words:
        return 0.0
    return 4.71 * sum(map(len, words)) / len(words) + 0.5 * len(words) / max(COUNTS["sentences"](text), 1) - 21.43


def _closeness(a: int, b: int) -> float:
    return min(a, b) / max(a, b) if max(a, b) else 1.0


def _forbidden(row: Row) -> list[str]:
    """The row's column `forbidden`: texts as a list, as a JSON list, or with commas between them."""
    given: JsonValue = row.meta.get("forbidden")
    if isinstance(given, str):
        given = parsed(given)[0] if parsed(given)[1] else list(given.split(","))
    return [text.strip() for text in given if isinstance(text, str) and text.strip()] if isinstance(given, list) else []


def _style(row: Row) -> tuple[float, ...]:
    """Mean of three parts, which follow: length closeness, readability closeness, and no forbidden word (0 or 1)."""
    if not row.completion.strip():
        return (float(not row.target.strip()), 0.0, 0.0, 0.0)
    length = _closeness(len(unicode_words(row.target)), len(unicode_words(row.completion)))
    ease = max(0.0, 1 - abs(readability(row.target) - readability(row.completion)) / GRADES)
    forbidden = _forbidden(row)
    clean = float(not forbidden or follows(row.completion, {"avoids": forbidden}))
    return ((length + ease + clean) / 3, length, ease, clean)


def _concise(row: Row) -> tuple[float, ...]:
    """1 up to the words of the longest right text, then their share of the words written; nothing written is no answer."""
    written, wanted = len(row.completion.split()), max(len(text.split()) for text in row.right_texts)
    if not written:
        return (float(not wanted),)
    return (min(1.0, wanted / written),)


STYLE = Metric("style", 1, "mean", _style, weighted_mean)
CONCISENESS = Metric("conciseness", 1, "mean", _concise, weighted_mean)
