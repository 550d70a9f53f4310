"""Records of how much a model loses when requests are written otherwise, and what it does with those that are not for it."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Frozen, Record
from provetune.stats.estimate import Estimate


class Drop(Frozen):
    """One candidate on the rows as they are (`clean`) and after one change; `drop` is the paired loss, above 0 where it is worse.

    `unchanged` rows had nothing to change, or their rewording lost a number or was cut; they are left out.
    """

    candidate: str
    change: str
    clean: Estimate
    after: Estimate
    drop: Estimate
    rows: int
    unchanged: int
    not_measured: int


class OutOfScope(Frozen):
    """What a candidate writes freely for requests that are not for it: `answered` where it names a label or does not decline."""

    candidate: str
    answered: Estimate
    abstained: Estimate
    not_measured: int


class Sensitivity(Frozen):
    """One candidate under several wordings of the same instruction; `spread` is best minus worst on the same rows, picked as such."""

    candidate: str
    scores: tuple[Estimate, ...]
    spread: Estimate


class RobustnessReport(Record):
    """What was measured of tuned model and base on the opened test rows; `metric` is the deciding one. It decides nothing."""

    SCHEMA: ClassVar[str] = "robustness/1"
    metric: str
    drops: tuple[Drop, ...] = ()
    out_of_scope: tuple[OutOfScope, ...] = ()
    wordings: tuple[Sensitivity, ...] = ()
    reworded_by: str = ""
    seconds: float = 0.0
