"""Which texts are the same, or nearly the same.

Two texts are compared by the Jaccard similarity J of their sets of character 5-grams after normalisation. Pairs are
found by MinHash with banding (Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", ch. 3) and then
verified exactly, so a reported similarity is never an estimate.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from provetune.records.data import Example

Shingles = NDArray[np.uint64]
Signatures = NDArray[np.uint32]
Indices = NDArray[np.int64]

NEAR_DUPLICATE = 0.8
"""Rows at or above this J stay together in the split."""
NEARLY_EQUAL = 0.9
"""A training row at or above this J to a test row is leakage."""

# A pair with similarity J meets in at least one of 32 bands of 4 rows with probability 1 - (1 - J^4)^32:
#   J     .9        .8        .7       .6     .5     .3     .1
#   P   1 - 2e-15  1 - 5e-8   .99985   .988   .873   .229   .003
# so recall at J >= .8 is limited by nothing but BUCKET_LIMIT, and what falls out of the bands below is verified away.
PERMUTATIONS = 128
BANDS = 32
# Partners of one row tried per band. It only matters where many rows share most of their wording; they still end in
# one group, since each row is tried with its next neighbours.
BUCKET_LIMIT = 32
# The similarity estimated from 128 permutations has a standard error of .035 at J = .8, so a pair at that threshold
# falls more than this below it with a probability of 1e-5.
_SLACK = 0.15
_SIZE = 5
_BLOCK = 2048
_PUNCTUATION = re.compile(r"[^\w\s]")
_SPACES = re.compile(r"\s+")


def _mixed(values: Shingles) -> Shingles:
    """Spread the bits of 64-bit numbers (the finalizer of splitmix64); the same on every machine."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_CONSTANTS = _mixed(np.arange(1, 2 * PERMUTATIONS + 2 * _SIZE, dtype=np.uint64)) | np.uint64(1)
_FACTORS, _OFFSETS, _PLACES = _CONSTANTS[:PERMUTATIONS], _CONSTANTS[PERMUTATIONS : 2 * PERMUTATIONS], _CONSTANTS[2 * PERMUTATIONS :]


def normalise(text: str) -> str:
    r"""NFKC, lower case, `[^\w\s]` removed, spaces collapsed; texts of one normal form count as equal.

    Vowel signs and tone marks stay, since they change words; a text of punctuation only keeps its punctuation.

    >>> normalise("  Where's my\tCARD?! ")
    'wheres my card'
    """
    lowered = unicodedata.normalize("NFKC", text).lower()
    letters = _PUNCTUATION.sub(_kept_mark, lowered)
    return _SPACES.sub(" ", letters).strip() or _SPACES.sub(" ", lowered).strip()


def _kept_mark(found: re.Match[str]) -> str:
    return found[0] if unicodedata.category(found[0]).startswith("M") else ""


