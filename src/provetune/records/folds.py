"""What was proven of a recipe where the rows are too few for a test split of their own."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Record


class FoldReport(Record):
    """Each row was scored by the training that did not see its fold; `fold_of` names the fold of each scored example id.

    `chosen` names what was chosen on validation in each fold. `outlook` says what more rows would allow.
    """

    SCHEMA: ClassVar[str] = "folds/1"
    folds: int
    fold_of: dict[str, int]
    chosen: tuple[str, ...]
    outlook: str
