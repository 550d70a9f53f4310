"""Rows to be labelled: files without labels, gaps, several shapes; what cannot be read is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provetune.errors import DataError
from provetune.labelling.rows import unlabelled_rows


def test_a_table_without_a_label_column(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('id;text;region\n007;"two\nlines; one";DE\n\n;plain;FR\n', encoding="utf-8-sig")
    found = unlabelled_rows(path)
    assert found is not None and list(found) == ["007", "r5"]
    assert (found["007"].text, found["007"].label, dict(found["007"].meta)) == ("two\nlines; one", None, {"region": "DE"})


def test_a_label_column_with_gaps(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text,label\none,billing\ntwo,\nthree, login \n", encoding="utf-8")
    found = unlabelled_rows(path)
    assert found is not None and [one.label for one in found.values()] == ["billing", None, "login"]


def test_lines_of_json_with_texts_or_conversations(tmp_path: Path) -> None:
    user, system = {"role": "user", "content": "hello"}, {"role": "system", "content": "be brief"}
    rows = [
        {"text": "one", "source": "mail", "stars": 4, "tags": ["a"]},
        {"messages": [system, user]},
        {"messages": [user, {"role": "assistant", "content": " greeting "}]},
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    found = unlabelled_rows(path)
    assert found is not None and [one.text for one in found.values()] == ["one", "hello", "hello"]
    assert [one.label for one in found.values()] == [None, None, "greeting"]
    assert len({one.key for one in found.values()}) == 3  # the system turn is part of what is shown
    kept = found["r1"].example("other", {"votes": []})
    assert kept.meta == {"source": "mail"} and kept.extra == {"stars": 4, "tags": ["a"], "votes": []}
    example = found["r3"].example("other", {"votes": []})
    assert (example.target, example.label, example.id) == ("other", "other", "r3")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", "text,label\n ,\n", r"x\.csv:2: found no prompt"),
        ("x.csv", "id,text\na,one\na,two\n", "id 'a' is used already in x.csv:2"),
        ("x.csv", "id,text\na,one,more\n", r"x\.csv:2: found 3 fields, wanted 2"),
        ("x.jsonl", '{"text": "one"}\n{"text": \n', r"x\.jsonl:2"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        unlabelled_rows(tmp_path / name)


def test_a_file_without_a_usual_prompt_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("one,two\n1,2\n", encoding="utf-8")
    assert unlabelled_rows(tmp_path / "x.csv") is None
