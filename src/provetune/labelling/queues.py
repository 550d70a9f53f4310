"""Which rows a round shows, in which order, and which of them every annotator gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from provetune.errors import DataError
from provetune.hashing import fingerprint, seed_of
from provetune.labelling.rows import Row
from provetune.records.labels import LabelQueue, QueuedRow, QueueKind, Reason

PILOT = 40
"""Shared rows that stand at the front: enough to see whether the guideline works before the rest is labelled."""
RANDOM_SHARE = 0.75
"""Part of an active round that chance alone chooses."""
HELD_OUT_SHARE = 0.2
"""Rows that are kept for the test split before the first active round."""
ACTIVE_ROWS = 100
"""Rows of an active round where no number is given."""
FEWEST_LABELLED = 10


@dataclass(frozen=True)
class QueueRequest:
    """What a round is chosen from.

    `labelled` maps ids to labels (of votes, else of the file); `voted` are ids with a vote; `flagged` are the ids of the review, worst
    first; `held_out` are kept for the test split.
    """

    rows: Mapping[str, Row]
    labelled: Mapping[str, str]
    voted: Collection[str]
    number: int
    size: int | None = None
    overlap: float = 0.2
    seed: int = 7
    flagged: Sequence[str] = ()
    held_out: frozenset[str] = frozenset()


def rows_fingerprint(rows: Mapping[str, Row]) -> str:
    """Names a data set by its ids and prompts, whatever the labels."""
    return fingerprint([[row.id, row.key] for row in rows.values()])


def hold_out(rows: Mapping[str, Row], seed: int) -> frozenset[str]:
    """A random fifth of the rows, whole groups at a time, for the test split."""
    groups: dict[str, list[str]] = {}
    for row in rows.values():
        groups.setdefault(f"g{row.group}" if row.group else f"r{row.id}", []).append(row.id)
    order = np.random.default_rng(seed_of("held out", seed)).permutation(sorted(groups))
    kept: list[str] = []
    for name in order:
        if len(kept) >= HELD_OUT_SHARE * len(rows):
            break
        kept += groups[str(name)]
    return frozenset(kept)


def random_queue(request: QueueRequest) -> LabelQueue:
    """Rows without a label in random order; where all have one, all rows nobody has voted on (a second opinion on the file)."""
    pool = _unlabelled(request) or [row for row in request.rows if row not in request.voted]
    chosen = [str(row) for row in _draws(request).permutation(pool)] if pool else []
    return _queue("random", request, [(row, "random") for row in chosen[: request.size]])


def review_queue(request: QueueRequest) -> LabelQueue:
    """The flagged rows that nobody has voted on yet, worst first. Raises DataError where a flagged row is unknown."""
    unknown = [row for row in request.flagged if row not in request.rows]
    if unknown:
        raise DataError(f"found {len(unknown)} flagged ids that are not in the data, the first {unknown[0]!r}; audit this file again")
    chosen = [row for row in dict.fromkeys(request.flagged) if row not in request.voted]
    return _queue("review", request, [(row, "review") for row in chosen[: request.size]])


def active_queue(request: QueueRequest) -> LabelQueue:
    """Three quarters random; the rest half where a linear model is least sure, half where no labelled row is near.

    Gains of active choice are fragile ("On the Fragility of Active Learners for Text Classification", EMNLP 2024), so chance keeps most of
    the round. Rows held out for the test split come in by chance only, and never teach the model. With fewer than 10 labelled rows or a
    single label the whole round is random.
    """
    pool, size = _unlabelled(request), request.size or ACTIVE_ROWS
    if not pool:
        return _queue("active", request, [])
    draws = _draws(request)
    order = [str(row) for row in draws.permutation(pool)]
    by_chance, wanted = order[: math.ceil(RANDOM_SHARE * size)], min(size, len(pool))
    taught = [row for row in request.labelled if row not in request.held_out]
    picked: dict[str, Reason] = {}
    if len(taught) >= FEWEST_LABELLED and len({request.labelled[row] for row in taught}) >= 2:
        taken = {*by_chance, *request.held_out}
        picked = _informative(request, taught, [row for row in pool if row not in taken], wanted - len(by_chance))
    by_chance += [row for row in order[len(by_chance) :] if row not in picked][: wanted - len(by_chance) - len(picked)]
    chosen: list[tuple[str, Reason]] = [*((row, "random") for row in by_chance), *picked.items()]
    return _queue("active", request, [chosen[k] for k in draws.permutation(len(chosen))])


QUEUES: dict[QueueKind, Callable[[QueueRequest], LabelQueue]] = {
    "random": random_queue,
    "review": review_queue,
    "active": active_queue,
}


def adjudication_queue(request: QueueRequest, split: Sequence[str]) -> LabelQueue:
    """The rows in `split`, on which annotators disagree, for a person who voted on none of them."""
    return _queue("adjudicate", request, [(row, "undecided") for row in split])


def _unlabelled(request: QueueRequest) -> list[str]:
    return [row for row in request.rows if row not in request.labelled and row not in request.voted]


def _draws(request: QueueRequest) -> np.random.Generator:
    return np.random.default_rng(seed_of("queue", request.seed, request.number))


def _queue(kind: QueueKind, request: QueueRequest, chosen: Sequence[tuple[str, Reason]]) -> LabelQueue:
    shared = _shared(len(chosen), request.overlap)
    return LabelQueue(
        kind=kind,
        number=request.number,
        dataset=rows_fingerprint(request.rows),
        seed=request.seed,
        overlap=request.overlap,
        rows=tuple(QueuedRow(example_id=row, reason=reason, shared=place in shared) for place, (row, reason) in enumerate(chosen)),
        held_out=tuple(sorted(request.held_out)),
    )


def _shared(count: int, overlap: float) -> set[int]:
    """Places of the shared rows: the pilot in front, the others spread evenly.

    >>> sorted(_shared(300, 0.2))[38:42]
    [38, 39, 40, 53]
    """
    wanted = math.ceil(overlap * count - 1e-9)
    front = min(wanted, PILOT)
    step = (count - front) / (wanted - front) if wanted > front else 1
    return {*range(front), *(front + int(k * step) for k in range(wanted - front))}


def _informative(request: QueueRequest, taught: list[str], left: list[str], wanted: int) -> dict[str, Reason]:
    """At most `wanted` of `left`, half of them by either rule.

    First those with the smallest margin between the two likeliest labels, then those farthest from all labelled and chosen rows.
    """
    if not left or wanted <= 0:
        return {}
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit(
        [request.rows[row].text for row in taught + left]
    )
    known, unknown = (vectors.transform([request.rows[row].text for row in part]) for part in (taught, left))
    model = LogisticRegression(C=20.0, max_iter=300).fit(known, [request.labelled[row] for row in taught])
    likeliest = np.sort(model.predict_proba(unknown), axis=1)
    sure = np.argsort(likeliest[:, -1] - likeliest[:, -2], kind="stable")[: math.ceil(wanted / 2)]
    nearest = np.asarray((unknown @ known.T).max(axis=1).todense()).ravel()
    picked: dict[str, Reason] = {left[k]: "uncertain" for k in sure}
    nearest[sure] = np.inf
    while len(picked) < wanted and np.isfinite(nearest).any():
        far = int(nearest.argmin())
        picked[left[far]] = "least covered"
        nearest = np.maximum(nearest, np.asarray((unknown @ unknown[far].T).todense()).ravel())
        nearest[far] = np.inf
    return picked
