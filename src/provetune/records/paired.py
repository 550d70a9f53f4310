"""The record of `provetune compare`: one paired verdict on two files of predictions."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Frozen, Record
from provetune.records.evaluation import Comparison, Verdict
from provetune.stats.estimate import Estimate


class ComparedFile(Frozen):
    """One side: what was read, and the metric on the rows that were compared. Counts are rows."""

    path: str
    sha256: str
    rows: int
    only_here: int
    not_measured: int
    long: int
    value: Estimate


class PairedVerdict(Record):
    """Whether the candidate's predictions are better (or not worse) than the baseline's on the same examples.

    `smallest_provable_gain` is the true difference that as many rows that differ as much show beyond the margin with 80 % power.
    """

    SCHEMA: ClassVar[str] = "paired-verdict/1"
    metric: str
    candidate: ComparedFile
    baseline: ComparedFile
    compared: int
    comparison: Comparison
    verdict: Verdict
    smallest_provable_gain: float | None
    notes: tuple[str, ...]
