"""CSV files with named columns; every cell is text."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from provetune.errors import DataError
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.table import check_header, prompt_and_target, table_of, table_row, without_columns
from provetune.formats.text import listed, physical_lines, text_lines
from provetune.records.data import Example
from provetune.spec import ColumnsSpec

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SNIFFED_RECORDS = 50
_SNIFFED_LINES = 1_000


def read_csv(path: Path, columns: ColumnsSpec, notes: Notes | None = None) -> Iterator[RawRow]:
    """One row per record under a header; the delimiter is found among comma, semicolon, tab and bar.

    Nothing is converted: `007`, `None` and `NA` stay as written. Where `columns` names no prompt or target, the one header
    name that is usual for it is taken. Raises DataError with `file:line` (the line where the record starts).
    """
    notes = notes or Notes()
    delimiter = sniff_delimiter(head_of(path), {columns.prompt, columns.target} - {None})
    records = _records(text_lines(path), delimiter, path)
    header_line, header = next(records)
    names = [name.strip() for name in header]
    where = f"{path}:{header_line}"
    check_header(names, columns, where)
    parts = prompt_and_target(names, columns, where)
    for line, fields in records:
        if len(fields) != len(names):
            raise DataError(
                f"{path}:{line}: found {len(fields)} fields, wanted {len(names)} ({listed(names)}); "
                f'put "..." around a field that holds a {DELIMITERS[delimiter]}'
            )
        place = Place(f"{path}:{line}", line, columns, notes)
        if "" in names and any(field.strip() and not name for name, field in zip(names, fields, strict=True)):
            notes.part("cells of a column without a name", place.where)
        # a column without a name (a spreadsheet's row numbers) has no use
        cells = {name: field for name, field in zip(names, fields, strict=True) if name}
        yield table_row(cells, parts, place)


def head_of(path: Path) -> str:
    """The first lines of a file, enough to find the delimiter in."""
    return "".join(itertools.islice(text_lines(path), _SNIFFED_LINES))


def sniff_delimiter(text: str, wanted: Collection[str | None] = ()) -> str:
    r"""The delimiter that gives a header with the wanted names, most records of the header's width, and the widest header.

    >>> sniff_delimiter("text;label\nhello, you;greeting\n")
    ';'
    """
    return max(DELIMITERS, key=lambda delimiter: _fit(text, delimiter, wanted))


def _fit(text: str, delimiter: str, wanted: Collection[str | None]) -> tuple[bool, bool, float, int]:
    records: list[list[str]] = []
    try:
        for fields in itertools.islice(csv.reader(physical_lines(text), delimiter=delimiter), _SNIFFED_RECORDS):
            records.append(fields)
    except csv.Error:
        pass  # the records before the error still tell
    records = [fields for fields in records if fields]
    if not records:
        return (False, False, 0.0, 0)
    header = records[0]
    even = sum(len(fields) == len(header) for fields in records) / len(records)
    return (set(wanted) <= {name.strip() for name in header}, len(header) > 1, even, len(header))


def _records(lines: Iterable[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank, each with the physical line where it starts."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}:{start}: the record that starts here cannot be read: {error}; "
                f'a quote inside a quoted field is written "", and every quoted field needs its closing quote'
            ) from None
        if len(fields) > 1 or (fields and fields[0].strip()):
            yield start, fields


def write_csv(path: Path, examples: Iterable[Example], columns: ColumnsSpec, notes: Notes, *, delimiter: str = ",") -> int:
    """A table with a header, in UTF-8; rows that it cannot hold are noted. Returns the number of rows."""
    limit, written = csv.field_size_limit(), 0

    def is_unfit(text: str) -> bool:
        return "\0" in text or len(text) > limit

    names, rows = table_of(examples, columns, notes)
    names = without_columns(names, rows, is_unfit, notes)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        quoting = csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
        (quoting if _needs_quotes(names) else writer).writerow(names)
        for example, cells in rows:
            if any(map(is_unfit, cells.values())):
                notes.row(f"a NUL character, or a text of more than {limit:,} characters", example.source)
                continue
            fields = [cells.get(name, "") for name in names]
            (quoting if _needs_quotes(fields) else writer).writerow(fields)
            written += 1
    return written


def _needs_quotes(fields: list[str]) -> bool:
    """Whether a field ends a line for others than Python's writer."""
    return any("\r" in field for field in fields)
