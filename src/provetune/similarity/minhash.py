"""Pairs of texts by the Jaccard similarity J of their sets of character 5-grams: found by MinHash, then computed exactly.

MinHash with banding: Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", ch. 3. Memory grows by
half a kilobyte a text: 5-grams are kept as long as they are being looked at, and computed again for the texts that meet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from provetune.protocols import Progress
from provetune.similarity.normal_form import SIZE, Hashes, Indices, digest, gram_hashes, mixed, normalise

Signatures = NDArray[np.uint32]
Compared = tuple[Indices, Indices, NDArray[np.float64]]
"""Left rows, right rows, similarity of each pair."""
_In = TypeVar("_In")
_Out = TypeVar("_Out")

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
# Letters worked on at once: their 5-grams stay in the processor's cache while 128 permutations pass over them.
_LETTERS = 60_000
_GRAMS = 2_000_000
_PAIRS = 16_384
_NO_ROWS = np.zeros(0, dtype=np.int64)

_CONSTANTS = mixed(np.arange(1, 2 * PERMUTATIONS + 1, dtype=np.uint64)) | np.uint64(1)
_FACTORS, _OFFSETS = ((part >> np.uint64(32)).astype(np.uint32) | np.uint32(1) for part in np.split(_CONSTANTS, 2))


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody asked for."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows as arrays of one length: `left < right`, ordered by row, each with its `similarity`."""

    left: Indices
    right: Indices
    similarity: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.left)

    def at_least(self, threshold: float) -> Pairs:
        """The pairs whose similarity reaches the threshold."""
        kept = self.similarity >= threshold
        return Pairs(self.left[kept], self.right[kept], self.similarity[kept])

    def listed(self) -> list[tuple[int, int, float]]:
        """The pairs one by one."""
        return list(zip(self.left.tolist(), self.right.tolist(), self.similarity.tolist(), strict=True))


@dataclass(frozen=True)
class Signed:
    """Texts made ready for comparison.

    `first_of[i]` is the first row with the normal form of row i; `rows` are these first rows, `signatures` theirs,
    shape (rows, 128); `short` holds the normal forms of up to 100 characters, by row.
    """

    first_of: Indices
    rows: Indices
    signatures: Signatures
    short: dict[int, str]


def joined(parts: Iterable[Compared]) -> Compared:
    """Several parts as one."""
    left, right, similarity = zip(*parts, (_NO_ROWS, _NO_ROWS, np.zeros(0)), strict=True)
    return np.concatenate(left), np.concatenate(right), np.concatenate(similarity)


def pairs_of(parts: Iterable[Compared]) -> Pairs:
    """Several parts as pairs in order."""
    left, right, similarity = joined(parts)
    # many millions of pairs where rows repeat each other: nothing is held twice for longer than it must
    swapped = np.flatnonzero(left > right)
    left[swapped], right[swapped] = right[swapped], left[swapped]
    order = np.lexsort((right, left))
    left = left[order]
    right = right[order]
    return Pairs(left, right, similarity[order])


def sign(texts: Sequence[str], short: int = 0, progress: Progress = silent) -> Signed:
    """Normal form, first row of each, and MinHash of the first rows; keeps normal forms of up to `short` characters."""
    first_of = np.empty(len(texts), dtype=np.int64)
    signatures = np.empty((len(texts), PERMUTATIONS), dtype=np.uint32)
    rows: list[int] = []
    kept: dict[int, str] = {}

    def taken() -> Iterator[str]:
        for row, normal in _firsts(texts, first_of):
            rows.append(row)
            if len(normal) <= short:
                kept[row] = normal
            yield normal

    done = 0
    for part in ahead(_signatures, _blocks(taken(), _LETTERS)):
        signatures[done : done + len(part)] = part
        done += len(part)
        progress("comparing rows", rows[done - 1] + 1, len(texts))
    return Signed(first_of, np.array(rows, dtype=np.int64), signatures[:done], kept)


def _firsts(texts: Sequence[str], first_of: Indices) -> Iterator[tuple[int, str]]:
    """Each row with a new normal form, and that form; fills `first_of` for all rows."""
    firsts: dict[int, int] = {}
    for row, text in enumerate(texts):
        normal = normalise(text)
        first_of[row] = first = firsts.setdefault(digest(normal), row)
        if first == row:
            yield row, normal


def _blocks(texts: Iterable[str], letters: int) -> Iterator[list[str]]:
    """The texts in lists of about so many letters."""
    block: list[str] = []
    held = 0
    for text in texts:
        block.append(text)
        held += len(text) + SIZE
        if held > letters:
            yield block
            block, held = [], 0
    if block:
        yield block


