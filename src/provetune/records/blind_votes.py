"""What people said of two candidates whose names they did not see."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Record
from provetune.stats.estimate import Estimate

PairVotes = tuple[int, int, int, int]
"""Votes on one pair: candidate better, baseline better, equally good, both bad."""


class VoteReport(Record):
    """Blind votes on completions of two candidates for the same examples.

    `candidate_key` is the candidate's fingerprint, or the hash of its file. Of `rows` that both completed, `equal` say the same and were
    not shown; `pairs` were. `votes` are those of each pair that has any. `win_rate` is the mean over pairs of 1 for the candidate, 0 for
    the baseline, 0.5 otherwise; `agreement` is Krippendorff's alpha over pairs with two raters or more. `set_aside` counts votes on
    completions that have changed.
    """

    SCHEMA: ClassVar[str] = "blind_votes/1"
    candidate: str
    baseline: str
    candidate_key: str
    baseline_key: str
    rows: int
    equal: int
    pairs: int
    votes: tuple[PairVotes, ...]
    raters: dict[str, int]
    set_aside: int
    win_rate: Estimate
    agreement: Estimate
