"""Where the rows came from, and every change to them from the file to what a training read, with counts that add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from provetune.records.base import Frozen, Record

UNEXPLAINED = "not accounted for"
"""The reason of rows that no record explains; a sheet that shows it is a fault of this program."""


class LeftOut(Frozen):
    """What a reader left out: `rows` whole rows, or (not `whole`) a part of so many rows; `first` is the place of the first one."""

    reason: str
    rows: int
    first: str
    whole: bool


class Source(Frozen):
    """What was read for one purpose: `files` files of `bytes` in all, their SHA-256, and `rows` rows, of which some were left out.

    `path` is as the project file says it; `licence` is "unknown" where neither the project file nor the data says one.
    """

    role: Literal["examples", "test"]
    path: str
    format: str
    files: int
    bytes: int
    sha256: str
    rows: int
    left_out: tuple[LeftOut, ...] = ()
    licence: str = "unknown"

    @property
    def examples(self) -> int:
        """Rows that were taken."""
        return self.rows - sum(one.rows for one in self.left_out if one.whole)


class Change(Frozen):
    """One step of the rows: `rows_in` and what is `added` is `rows_out`, what is `removed` and what is `moved` to another use.

    The four count rows by reason; rows that stay and say something else afterwards are counted in `altered`. Raises ValueError where the
    sum is wrong.
    """

    step: str
    rows_in: int
    rows_out: int
    added: dict[str, int] = Field(default_factory=dict)
    removed: dict[str, int] = Field(default_factory=dict)
    moved: dict[str, int] = Field(default_factory=dict)
    altered: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        before = self.rows_in + sum(self.added.values())
        after = self.rows_out + sum(self.removed.values()) + sum(self.moved.values())
        if before != after:
            raise ValueError(f"{self.step}: {before:,} rows come in and {after:,} are counted afterwards, wanted as many")
        return self


class TrainingRows(Frozen):
    """What one training read: the changes to the training rows, and the tokens that went through the model over all epochs."""

    name: str
    changes: tuple[Change, ...]
    tokens: int
    supervised_tokens: int

    @property
    def rows(self) -> int:
        """Rows that were trained on."""
        return self.changes[-1].rows_out


class Provenance(Record):
    """The way of the rows: `changes` from the first file to the training split, in order; then each training's own.

    Every change begins with the rows that the one before it left (ValueError otherwise). `languages` counts the rows by language,
    where it could be told; `row_licences` by what the rows say themselves; `made` are rows that say that a model wrote them, or that
    they were made from another row. `collected` is what the project file says of how the rows came about.
    """

    SCHEMA: ClassVar[str] = "provenance/1"
    project: str
    dataset: str
    sources: tuple[Source, ...]
    changes: tuple[Change, ...]
    trainings: tuple[TrainingRows, ...]
    languages: dict[str, int] = Field(default_factory=dict)
    row_licences: dict[str, int] = Field(default_factory=dict)
    made: int = 0
    collected: str = "unknown"

    @model_validator(mode="after")
    def _follows(self) -> Self:
        _in_turn(self.changes)
        for training in self.trainings:
            _in_turn((*self.changes[-1:], *training.changes))
        return self


def _in_turn(changes: Iterable[Change]) -> None:
    before: Change | None = None
    for change in changes:
        if before is not None and change.rows_in != before.rows_out:
            raise ValueError(f"{change.step}: begins with {change.rows_in:,} rows, but {before.step} left {before.rows_out:,}")
        before = change
