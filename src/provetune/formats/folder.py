"""Tables in Parquet or Arrow, alone, in folders, or on the hub; written as Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from provetune.errors import DataError
from provetune.formats.arrow import parts_of, shard_rows, table_record, without_nulls
from provetune.formats.chat import write_row as chat_row
from provetune.formats.hub import fetched, hub_name
from provetune.formats.jsonl import JsonObject, scalar_text
from provetune.formats.need import need
from provetune.formats.part import joined, split_part
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.shapes import SHAPES, shape_name
from provetune.formats.table import table_of
from provetune.formats.text import listed, quoted
from provetune.records.data import Example
from provetune.spec import ColumnsSpec


def read_parquet(path: Path, columns: ColumnsSpec, notes: Notes | None = None) -> Iterator[RawRow]:
    """One row per row of a Parquet or Arrow file: chat, Alpaca and so on by its columns, else a table with a prompt and a target.

    Raises DataError, with `file:row`, as the readers of these do.
    """
    return _read([split_part(path)[0]], columns, notes or Notes())


def read_datasets(path: Path, columns: ColumnsSpec, notes: Notes | None = None) -> Iterator[RawRow]:
    """The rows of one part (split) of a data set: a folder that `save_to_disk` wrote, one of Parquet files, or `hf:owner/name`.

    The part is named as `folder#train` where there are several. Raises DataError as `read_parquet` does.
    """
    found, part = folder_parts(path)
    if part is None and len(found) == 1:
        part = next(iter(found))
    if part not in found:
        wanted = f"no part {part!r}, wanted one of" if part is not None else "several parts, wanted one of"
        names = [name for name in found if name]
        example = "" if part is not None else f"; name one, as in {joined(path, next((n for n in names if n == 'train'), names[0]))}"
        raise DataError(f"{path}: found {wanted} {listed(names)}{example}")
    return _read(found[part], columns, notes or Notes())


def folder_parts(path: Path) -> tuple[dict[str, list[Path]], str | None]:
    """The parts of the folder or hub name, and the one that `path` names. DataError where it holds no tables."""
    hub = hub_name(path)
    folder, part = (fetched(hub), hub.part) if hub is not None else split_part(path)
    found = parts_of(folder)
    if not any(found.values()):
        raise DataError(f"{folder}: found a folder without Parquet or Arrow files, wanted a file of examples; name one file in it")
    return found, part


def _read(files: list[Path], columns: ColumnsSpec, notes: Notes) -> Iterator[RawRow]:
    for where, number, row in shard_rows(files, notes):
        place = Place(where, number, columns, notes)
        name = shape_name(row, columns)
        if name is None or name == "prompt-completion":
            yield table_record(row, place)
            continue
        found = SHAPES[name].read(row, place)
        if found is not None:
            yield without_nulls(found)


def write_parquet(path: Path, examples: Iterable[Example], columns: ColumnsSpec, notes: Notes) -> int:
    """A table of texts where every row is a prompt and a completion, else one with a column of `messages`; calls and tools as JSON text.

    Rows that it cannot hold are noted. Returns the number of rows.
    """
    need("pyarrow", f"{path}: a Parquet file")
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = list(examples)
    tabular = Notes()
    names, cells = table_of(kept, columns, tabular)
    if not tabular.rows:
        notes.parts.update({what: counted for what, counted in tabular.parts.items() if not what.startswith("whether ")})
        table = pa.table({name: pa.array([row.get(name) for _, row in cells], pa.string()) for name in names})
    else:
        found = [(example, chat_row(example, columns, notes)) for example in kept]
        rows = [_flat(row, example, notes) for example, row in found if row is not None]
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = pa.table({name: pa.array([row.get(name) for row in rows], _type(name, rows)) for name in names})
    pq.write_table(table, path)
    return int(table.num_rows)


def write_datasets(path: Path, examples: Iterable[Example], columns: ColumnsSpec, notes: Notes) -> int:
    """A folder with one part, `train`, as `load_dataset` and the hub read it; rows and notes as `write_parquet`."""
    path.mkdir(parents=True)
    return write_parquet(path / "train-00000-of-00001.parquet", examples, columns, notes)


_NATIVE = ("messages", "parallel_tool_calls", "kto_tag")


def _flat(row: JsonObject, example: Example, notes: Notes) -> JsonObject:
    """The row with JSON text for everything that a column of one type cannot hold."""
    flat: JsonObject = {}
    for name, value in row.items():
        if name in _NATIVE and isinstance(value, str):
            notes.part(f"column {quoted(name)}, a name that has another use in this format", example.source)
        elif name in _NATIVE:
            flat[name] = value
        elif value is None or isinstance(value, str):
            flat[name] = value
            if value is None:
                notes.part(f"whether column {quoted(name)} is missing or null", example.source)
        else:
            flat[name] = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else scalar_text(value)
            if name != "tools":
                notes.part(f"that {quoted(name)} was no text; it is written as JSON text", example.source)
    return {**flat, "messages": [_calls_as_text(turn) for turn in flat["messages"]]}


def _calls_as_text(turn: JsonObject) -> JsonObject:
    return {**turn, "tool_calls": json.dumps(turn["tool_calls"], ensure_ascii=False)} if "tool_calls" in turn else turn


def _type(name: str, rows: list[JsonObject]) -> Any:
    import pyarrow as pa

    if name != "messages":
        return pa.bool_() if name in _NATIVE else pa.string()
    keys = list(dict.fromkeys(key for row in rows for turn in row["messages"] for key in turn))
    return pa.list_(pa.struct([(key, pa.int64() if key == "weight" else pa.string()) for key in keys]))
