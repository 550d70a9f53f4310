"""Texts: exact match and ROUGE-L."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from rouge_score import rouge_scorer, tokenizers

from provetune.metrics.base import Metric, weighted_mean

_LATIN = re.compile(r"[^\W\d_]", re.UNICODE)


class _UnicodeWords(tokenizers.Tokenizer):  # type: ignore[misc]  # the base class is untyped
    """Words of any script; a script without spaces gives one token per character."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+", text.lower())


@cache
def _scorer(plain: bool) -> Any:
    return rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False, tokenizer=None if plain else _UnicodeWords())


def rouge_l(target: str, completion: str) -> float:
    """ROUGE-L F1 (Lin 2004) by `rouge-score`; texts with other than ASCII letters use Unicode words instead.

    >>> round(rouge_l("police killed the gunman", "police kill the gunman"), 2)
    0.75
    >>> rouge_l("你好世界", "你好世界")
    1.0
    """
    if target.split() == completion.split():  # texts without a single word (emoji, nothing at all) have no score of their own
        return 1.0
    ascii_only = all(ord(letter) < 128 for letter in _LATIN.findall(target + completion))
    return float(_scorer(ascii_only).score(target, completion)["rougeL"].fmeasure)


def _rouge(target: str, completion: str, labels: Sequence[str]) -> tuple[float, ...]:
    return (rouge_l(target, completion),)


def _same(target: str, completion: str, labels: Sequence[str]) -> tuple[float, ...]:
    return (float(" ".join(target.split()) == " ".join(completion.split())),)


EXACT_MATCH = Metric("exact_match", 1, "binary", _same, weighted_mean)
ROUGE_L = Metric("rouge_l", 1, "mean", _rouge, weighted_mean)