def ahead(function: Callable[[_In], _Out], given: Iterable[_In], workers: int = 1) -> Iterator[_Out]:
    """`map` in order, a few items ahead of the reader in other threads: for work during which Python's own lock is let go."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[_Out]] = deque()
        for item in given:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _signatures(texts: Sequence[str]) -> Signatures:
    """MinHash of each normal form, shape (texts, 128): the smallest value of each permutation over its 5-grams."""
    hashes, counts = gram_hashes(texts)
    starts = np.cumsum(counts) - counts
    upper = (hashes >> np.uint64(32)).astype(np.uint32)
    permuted = np.empty_like(upper)
    found = np.empty((PERMUTATIONS, len(texts)), dtype=np.uint32)
    for k in range(PERMUTATIONS):
        np.multiply(upper, _FACTORS[k], out=permuted)
        np.add(permuted, _OFFSETS[k], out=permuted)
        np.minimum.reduceat(permuted, starts, out=found[k])
    return found.T


def _band_keys(signatures: Signatures) -> Iterator[Hashes]:
    """One key per row for each band; equal keys mean an equal band (or a rare collision, verified away)."""
    width = PERMUTATIONS // BANDS
    for band in range(BANDS):
        part = signatures[:, band * width : (band + 1) * width].astype(np.uint64)
        yield mixed((part * _CONSTANTS[:width]).sum(axis=1, dtype=np.uint64))


def ranges(starts: Indices, counts: Indices) -> Indices:
    """`starts[0], starts[0] + 1, ...` for `counts[0]` numbers, then the same for the next start.

    >>> ranges(np.array([5, 0]), np.array([2, 3])).tolist()
    [5, 6, 0, 1, 2]
    """
    shifts: Indices = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return shifts + np.arange(len(shifts))


def distinct(numbers: Indices) -> Indices:
    """The different numbers in order; much faster than `np.unique`, which hashes them.

    >>> distinct(np.array([3, 1, 3])).tolist()
    [1, 3]
    """
    ordered = np.sort(numbers)
    return ordered[np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))]


def meeting(left: Hashes, right: Hashes | None = None, most: int = BUCKET_LIMIT) -> tuple[Indices, Indices]:
    """Places of equal keys: of each of `left` with the next `most` of its own, or with the first `most` of `right`."""
    keys = left if right is None else right
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    if right is None:
        places = np.arange(len(left))
        counts = np.searchsorted(ordered, ordered, side="right") - places - 1
        rows, starts = order, places + 1
    else:
        rows, starts = np.arange(len(left)), np.searchsorted(ordered, left, side="left")
        counts = np.searchsorted(ordered, left, side="right") - starts
    counts = np.minimum(counts, most)
    return np.repeat(rows, counts), order[ranges(starts, counts)]


def candidates(left: Signatures, right: Signatures | None, threshold: float) -> tuple[Indices, Indices]:
    """Places of `left` and of `right` (or `left` again) that share a band and whose estimated similarity may reach the threshold."""
    other = left if right is None else right
    found = _NO_ROWS
    for keys, others in zip(_band_keys(left), _band_keys(other), strict=True):
        i, j = meeting(keys, None if right is None else others)
        codes = np.sort(i * len(other) + j)
        codes = codes[np.searchsorted(found, codes, side="left") == np.searchsorted(found, codes, side="right")]
        near = [_alike(left, other, part, threshold) for part in np.split(codes, range(_PAIRS, len(codes), _PAIRS))]
        found = np.sort(np.concatenate([found, *near]))
    rows, partners = np.divmod(found, max(1, len(other)))
    return rows, partners


def _alike(left: Signatures, right: Signatures, codes: Indices, threshold: float) -> Indices:
    i, j = np.divmod(codes, max(1, len(right)))
    kept: Indices = codes[(left[i] == right[j]).mean(axis=1) >= threshold - _SLACK]
    return kept


def exact(texts: Sequence[str], left: Indices, right: Indices, threshold: float, progress: Progress = silent) -> Compared:
    """The pairs whose exact similarity reaches the threshold; works on few texts at a time, each taken up once."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    whole = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(len(texts), len(texts)))
    part_of = connected_components(whole, directed=False)[1][left]
    order = np.lexsort((right, left, part_of))
    left, right, part_of = left[order], right[order], part_of[order]
    edges = np.flatnonzero(np.diff(part_of, prepend=-1, append=-1))

    def compared(chunk: slice) -> tuple[int, Compared]:
        return chunk.stop, _compared(texts, left[chunk], right[chunk], threshold)

    parts = []
    for done, part in ahead(compared, _chunks(texts, left, right, edges)):
        parts.append(part)
        progress("comparing similar rows", done, len(left))
    return joined(parts)


def _chunks(texts: Sequence[str], left: Indices, right: Indices, edges: Indices) -> Iterator[slice]:
    """Runs of whole parts that hold about two million letters."""
    begin = held = 0
    for low, high in pairwise(edges.tolist()):
        held += sum(len(texts[row]) for row in {*left[low:high].tolist(), *right[low:high].tolist()})
        if held > _GRAMS:
            yield slice(begin, high)
            begin, held = high, 0
    if begin < len(left):
        yield slice(begin, len(left))


def _compared(texts: Sequence[str], left: Indices, right: Indices, threshold: float) -> Compared:
    """Pairs (ordered by `left`) with their similarity, those below the threshold left out."""
    rows, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    hashes, counts = gram_hashes([normalise(texts[row]) for row in rows.tolist()])
    # 5-grams numbered from 0 and made distinct in each text, so that one array can mark those of a text
    # and count them in all its partners at once
    grams, numbers = np.unique(hashes, return_inverse=True)
    once = distinct(np.repeat(np.arange(len(rows)), counts) * len(grams) + numbers)
    owners, numbers = np.divmod(once, len(grams))
    sizes = np.bincount(owners, minlength=len(rows))
    starts = np.cumsum(sizes) - sizes
    marked = np.zeros(len(grams), dtype=np.uint8)
    i, j = places[: len(left)], places[len(left) :]
    similarity = np.empty(len(left))
    for low, high in pairwise([*np.flatnonzero(np.diff(i, prepend=-1)).tolist(), len(i)]):
        own = slice(starts[i[low]], starts[i[low]] + sizes[i[low]])
        theirs = sizes[j[low:high]]
        marked[numbers[own]] = 1
        shared = np.add.reduceat(marked[numbers[ranges(starts[j[low:high]], theirs)]], np.cumsum(theirs) - theirs, dtype=np.int64)
        marked[numbers[own]] = 0
        similarity[low:high] = shared / (sizes[i[low]] + theirs - shared)
    hits = similarity >= threshold
    return left[hits], right[hits], similarity[hits]
