"""Records of `audit --fix`: what can safely be mended, and the new data set where it was."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Frozen, Record
from provetune.records.data import Dataset
from provetune.records.provenance import Source


class Fix(Frozen):
    """One safe remedy: `count` rows are changed or removed; `example_ids` are the first 50 of them."""

    name: str
    what: str
    count: int
    removes: bool
    example_ids: tuple[str, ...]


class FixPlan(Record):
    """All safe remedies for one data set, in the order in which they are applied; `rows_after` of `rows_before` remain.

    `written` is the new data set and `spec_lines` what the project file must say to use it; None and empty in a preview. `source` is what
    the rows were read from.
    """

    SCHEMA: ClassVar[str] = "fix_plan/1"
    dataset: str
    rows_before: int
    rows_after: int
    fixes: tuple[Fix, ...]
    written: Dataset | None = None
    spec_lines: tuple[str, ...] = ()
    source: Source | None = None
