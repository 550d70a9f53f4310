"""Rows that say the same in other words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from provetune.audit.inputs import AuditInput, rows_text, share
from provetune.audit.keys import repeated
from provetune.audit.meaning import meaning
from provetune.profile import Vectors, drawn
from provetune.records.data import Finding

NEARER = 0.13
"""Part of the median distance between nearest rows below which two rows count as saying the same (the rule of cleanlab's Datalab)."""
FEWEST = 50
_PRODUCTS = 400_000_000
"""Pairs that are compared: all of 20,000 rows; of more rows, as many as this allows with all others."""
_BLOCK = 16_000_000


@dataclass(frozen=True)
class _Nearest:
    """For each row that was looked at, the nearest row of another near-duplicate group, and the cosine of the two."""

    rows: NDArray[np.int64]
    others: NDArray[np.int64]
    cosines: NDArray[np.float64]


def semantic_duplicates(inputs: AuditInput) -> list[Finding]:
    """Pairs much nearer to each other in meaning than rows here usually are, nearest first; a list to review.

    No cosine is fixed: what counts as near depends on the model and the data, so the cut is a part of the median distance.
    """
    found = meaning(inputs)
    if found is None or inputs.embedder is None or len(found.rows) < FEWEST:
        return []
    nearest = _nearest(found.rows, inputs.groups)
    if len(nearest.rows) < FEWEST:
        return []
    half, tenth, hundredth = np.quantile(nearest.cosines, [0.5, 0.9, 0.99])
    cut = 1 - NEARER * (1 - half)
    places = np.flatnonzero(nearest.cosines >= cut)
    places = places[np.argsort(-nearest.cosines[places], kind="stable")]
    if not len(places):
        return []
    pairs = dict.fromkeys(tuple(sorted(pair)) for pair in zip(nearest.rows[places].tolist(), nearest.others[places].tolist(), strict=True))
    ids = dict.fromkeys(inputs.examples[place].id for pair in pairs for place in pair)
    return [
        Finding(
            check="semantic_duplicates",
            severity="info",
            message=f"{rows_text(len(places))} of {len(nearest.rows):,} looked at have another that says nearly the same in other words "
            f"(cosine from {cut:.2f}; here half of the rows have one from {half:.2f}, a tenth from {tenth:.2f}, "
            f"a hundredth from {hundredth:.2f}; vectors: {inputs.embedder.name}).",
            count=len(places),
            example_ids=tuple(ids)[:50],
            observed=share(len(places), len(nearest.rows)),
            threshold=float(cut),
            remedy="Look through the pairs, which stand together: rows that add nothing may go; two labels on one meaning contradict.",
        )
    ]


def _nearest(vectors: Vectors, groups: object) -> _Nearest:
    told = np.flatnonzero(vectors.any(axis=1))
    rows = told[drawn(len(told), max(2000, _PRODUCTS // max(1, len(vectors))))]
    numbers = np.asarray(groups, dtype=np.uint64)
    members = {int(numbers[places[0]]): places for places in repeated(numbers)}
    others, cosines = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
    size = max(1, _BLOCK // max(1, len(vectors)))
    for low in range(0, len(rows), size):
        products = vectors[rows[low : low + size]] @ vectors.T
        for line, row in zip(products, rows[low : low + size].tolist(), strict=True):
            line[members.get(int(numbers[row]), [row])] = -np.inf
        best = products.argmax(axis=1)
        others[low : low + len(best)] = best
        cosines[low : low + len(best)] = products[np.arange(len(best)), best]
    apart = np.isfinite(cosines)
    return _Nearest(rows[apart], others[apart], cosines[apart])
