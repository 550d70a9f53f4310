"""What every reader yields: one row of a file, before the project's task is applied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provetune.records.data import Message
from provetune.spec import ColumnsSpec


@dataclass(frozen=True)
class RawRow:
    """One row as it stands in the file.

    `line` is the physical line where the row starts, from 1. `messages` is the whole conversation, the target's turn last;
    `target` is the text of that turn, untouched. `id` and `group` are None where the row gives none. `meta` holds the slice
    columns and every scalar column that has no other use, as text.
    """

    line: int
    id: str | None
    messages: tuple[Message, ...]
    target: str
    group: str | None = None
    meta: dict[str, str] = field(default_factory=dict)


Reader = Callable[[Path, ColumnsSpec], Iterator[RawRow]]
"""Yields the rows of a file in order; raises DataError with `file:line` at the first row that is not one."""


def single_turn(prompt: str, target: str) -> tuple[Message, ...]:
    """A user turn and the assistant turn that should be written."""
    return (Message(role="user", content=prompt), Message(role="assistant", content=target))


def raw_row(line: int, messages: tuple[Message, ...], *, cells: Mapping[str, str], columns: ColumnsSpec, used: Collection[str]) -> RawRow:
    """A row from its messages and its scalar `cells`; `used` are the columns that became messages.

    A column named `id` is taken as the id unless `columns.id` names another; a blank id or group counts as not given.
    """
    id_column = columns.id or "id"
    taken = {id_column, columns.group, *used} - set(columns.slice)
    return RawRow(
        line=line,
        id=_given(cells.get(id_column)),
        messages=messages,
        target=messages[-1].content,
        group=_given(cells.get(columns.group)) if columns.group else None,
        meta={name: text for name, text in cells.items() if name not in taken},
    )


def _given(text: str | None) -> str | None:
    return text if text and text.strip() else None
