"""Which reader a file needs, from its ending and its first line that is not blank."""

from __future__ import annotations

import shlex
from pathlib import Path

from provetune.errors import DataError
from provetune.formats.delimited import DELIMITERS
from provetune.formats.jsonl import parse_object
from provetune.formats.text import physical_lines, read_text
from provetune.spec import ColumnsSpec

WANTED = "wanted `messages`, or `prompt` and `completion`, or a CSV file with named columns; name the columns with data.columns"
_JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
_PACKED = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "a spreadsheet; save the sheet as CSV UTF-8"),
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst"), "a compressed file; unpack it first"),
    **dict.fromkeys((".parquet", ".arrow", ".feather"), "a binary table; export it as JSONL or CSV"),
}


def detect(path: Path, columns: ColumnsSpec | None = None) -> str:
    """The key in READERS for this file: `chat`, `prompt-completion` or `csv`.

    With `columns` that name both prompt and target, JSON lines with these keys are `prompt-completion`. Raises DataError
    that names what was found when nothing fits.
    """
    ending = path.suffix.lower()
    if ending in _PACKED and path.is_file():
        raise DataError(f"{path}: found {_PACKED[ending]}")
    lines = physical_lines(read_text(path))
    number, first = next((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    where = f"{path}:{number}"
    if ending in _JSON_ENDINGS or first.lstrip().startswith("{"):
        return _detect_json(first, where, columns or ColumnsSpec())
    if first.lstrip().startswith("["):
        raise _not_lines(where, first)
    if any(delimiter in first for delimiter in DELIMITERS):
        return "csv"
    raise DataError(f"{where}: found the line {first.strip()[:60]!r}, {WANTED}")


def _detect_json(first: str, where: str, columns: ColumnsSpec) -> str:
    if first.strip() == "{" or first.lstrip().startswith("["):
        raise _not_lines(where, first)
    keys = parse_object(first.rstrip("\r\n"), where).keys()
    if columns.prompt in keys and columns.target in keys:
        return "prompt-completion"
    if "messages" in keys:
        return "chat"
    if (columns.prompt or "prompt") in keys and (columns.target or "completion") in keys:
        return "prompt-completion"
    raise DataError(f"{where}: found a JSON object with keys {', '.join(keys) or 'none'}; {WANTED}")


def _not_lines(where: str, first: str) -> DataError:
    found, query = ("list", "'.[]'") if first.lstrip().startswith("[") else ("object", ".")
    name = shlex.quote(where.rpartition(":")[0])
    return DataError(
        f"{where}: found a JSON {found} that starts here, wanted one JSON object per line; "
        f"write lines with `jq -c {query} {name} > {name}.jsonl`"
    )
