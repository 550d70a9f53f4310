"""Which reader a file needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from provetune.errors import DataError
from provetune.formats import READERS, detect
from provetune.spec import ColumnsSpec, DataSpec

NAMES = "wanted `messages`, or `prompt` and `completion`, or a CSV file with named columns; name the columns with data.columns"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def failure(path: Path, columns: ColumnsSpec | None = None) -> str:
    with pytest.raises(DataError) as caught:
        detect(path, columns)
    return str(caught.value)


def test_every_reader_is_a_format_of_the_project_file() -> None:
    formats = DataSpec.model_json_schema()["properties"]["format"]["enum"]
    assert set(READERS) == set(formats) - {"auto"}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.jsonl", '\n{"messages": []}\n', "chat"),
        ("a.json", '{"prompt": "p", "completion": "c", "id": 1}', "prompt-completion"),
        ("a.ndjson", '{"messages": [], "prompt": "p", "completion": "c"}', "chat"),
        ("a.txt", ' {"prompt": "p", "completion": "c"}\n', "prompt-completion"),
        ("a.csv", '{"messages": []}\n', "chat"),
        ("a.csv", "text,label\n", "csv"),
        ("a.TSV", "text\tlabel\n", "csv"),
        ("a", "\n\ntext;label\n", "csv"),
        ("a.json", '[\n  {"prompt": "p",\n "completion": "c"}]', "prompt-completion"),
        ("a.json", '[{"instruction": "i", "input": "", "output": "o"}]', "alpaca"),
        ("a.jsonl", '{"conversations": [], "chosen": {}, "rejected": {}}', "sharegpt"),
        ("a.jsonl", '{"input": {}, "preferred_output": [], "non_preferred_output": []}', "preference"),
        ("a.jsonl", '{"input": {}, "preferred_completion": [], "non_preferred_completion": []}', "preference"),
        ("a.jsonl", '{"prompt": "p", "chosen": "c", "rejected": "r"}', "preference"),
        ("a.jsonl", '{"schemaVersion": "bedrock-conversation-2024", "messages": []}', "bedrock"),
        ("a.jsonl", '{"systemInstruction": {}, "contents": []}', "vertex"),
        ("a.json", '[{"id": 1, "data": {}, "annotations": []}]', "label-studio"),
        ("a.json", '[{"fields": {}, "responses": {}}]', "argilla"),
        ("a.json", '[{"text": "t", "label.responses": ["x"]}]', "argilla"),
        ("a.xlsx", "anything", "xlsx"),
        ("a.PARQUET", "anything", "parquet"),
        ("a.arrow", "anything", "parquet"),
    ],
)
def test_the_ending_and_the_first_line_tell(tmp_path: Path, name: str, text: str, expected: str) -> None:
    assert detect(write(tmp_path, name, text)) == expected


def test_named_columns_tell_too(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"messages": [], "question": "q", "answer": "a"}')
    assert detect(path, ColumnsSpec(prompt="question", target="answer")) == "prompt-completion"
    assert detect(path, ColumnsSpec(prompt="question")) == "chat"
    path = write(tmp_path, "a.jsonl", '{"question": "q", "completion": "a"}')
    assert detect(path, ColumnsSpec(prompt="question")) == "prompt-completion"


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("a.jsonl", '\n{"b": 1, "a": 2}', 2, f"found a JSON object with keys b, a; {NAMES}"),
        ("a.jsonl", "{}", 1, f"found a JSON object with keys none; {NAMES}"),
        ("a.jsonl", "text,label\n", 1, "not JSON: Expecting value at column 1, near 'text,label'"),
        ("a.jsonl", "7\n", 1, "found 7, wanted a JSON object"),
        ("a.json", '[{"prompt": "p"}]', 1, "found a JSON list that starts here, wanted one JSON object per line"),
        ("a.txt", "[\n", 1, "found a JSON list that starts here, wanted one JSON object per line"),
        ("a.json", '{\n"prompt": "p"}', 1, "found a JSON object that starts here, wanted one JSON object per line"),
        ("a.txt", "\njust words\n", 2, f"found the line 'just words', {NAMES}"),
        (
            "a.csv",
            "text\nhello\n",
            1,
            "found one column, 'text', wanted at least two with names: a prompt and a target; add the missing one",
        ),
        ("a.json", "[]", 1, "found a JSON list that starts here, wanted one JSON object per line"),
        ("a.json", '[{"prompt": }]', 1, "not JSON: Expecting value at column 13, near "),
    ],
)
def test_anything_else_is_named(tmp_path: Path, name: str, text: str, line: int, message: str) -> None:
    path = write(tmp_path, name, text)
    assert failure(path).startswith(f"{path}:{line}: {message}")


def test_columns_that_do_not_fit_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"q": "p", "a": "c"}')
    assert failure(path, ColumnsSpec(prompt="q", target="answer")).startswith(f"{path}:1: found a JSON object with keys q, a; wanted")


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.ODS", "a spreadsheet of another program"), ("a.jsonl.gz", "a compressed file")],
)
def test_packed_files_are_named_by_their_ending(tmp_path: Path, name: str, found: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04\xff\x00")
    assert failure(path).startswith(f"{path}: found {found}; ")


def test_absent_and_empty_files_are_refused(tmp_path: Path) -> None:
    assert "found no such file" in failure(tmp_path / "a.xlsx")
    assert "found 0 bytes" in failure(write(tmp_path, "a.jsonl", ""))
    assert "found a folder" in failure(tmp_path)


def test_public_files_are_recognised(public_data: Path) -> None:
    assert detect(public_data / "banking77" / "train.csv") == "csv"
    assert detect(public_data / "gsm8k" / "train.jsonl", ColumnsSpec(prompt="question", target="answer")) == "prompt-completion"
    path = public_data / "gsm8k" / "train.jsonl"
    assert failure(path) == f"{path}:1: found a JSON object with keys question, answer; {NAMES}"