def _shingle_array(text: str) -> Shingles:
    """Sorted distinct hashes of the character 5-grams of an already normalised text."""
    codes = np.frombuffer(text.ljust(_SIZE, "\0").encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    count = len(codes) - _SIZE + 1
    total = np.zeros(count, dtype=np.uint64)
    for place in range(_SIZE):
        total += codes[place : place + count] * _PLACES[place]
    return np.unique(_mixed(total))


def shingles(text: str) -> frozenset[int]:
    """64-bit hashes of the distinct character 5-grams of the normalised text, the same in every process.

    A text under 5 characters gives the hash of itself.

    >>> len(shingles("abcdefg")), len(shingles("abc"))
    (3, 1)
    """
    return frozenset(_shingle_array(normalise(text)).tolist())


def jaccard(a: frozenset[int], b: frozenset[int]) -> float:
    """Size of the intersection over size of the union; 1.0 for two empty sets.

    >>> jaccard(frozenset({1, 2, 3}), frozenset({2, 3, 4}))
    0.5
    """
    union = len(a | b)
    return len(a & b) / union if union else 1.0


def near_duplicate_pairs(texts: Sequence[str], threshold: float = NEAR_DUPLICATE) -> list[tuple[int, int, float]]:
    """Pairs `(i, j, J)` with `i < j` and `J >= threshold`, sorted; meant for thresholds from 0.5 (recall .87) upwards.

    Of rows with one normal form only the first is compared, and the others are paired with it, so a thousand copies
    give 999 pairs instead of half a million; the groups are the same.

    >>> near_duplicate_pairs(["Where is my card?", "where is my card", "Please close my account"])
    [(0, 1, 1.0)]
    """
    firsts, first_of = _distinct(texts)
    pairs = [(first, row, 1.0) for row, first in enumerate(first_of) if first != row]
    if len(firsts) > 1:
        bag, where = _bag(list(firsts)), list(firsts.values())
        found = _verified(bag, bag, _self_candidates(bag.signatures), threshold)
        pairs += [(min(where[i], where[j]), max(where[i], where[j]), similarity) for i, j, similarity in found]
    return sorted(pairs)


def nearest_cross(left: Sequence[str], right: Sequence[str], threshold: float) -> dict[int, tuple[int, float]]:
    """For each left row with a right row at `J >= threshold`: the nearest right row (the first among equals) and J.

    >>> nearest_cross(["Is it open?", "No."], ["Close it", "is it open"], 0.9)
    {0: (1, 1.0)}
    """
    left_firsts, left_of = _distinct(left)
    right_firsts, _ = _distinct(right)
    best = {row: (right_firsts[text], 1.0) for text, row in left_firsts.items() if text in right_firsts}
    open_texts = [text for text in left_firsts if text not in right_firsts]
    if open_texts and right_firsts:
        bag, others, where = _bag(open_texts), _bag(list(right_firsts)), list(right_firsts.values())
        for i, j, similarity in _verified(bag, others, _cross_candidates(bag.signatures, others.signatures), threshold):
            row = left_firsts[open_texts[i]]
            known = best.get(row, (len(right), 0.0))
            best[row] = min(known, (where[j], similarity), key=lambda found: (-found[1], found[0]))
    return {row: best[first] for row, first in enumerate(left_of) if first in best}


def groups(count: int, pairs: Iterable[tuple[int, int, float]]) -> list[int]:
    """Group number of each of `count` rows: rows joined by pairs, however indirectly, share a number.

    Numbers run from 0 in the order of first appearance.

    >>> groups(4, [(0, 2, 0.9)])
    [0, 1, 0, 2]
    """
    parent = list(range(count))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for i, j, _ in pairs:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(row), len(numbers)) for row in range(count)]


def own_texts(*parts: Sequence[Example]) -> list[list[str]]:
    """The words that tell the examples apart: each prompt without the wording that all prompts of all parts begin or end with.

    An empty prompt gives its target. Without this cut an instruction repeated in every prompt would make all rows
    near-duplicates of each other. The cut is made from 20 rows on and at word boundaries only.
    """
    texts = [[example.prompt_text.strip() or example.target for example in part] for part in parts]
    everything = list(chain.from_iterable(texts))
    if len(everything) < 20:
        return texts
    start = _whole_words(os.path.commonprefix(everything))
    rests = [text[start:] for text in everything]
    end = _whole_words(os.path.commonprefix([rest[::-1] for rest in rests]))
    return [[text[start : len(text) - end].strip() for text in part] for part in texts]


def example_groups(examples: Sequence[Example], threshold: float = NEAR_DUPLICATE) -> list[int]:
    """Near-duplicate group number of each example, by its own text."""
    (texts,) = own_texts(examples)
    return groups(len(texts), near_duplicate_pairs(texts, threshold))


def find_leaks(train: Sequence[Example], test: Sequence[Example], threshold: float = NEARLY_EQUAL) -> dict[str, tuple[str, float]]:
    """Training rows that equal (1.0) or nearly equal a test row: train id -> (test id, J)."""
    left, right = own_texts(train, test)
    return {train[i].id: (test[j].id, similarity) for i, (j, similarity) in nearest_cross(left, right, threshold).items()}


def _whole_words(shared: str) -> int:
    """Length of the shared wording up to its last space or line end."""
    return max(shared.rfind(" "), shared.rfind("\n")) + 1


def _distinct(texts: Sequence[str]) -> tuple[dict[str, int], list[int]]:
    """Normal form -> first row that has it; and for each row the first row of its normal form."""
    firsts: dict[str, int] = {}
    return firsts, [firsts.setdefault(normalise(text), row) for row, text in enumerate(texts)]


@dataclass(frozen=True)
class _Bag:
    """The shingles of all rows, one row after the other: row i is `flat[starts[i] : starts[i] + sizes[i]]`."""

    flat: Shingles
    starts: Indices
    sizes: Indices
    signatures: Signatures


def _bag(texts: Sequence[str]) -> _Bag:
    rows = [_shingle_array(text) for text in texts]
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    return _Bag(np.concatenate(rows), np.cumsum(sizes) - sizes, sizes, _signatures(rows))


