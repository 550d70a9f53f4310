"""Records of what was done against forgetting, and how it was chosen."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Frozen, Record
from provetune.stats.estimate import Estimate


class SkillLoss(Frozen):
    """Tuned minus base of one skill on the items that select.

    `expected_low` is the end of the interval that the `judging` other items would give, were the difference there the same.
    """

    suite: str
    skill: str
    difference: Estimate
    judging: int
    expected_low: float


class RemedyPoint(Frozen):
    """One set of weights that was weighed: its training, the share of the way from the base, what it gains and keeps.

    `score` is the deciding metric on validation; `kept` is the mean of tuned minus base over all selecting items.
    """

    training: str
    scale: float
    weights_sha256: str
    score: float
    skills: tuple[SkillLoss, ...]
    kept: float | None
    keeps: bool
    gains: bool


class ForgettingReport(Record):
    """All weights that were weighed on validation rows and on the selecting items, and which of them ships."""

    SCHEMA: ClassVar[str] = "forgetting/1"
    candidate: str
    wanted_score: float
    margin: float
    points: tuple[RemedyPoint, ...]
    chosen: int
    sentence: str
