"""The spreadsheet round trip: out, filled in as a person would, back as votes; nothing computed, nothing misread."""

from __future__ import annotations

import csv
from pathlib import Path

import openpyxl
import pytest

from provetune.errors import DataError
from provetune.labelling.incoming import Expected, votes_of
from provetune.labelling.round import Guideline
from provetune.labelling.rows import Row
from provetune.labelling.spreadsheet import read_sheet, write_sheet
from provetune.labelling.votes import standing
from provetune.records.labels import Vote
from tests.unit.labelling.desk import row

LABELS = ("007", "-1", "TRUE", "other, more")
DATA = {
    name: row(name, text)
    for name, text in {"a": "=1+1", "b": "two\nlines; a 'quote\"", "c": "@SUM(A1)", "d": "plain äöü 你好 \x07", "e": "left empty"}.items()
}
FILLED = {"a": ("007", ""), "b": ("-1", "a comment"), "c": ("TRUE", ""), "d": ("other, more", "")}


def filled(path: Path) -> Path:
    """Fill in label and comment where the sheet has its columns for them."""
    if path.suffix == ".xlsx":
        book = openpyxl.load_workbook(path)
        for cells in book["rows"].iter_rows(min_row=2):
            cells[3].value, cells[4].value = FILLED.get(cells[0].value, (None, None))
        book.save(path)
        return path
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *records = list(csv.reader(file))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")  # as a spreadsheet program in Germany saves it
        writer.writerow(header)
        writer.writerows([*record[:3], *FILLED.get(record[0], ("", ""))] for record in records)
    return path


def votes_from(path: Path, votes: list[Vote] | None = None, data: dict[str, Row] | None = None) -> tuple[list[Vote], dict[str, int]]:
    incoming = read_sheet(path, "anna")
    found = votes_of(incoming, Expected(data or DATA, LABELS, "abc", standing(votes or [])), "sheet")
    return found, incoming.left_out


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_sheet_comes_back_as_votes_once(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"sheet.{ending}"
    write_sheet(path, list(DATA.values()), LABELS, Guideline("# How\n=not a formula"))
    assert votes_from(path) == ([], {"no label": 5})
    votes, left_out = votes_from(filled(path))
    assert {vote.example_id: (vote.value, vote.comment) for vote in votes} == FILLED and left_out == {"no label": 1}
    assert all(
        (vote.annotator, vote.source, vote.guideline, vote.row) == ("anna", "sheet", "abc", DATA[vote.example_id].key) for vote in votes
    )
    again, left_out = votes_from(path, votes)
    assert again == [] and left_out == {"no label": 1, "unchanged": 4}


def test_no_cell_is_a_formula_and_the_labels_are_offered(tmp_path: Path) -> None:
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, list(DATA.values()), LABELS, Guideline("# How\n=not a formula"))
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["rows", "labels", "guideline"]
    assert {cell.data_type for sheet in book for cells in sheet.iter_rows() for cell in cells} <= {"s", "n"}
    assert book["rows"]["C2"].value == "=1+1" and book["rows"]["D2"].number_format == "@"
    (validation,) = book["rows"].data_validations.dataValidation
    assert str(validation.sqref) == "D2:D6" and validation.formula1 == "labels!$A$1:$A$4"
    write_sheet(tmp_path / "sheet.csv", list(DATA.values()), LABELS, Guideline())
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        texts = [record["text"] for record in csv.DictReader(file)]
    assert texts[0] == "'=1+1" and texts[2] == "'@SUM(A1)" and not any(text.startswith(("=", "@")) for text in texts)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,key,text,label\na,,x,TRU\n", r"sheet\.csv:2: found the label 'TRU', wanted one of the 4 labels; did you mean 'TRUE'"),
        ("id,key,text,label\nz,,x,007\n", r"sheet\.csv:2: the row 'z' is not in the data"),
        ("id,key,text,label\na,0123,x,007\n", r"sheet\.csv:2: the row 'a' says something else now"),
        ("id,text,lable\na,x,007\n", r"sheet\.csv:1: column 'label' is missing, found id, text, lable; did you mean 'lable'"),
        ('id,key,text,label\na,,"x,007\n', r"sheet\.csv:\d: the record cannot be read"),
    ],
)
def test_a_sheet_that_cannot_be_meant_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        votes_from(path)


def test_a_file_that_is_no_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "sheet.xlsx").write_bytes(b"id,label\n")
    with pytest.raises(DataError, match="cannot be read as a spreadsheet"):
        votes_from(tmp_path / "sheet.xlsx")
