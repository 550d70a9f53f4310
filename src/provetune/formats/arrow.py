"""Parquet and Arrow files, and folders of them as the datasets library and the hub lay them out."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import JsonObject, json_row, kind, objects, scalar_text
from provetune.formats.need import need
from provetune.formats.row import Notes, Place, RawRow, single_turn
from provetune.formats.table import prompt_and_target
from provetune.formats.text import listed, quoted

TABLES = (".parquet", ".arrow", ".feather")
_BATCH = 1_000
_MOST_FILES = 20_000
_SHARD = re.compile(r"(-\d{5}-of-\d{5}(-[0-9a-f]+)?|/\d{4})$")


def arrow_rows(path: Path, notes: Notes) -> Iterator[tuple[int, JsonObject]]:
    """Each row as an object of plain values with its number, from 1; what is no JSON becomes text (dates as ISO), bytes are noted.

    Arrow fills keys that a row lacks with null: in nested values they are left out again. Raises DataError on a broken file.
    """
    need("pyarrow", f"{path}: a Parquet or Arrow file")
    import pyarrow as pa

    number = 0
    try:
        for batch in _slices(path):
            names = _class_names(batch.schema)
            columns = [_column(batch.column(place), field.type) for place, field in enumerate(batch.schema)]
            for values in zip(*columns, strict=True):
                number += 1
                where = f"{path}:{number}"
                row = dict(zip(batch.schema.names, values, strict=True))
                if len(row) < len(values):
                    raise DataError(f"{path}: found two columns of one name in {listed(batch.schema.names)}; give each its own")
                yield number, {key: _plain(_named(value, names.get(key), where), key, notes, where) for key, value in row.items()}
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        if isinstance(error, FileNotFoundError | IsADirectoryError):
            raise DataError(
                f"{path}: found no such file, wanted a Parquet or Arrow file; check the name (data.path in a project file)"
            ) from None
        told = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise DataError(f"{path}:{number + 1}: the file cannot be read from this row on: {told}; export it again") from None


def _slices(path: Path) -> Iterator[Any]:
    """Small parts of the file's batches, each checked: Arrow trusts the lengths that a broken file gives."""
    for batch in _batches(path):
        batch.validate(full=True)
        for start in range(0, batch.num_rows, _BATCH):
            yield batch.slice(start, _BATCH)


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() == ".parquet":
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH)
        return
    with pa.OSFile(str(path)) as source:
        try:
            reader = pa.ipc.open_file(source)
        except pa.ArrowInvalid:  # the datasets library writes streams
            source.seek(0)
            yield from pa.ipc.open_stream(source)
            return
        yield from (reader.get_batch(place) for place in range(reader.num_record_batches))


def _column(array: Any, kind_of: Any) -> list[Any]:
    """The values of one column; times as text, since Python's have no nanoseconds."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind_of) or pa.types.is_duration(kind_of):
        return [None if text is None else text.replace(" ", "T", 1) for text in array.cast(pa.string()).to_pylist()]
    return list(array.to_pylist())


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Names of the classes that the datasets library stores as numbers, by column."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        found = {name: feature["names"] for name, feature in features.items() if isinstance(feature, dict) and "names" in feature}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: names for name, names in found.items() if isinstance(names, list) and all(isinstance(one, str) for one in names)}


def _named(value: Any, names: list[str] | None, where: str) -> Any:
    if names is None or not isinstance(value, int):
        return value
    if not 0 <= value < len(names):
        raise DataError(f"{where}: found class {value}, wanted 0 to {len(names) - 1} (-1 stands for no label); remove the row")
    return names[value]


def _plain(value: Any, name: str, notes: Notes, where: str) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {key: _plain(inner, name, notes, where) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner, name, notes, where) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        notes.part(f"bytes in column {quoted(name)}", where)
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Decimal | datetime.timedelta):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise DataError(f"{where}: column {quoted(name)} holds a {type(value).__name__}, wanted text, numbers or lists; remove it")


def table_record(row: JsonObject, place: Place) -> RawRow:
    """A row of a table with typed columns: prompt and target as text, whatever their type."""
    parts = prompt_and_target(list(row), place.columns, place.where)
    texts = []
    for part, name in zip(("prompt", "completion"), parts, strict=True):
        value = row.get(name)
        if value is None or isinstance(value, list | dict):
            raise DataError(f"{place.where}: column {quoted(name)} is {kind(value)}, wanted a text; write the {part}, or remove the row")
        if not scalar_text(value).strip():
            raise DataError(f"{place.where}: empty {part} (column {quoted(name)}); fill it in or remove the row")
        texts.append(scalar_text(value))
    return without_nulls(json_row(row, single_turn(texts[0], texts[1]), place, parts))


def without_nulls(row: RawRow) -> RawRow:
    """The row without keys that are null: in Arrow every row has every key."""
    return dataclasses.replace(row, extra={key: value for key, value in row.extra.items() if value is not None})


def parts_of(folder: Path) -> dict[str, list[Path]]:
    """The parts (splits) of a folder of Parquet, Arrow or JSON-lines files, each with its files in order; none where it holds no tables.

    Raises DataError where the folder's own list names files that are missing, or rows that are chosen by an index.
    """
    if (folder / "dataset_dict.json").is_file():
        return {name: files for path in sorted(folder.iterdir()) if path.is_dir() for name, files in [(path.name, _shards(path))] if files}
    if (folder / "state.json").is_file():
        return {"": _shards(folder)}
    found: dict[str, list[Path]] = {}
    paths = list(itertools.islice(folder.rglob("*"), _MOST_FILES + 1))
    if len(paths) > _MOST_FILES:
        return {}  # somebody's home, and no data set
    for path in sorted(paths):
        if path.suffix.lower() in (*TABLES, ".jsonl", ".ndjson") and path.is_file():
            name = _SHARD.sub("", path.relative_to(folder).with_suffix("").as_posix()).removeprefix("data/")
            found.setdefault("" if name == "data" else name, []).append(path)
    return found if any(path.suffix.lower() in TABLES for files in found.values() for path in files) else {}


def _shards(folder: Path) -> list[Path]:
    """The files that `save_to_disk` wrote, as its own list orders them."""
    state = folder / "state.json"
    try:
        content = json.loads(state.read_text(encoding="utf-8")) if state.is_file() else {}
        names = [str(entry["filename"]) for entry in content.get("_data_files") or ()]
        chosen = content.get("_indices_files") or content.get("_indices_data_files")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"{state}: found no list of data files, wanted what `save_to_disk` writes; save the data set again") from None
    if chosen:
        raise DataError(f"{state}: the rows are chosen by an index; save the data set again after `flatten_indices()`")
    files = [folder / name for name in names] or sorted(folder.glob("*.arrow"))
    missing = [path.name for path in files if path.parent != folder or not path.is_file()]
    if missing:
        raise DataError(f"{folder}: {missing[0]} is named in state.json and missing; save the data set again")
    return files


def shard_rows(files: Sequence[Path], notes: Notes) -> Iterator[tuple[str, int, JsonObject]]:
    """The rows of several files one after the other: where each stands, its number in all of them, and the object."""
    number = 0
    for path in files:
        rows = arrow_rows(path, notes) if path.suffix.lower() in TABLES else objects(path)
        for line, row in rows:
            number += 1
            yield f"{path}:{line}", number, row
