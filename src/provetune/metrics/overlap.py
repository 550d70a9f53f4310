"""Texts against right texts: exact match, F1 of words (SQuAD), ROUGE-1, -2 and -L."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from rapidfuzz.distance import LCSseq

from provetune.metrics.base import Metric, Observe, Row, weighted_mean

Rouge = Literal["1", "2", "L"]
_LETTER = re.compile(r"[^\W\d_]")
_ARTICLES = frozenset({"a", "an", "the"})
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def ascii_only(*texts: str) -> bool:
    """Whether every letter of the texts is one of a-z."""
    return all(text.isascii() or all(ord(letter) < 128 for letter in _LETTER.findall(text)) for text in texts)


def ascii_words(text: str) -> list[str]:
    """ROUGE's own words: runs of a-z and 0-9 in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


def unicode_words(text: str) -> list[str]:
    """Words of any script; a script without spaces gives one word per character."""
    return re.findall(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+", text.lower())


def f1_of(matches: float, ours: float, theirs: float) -> float:
    """F1 of `matches` between `ours` and `theirs`; nothing against nothing is 1.

    >>> f1_of(0, 0, 0), f1_of(0, 0, 3), f1_of(2, 4, 2)
    (1.0, 0.0, 0.6666666666666666)
    """
    return 2 * matches / (ours + theirs) if ours + theirs else 1.0


def rouge(target: Sequence[str], completion: Sequence[str], kind: Rouge) -> tuple[float, float, float]:
    """Precision, recall and F1 of two lists of words: shared words, word pairs, or the longest common subsequence (Lin 2004).

    >>> rouge("police killed the gunman".split(), "the gunman police killed".split(), "2")[2]
    0.6666666666666666
    """
    if kind == "L":
        same, wanted, written = LCSseq.similarity(target, completion), len(target), len(completion)
    else:
        ours, theirs = (Counter(zip(*(words[skip:] for skip in range(int(kind))), strict=False)) for words in (target, completion))
        same, wanted, written = (ours & theirs).total(), ours.total(), theirs.total()
    return same / max(written, 1), same / max(wanted, 1), f1_of(same, wanted, written) if wanted and written else 0.0


def rouge_f1(target: str, completion: str, kind: Rouge) -> float:
    """ROUGE's F1 without stemming; texts with other than ASCII letters use Unicode words instead.

    >>> round(rouge_f1("police killed the gunman", "police kill the gunman", "L"), 2)
    0.75
    >>> rouge_f1("你好世界", "你好世界", "L")
    1.0
    """
    if target.split() == completion.split():  # texts without a single word (emoji, nothing at all) have no score of their own
        return 1.0
    words = ascii_words if ascii_only(target, completion) else unicode_words
    return rouge(words(target), words(completion), kind)[2]


def rouge_l(target: str, completion: str) -> float:
    """ROUGE-L of two texts, see `rouge_f1`."""
    return rouge_f1(target, completion, "L")


def _rouge_signature(rows: Sequence[Row]) -> str:
    other = sum(not ascii_only(row.completion, *row.right_texts) for row in rows)
    return "stemmer:no|words:a-z0-9" + (f", Unicode in {other} of {len(rows)} rows" if other else "")


def token_f1(target: str, completion: str) -> float:
    """F1 of shared words, without case, punctuation and articles (SQuAD, Rajpurkar et al. 2016); empty against empty is 1.

    >>> round(token_f1("the cat sat", "A cat."), 3)
    0.667
    """
    if target.split() == completion.split():
        return 1.0
    ours, theirs = _squad_words(target), _squad_words(completion)
    return f1_of((ours & theirs).total(), ours.total(), theirs.total()) if completion.strip() else 0.0


def _squad_words(text: str) -> Counter[str]:
    plain = text.lower().translate(_PUNCTUATION)
    words: Iterable[str] = plain.split() if ascii_only(plain) else unicode_words(plain)
    return Counter(word for word in words if word not in _ARTICLES)


def exact_match(target: str, completion: str) -> float:
    """1 where both say the same, up to the number of spaces."""
    return float(target.split() == completion.split())


def best_of(score: Callable[[str, str], float]) -> Observe:
    """The score against the right text that fits best."""
    return lambda row: (max(score(text, row.completion) for text in row.right_texts),)


EXACT_MATCH = Metric("exact_match", 1, "binary", best_of(exact_match), weighted_mean)
TOKEN_F1 = Metric("token_f1", 1, "mean", best_of(token_f1), weighted_mean)
ROUGE_1 = Metric("rouge_1", 1, "mean", best_of(lambda t, c: rouge_f1(t, c, "1")), weighted_mean, signature=_rouge_signature)
ROUGE_2 = Metric("rouge_2", 1, "mean", best_of(lambda t, c: rouge_f1(t, c, "2")), weighted_mean, signature=_rouge_signature)
ROUGE_L = Metric("rouge_l", 1, "mean", best_of(rouge_l), weighted_mean, signature=_rouge_signature)
