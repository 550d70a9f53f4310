"""Pairs of short texts that differ by a typing error or two.

A changed letter spoils five 5-grams, so that copies of short texts fall below any useful Jaccard similarity. They are
found instead as pairs within two edits (insert, delete, replace or swap letters): two texts that close share one half, or
a quarter of each half, up to a shift by one letter (the pigeonhole of Li, Deng, Wang, Feng, "Pass-Join", VLDB 2011).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rapidfuzz.distance import OSA, Levenshtein
from rapidfuzz.process import cpdist

from provetune.similarity.minhash import Pairs, distinct, meeting, pairs_of
from provetune.similarity.normal_form import Hashes, Indices, digest, mixed

EDITS = 2
LETTERS_PER_EDIT = 10
"""One edit is allowed for every so many letters, and two at most."""
SHORTEST, LONGEST = 10, 100
"""Letters of a normal form. Beyond 94, two edits leave a Jaccard similarity of at least 0.8."""
RARE, RARER = 5, 0.03
"""A slip stands in at most so many texts, or in at most this part of the texts that hold the word it stands for."""

_DIGITS = re.compile(r"\d+")
_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_PAIRS = 500_000
_CODES = 5_000_000
# Partners tried for all texts and one kind of key: it only matters where many texts share most of their wording.
_TRIED = 4_000_000
_ROWS = 1 << 32


def typing_errors(short: Mapping[int, str]) -> Pairs:
    """Rows of which one is a copy of the other with typing errors; the similarity is 1 - edits / letters of the longer one.

    `short` holds distinct normal forms by row. Texts with other digits, or in which one usual word stands for another
    ("brother" for "mother"), say different things and are no copies.

    >>> typing_errors({4: "my new card has not arrived yet", 7: "my new crad has not arived yet"}).listed()
    [(4, 7, 0.935483870967742)]
    """
    texts = {row: text for row, text in short.items() if SHORTEST <= len(text) <= LONGEST}
    forms = _by_length(texts)
    usual = Counter(word for text in texts.values() for word in set(text.split()))
    most = int(np.clip(_TRIED // max(1, len(texts)), 16, 256))
    found = _gathered(_candidates(forms, most))
    parts = []
    for codes in np.split(found, range(_PAIRS, len(found), _PAIRS)):
        left, right = np.divmod(codes, _ROWS)
        first, second = [texts[row] for row in left.tolist()], [texts[row] for row in right.tolist()]
        edits = cpdist(first, second, scorer=OSA.distance, score_cutoff=EDITS, dtype=np.uint8)
        shorter, longer = _lengths(first, second)
        near = np.flatnonzero(edits <= np.minimum(EDITS, shorter // LETTERS_PER_EDIT))
        kept = np.array([place for place in near.tolist() if _slip(first[place], second[place], usual)], dtype=np.int64)
        parts.append((left[kept], right[kept], 1 - edits[kept] / longer[kept]))
    return pairs_of(parts)


def _gathered(parts: Iterator[Indices]) -> Indices:
    """All numbers of the parts, each once; brought together now and then, since the parts repeat each other."""
    waiting = [np.zeros(0, dtype=np.int64)]
    held = 0
    for part in parts:
        waiting.append(part)
        held += len(part)
        if held > _CODES:
            waiting, held = [distinct(np.concatenate(waiting))], 0
    return distinct(np.concatenate(waiting))


def _lengths(first: Sequence[str], second: Sequence[str]) -> tuple[Indices, Indices]:
    sizes = np.array([[len(a), len(b)] for a, b in zip(first, second, strict=True)], dtype=np.int64).reshape(-1, 2)
    return sizes.min(axis=1), sizes.max(axis=1)


def _slip(first: str, second: str, usual: Mapping[str, int]) -> bool:
    """Whether every changed word may be a slip: it is much rarer than the other, or only the space between words has moved."""
    words, others = first.split(), second.split()
    for block in Levenshtein.opcodes(words, others):
        old, new = words[block.src_start : block.src_end], others[block.dest_start : block.dest_end]
        if len(old) == len(new) and "".join(old) != "".join(new):
            counts = [sorted((usual[word], usual[other])) for word, other in zip(old, new, strict=True)]
            if any(fewer > max(RARE, RARER * more) for fewer, more in counts):
                return False
    return True


class _Forms:
    """Texts of one length: their rows, a number for the digits in each, and hashes of any stretch of letters."""

    def __init__(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        self.length = len(texts[0])
        self.rows = np.array(rows, dtype=np.int64)
        self.digits = np.array([digest("".join(_DIGITS.findall(text))) for text in texts], dtype=np.uint64)
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
        powers = np.cumprod(np.full(self.length, _BASE))
        sums = np.cumsum(codes.reshape(-1, self.length) * powers, axis=1, dtype=np.uint64)
        self._sums = np.concatenate([np.zeros((len(texts), 1), dtype=np.uint64), sums], axis=1)
        self._inverse = np.cumprod(np.concatenate([[np.uint64(1)], np.full(self.length, _INVERSE)]), dtype=np.uint64)

    def stretch(self, start: int, stop: int) -> Hashes:
        """Hash of the letters from `start` up to `stop`; equal letters hash equally wherever they stand."""
        return mixed((self._sums[:, stop] - self._sums[:, start]) * self._inverse[start])

    def keys(self, length: int, shifts: Sequence[int]) -> Iterator[tuple[int, Hashes]]:
        """(kind, key of each text) for the halves of a text of `length` letters, and for a quarter of each half, moved by the shifts.

        Each piece but the last ends a letter early, so that two letters swapped over a border spoil one piece only.
        """
        half, quarter, end = length // 2, length // 4, self.length
        yield 0, self.stretch(0, half - 1) ^ self.digits
        yield 1, self.stretch(end - half, end) ^ self.digits
        if length < 2 * LETTERS_PER_EDIT:
            return
        # a quarter at the edge stands firm, an inner one moves with an edit between it and the edge
        lefts = [(2, 0), *((3, quarter + shift) for shift in shifts)]
        rights = [(5, end - quarter, quarter), *((7, end - 2 * quarter + shift, quarter - 1) for shift in shifts)]
        for left, start in lefts:
            for right, other, size in rights:
                yield left * right, mixed(self.stretch(start, start + quarter - 1)) + self.stretch(other, other + size) ^ self.digits


def _by_length(texts: Mapping[int, str]) -> dict[int, _Forms]:
    lengths: dict[int, list[int]] = {}
    for row, text in texts.items():
        lengths.setdefault(len(text), []).append(row)
    return {length: _Forms(rows, [texts[row] for row in rows]) for length, rows in lengths.items()}


def _candidates(forms: Mapping[int, _Forms], most: int) -> Iterator[Indices]:
    """Codes `row * 2^32 + other row` of texts that share what two edits must leave."""
    for length, shorter in forms.items():
        index = dict(shorter.keys(length, [0]))
        for longer in (forms[size] for size in range(length, length + EDITS + 1) if size in forms):
            for kind, keys in longer.keys(length, [-1, 0, 1]):
                i, j = meeting(keys, index[kind], most)
                rows, others = longer.rows[i], shorter.rows[j]
                apart = rows != others
                yield distinct(np.minimum(rows, others)[apart] * _ROWS + np.maximum(rows, others)[apart])
