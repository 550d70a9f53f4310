"""What every reader yields and every writer takes: one row, before the project's task is applied; and what was left out, counted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from provetune.records.data import Example, Message
from provetune.spec import ColumnsSpec


@dataclass(frozen=True)
class RawRow:
    """One row as it stands in the file.

    `line` is the physical line where the row starts, from 1 (in a table without lines its number). `messages` is the whole
    conversation, the target's turn last; `target` is the text of that turn, untouched. `id` and `group` are None where the row gives
    none. `meta` holds the slice columns and every scalar column that has no other use, as text; `extra` the values among them that
    are no text, as they stood. The last three are as in `Example`.
    """

    line: int
    id: str | None
    messages: tuple[Message, ...]
    target: str
    group: str | None = None
    meta: dict[str, str] = field(default_factory=dict)
    extra: dict[str, JsonValue] = field(default_factory=dict)
    rejected: tuple[Message, ...] = ()
    desirable: bool | None = None
    parallel_tool_calls: bool | None = None


@dataclass
class Counted:
    """How many rows, and where the first of them stands."""

    count: int
    first: str


class Notes:
    """What was left out on purpose, by reason: whole rows, and parts of rows that were kept."""

    def __init__(self) -> None:
        self.rows: dict[str, Counted] = {}
        self.parts: dict[str, Counted] = {}

    def row(self, reason: str, where: str) -> None:
        """A row was left out."""
        _count(self.rows, reason, where)

    def part(self, reason: str, where: str) -> None:
        """A part of a row was left out."""
        _count(self.parts, reason, where)

    @property
    def rows_left_out(self) -> int:
        """Number of whole rows."""
        return sum(counted.count for counted in self.rows.values())

    def lines(self) -> list[str]:
        """One sentence for each reason, rows first."""
        rows = [f"{_rows(c.count)} left out: {reason} (first: {c.first})" for reason, c in self.rows.items()]
        lines = rows + [f"left out of {_rows(c.count)}: {reason} (first: {c.first})" for reason, c in self.parts.items()]
        return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"and {len(lines) - _SHOWN:,} more reasons"]


@dataclass(frozen=True)
class Place:
    """Where a row stands and what its reader was told."""

    where: str
    line: int
    columns: ColumnsSpec
    notes: Notes


class Reader(Protocol):
    """Yields the rows of a file in order; raises DataError with `file:line` at the first row that is not one."""

    def __call__(self, path: Path, columns: ColumnsSpec, notes: Notes | None = None, /) -> Iterator[RawRow]:
        """Rows that a format leaves out on purpose are counted in `notes`."""
        ...


Writer = Callable[[Path, Iterable[Example], ColumnsSpec, Notes], int]
"""Writes a file and returns the number of rows. What the format cannot hold is counted in `notes`: `rows` are not in the file at all."""


def single_turn(prompt: str, target: str) -> tuple[Message, ...]:
    """A user turn and the assistant turn that should be written."""
    return (Message(role="user", content=prompt), Message(role="assistant", content=target))


def raw_row(
    messages: tuple[Message, ...],
    cells: Mapping[str, str],
    place: Place,
    used: Collection[str | None],
    extra: dict[str, JsonValue] | None = None,
) -> RawRow:
    """A row from its messages and its scalar `cells`; `used` are the columns that became messages.

    A column named `id` is taken as the id unless `columns.id` names another; a blank id or group counts as not given.
    """
    columns = place.columns
    id_column = columns.id or "id"
    taken = {id_column, columns.group, *used} - set(columns.slice)
    return RawRow(
        line=place.line,
        id=_given(cells.get(id_column)),
        messages=messages,
        target=messages[-1].text,
        group=_given(cells.get(columns.group)) if columns.group else None,
        meta={name: text for name, text in cells.items() if name not in taken},
        extra=extra or {},
    )


def example_of(
    row: RawRow, file: str, *, messages: tuple[Message, ...] | None = None, label: str | None = None, default_id: str = ""
) -> Example:
    """The row in canonical form, with other `messages` where they are given."""
    return Example(
        id=row.id or default_id,
        messages=row.messages if messages is None else messages,
        label=label,
        group=row.group,
        source=f"{file}:{row.line}",
        meta=row.meta,
        rejected=row.rejected,
        desirable=row.desirable,
        parallel_tool_calls=row.parallel_tool_calls,
        extra=row.extra,
    )


_SHOWN = 30


def _given(text: str | None) -> str | None:
    return text if text and text.strip() else None


def _count(counts: dict[str, Counted], reason: str, where: str) -> None:
    if reason in counts:
        counts[reason].count += 1
    else:
        counts[reason] = Counted(1, where)


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
