"""Rows to be labelled: what is shown, the label they may have already, and files that have none yet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from provetune.errors import DataError
from provetune.formats.delimited import sniff_delimiter
from provetune.formats.jsonl import objects
from provetune.formats.row import RawRow
from provetune.formats.table import PROMPT_NAMES, TARGET_NAMES
from provetune.formats.text import physical_lines, read_text
from provetune.hashing import fingerprint
from provetune.records.data import Example, Message, Role

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


@dataclass(frozen=True)
class Row:
    """One row: the turns that an annotator sees, and the turn that the file has as label or target, None where it has none.

    `group`, `meta` and `extra` are as in `Example`.
    """

    id: str
    prompt: tuple[Message, ...]
    target: Message | None
    source: str
    group: str | None = None
    meta: dict[str, str] = field(default_factory=dict)
    extra: dict[str, JsonValue] = field(default_factory=dict)

    @property
    def label(self) -> str | None:
        """The label (or target) of the file."""
        return self.target.text.strip() if self.target else None

    @cached_property
    def key(self) -> str:
        """Hash of the prompt: a vote holds for what was shown."""
        return fingerprint([[message.role, message.text] for message in self.prompt])

    @property
    def text(self) -> str:
        """All turns but the system's, one after the other."""
        return "\n\n".join(message.text for message in self.prompt if message.role != "system")

    def example(self, label: str, extra: dict[str, JsonValue]) -> Example:
        """The row with this label, in canonical form; the file's own turn stays as it is."""
        said = self.target if self.target and label == self.label else Message(role="assistant", content=label)
        return Example(
            id=self.id,
            messages=(*self.prompt, said),
            label=label,
            group=self.group,
            source=self.source,
            meta=self.meta,
            extra={**self.extra, **extra},
        )


def rows_of(raw: Iterable[RawRow], file: str) -> dict[str, Row]:
    """Rows by id, in order. Raises DataError on an id that is used twice, and on a preference pair or a rated answer."""
    found = []
    for row in raw:
        where = f"{file}:{row.line}"
        if row.rejected or row.desirable is not None:
            raise DataError(f"{where}: found a preference pair or a rated answer, wanted rows with a label or a single answer")
        found.append(Row(row.id or f"r{row.line}", row.messages[:-1], row.messages[-1], where, row.group, row.meta, row.extra))
    return by_id(found)


def unlabelled_rows(path: Path) -> dict[str, Row] | None:
    """Rows of a CSV file or of JSON lines whose label column is missing or has gaps; None where no column is usual for a prompt.

    Raises DataError with `file:line` on a row that cannot be read or has no prompt.
    """
    found = []
    for line, cells in objects(path) if path.suffix in (".json", ".jsonl") else _records(path):
        turns = _turns(cells)
        if turns is None:
            return None
        prompt, target = turns
        if not prompt or not prompt[-1].text.strip():
            raise DataError(f"{path}:{line}: found no prompt, wanted a text to label; fill it in or remove the row")
        others = {key: value for key, value in cells.items() if not _is_part(key)}
        meta = {key: value for key, value in others.items() if isinstance(value, str)}
        extra = {key: value for key, value in others.items() if key not in meta}
        found.append(Row(str(cells.get("id") or f"r{line}"), prompt, target, f"{path.name}:{line}", None, meta, extra))
    return by_id(found)


def by_id(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by id, in order. Raises DataError on an id that is used twice."""
    found: dict[str, Row] = {}
    for row in rows:
        if row.id in found:
            raise DataError(f"{row.source}: id {row.id!r} is used already in {found[row.id].source}, wanted each id once; change one")
        found[row.id] = row
    return found


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text = read_text(path)
    reader = csv.reader(physical_lines(text), delimiter=sniff_delimiter(text), strict=True)
    try:
        names = [name.strip() for name in next(reader)]
        for fields in reader:
            if any(fields) and len(fields) != len(names):
                raise DataError(f"{path}:{reader.line_num}: found {len(fields)} fields, wanted {len(names)} ({', '.join(names)})")
            if any(fields):
                yield reader.line_num, dict(zip(names, fields, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: the record cannot be read: {error}; mend its quotes") from None


def _turns(cells: Mapping[str, Any]) -> tuple[tuple[Message, ...], Message | None] | None:
    """The prompt's turns and the label's, None where that is missing or blank; nothing without a column for the prompt."""
    turns = cells.get("messages")
    if isinstance(turns, list) and all(isinstance(turn, dict) and turn.get("role") in _ROLES for turn in turns):
        messages = tuple(Message(role=_ROLES[turn["role"]], content=str(turn.get("content") or "")) for turn in turns)
        if not messages or messages[-1].role != "assistant":
            return messages, None
        return messages[:-1], messages[-1] if messages[-1].text.strip() else None
    prompts = [key for key in cells if key.casefold() in PROMPT_NAMES]
    if len(prompts) != 1:
        return None
    labels = [key for key in cells if key.casefold() in TARGET_NAMES]
    label = str(cells[labels[0]] or "").strip() if len(labels) == 1 else ""
    return (Message(role="user", content=str(cells[prompts[0]] or "")),), Message(role="assistant", content=label) if label else None


def _is_part(key: str) -> bool:
    return key in ("id", "messages") or key.casefold() in (*PROMPT_NAMES, *TARGET_NAMES)
