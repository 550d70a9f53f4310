"""A round as a spreadsheet, CSV or XLSX: one row a line, the label filled in by one annotator, read back as votes."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from provetune.errors import DataError, SpecError
from provetune.formats.delimited import sniff_delimiter
from provetune.formats.text import did_you_mean, physical_lines, read_text
from provetune.labelling.incoming import Answer, Incoming, texts_of
from provetune.labelling.round import Guideline
from provetune.labelling.rows import Row
from provetune.store import write_atomic

COLUMNS = ("id", "key", "text", "label", "comment")
"""`key` is the hash of the text: an answer counts for what was shown. It is never edited."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_INLINE = 250
"""Characters of a list of choices that a cell's validation can hold itself."""


def write_sheet(path: Path, rows: Sequence[Row], labels: Sequence[str], guideline: Guideline) -> None:
    """Write the rows with empty label and comment columns; XLSX offers the labels as a list and has the guideline on a second sheet."""
    if path.suffix == ".xlsx":
        _write_xlsx(path, rows, labels, guideline)
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    # a cell that begins like a formula would be computed by a spreadsheet program; the text is not read back
    writer.writerows((row, key, f"'{shown}" if shown.startswith(_FORMULA) else shown, "", "") for row, key, shown in texts_of(rows))
    write_atomic(path, "\ufeff" + text.getvalue())


def read_sheet(path: Path, annotator: str) -> Incoming:
    """The labels that one annotator filled in; rows without one are counted.

    Raises DataError with `file:line` on a file that is no such sheet.
    """
    records = _xlsx_records(path) if path.suffix == ".xlsx" else _csv_records(path)
    found, names = Incoming(), None
    for line, cells in records:
        if names is None:
            names = [cell.strip().casefold() for cell in cells]
            for wanted in ("id", "label"):
                if wanted not in names:
                    raise DataError(f"{path}:{line}: column {wanted!r} is missing, found {', '.join(names)}{did_you_mean(wanted, names)}")
            continue
        row = dict(zip(names, cells, strict=False))
        if not row.get("label", "").strip():
            found.leave_out("no label")
            continue
        key, comment = row.get("key", "").strip() or None, row.get("comment", "").strip()
        found.answers.append(Answer(f"{path}:{line}", annotator, row["label"], row["id"].strip(), key=key, comment=comment))
    return found


def _csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    text = read_text(path)
    reader = csv.reader(physical_lines(text), delimiter=sniff_delimiter(text, {"id", "label"}), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: the record cannot be read: {error}; save the sheet as CSV again") from None


def _xlsx_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    openpyxl = _openpyxl()
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, openpyxl.utils.exceptions.InvalidFileException) as error:
        raise DataError(f"{path}: cannot be read as a spreadsheet: {error}; save it as .xlsx or .csv again") from None
    with contextlib.closing(book):
        for line, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), start=1):
            texts = ["" if cell is None else str(cell).upper() if isinstance(cell, bool) else str(cell) for cell in cells]
            if any(text.strip() for text in texts):
                yield line, texts


def _write_xlsx(path: Path, rows: Sequence[Row], labels: Sequence[str], guideline: Guideline) -> None:
    openpyxl = _openpyxl()
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "rows"
    sheet.append(COLUMNS)
    for row in texts_of(rows):
        sheet.append([ILLEGAL_CHARACTERS_RE.sub("\ufffd", text) for text in row])
    for cells in sheet.iter_rows():
        for cell in cells:
            cell.data_type = "s" if cell.value is not None else cell.data_type  # text, never a formula
            cell.alignment = openpyxl.styles.Alignment(wrap_text=cell.column_letter in "CE", vertical="top")
    for cell in sheet[1]:
        cell.font = openpyxl.styles.Font(bold=True)
    for line in range(2, len(rows) + 2):
        sheet.cell(line, 4).number_format = "@"  # a label such as 007 stays what was typed
    for letter, width in zip("ABCDE", (14, 6, 80, 28, 40), strict=True):
        sheet.column_dimensions[letter].width = width
    sheet.column_dimensions["B"].hidden = True
    sheet.freeze_panes = "A2"
    if labels and rows:
        _offer(book, sheet, labels, f"D2:D{len(rows) + 1}")
    if guideline.text.strip():
        page = book.create_sheet("guideline")
        page.column_dimensions["A"].width = 110
        for text in guideline.text.splitlines():
            page.append([ILLEGAL_CHARACTERS_RE.sub("\ufffd", text)])
            page.cell(page.max_row, 1).data_type = "s"
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def _offer(book: Any, sheet: Any, labels: Sequence[str], cells: str) -> None:
    """A list of the labels to choose from in each of the cells."""
    from openpyxl.worksheet.datavalidation import DataValidation

    joined = ",".join(labels)
    formula = f'"{joined}"'
    if len(joined) > _INLINE or any("," in label or '"' in label for label in labels):
        choices = book.create_sheet("labels")
        for label in labels:
            choices.append([label])
            choices.cell(choices.max_row, 1).data_type = "s"
        formula = f"labels!$A$1:$A${len(labels)}"
    validation = DataValidation(type="list", formula1=formula, allow_blank=True, showErrorMessage=True)
    validation.error, validation.errorTitle = "Choose one of the labels.", "Unknown label"
    sheet.add_data_validation(validation)
    validation.add(cells)


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise SpecError("spreadsheets need openpyxl: run `pip install 'provetune[data]'`, or use a .csv file") from error
    return openpyxl
