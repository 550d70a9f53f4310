"""Which reader a file needs, from its ending and its first object or line that is not blank."""

from __future__ import annotations

import shlex
from pathlib import Path

from provetune.errors import DataError
from provetune.formats.arrow import TABLES, parts_of
from provetune.formats.delimited import DELIMITERS
from provetune.formats.hub import hub_name
from provetune.formats.jsonl import objects, parse_object
from provetune.formats.part import split_part
from provetune.formats.shapes import shape_name
from provetune.formats.text import listed, text_lines
from provetune.spec import ColumnsSpec

WANTED = "wanted `messages`, or `prompt` and `completion`, or a CSV file with named columns; name the columns with data.columns"
_JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
_TABLE_ENDINGS = (".csv", ".tsv")
_PACKED = {
    **dict.fromkeys((".xls", ".ods"), "a spreadsheet of another program; save it as .xlsx, or the sheet as CSV UTF-8"),
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst"), "a compressed file; unpack it first"),
}


def detect(path: Path, columns: ColumnsSpec | None = None) -> str:
    """The key in READERS for this file, folder or hub name (`hf:owner/name`).

    With `columns` that name both prompt and target, JSON objects with these keys are `prompt-completion`. Raises DataError
    that names what was found when nothing fits.
    """
    if hub_name(path) is not None:
        return "datasets"
    file = split_part(path)[0]
    ending = file.suffix.lower()
    if file.is_dir() and any(parts_of(file).values()):
        return "datasets"
    if file.is_file() and ending in _PACKED:
        raise DataError(f"{path}: found {_PACKED[ending]}")
    if file.is_file() and ending in (".xlsx", *TABLES):
        return "xlsx" if ending == ".xlsx" else "parquet"
    number, first = first_line(path)
    where = f"{path}:{number}"
    if ending in _JSON_ENDINGS or first.lstrip().startswith("{"):
        return _detect_json(first, path, where, columns or ColumnsSpec())
    if first.lstrip().startswith("["):
        raise _not_lines(where, first)
    if any(delimiter in first for delimiter in DELIMITERS):
        return "csv"
    if ending in _TABLE_ENDINGS:
        raise DataError(
            f"{where}: found one column, {first.strip()[:60]!r}, wanted at least two with names: a prompt and a target; add the missing one"
        )
    raise DataError(f"{where}: found the line {first.strip()[:60]!r}, {WANTED}")


def first_line(path: Path) -> tuple[int, str]:
    """The first line that is not blank, and its number from 1. Raises DataError as `text_lines` does."""
    return next((number, line) for number, line in enumerate(text_lines(path), start=1) if line.strip())


def _detect_json(first: str, path: Path, where: str, columns: ColumnsSpec) -> str:
    if first.strip() == "{":
        raise _not_lines(where, first)
    is_list = first.lstrip().startswith("[")
    row = next((row for _, row in objects(path)), {}) if is_list else parse_object(first.rstrip("\r\n"), where)
    found = shape_name(row, columns)
    if found is not None:
        return found
    if is_list:
        raise _not_lines(where, first)
    raise DataError(f"{where}: found a JSON object with keys {listed(row)}; {WANTED}")


def _not_lines(where: str, first: str) -> DataError:
    found, query = ("list", "'.[]'") if first.lstrip().startswith("[") else ("object", ".")
    name = shlex.quote(where.rpartition(":")[0])
    return DataError(
        f"{where}: found a JSON {found} that starts here, wanted one JSON object per line; "
        f"write lines with `jq -c {query} {name} > {name}.jsonl`"
    )
