"""Formats whose rows are JSON objects: how one object becomes a row, and a row an object."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pydantic import JsonValue

from provetune.errors import SpecError
from provetune.formats.jsonl import JsonObject, scalar_text
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.text import quoted
from provetune.records.data import Example
from provetune.spec import ColumnsSpec


@dataclass(frozen=True)
class Shape:
    """One kind of JSON object.

    `fits` tells it by its keys. `read` gives None where the row is left out and noted. `write` gives None where the format cannot
    hold the row; it takes the part that it can hold and notes the rest.
    """

    fits: Callable[[Collection[str]], bool]
    read: Callable[[JsonObject, Place], RawRow | None]
    write: Callable[[Example, ColumnsSpec, Notes], JsonObject | None]


def refuse_columns(columns: ColumnsSpec, format_name: str, has: str) -> None:
    """SpecError where `columns` names a prompt or a target for a format that has its own names for them."""
    for part, name in (("prompt", columns.prompt), ("target", columns.target)):
        if name is not None:
            raise SpecError(f"data.columns.{part}: found {name!r}, but a {format_name} file has {has} only; remove it or set data.format")


def completed(own: JsonObject, example: Example, columns: ColumnsSpec, reserved: Collection[str], notes: Notes) -> JsonObject:
    """The row's `own` keys, and below them id, group, `meta` and `extra`; what a `reserved` or own key would hide is noted.

    A value that was no text in the file is written as it stood, unless its text has been changed since.
    """
    texts = {columns.id or "id": example.id} if example.id else {}
    if example.group is not None:
        texts[columns.group or "group"] = example.group
    row = dict(own)
    for name in {**texts, **example.meta, **example.extra}:
        text = texts.get(name, example.meta.get(name))
        value = example.extra[name] if name in example.extra and _says(example.extra[name], text) else text
        hidden = texts.get(name) != example.meta.get(name) and name in texts and name in example.meta
        same = name in row and row[name] == value and name in columns.slice
        if hidden or (not same and (name in row or name in reserved)):
            notes.part(f"column {quoted(name)}, a name that has another use in this format", example.source)
        if name not in row and name not in reserved:
            row[name] = value
    return row


def _says(value: JsonValue, text: str | None) -> bool:
    return text is None or (not isinstance(value, list | dict) and scalar_text(value) == text)
