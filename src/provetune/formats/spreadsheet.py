"""Excel workbooks (.xlsx): every cell is text."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from provetune.errors import DataError
from provetune.formats.need import need
from provetune.formats.part import joined, split_part
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.table import check_header, prompt_and_target, table_of, table_row, without_columns
from provetune.records.data import Example
from provetune.spec import ColumnsSpec

LONGEST_CELL = 32_767
"""Characters that a cell of Excel holds."""

_LARGEST = 2**29  # bytes of the unpacked file; its cells take many times that
_MOST_CELLS = 5_000_000
_MIDNIGHT = datetime.time()
# what XML cannot hold, a carriage return, which it turns into a line feed, and what Excel reads as an escape
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")


def read_xlsx(path: Path, columns: ColumnsSpec, notes: Notes | None = None) -> Iterator[RawRow]:
    """One row per row of the sheet under its header; the sheet is named as `book.xlsx#Sheet` where several hold rows.

    Numbers are written in full, dates as ISO; blank rows are skipped. Raises DataError, with `file:row`, on merged cells, on formulas
    without a stored value or with an error, and as the CSV reader does.
    """
    notes = notes or Notes()
    records = sheet_records(path)
    first = next(records, None)
    if first is None:
        raise DataError(f"{path}: found no rows, wanted a header and at least one example; export the data again")
    line, header = first
    names = [cell.strip() for cell in header]
    check_header(names, columns, f"{path}:{line}")
    parts = prompt_and_target(names, columns, f"{path}:{line}")
    for line, cells in records:
        place = Place(f"{path}:{line}", line, columns, notes)
        if any(cell.strip() and not title for cell, title in zip(cells, names, strict=True)):
            notes.part("cells of a column without a name", place.where)
        yield table_row({title: cell for title, cell in zip(names, cells, strict=True) if title}, parts, place)


def sheets_of(file: Path) -> dict[str, int]:
    """The sheets with the number of rows that each holds, header included. DataError where the file is no workbook."""
    return _row_counts(file, _opened(file, values=False))


def _row_counts(file: Path, book: Any) -> dict[str, int]:
    return {sheet.title: sum(any(map(_filled, row)) for row in _rows_of(file, sheet)) for sheet in book.worksheets}


def _chosen(path: Path, book: Any) -> str:
    """The sheet that `path` names, or the only one that holds something."""
    file, name = split_part(path)
    sheets = _row_counts(file, book)
    listed = ", ".join(f"{title!r} ({rows:,} rows)" for title, rows in sheets.items())
    if name is not None and name not in sheets:
        raise DataError(f"{file}: found no sheet {name!r}, wanted one of {listed}")
    filled = [title for title, rows in sheets.items() if rows]
    if name is None and len(filled) != 1:
        example = f"; name one, as in {joined(file, filled[0])}" if filled else "; export the data again"
        raise DataError(f"{file}: found sheets {listed}, wanted one with rows{example}")
    return name if name is not None else filled[0]


def _rows_of(file: Path, sheet: Any) -> Iterator[Any]:
    if sheet.max_row * sheet.max_column > _MOST_CELLS:
        raise DataError(
            f"{file}: the sheet {sheet.title!r} reaches to row {sheet.max_row:,} and column {sheet.max_column:,}, wanted at most "
            f"{_MOST_CELLS:,} cells; delete what stands far from the table, or save it as CSV UTF-8"
        )
    return iter(sheet.iter_rows())


def _filled(cell: Any) -> bool:
    return cell.value is not None and str(cell.value).strip() != ""


def _opened(file: Path, *, values: bool) -> Any:
    """The workbook with formulas, or with the values that the spreadsheet program stored for them."""
    need("openpyxl", f"{file}: a workbook")
    import openpyxl

    if not file.is_file():
        raise DataError(f"{file}: found no such file, wanted a workbook; check the name (data.path in a project file)")
    try:
        with zipfile.ZipFile(file) as packed:
            size = sum(item.file_size for item in packed.infolist())
        if size > _LARGEST:
            raise DataError(f"{file}: unpacks to {size:,} bytes, wanted at most {_LARGEST:,}; save the sheet as CSV UTF-8")
        with file.open("rb") as opened:  # of a broken file openpyxl leaves open what it opened itself
            return openpyxl.load_workbook(opened, data_only=values)
    except DataError:
        raise
    except Exception as error:  # the parser of a broken file raises whatever it stumbles over
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{file}: cannot be read as a workbook: {told}; save it again as .xlsx, or as CSV UTF-8") from None


def sheet_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with its number in the sheet, all as wide as the first."""
    file = split_part(path)[0]
    book = _opened(file, values=False)
    sheet = book[_chosen(path, book)]
    if sheet.merged_cells.ranges:
        merged = min(sheet.merged_cells.ranges, key=lambda area: (area.min_row, area.min_col))
        raise DataError(f"{path}:{merged.min_row}: found merged cells {merged.coord}, wanted one value a cell; unmerge them")
    stored = None
    width = 0
    for cells in _rows_of(file, sheet):
        where = f"{path}:{cells[0].row}"
        if any(cell.data_type == "f" for cell in cells):
            stored = stored or _opened(file, values=True)[sheet.title]
            cells = [_result(stored.cell(cell.row, cell.column), where) if cell.data_type == "f" else cell for cell in cells]
        texts = [_text(cell, where) for cell in cells]
        if not any(text.strip() for text in texts):
            continue
        width = width or max(place for place, text in enumerate(texts, start=1) if text.strip())
        if any(text.strip() for text in texts[width:]):
            raise DataError(f"{where}: found a cell right of the last column of the header; give the column a name, or clear it")
        yield cells[0].row, (texts + [""] * width)[:width]


def _result(cell: Any, where: str) -> Any:
    if cell.value is None:
        raise DataError(f"{where}: cell {cell.coordinate} is a formula without a stored value; open and save the file, or paste values")
    return cell


def _text(cell: Any, where: str) -> str:
    value = cell.value
    if cell.data_type == "e":
        raise DataError(f"{where}: cell {cell.coordinate} holds the error {value}; mend the formula, or paste values")
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime) and value.time() == _MIDNIGHT and "h" not in str(cell.number_format).lower():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def write_xlsx(path: Path, examples: Iterable[Example], columns: ColumnsSpec, notes: Notes) -> int:
    """One sheet, every cell text; rows that a table or a cell of Excel cannot hold are noted. Returns the number of rows."""
    need("openpyxl", f"{path}: a workbook")
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("examples")

    def cell(text: str) -> Any:
        found = WriteOnlyCell(sheet, value=text)
        found.data_type = "s"  # a text that begins with = is no formula, #N/A no error
        return found

    names, rows = table_of(examples, columns, notes)
    names = without_columns(names, rows, lambda name: _cannot_hold([name]) is not None, notes)
    written = 0
    sheet.append([cell(name) for name in names])
    for example, cells in rows:
        reason = _cannot_hold(cells.values())
        if reason:
            notes.row(reason, example.source)
            continue
        sheet.append([cell(cells[name]) if cells.get(name) else None for name in names])
        written += 1
    book.save(path)
    return written


def _cannot_hold(texts: Collection[str]) -> str | None:
    if any(len(text) > LONGEST_CELL for text in texts):
        return f"a text of more than {LONGEST_CELL:,} characters, the most that a cell holds"
    if any(_UNWRITABLE.search(text) for text in texts):
        return "a control character or an escape such as _x000A_, which a workbook changes"
    return None
