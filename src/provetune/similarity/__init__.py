"""Which texts are the same, or nearly the same.

Two texts are near-duplicates from a Jaccard similarity J of 0.8 of their sets of character 5-grams after normalisation,
or where they are short and differ by a typing error or two. J is computed exactly, never estimated.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from provetune.protocols import Progress
from provetune.records.data import Example
from provetune.similarity.minhash import Pairs, candidates, exact, pairs_of, sign, silent
from provetune.similarity.normal_form import Indices, jaccard, normalise, shingles
from provetune.similarity.typos import LONGEST, typing_errors

__all__ = [
    "NEARLY_EQUAL",
    "NEAR_DUPLICATE",
    "Alike",
    "Pairs",
    "alike",
    "example_groups",
    "find_leaks",
    "grouped",
    "groups",
    "jaccard",
    "near_duplicate_pairs",
    "nearest_cross",
    "normalise",
    "own_texts",
    "shared_end",
    "shingles",
    "tied_together",
]

NEAR_DUPLICATE = 0.8
"""Rows at or above this J stay together in the split."""
NEARLY_EQUAL = 0.9
"""A training row at or above this J to a test row is leakage."""


@dataclass(frozen=True)
class Alike:
    """Rows of one data set that nearly say the same: pairs with `J >= 0.8`, and copies with typing errors."""

    count: int
    near: Pairs
    typos: Pairs

    @property
    def groups(self) -> list[int]:
        """Group number of each row: rows joined by pairs of either kind, however indirectly, share a number."""
        left, right = (np.concatenate(sides) for sides in ((self.near.left, self.typos.left), (self.near.right, self.typos.right)))
        numbers: list[int] = grouped(self.count, left, right).tolist()
        return numbers


def near_duplicate_pairs(texts: Sequence[str], threshold: float = NEAR_DUPLICATE) -> list[tuple[int, int, float]]:
    """Pairs `(i, j, J)` with `i < j` and `J >= threshold`, sorted; meant for thresholds from 0.5 (recall .87) upwards.

    Of rows with one normal form only the first is compared, and the others are paired with it, so a thousand copies
    give 999 pairs instead of half a million; the groups are the same.

    >>> near_duplicate_pairs(["Where is my card?", "where is my card", "Please close my account"])
    [(0, 1, 1.0)]
    """
    return _alike(texts, threshold, 0, silent).near.listed()


def _alike(texts: Sequence[str], threshold: float, short: int, progress: Progress) -> Alike:
    signed = sign(texts, short, progress)
    copies = np.flatnonzero(signed.first_of != np.arange(len(texts)))
    i, j = candidates(signed.signatures, None, threshold)
    near = exact(texts, signed.rows[i], signed.rows[j], threshold, progress)
    equal = (signed.first_of[copies], copies, np.ones(len(copies)))
    return Alike(len(texts), pairs_of([near, equal]), typing_errors(signed.short))


def alike(examples: Sequence[Example], progress: Progress = silent) -> Alike:
    """Near-duplicates among the examples, by the own text of each."""
    (texts,) = own_texts(examples)
    return _alike(texts, NEAR_DUPLICATE, LONGEST, progress)


def nearest_cross(left: Sequence[str], right: Sequence[str], threshold: float) -> dict[int, tuple[int, float]]:
    """For each left row with a right row at `J >= threshold`: the nearest right row (the first among equals) and J.

    >>> nearest_cross(["Is it open?", "No."], ["Close it", "is it open"], 0.9)
    {0: (1, 1.0)}
    """
    everything, count = [*left, *right], len(left)
    signed = sign(everything)
    ours, where = np.unique(signed.first_of[:count], return_inverse=True)
    theirs, first = np.unique(signed.first_of[count:], return_index=True)
    shared = np.isin(ours, theirs)
    best = {form: (int(first[np.searchsorted(theirs, form)]), 1.0) for form in ours[shared].tolist()}
    open_forms = ours[~shared]
    signatures = [signed.signatures[np.searchsorted(signed.rows, forms)] for forms in (open_forms, theirs)]
    i, j = candidates(signatures[0], signatures[1], threshold)
    forms, others, similarity = exact(everything, open_forms[i], theirs[j], threshold)
    rows = first[np.searchsorted(theirs, others)]
    for k in np.lexsort((rows, -similarity)).tolist():
        best.setdefault(int(forms[k]), (int(rows[k]), float(similarity[k])))
    return {row: best[form] for row, form in enumerate(ours[where].tolist()) if form in best}


def groups(count: int, pairs: Iterable[tuple[int, int, float]]) -> list[int]:
    """Group number of each of `count` rows: rows joined by pairs, however indirectly, share a number.

    Numbers run from 0 in the order of first appearance.

    >>> groups(4, [(0, 2, 0.9)])
    [0, 1, 0, 2]
    """
    links = np.array([(i, j) for i, j, _ in pairs], dtype=np.int64).reshape(-1, 2)
    numbers: list[int] = grouped(count, links[:, 0], links[:, 1]).tolist()
    return numbers


def grouped(count: int, left: Indices, right: Indices) -> Indices:
    """`groups` of the pairs `left[k], right[k]`, as an array of shape [count]."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    whole = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(count, count))
    part_of = connected_components(whole, directed=False)[1]
    _, first, where = np.unique(part_of, return_index=True, return_inverse=True)
    numbers: Indices = np.argsort(np.argsort(first))[where]
    return numbers


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
    end = _whole_words(shared_end(everything, start)[::-1])
    return [[text[start : len(text) - end].strip() for text in part] for part in texts]


def shared_end(texts: Sequence[str], start: int) -> str:
    """The wording with which all texts end, none of it before the letter `start`.

    >>> shared_end(["Is it open today?", "Is it closed today?"], 6), shared_end(["baba", "ba"], 0)
    (' today?', 'ba')
    """
    end = texts[0][start:]
    for text in texts:
        if len(text) < start + len(end) or not text.endswith(end):
            end = os.path.commonprefix([end[::-1], text[start:][::-1]])[::-1]
    return end


def example_groups(examples: Sequence[Example]) -> list[int]:
    """Near-duplicate group number of each example, by its own text."""
    return alike(examples).groups


def tied_together(examples: Sequence[Example]) -> list[Example]:
    """The examples with near-duplicates, rows of one user group and rows of one source in one group: they are no independent evidence."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(e.group, place), place, 1.0) for place, e in enumerate(examples) if e.group is not None]
    made: dict[str, int] = {}
    pairs += [(made.setdefault(e.source_id, place), place, 1.0) for place, e in enumerate(examples)]
    alike: dict[int, int] = {}
    pairs += [(alike.setdefault(number, place), place, 1.0) for place, number in enumerate(example_groups(examples))]
    return [e.model_copy(update={"group": str(number)}) for e, number in zip(examples, groups(len(examples), pairs), strict=True)]


def find_leaks(train: Sequence[Example], test: Sequence[Example], threshold: float = NEARLY_EQUAL) -> dict[str, tuple[str, float]]:
    """Training rows that equal (1.0) or nearly equal a test row: train id -> (test id, J)."""
    left, right = own_texts(train, test)
    return {train[i].id: (test[j].id, similarity) for i, (j, similarity) in nearest_cross(left, right, threshold).items()}


def _whole_words(shared: str) -> int:
    """Length of the shared wording up to its last space or line end."""
    return max(shared.rfind(" "), shared.rfind("\n")) + 1
