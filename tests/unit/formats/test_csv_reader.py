"""CSV files: every cell is text, every record has a line."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.errors import DataError
from provetune.formats import READERS, RawRow
from provetune.formats.delimited import DELIMITERS, sniff_delimiter
from provetune.spec import ColumnsSpec

NAMED = ColumnsSpec(prompt="q", target="a")
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60).filter(str.strip)


def write(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def read(path: Path, columns: ColumnsSpec | None = None) -> list[RawRow]:
    return list(READERS["csv"](path, columns or ColumnsSpec()))


def pairs(path: Path, columns: ColumnsSpec | None = None) -> list[tuple[int, str, str]]:
    return [(row.line, row.messages[0].content, row.target) for row in read(path, columns)]


def failure(path: Path, columns: ColumnsSpec | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read(path, columns)
    return str(caught.value)


def test_nothing_is_converted(tmp_path: Path) -> None:
    cells = ["007", "1e5", "None", "NA", "n/a", "null", "nan", "TRUE", "1.10", "2024-01-02"]
    path = write(tmp_path, "text,label\n" + "".join(f"{cell},{cell}\n" for cell in cells))
    assert pairs(path) == [(k, cell, cell) for k, cell in enumerate(cells, start=2)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_record_has_the_line_where_it_starts(tmp_path: Path, end: str) -> None:
    text = end.join(["", "text,label", '"one', 'two ""2"""', ',x"', "", " ", "three,y", '"four', 'five",z'])
    with pytest.raises(DataError):  # the record of lines 3 and 4 ends before its label
        read(write(tmp_path, text))
    text = end.join(["", "text,label", '"one', 'two ""2""",x', "", " ", "three,y", '"four', 'five",z'])
    assert pairs(write(tmp_path, text)) == [(3, f'one{end}two "2"', "x"), (7, "three", "y"), (8, f"four{end}five", "z")]


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_each_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = [["id", "text", "label"], ["1", "a, b; c\td|e", "x"], ["2", "no delimiter", "y"], ["3", "f, g; h", "z"]]
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    assert [(row.id, row.messages[0].content, row.target) for row in read(path)] == [tuple(row) for row in rows[1:]]


def test_named_columns_decide_between_two_delimiters() -> None:
    text = "first, second;label\nhello, you;x\nthere, she;y\n"
    assert sniff_delimiter(text, {"first, second", "label"}) == ";"
    assert sniff_delimiter(text, {"first"}) == ","


def test_id_group_and_slices_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path, ',id,q,a,who,lang,note\n0,t1,"hi, you",x,ann,en,\n1,,bye,y,,de,n\n')
    rows = read(path, ColumnsSpec(prompt="q", target="a", group="who", slice=["lang", "a"]))
    assert [(row.id, row.group, row.meta) for row in rows] == [
        ("t1", "ann", {"a": "x", "lang": "en", "note": ""}),
        (None, None, {"a": "y", "lang": "de", "note": "n"}),
    ]


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        ("text,category", ColumnsSpec(), ("0", "1")),
        ("Label, Text ", ColumnsSpec(), ("1", "0")),
        ("body,subject_body,queue", ColumnsSpec(prompt="body"), ("0", "2")),
        ("text,label,intent", ColumnsSpec(group="intent"), ("0", "1")),
        ("text,label,intent", ColumnsSpec(target="text", prompt="intent"), ("2", "0")),
        ("summary,text", ColumnsSpec(target="summary"), ("1", "0")),
    ],
)
def test_usual_names_are_recognised(tmp_path: Path, header: str, columns: ColumnsSpec, expected: tuple[str, str]) -> None:
    row = ",".join(map(str, range(header.count(",") + 1)))
    assert pairs(write(tmp_path, f"{header}\n{row}\n"), columns) == [(2, *expected)]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("text,question,label", "'text' and 'question' could each be the prompt column"),
        ("text,label,answer", "'label' and 'answer' could each be the target column"),
        ("mr,ref", "no usual name is the prompt column"),
        ("text,ref", "no usual name is the target column"),
        ("text", "no usual name is the target column"),
    ],
)
def test_a_header_that_leaves_a_choice_asks_for_names(tmp_path: Path, header: str, told: str) -> None:
    path = write(tmp_path, f"\n{header}\n1,2\n")
    columns = header.replace(",", ", ")
    assert failure(path).startswith(f"{path}:2: {told}, found columns {columns}; name both with data.columns")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("Q,a\n1,2\n", 1, "column 'q' is missing, found columns Q, a; correct data.columns; did you mean 'Q'?"),
        ("q,q,a\n1,2,3\n", 1, "found column 'q' twice in q, q, a"),
        ("q,a\n1,2\n3\n", 3, "found 1 fields, wanted 2 (q, a)"),
        ("q,a\n1,2\n\n3,4,5\n", 4, 'found 3 fields, wanted 2 (q, a); put "..." around a field that holds a comma'),
        ("q\ta\n1\t2\t3\n", 2, 'found 3 fields, wanted 2 (q, a); put "..." around a field that holds a tab'),
        ('q,a\n"1\n1",2\n"3\n",\n', 4, "empty completion (column 'a')"),
        ("q,a\n1,2\n ,4\n", 3, "empty prompt (column 'q')"),
        ('q,a\n1,2\n"3,4\n5,6\n', 3, "the record that starts here cannot be read: unexpected end of data"),
        ('q,a\n1,2\n"3" 4,5\n', 3, "the record that starts here cannot be read: ',' expected after '\"'"),
        ("q,a\n1,2\n" + "3" * 140_000 + ",4\n", 3, "the record that starts here cannot be read: field larger than field limit"),
    ],
)
def test_a_bad_record_is_refused_where_it_starts(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path, text)
    assert failure(path, NAMED).startswith(f"{path}:{line}: {message}")


@pytest.mark.parametrize("columns", [ColumnsSpec(id="usr"), ColumnsSpec(group="usr"), ColumnsSpec(slice=["text", "usr"])])
def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path, columns: ColumnsSpec) -> None:
    path = write(tmp_path, "text,label,user\na,b,c\n")
    message = f"{path}:1: column 'usr' is missing, found columns text, label, user; correct data.columns; did you mean 'user'?"
    assert failure(path, columns).startswith(message)


@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8),
    st.sampled_from(sorted(DELIMITERS)),
    st.booleans(),
)
def test_written_records_come_back(written: list[tuple[str, str]], delimiter: str, from_excel: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, csv.excel if from_excel else csv.unix_dialect, delimiter=delimiter).writerows([("q", "a"), *written])
        found = pairs(path, NAMED)
    assert [(prompt, target) for _, prompt, target in found] == written


def test_banking77_is_read_whole(public_data: Path) -> None:
    for name, count in (("train.csv", 10_003), ("test.csv", 3_080)):
        rows = read(public_data / "banking77" / name)
        assert (len(rows), len({row.target for row in rows})) == (count, 77)


def test_a_first_column_without_a_name_is_left_out(public_data: Path) -> None:
    rows = read(public_data / "hatecheck" / "test_suite_cases.csv", ColumnsSpec(prompt="test_case", target="label_gold", id="case_id"))
    assert len(rows) == 3_728 and "" not in rows[0].meta
    assert (rows[0].id, rows[0].messages[0].content, rows[0].target) == ("1", "I hate women. ", "hateful")