def _signatures(rows: Sequence[Shingles]) -> Signatures:
    """MinHash of each row, shape (rows, 128): the smallest value of each permutation over the row's shingles."""
    signatures = np.empty((len(rows), PERMUTATIONS), dtype=np.uint32)
    for low in range(0, len(rows), _BLOCK):
        block = rows[low : low + _BLOCK]
        flat = np.concatenate(block)
        starts = np.cumsum([0, *(len(row) for row in block[:-1])])
        for k in range(PERMUTATIONS):
            # multiply-shift (Dietzfelbinger 1997) of already mixed hashes: the upper half is the permuted value
            permuted = ((flat * _FACTORS[k] + _OFFSETS[k]) >> np.uint64(32)).astype(np.uint32)
            signatures[low : low + len(block), k] = np.minimum.reduceat(permuted, starts)
    return signatures


def _band_keys(signatures: Signatures) -> Iterator[Shingles]:
    """One key per row for each band; equal keys mean an equal band (or a rare collision, verified away)."""
    width = PERMUTATIONS // BANDS
    for band in range(BANDS):
        part = signatures[:, band * width : (band + 1) * width].astype(np.uint64)
        yield _mixed((part * _FACTORS[:width]).sum(axis=1, dtype=np.uint64))


def _ranges(starts: Indices, counts: Indices) -> Indices:
    """`starts[0], starts[0] + 1, ...` for `counts[0]` numbers, then the same for the next start."""
    before = np.cumsum(counts) - counts
    shifts: Indices = np.repeat(starts - before, counts)
    return shifts + np.arange(len(shifts))


def _self_candidates(signatures: Signatures) -> Iterator[tuple[Indices, Indices]]:
    for keys in _band_keys(signatures):
        order = np.argsort(keys, kind="stable")
        places = np.arange(len(keys))
        counts = np.minimum(np.searchsorted(keys[order], keys[order], side="right") - places - 1, BUCKET_LIMIT)
        yield order[np.repeat(places, counts)], order[_ranges(places + 1, counts)]


def _cross_candidates(left: Signatures, right: Signatures) -> Iterator[tuple[Indices, Indices]]:
    for left_keys, right_keys in zip(_band_keys(left), _band_keys(right), strict=True):
        order = np.argsort(right_keys, kind="stable")
        starts = np.searchsorted(right_keys[order], left_keys, side="left")
        counts = np.minimum(np.searchsorted(right_keys[order], left_keys, side="right") - starts, BUCKET_LIMIT)
        yield np.repeat(np.arange(len(left_keys)), counts), order[_ranges(starts, counts)]


def _verified(left: _Bag, right: _Bag, candidates: Iterable[tuple[Indices, Indices]], threshold: float) -> Iterator[tuple[int, int, float]]:
    """Candidate pairs whose exact Jaccard similarity reaches the threshold, each once, ordered by row."""
    kept = []
    for i, j in candidates:
        # J cannot exceed the ratio of the sizes, so this drops no true pair
        possible = np.minimum(left.sizes[i], right.sizes[j]) >= threshold * np.maximum(left.sizes[i], right.sizes[j])
        kept.append(np.unique(i[possible] * len(right.sizes) + j[possible]))
    codes = np.unique(np.concatenate(kept))
    near = [
        part[(left.signatures[part // len(right.sizes)] == right.signatures[part % len(right.sizes)]).mean(axis=1) >= threshold - _SLACK]
        for part in np.split(codes, range(8 * _BLOCK, len(codes), 8 * _BLOCK))
    ]
    rows, others = np.divmod(np.concatenate(near), len(right.sizes))
    # shingles numbered from 0, so that one array can mark those of a row and count them in all its partners at once
    distinct, numbers = np.unique(np.concatenate([left.flat, right.flat]), return_inverse=True)
    left_numbers, right_numbers = numbers[: len(left.flat)], numbers[len(left.flat) :]
    marked = np.zeros(len(distinct), dtype=np.int64)
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    for low, high in pairwise([*starts.tolist(), len(rows)]):
        row, partners = int(rows[low]), others[low:high]
        own = left_numbers[left.starts[row] : left.starts[row] + left.sizes[row]]
        sizes = right.sizes[partners]
        marked[own] = 1
        shared = np.add.reduceat(marked[right_numbers[_ranges(right.starts[partners], sizes)]], np.cumsum(sizes) - sizes)
        marked[own] = 0
        similarities = shared / (left.sizes[row] + sizes - shared)
        hits = similarities >= threshold
        yield from zip([row] * int(hits.sum()), partners[hits].tolist(), similarities[hits].tolist(), strict=True)
