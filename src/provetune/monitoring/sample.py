"""The rows of one side of a comparison: distinct texts, drawn by seed, no user above a share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from provetune.monitoring.text import sameness

MOST = 2_000
"""Texts of each side that are compared."""
USER_SHARE = 0.05
"""Of the texts of a side, at most this share comes from one user."""
POOL = 2 * MOST
"""Rows that are kept to draw from: enough where users are capped."""


@dataclass(frozen=True, slots=True)
class Row:
    """One request, with what is known of it; None and empty mean unknown. `logprob` is nats a token of the model's own answer."""

    text: str
    id: str = ""
    label: str | None = None
    prediction: str | None = None
    at: str = ""
    group: str | None = None
    user: str = ""
    logprob: float | None = None
    valid: bool | None = None
    in_scope: bool | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows in the order of their draw, and how many were left out for which reason."""

    rows: tuple[Row, ...]
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [row.text for row in self.rows]

    def of_group(self, group: str) -> Sample:
        """The rows of one slice."""
        return Sample(tuple(row for row in self.rows if row.group == group))


def priority(text: str, seed: int) -> int:
    """63 bits; the rows with the smallest ones are drawn. Texts that count as the same share it, so a copy is never drawn twice.

    >>> priority("order 1", 7) == priority("Order 2", 7) != priority("refund", 7)
    True
    """
    key = sameness(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8, salt=seed.to_bytes(8, "little")).digest(), "little") >> 1


def draw(rows: Iterable[Row], seed: int = 7, most: int = MOST) -> Sample:
    """At most `most` distinct texts, in an order that depends on the texts and the seed alone, however the rows come in."""
    left_out = Counter[str]()
    by_priority: dict[int, Row] = {}
    for row in rows:
        if not row.text.strip():
            left_out["empty"] += 1
            continue
        place = priority(row.text, seed)
        left_out["repeated"] += place in by_priority
        # of copies the one with the smallest id stays, whichever came first
        if place not in by_priority or (row.id, row.text) < (by_priority[place].id, by_priority[place].text):
            by_priority[place] = row
    ordered = [by_priority[place] for place in sorted(by_priority)]
    kept = _capped(ordered, most)
    left_out["above one user's share"] = min(len(ordered), most) - len(kept) if len(kept) < most else 0
    left_out["not drawn"] = len(ordered) - len(kept) - left_out["above one user's share"]
    return Sample(tuple(kept), {reason: count for reason, count in left_out.items() if count})


def _capped(rows: Sequence[Row], most: int) -> list[Row]:
    """The first rows, at most `USER_SHARE` of them from one named user; with fewer than 1 / USER_SHARE users, an equal share each."""
    users = {row.user for row in rows if row.user}
    if not users:
        return list(rows[:most])
    share = max(USER_SHARE, 1 / len(users))
    allowed = max(1, int(share * min(most, len(rows))))
    counts = Counter[str]()
    kept = []
    for row in rows:
        counts[row.user] += 1
        if not row.user or counts[row.user] <= allowed:
            kept.append(row)
            if len(kept) == most:
                break
    return kept
