"""CSV files with named columns; every cell is text."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from provetune.errors import DataError
from provetune.formats.row import RawRow, raw_row, single_turn
from provetune.formats.text import did_you_mean, physical_lines, read_text
from provetune.spec import ColumnsSpec

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
PROMPT_NAMES = ("text", "prompt", "question", "input", "message", "utterance", "query", "body", "subject_body")
TARGET_NAMES = (
    *("label", "category", "target", "intent", "class", "queue"),
    *("answer", "completion", "output", "response", "summary"),
)
_SNIFFED_RECORDS = 50


def read_csv(path: Path, columns: ColumnsSpec) -> Iterator[RawRow]:
    """One row per record under a header; the delimiter is found among comma, semicolon, tab and bar.

    Nothing is converted: `007`, `None` and `NA` stay as written. Where `columns` names no prompt or target, the one header
    name that is usual for it is taken. Raises DataError with `file:line` (the line where the record starts).
    """
    text = read_text(path)
    delimiter = sniff_delimiter(text, {columns.prompt, columns.target} - {None})
    records = _records(text, delimiter, path)
    header_line, header = next(records)
    names = [name.strip() for name in header]
    where = f"{path}:{header_line}"
    _check_header(names, columns, where)
    parts = (columns.prompt or _guess(names, "prompt", columns, where), columns.target or _guess(names, "target", columns, where))
    for line, fields in records:
        if len(fields) != len(names):
            raise DataError(
                f"{path}:{line}: found {len(fields)} fields, wanted {len(names)} ({', '.join(names)}); "
                f'put "..." around a field that holds a {DELIMITERS[delimiter]}'
            )
        # a column without a name (a spreadsheet's row numbers) has no use
        cells = {name: field for name, field in zip(names, fields, strict=True) if name}
        prompt, target = (cells[name] for name in parts)
        if not (prompt.strip() and target.strip()):
            part, name = ("completion", parts[1]) if prompt.strip() else ("prompt", parts[0])
            raise DataError(f"{path}:{line}: empty {part} (column {name!r}); fill it in or remove the row")
        yield raw_row(line, single_turn(prompt, target), cells=cells, columns=columns, used=parts)


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


def _records(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank, each with the physical line where it starts."""
    reader = csv.reader(physical_lines(text), delimiter=delimiter, strict=True)
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


def _check_header(names: Sequence[str], columns: ColumnsSpec, where: str) -> None:
    found = ", ".join(names)
    for name in names:
        if name and names.count(name) > 1:
            raise DataError(f"{where}: found column {name!r} twice in {found}; give each column its own name")
    for wanted in (columns.prompt, columns.target, columns.id, columns.group, *columns.slice):
        if wanted is not None and wanted not in names:
            raise DataError(
                f"{where}: column {wanted!r} is missing, found columns {found}; correct data.columns{did_you_mean(wanted, names)}"
            )


def _guess(names: Sequence[str], part: str, columns: ColumnsSpec, where: str) -> str:
    usual = PROMPT_NAMES if part == "prompt" else TARGET_NAMES
    taken = {columns.prompt, columns.target, columns.id, columns.group, *columns.slice}
    matches = [name for name in names if name.casefold() in usual and name not in taken]
    if len(matches) == 1:
        return matches[0]
    told = f"{' and '.join(map(repr, matches))} could each be" if matches else "no usual name is"
    raise DataError(
        f"{where}: {told} the {part} column, found columns {', '.join(names)}; "
        "name both with data.columns, e.g. columns: {prompt: ..., target: ...}"
    )
