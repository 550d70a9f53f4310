"""Which training rows become the shots of a prompt, where all rows get the same ones."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from provetune.errors import SpecError
from provetune.protocols import Embedder
from provetune.records.candidate import Pick
from provetune.records.data import Example

CLUSTERED = 5_000
"""Rows at most, evenly spaced, that are looked through for different ones."""


def balanced(train: Sequence[Example], count: int, seed: int, _: Embedder | None = None) -> list[Example]:
    """Rows of different labels, every label once before one comes twice; of each the shortest of five drawn."""
    draw = random.Random(seed)
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in train:
        by_label[example.label or ""].append(example)
    labels = sorted(by_label)
    draw.shuffle(labels)
    chosen: list[Example] = []
    for turn in range(count if labels else 0):
        waiting = by_label[labels[turn % len(labels)]]
        drawn = draw.sample(waiting, min(5, len(waiting)))
        fresh = [example for example in drawn if example not in chosen]
        if fresh:
            chosen.append(min(fresh, key=lambda example: (len(example.prompt_text) + len(example.target), example.id)))
    return chosen


def at_random(train: Sequence[Example], count: int, seed: int, _: Embedder | None = None) -> list[Example]:
    """Rows drawn with equal chances."""
    return random.Random(seed).sample(list(train), min(count, len(train)))


def diverse(train: Sequence[Example], count: int, seed: int, embedder: Embedder | None = None) -> list[Example]:
    """Rows that cover the data: k clusters of meaning, the row nearest each centre, the largest cluster first.

    Source: Zhang et al., "Automatic Chain of Thought Prompting", ICLR 2023, section 4.
    """
    from sklearn.cluster import KMeans

    if not train:
        return []
    if embedder is None:
        raise SpecError("few-shot: pick: diverse needs an embedding to tell what differs")
    rows = train[:: max(1, -(-len(train) // CLUSTERED))]
    own = embedder.embed([example.prompt_text for example in rows])
    clusters = min(count, len(np.unique(own, axis=0)))
    found = KMeans(clusters, n_init=1, random_state=seed).fit(own)
    chosen = []
    for cluster in np.argsort(-np.bincount(found.labels_, minlength=clusters), kind="stable"):
        members = np.flatnonzero(found.labels_ == cluster)
        distances = ((own[members] - found.cluster_centers_[cluster]) ** 2).sum(axis=1)
        chosen.append(rows[int(members[int(np.argmin(distances))])])
    return chosen


PICKS: dict[Pick, Callable[[Sequence[Example], int, int, Embedder | None], list[Example]]] = {
    "balanced": balanced,
    "random": at_random,
    "diverse": diverse,
}
