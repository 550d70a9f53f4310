"""Workbooks: every cell as text, sheets by name, and what is refused."""

from __future__ import annotations

import datetime
import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from provetune.errors import DataError
from provetune.formats import READERS, WRITERS, Notes, RawRow
from provetune.formats.row import example_of, single_turn
from provetune.formats.spreadsheet import LONGEST_CELL, sheets_of
from provetune.records.data import Example
from provetune.spec import ColumnsSpec


def write(path: Path, *rows: list[Any], change: Callable[[Any], object] = lambda book: None) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "tickets"
    for row in rows:
        sheet.append(row)
    change(book)
    book.save(path)
    return path


def read(path: Path, columns: ColumnsSpec | None = None) -> list[RawRow]:
    return list(READERS["xlsx"](path, columns or ColumnsSpec()))


def failure(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "book.xlsx"


def test_cells_are_text_and_rows_have_their_numbers(book: Path) -> None:
    moment = datetime.datetime(2024, 1, 2, 3, 4)  # noqa: DTZ001  # a cell has no time zone
    cells: list[Any] = ["007", "NA", "None", 7, 7.5, 100000.0, True, datetime.date(2024, 1, 2), moment, "=x"]
    written = write(book, [], ["text", "label", "note"], *([f"t{k}", cell, None] for k, cell in enumerate(cells)))
    texts = ["007", "NA", "None", "7", "7.5", "100000", "TRUE", "2024-01-02", "2024-01-02T03:04:00"]
    with pytest.raises(DataError, match="cell B12 is a formula without a stored value"):
        read(written)
    rows = read(
        write(book, [], ["text", "label", "note"], *([f"t{k}", cell, None] for k, cell in enumerate(cells[:-1])), [None, " "], ["u", "x"])
    )
    assert [row.target for row in rows] == [*texts, "x"]
    assert [row.line for row in rows] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 13]
    assert rows[0].meta == {"note": ""}


def test_the_sheet_is_named_where_several_hold_rows(book: Path) -> None:
    def add(found: Any) -> None:
        found.create_sheet("empty")
        found.create_sheet("more#1").append(["question", "answer"])
        found["more#1"].append(["q", "a"])

    write(book, ["text", "label"], ["t", "x"], ["u", "y"], change=add)
    assert sheets_of(book) == {"tickets": 3, "empty": 0, "more#1": 2}
    listed = "'tickets' (3 rows), 'empty' (0 rows), 'more#1' (2 rows)"
    assert failure(book) == f"{book}: found sheets {listed}, wanted one with rows; name one, as in {book}#tickets"
    assert [row.target for row in read(Path(f"{book}#tickets"))] == ["x", "y"]
    assert [row.target for row in read(Path(f"{book}#more#1"))] == ["a"]
    assert "found no sheet 'Tickets', wanted one of 'tickets' (3 rows)" in failure(Path(f"{book}#Tickets"))


def test_merged_cells_errors_and_stray_cells_are_refused(book: Path) -> None:
    header = ["text", "label"]
    write(book, header, ["t", "x"], ["u", "y"], change=lambda found: found.active.merge_cells("A2:A3"))
    assert failure(book) == f"{book}:2: found merged cells A2:A3, wanted one value a cell; unmerge them"
    write(book, header, ["t", "#REF!"])
    assert failure(book) == f"{book}:2: cell B2 holds the error #REF!; mend the formula, or paste values"
    write(book, header, ["t", "x", None, "far"])
    assert failure(book).startswith(f"{book}:2: found a cell right of the last column of the header")
    write(book, header, ["t", None])
    assert failure(book).startswith(f"{book}:2: empty completion (column 'label')")
    write(book, header, ["t", "x"], change=lambda found: found.active.cell(1_000_000, 9, "far"))
    assert "wanted at most 5,000,000 cells" in failure(book)
    write(book)
    assert failure(book).startswith(f"{book}: found sheets 'tickets' (0 rows), wanted one with rows; export the data again")


def test_the_stored_value_of_a_formula_is_taken(book: Path) -> None:
    """A spreadsheet program stores what a formula gives beside it; openpyxl does not, so the value is put in by hand."""
    write(book, ["text", "label"], ["t", '=UPPER("x")'])
    parts = {item: zipfile.ZipFile(book).read(item) for item in zipfile.ZipFile(book).namelist()}
    name = "xl/worksheets/sheet1.xml"
    formula = parts[name].partition(b'<c r="B2"')[2].partition(b"</c>")[0]
    assert b"<f>" in formula
    for value, ending in ((b"X", "label: X"), (b"#N/A", "cell B2 holds the error #N/A")):
        kind_of = b' t="e"' if value.startswith(b"#") else b' t="str"'
        changed = parts[name].replace(b'<c r="B2"' + formula, b'<c r="B2"' + kind_of + b'><f>UPPER("x")</f><v>' + value + b"</v>")
        with zipfile.ZipFile(book, "w") as packed:
            for item, content in parts.items():
                packed.writestr(item, changed if item == name else content)
        if value == b"X":
            assert [row.target for row in read(book)] == ["X"], ending
        else:
            assert ending in failure(book)


def test_what_is_no_workbook_is_refused(book: Path) -> None:
    book.write_bytes(b"PK\x03\x04 no workbook")
    assert failure(book).startswith(f"{book}: cannot be read as a workbook: ")
    with zipfile.ZipFile(book, "w") as packed:
        packed.writestr("a.txt", "x")
    assert failure(book).startswith(f"{book}: cannot be read as a workbook: ")
    assert "found no such file, wanted a workbook; check the name" in failure(book.with_name("absent.xlsx"))


def test_without_openpyxl_the_command_is_told(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(book, ["text", "label"], ["t", "x"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert failure(book) == f"{book}: a workbook needs openpyxl, which is not installed; run `pip install 'provetune[data]'`"


def test_what_a_cell_cannot_hold_is_noted(book: Path) -> None:
    texts = ["=1+1", "#N/A", " x ", "a\nb", "1" * LONGEST_CELL]
    bad = ["1" * (LONGEST_CELL + 1), "a\rb", "a_x0041_b", "a\x01b"]
    examples = [Example(id="", messages=single_turn(text, "x"), source=f"f:{k}") for k, text in enumerate([*texts, *bad])]
    notes = Notes()
    assert WRITERS["xlsx"](book, examples, ColumnsSpec(), notes) == len(texts)
    assert [example_of(row, "").prompt_text for row in read(book)] == texts
    assert notes.rows_left_out == len(bad) and "more than 32,767 characters, the most that a cell holds (first: f:5)" in notes.lines()[0]
