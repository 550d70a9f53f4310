"""A first look at a file: its parts, and its cells by column name, for who has to choose among them."""

from __future__ import annotations

import contextlib
import csv
import itertools
from pathlib import Path

from provetune.errors import DataError
from provetune.formats.arrow import shard_rows
from provetune.formats.delimited import head_of, sniff_delimiter
from provetune.formats.detection import detect, first_line
from provetune.formats.folder import folder_parts
from provetune.formats.hub import hub_name
from provetune.formats.jsonl import objects, scalar_text
from provetune.formats.part import split_part
from provetune.formats.row import Notes
from provetune.formats.shapes import shape_name
from provetune.formats.spreadsheet import sheet_records, sheets_of
from provetune.formats.text import physical_lines
from provetune.spec import ColumnsSpec

LOOKED_AT = 1_000
Cells = list[dict[str, str]]


def parts_named(path: Path) -> dict[str, int]:
    """The sheets of a workbook with their rows, or the parts of a data set (rows not counted: 0), where `path` names none of several."""
    if hub_name(path) is None and path.suffix.lower() == ".xlsx" and path.is_file():
        filled = {name: rows for name, rows in sheets_of(path).items() if rows}
        return filled if len(filled) > 1 else {}
    if hub_name(path) is not None or split_part(path)[0].is_dir():
        found, part = folder_parts(path)
        return dict.fromkeys(found, 0) if part is None and len(found) > 1 else {}
    return {}


def named_cells(path: Path) -> Cells | None:
    """The cells of up to 1,000 rows by column name; None where the format names its own parts. DataError where nothing fits."""
    if hub_name(path) is None and not split_part(path)[0].is_dir():
        ending = split_part(path)[0].suffix.lower()
        if ending == ".xlsx":
            return _records(path, [fields for _, fields in itertools.islice(sheet_records(path), LOOKED_AT)])
        if ending not in (".parquet", ".arrow", ".feather"):
            return _text_cells(path)
        files = [split_part(path)[0]]
    else:
        found, part = folder_parts(path)
        files = found[part if part in found else next(iter(found))]
    rows = [row for _, _, row in itertools.islice(shard_rows(files, Notes()), LOOKED_AT)]
    return _object_cells(rows)


def _text_cells(path: Path) -> Cells | None:
    _, first = first_line(path)
    if first.lstrip().startswith(("{", "[")) and first.strip() != "{":
        return _object_cells([row for _, row in itertools.islice(objects(path), LOOKED_AT)])
    detect(path)
    head = head_of(path)
    reader = csv.reader(physical_lines(head), delimiter=sniff_delimiter(head))
    records: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # the reader of all rows will name the line
        records += (fields for fields in itertools.islice(reader, LOOKED_AT) if fields)
    return _records(path, records)


def _object_cells(rows: list[dict[str, object]]) -> Cells | None:
    if rows and shape_name(rows[0], ColumnsSpec()) is not None:
        return None
    return [{key: scalar_text(value) for key, value in row.items() if isinstance(value, str | int | float)} for row in rows]


def _records(path: Path, records: list[list[str]]) -> Cells:
    if not records:
        raise DataError(f"{path}: found no rows, wanted a header and at least one example; export the data again")
    names = [name.strip() for name in records[0]]
    return [dict(zip(names, fields, strict=True)) for fields in records[1:] if len(fields) == len(names)] or [dict.fromkeys(names, "")]
