"""Prompt-completion files, and the strictness that all JSON lines share."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.errors import DataError
from provetune.formats import READERS, RawRow
from provetune.formats.jsonl import objects
from provetune.spec import ColumnsSpec

NAME = "rows.jsonl"
GOOD = '{"prompt": "p", "completion": "c"}\n'
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(str.strip)


def write(folder: Path, text: str) -> Path:
    path = folder / NAME
    path.write_text(text, encoding="utf-8", newline="")
    return path


def read(path: Path, columns: ColumnsSpec | None = None) -> list[RawRow]:
    return list(READERS["prompt-completion"](path, columns or ColumnsSpec()))


def failure(folder: Path, line: str, columns: ColumnsSpec | None = None) -> str:
    """The message for `line`, put on line 3 between a blank and a good one, without its `file:3: `."""
    path = write(folder, f"{GOOD}\n{line}\n{GOOD}")
    with pytest.raises(DataError) as caught:
        read(path, columns)
    head, found, tail = str(caught.value).partition(": ")
    assert head + found == f"{path}:3: "
    return tail


def test_rows_keep_their_text_and_their_physical_line(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeff\r\n{"prompt": " p\\n", "completion": " yes"}\r\n \n{"prompt": "q\u2028r", "completion": "no"}')
    assert [(row.line, [m.role for m in row.messages], row.messages[0].content, row.target) for row in read(path)] == [
        (2, ["user", "assistant"], " p\n", " yes"),
        (4, ["user", "assistant"], "q\u2028r", "no"),
    ]


def test_other_columns_become_text(tmp_path: Path) -> None:
    row = '{"id": 7, "q": "p", "a": "c", "who": "x", "lang": "en", "n": 1, "x": 0.5, "ok": true, "gone": null, "deep": {"k": 1}}'
    columns = ColumnsSpec(prompt="q", target="a", group="who", slice=["lang", "who"])
    messages, meta = read(write(tmp_path, GOOD))[0].messages, {"who": "x", "lang": "en", "n": "1", "x": "0.5", "ok": "true"}
    extra: dict[str, Any] = {"id": 7, "n": 1, "x": 0.5, "ok": True, "gone": None, "deep": {"k": 1}}  # as they stood, for writing back
    assert read(write(tmp_path, row), columns) == [RawRow(1, "7", messages, "c", "x", meta, extra)]


def test_blank_or_null_ids_and_groups_count_as_not_given(tmp_path: Path) -> None:
    columns = ColumnsSpec(id="key", group="who")
    lines = [{"prompt": "p", "completion": "c", "key": key, "who": who} for key, who in ((None, None), (" ", ""), ("k", "g"))]
    rows = read(write(tmp_path, "\n".join(map(json.dumps, lines))), columns)
    assert [(row.id, row.group) for row in rows] == [(None, None), (None, None), ("k", "g")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "p" "completion": "c"}', "not JSON: Expecting ',' delimiter at column 16, near "),
        ("{'prompt': 1}", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        (GOOD.strip() + GOOD.strip(), "not JSON: Extra data at column 35"),
        ('{"prompt": "p', "not JSON: Unterminated string starting at column 12"),
        ("[" * 100_000, "found JSON nested too deeply to read"),
        ('["p", "c"]', "found a list, wanted a JSON object"),
        ('"text"', "found a text, wanted a JSON object"),
        ("null", "found null, wanted a JSON object"),
        ('{"prompt": "p", "completion": "c", "score": NaN}', "found NaN, wanted a finite number"),
        ('{"prompt": "p", "completion": "c", "score": -Infinity}', "found -Infinity, wanted a finite number"),
        ('{"prompt": "p", "completion": "c", "score": 1e999}', "found 1e999, wanted a finite number"),
        ('{"prompt": "p", "completion": "c", "n": ' + "9" * 5000 + "}", "Exceeds the limit"),
        ('{"prompt": "p", "prompt": "q", "completion": "c"}', "found key 'prompt' twice"),
        ('{"prompt": "\\ud83d", "completion": "c"}', "found half of a surrogate pair"),
        ('{"prompt": "\\uD83D", "completion": "c"}', "found half of a surrogate pair"),
        (
            '{"prompt": "p", "Completion": "c"}',
            "key 'completion' is missing, found keys prompt, Completion; add it, or name the keys with",
        ),
        ("{}", "key 'prompt' is missing, found keys none"),
        ('{"prompt": 3, "completion": "c"}', "'prompt' is 3, wanted text"),
        ('{"prompt": null, "completion": "c"}', "'prompt' is null, wanted text; write the prompt, or remove the row"),
        ('{"prompt": "p", "completion": null}', "'completion' is null, wanted text; write the completion, or remove the row"),
        ('{"prompt": "p", "completion": false}', "'completion' is false, wanted text"),
        ('{"prompt": "p", "completion": ["c"]}', "'completion' is a list, wanted text"),
        ('{"prompt": "p", "completion": {"c": 1}}', "'completion' is an object, wanted text"),
        ('{"prompt": " \\n", "completion": "c"}', "empty prompt ('prompt')"),
        ('{"prompt": "p", "completion": ""}', "empty completion ('completion')"),
    ],
)
def test_a_bad_line_is_refused_where_it_stands(tmp_path: Path, line: str, message: str) -> None:
    assert failure(tmp_path, line).startswith(message)


def test_the_excerpt_shows_the_place(tmp_path: Path) -> None:
    line = json.dumps({"prompt": "a" * 500, "completion": "c"})
    assert failure(tmp_path, line[:-1] + "; " + "b" * 500).endswith(
        "near '..." + line[-25:-1] + "; " + "b" * 22 + "...'; write one JSON object per line"
    )


def test_a_whole_pair_of_escapes_is_one_character(tmp_path: Path) -> None:
    assert read(write(tmp_path, '{"prompt": "\\ud83d\\ude00", "completion": "c"}'))[0].messages[0].content == "😀"


@pytest.mark.parametrize("columns", [ColumnsSpec(id="key"), ColumnsSpec(group="key"), ColumnsSpec(slice=["key"])])
def test_a_named_column_must_stand_in_every_row(tmp_path: Path, columns: ColumnsSpec) -> None:
    path = write(tmp_path, '{"prompt": "p", "completion": "c", "key": "k"}\n' + GOOD)
    with pytest.raises(DataError) as caught:
        read(path, columns)
    assert str(caught.value).startswith(f"{path}:2: key 'key' is missing, found keys prompt, completion")
    path = write(tmp_path, '{"prompt": "p", "completion": "c", "key": ["k"]}\n')
    with pytest.raises(DataError) as caught:
        read(path, columns)
    assert str(caught.value).startswith(f"{path}:1: 'key' is a list, wanted text or a number")


def test_line_731_of_a_long_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD * 730 + '{"prompt": "p", "completion": \n' + GOOD * 100)
    with pytest.raises(DataError) as caught:
        list(objects(path))
    assert str(caught.value).startswith(f"{path}:731: not JSON: Expecting value at column ")


def test_the_elements_of_one_list_have_their_lines(tmp_path: Path) -> None:
    row = '{"prompt": "p",\r\n "completion": "c"}'
    path = write(tmp_path, f"\n [\n{row},{row},\r\n\r\n{row}\n]\n")
    assert [row.line for row in read(path)] == [3, 4, 7]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("[\n" + GOOD, 3, "not JSON: found '', wanted `,` or `]`"),
        ("[\n" + GOOD + GOOD + "]", 3, """not JSON: found '{"prompt": "p", "com', wanted `,` or `]`"""),
        ("[" + GOOD + ",]", 2, "not JSON: Expecting value at column 2 of line 2, near "),
        ("[" + GOOD + "]\n{}", 3, "not JSON: found '{}' after the end of the list"),
        ("[" + GOOD + ',{"prompt": "\\ud83d", "completion": "c"}]', 2, "found half of a surrogate pair"),
        ("[" + GOOD + ",\n7]", 3, "found 7, wanted a JSON object"),
        ("[" + GOOD + ',{"prompt": "p"}]', 2, "key 'completion' is missing"),
        ("[" + "[" * 100_000, 1, "found JSON nested too deeply"),
    ],
)
def test_a_broken_list_is_refused_where_it_breaks(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:{line}: {message}")


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=8), st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_written_rows_come_back(pairs: list[tuple[str, str]], ascii_only: bool, end: str) -> None:
    lines = [json.dumps({"prompt": prompt, "completion": target}, ensure_ascii=ascii_only) for prompt, target in pairs]
    with tempfile.TemporaryDirectory() as folder:
        rows = read(write(Path(folder), end.join(lines)))
    assert [(row.messages[0].content, row.target) for row in rows] == pairs
    assert [row.line for row in rows] == [1 + k * len(end.replace("\r", "")) for k in range(len(pairs))]
