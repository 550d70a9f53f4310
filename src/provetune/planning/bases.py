"""Base models side by side: how a tokenizer cuts the user's text, which are told apart, and which no other beats in everything."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Protocol

from provetune.records.bases import Fertility

BROKEN = "\ufffd"
"""What a piece of a letter decodes to when it stands alone."""
SAME_TIME = 1.1
"""Times that are nearer to each other than this factor count as equal: they are measured once."""


@dataclass(frozen=True)
class Listed:
    """A model of the short list that is offered where none is named."""

    name: str
    licence: str
    parameters: int
    context_length: int


@cache
def short_list() -> tuple[Listed, ...]:
    """The packaged short list, smallest first."""
    text = files("provetune.planning").joinpath("short_list.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return tuple(Listed(r["name"], r["licence"], round(float(r["billions"]) * 1e9), int(r["context"])) for r in rows)


class Cutter(Protocol):
    """What is asked of a tokenizer here."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, adding nothing."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        ...


def fertility(tokenizer: Cutter, texts: Sequence[str], row_lengths: Sequence[int], longest: int) -> Fertility:
    """How `tokenizer` cuts `texts`, the user's own, without template.

    `row_lengths` are tokens of whole rows with the template around them, of which the model takes at most `longest`. Words are what
    stands between blanks: for languages without blanks tokens per character is the figure to read. ValueError where there is no text.
    """
    cut = tokenizer.encode_batch(list(texts))
    tokens = sum(map(len, cut))
    words, letters = sum(len(text.split()) for text in texts), sum(map(len, texts))
    if not words:
        raise ValueError("found no text to cut into tokens")
    counts: dict[int, int] = {}
    for ids in cut:
        for token in ids:
            counts[token] = counts.get(token, 0) + 1
    broken = sum(count for token, count in counts.items() if BROKEN in tokenizer.decode([token]))
    return Fertility(
        rows=len(texts),
        tokens_per_word=tokens / words,
        tokens_per_character=tokens / letters,
        byte_share=broken / tokens,
        truncated_share=sum(length > longest for length in row_lengths) / max(len(row_lengths), 1),
        longest=max(row_lengths, default=0),
    )


def tiers(order: Sequence[str], told_apart: Callable[[str, str], bool]) -> dict[str, int]:
    """The tier of each name, best first in `order`: one that is told apart from the first of a tier begins the next.

    >>> tiers(["a", "b", "c"], lambda better, worse: worse == "c")
    {'a': 1, 'b': 1, 'c': 2}
    """
    found: dict[str, int] = {}
    leader, tier = "", 0
    for name in order:
        if not leader or told_apart(leader, name):
            leader, tier = name, tier + 1
        found[name] = tier
    return found


def pareto(points: Mapping[str, tuple[float, float, float]]) -> set[str]:
    """Names that no other one beats: points are (quality, cost, seconds), of which more, less and less is better.

    >>> sorted(pareto({"big": (0.9, 9.0, 3.0), "small": (0.7, 1.0, 1.0), "poor": (0.6, 1.05, 1.0)}))
    ['big', 'small']
    """

    def beats(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
        no_worse = one[0] >= other[0] and one[1] <= SAME_TIME * other[1] and one[2] <= SAME_TIME * other[2]
        return no_worse and (one[0] > other[0] or one[1] * SAME_TIME < other[1] or one[2] * SAME_TIME < other[2])

    return {name for name, point in points.items() if not any(beats(other, point) for other in points.values())}
