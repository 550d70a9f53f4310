"""The normal form under which texts are compared, and its character 5-grams."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

SIZE = 5
_ASCII_PUNCTUATION = re.compile(r"[^\w\s\x80-\U0010ffff]+")
_PUNCTUATION = re.compile(r"[^\w\s]")
_DELETED = {code: None for code in range(128) if _PUNCTUATION.match(chr(code))}


def normalise(text: str) -> str:
    r"""NFKC, lower case, `[^\w\s]` removed, spaces collapsed; texts of one normal form count as equal.

    Vowel signs and tone marks stay, since they change words; a text of punctuation only keeps its punctuation.

    >>> normalise("  Where's my\tCARD?! ")
    'wheres my card'
    """
    if text.isascii():  # the same, five times as fast
        lowered = text.lower()
        letters = lowered.translate(_DELETED)
    else:
        lowered = unicodedata.normalize("NFKC", text).lower()
        letters = _PUNCTUATION.sub(_kept_mark, _ASCII_PUNCTUATION.sub("", lowered))
    return " ".join(letters.split()) or " ".join(lowered.split())


def _kept_mark(found: re.Match[str]) -> str:
    return found[0] if unicodedata.category(found[0]).startswith("M") else ""


def digest(text: str) -> int:
    """64 bits that stand for a text: among a million different texts two share them with a probability of 3e-8."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mixed(values: Hashes) -> Hashes:
    """Spread the bits of 64-bit numbers (the finalizer of splitmix64); the same on every machine."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_PLACES = mixed(np.arange(257, 257 + SIZE, dtype=np.uint64)) | np.uint64(1)


def gram_hashes(texts: Sequence[str]) -> tuple[Hashes, Indices]:
    """Hashes of the character 5-grams of already normalised texts, one text after the other, and how many each text has.

    A text under 5 characters is one gram. Grams are not made distinct.
    """
    padded = [text if len(text) >= SIZE else text.ljust(SIZE, "\0") for text in texts]
    joined = "".join(padded)
    if joined.isascii():
        codes = np.frombuffer(joined.encode("ascii"), dtype=np.uint8).astype(np.uint64)
    else:
        codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
    count = len(codes) - SIZE + 1
    total = codes[:count] * _PLACES[0]
    for place in range(1, SIZE):
        total += codes[place : place + count] * _PLACES[place]
    within = np.ones(len(codes), dtype=bool)
    for place in range(1, SIZE):  # grams that would reach into the next text
        within[np.cumsum(lengths) - place] = False
    return mixed(total[within[:count]]), lengths - SIZE + 1


def shingles(text: str) -> frozenset[int]:
    """64-bit hashes of the distinct character 5-grams of the normalised text, the same in every process.

    A text under 5 characters gives the hash of itself.

    >>> len(shingles("abcdefg")), len(shingles("abc"))
    (3, 1)
    """
    return frozenset(gram_hashes([normalise(text)])[0].tolist())


def jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    """Size of the intersection over size of the union; 1.0 for two empty sets.

    >>> jaccard(frozenset({1, 2, 3}), frozenset({2, 3, 4}))
    0.5
    """
    union = len(a | b)
    return len(a & b) / union if union else 1.0
