"""Growing subsets of the training rows for learning curves, and the same rows with wrong targets planted in them."""

from __future__ import annotations

from collections.abc import Sequence

from provetune.hashing import seed_of
from provetune.records.data import Example


def nested_order(examples: Sequence[Example], seed: int) -> list[Example]:
    """The examples in an order of which every beginning is a stratified subset: each label has its share, up to one row.

    Rows of a label are shuffled by (seed, id) and spread evenly over the order (systematic sampling with a random start), so
    a smaller subset is always part of a larger one. Without labels it is a shuffle.

    >>> rows = [Example(id=f"r{k}", messages=(), label="a" if k < 6 else "b") for k in range(9)]
    >>> sorted(row.label for row in nested_order(rows, 1)[:3])
    ['a', 'a', 'b']
    """
    by_label: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda e: (seed_of("subset", seed, e.id), e.id)):
        by_label.setdefault(example.label or "", []).append(example)
    places = []
    for label, rows in by_label.items():
        start = seed_of("start", seed, label) / 2**32
        places += [((rank + start) / len(rows), label, example) for rank, example in enumerate(rows)]
    return [example for _, _, example in sorted(places, key=lambda found: found[:2])]


def with_wrong_targets(examples: Sequence[Example], share: float, seed: int) -> list[Example]:
    """The examples, of which about `share` now carry the target (and label) of another row that has a different one.

    Which rows these are, and what they get, depends on (seed, id) alone: it is the same in every subset and, for a larger share,
    more of the same. Raises ValueError unless there are two targets and 0 <= share < 1.
    """
    if not 0 <= share < 1 or len({example.target for example in examples}) < 2:
        raise ValueError(f"share is {share}, wanted 0 <= share < 1 and rows with at least two targets")
    ordered = sorted(examples, key=lambda e: e.id)
    donors = {example.id: _donor(ordered, example, seed) for example in ordered if seed_of("wrong", seed, example.id) < share * 2**32}
    return [_answered_as(example, donors[example.id]) if example.id in donors else example for example in examples]


def _donor(ordered: Sequence[Example], example: Example, seed: int) -> Example:
    start = seed_of("donor", seed, example.id)
    return next(other for k in range(len(ordered)) if (other := ordered[(start + k) % len(ordered)]).target != example.target)


def _answered_as(example: Example, donor: Example) -> Example:
    return example.model_copy(update={"messages": (*example.messages[:-1], donor.messages[-1]), "label": donor.label})
