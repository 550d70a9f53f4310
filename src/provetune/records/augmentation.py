"""The record of an augmentation: what was made, what its guards dropped, whether it helped."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Record
from provetune.records.evaluation import Comparison


class AugmentationReport(Record):
    """`made` rows were written from `original_rows` training rows and `kept` of them used; `dropped` counts the others by reason.

    `comparisons` are with augmentation minus without it, on the same validation rows, for each method and metric.
    """

    SCHEMA: ClassVar[str] = "augmentation/1"
    original_rows: int
    made: int
    kept: int
    dropped: dict[str, int]
    comparisons: tuple[Comparison, ...]
    sentence: str
