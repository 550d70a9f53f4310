"""Rows of tokens -> packs: what travels through the model in one forward pass, without a padding token.

Rows that begin alike form a *group*: their common prefix stands in the pack once, followed by what each row
adds. Prefixes are found, not declared. The order is a pure function of (rows, settings, seed, epoch), so a
run that is killed and resumed sees the same packs as one that was left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from provetune.chat import IntArray, TokenRow

MIN_PREFIX = 16
"""A common beginning of fewer tokens is not worth a group of its own."""
GROUP_ROWS = 512
"""Most rows of a group; bounds the search."""


@dataclass(frozen=True)
class Group:
    """Rows, by number, whose first `prefix` tokens are the same and stand in the pack once."""

    prefix: int
    rows: tuple[int, ...]


Pack = tuple[Group, ...]
Lengths = Sequence[int] | Mapping[int, int]
"""Tokens of a row, by its number."""


def rows_of(pack: Pack) -> list[int]:
    """Row numbers of a pack in the order of their tokens."""
    return [row for group in pack for row in group.rows]


def tokens_of(pack: Pack, lengths: Lengths) -> int:
    """Tokens that travel through the model."""
    return sum(group.prefix + sum(lengths[row] - group.prefix for row in group.rows) for group in pack)


def sharable(row: TokenRow) -> int:
    """How many leading tokens may be shared: none that is labelled (each row counts its own), and never the whole row."""
    labels = np.flatnonzero(row.labelled[1:])
    first = int(labels[0]) + 1 if len(labels) else len(row)
    return min(first, len(row) - 1)


def find_groups(rows: Sequence[TokenRow], numbers: Sequence[int], group_cost: int = 0) -> list[Group]:
    """Groups of the rows with these numbers that leave the fewest tokens; rows that share nothing form one group with prefix 0.

    `group_cost` is how many tokens a group with a prefix must save, where groups are worked on one after the other.

    >>> row = lambda *ids: TokenRow(np.array(ids), np.array([False] * (len(ids) - 1) + [True]))
    >>> alike = list(range(20))
    >>> find_groups([row(*alike, 1, 2), row(7, 8), row(*alike, 3, 4)], [0, 1, 2])
    [Group(prefix=20, rows=(0, 2)), Group(prefix=0, rows=(1,))]
    """
    order = sorted(numbers, key=lambda row: (rows[row].ids.astype(">i8").tobytes(), row))
    found: list[Group] = []
    alone: list[int] = []
    for start in range(0, len(order), GROUP_ROWS):
        part = order[start : start + GROUP_ROWS]
        limits = [sharable(rows[row]) for row in part]
        pairs = zip(part, part[1:], limits, limits[1:], strict=False)
        shared = np.array([_shared_tokens(rows[a], rows[b], min(x, y)) for a, b, x, y in pairs], dtype=np.int64)
        for low, high, prefix in _best_cut(shared, group_cost)[1]:
            if prefix:
                found.append(Group(prefix, tuple(sorted(part[low:high]))))
            else:
                alone += part[low:high]
    return [*found, Group(0, tuple(sorted(alone)))] if alone else found


def _best_cut(shared: IntArray, group_cost: int) -> tuple[int, list[tuple[int, int, int]]]:
    """(tokens saved, groups as (first, end, prefix)) of rows of which neighbours share `shared` `[rows - 1]` tokens.

    Either all rows are one group, or the best cut goes through a place where neighbours share least.
    """
    count, least = len(shared) + 1, int(shared.min()) if len(shared) else 0
    saved = least * (count - 1) - group_cost
    if least < MIN_PREFIX or saved <= 0:
        least, saved = 0, 0
    whole = [(0, count, least)]
    if count == 1 or saved >= int(shared.sum()) - int(shared.min()) - group_cost or int(shared.max()) < MIN_PREFIX:
        return saved, whole
    lowest = np.flatnonzero(shared == shared.min())
    cut = int(lowest[len(lowest) // 2])
    left_saved, left = _best_cut(shared[:cut], group_cost)
    right_saved, right = _best_cut(shared[cut + 1 :], group_cost)
    if left_saved + right_saved <= saved:
        return saved, whole
    return left_saved + right_saved, [*left, *((low + cut + 1, high + cut + 1, prefix) for low, high, prefix in right)]


def _shared_tokens(a: TokenRow, b: TokenRow, limit: int) -> int:
    differ = np.flatnonzero(a.ids[:limit] != b.ids[:limit])
    return int(differ[0]) if len(differ) else limit


def cut_into_packs(groups: Sequence[Group], lengths: Lengths, max_tokens: int) -> list[Pack]:
    """Packs of at most `max_tokens` tokens beside the prefix of their first group; a longer row gets a pack of its own.

    Within a group short rows come first. A group that does not fit into one pack stands with its prefix in several.

    >>> cut_into_packs([Group(2, (0, 1, 2))], [5, 4, 3], max_tokens=4)
    [(Group(prefix=2, rows=(2, 1)),), (Group(prefix=2, rows=(0,)),)]
    """
    packs: list[list[Group]] = []
    room = 0
    for group in groups:
        waiting: list[int] = []
        for row in sorted(group.rows, key=lambda row: (lengths[row], row)):
            own = lengths[row] - group.prefix
            needed = own if waiting else own + group.prefix
            if not packs or needed > room:
                if waiting:
                    packs[-1].append(Group(group.prefix, tuple(waiting)))
                packs.append([])
                waiting, room, needed = [], max_tokens + group.prefix, own + group.prefix
            waiting.append(row)
            room -= needed
        packs[-1].append(Group(group.prefix, tuple(waiting)))
    return [tuple(pack) for pack in packs]


@dataclass(frozen=True)
class PackSettings:
    """At most `max_tokens` tokens a pack, beside the prefix of its first group; `share` common prefixes or not."""

    max_tokens: int
    share: bool = True


def pack_rows(rows: Sequence[TokenRow], numbers: Sequence[int], settings: PackSettings) -> list[Pack]:
    """Packs that hold each of these rows once."""
    groups = find_groups(rows, numbers) if settings.share else [Group(0, tuple(numbers))]
    return cut_into_packs(groups, {row: len(rows[row]) for row in numbers}, settings.max_tokens)


def plan_epoch(count: int, rows_per_step: int, seed: int, epoch: int) -> list[list[int]]:
    """Row numbers of each optimizer step of one epoch: shuffled, every row exactly once.

    >>> steps = plan_epoch(5, rows_per_step=2, seed=0, epoch=0)
    >>> [len(step) for step in steps], sorted(row for step in steps for row in step)
    ([2, 2, 1], [0, 1, 2, 3, 4])
    """
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return [order[start : start + rows_per_step] for start in range(0, count, rows_per_step)]
