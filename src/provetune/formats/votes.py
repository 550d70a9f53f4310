"""Several people's answers to one row: which of them is the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Vote:
    """One person's answer; `settled` where it was marked as the truth, which ends the vote."""

    answer: str
    settled: bool = False


def decide(votes: Sequence[Vote]) -> str | None:
    """The answer that more people gave than any other, among the settled ones where there are any; None on a tie or without votes.

    >>> decide([Vote("a"), Vote("b"), Vote("a")]), decide([Vote("a"), Vote("b")])
    ('a', None)
    """
    counted = [vote for vote in votes if vote.settled] or votes
    ranked = Counter(vote.answer for vote in counted).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]
