"""Chat files: roles, weights and the order of turns."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provetune.errors import DataError, SpecError
from provetune.formats import READERS, Notes, RawRow
from provetune.records.data import ToolCall
from provetune.spec import ColumnsSpec

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(str.strip)
USER = {"role": "user", "content": "hi"}
ASSISTANT = {"role": "assistant", "content": "hello"}


def called(arguments: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}],
    }


CALLS = called("{}")["tool_calls"]


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "chat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, columns: ColumnsSpec | None = None) -> list[RawRow]:
    return list(READERS["chat"](path, columns or ColumnsSpec()))


def failure(folder: Path, row: Any) -> str:
    """The message for `row` on line 2, without its `file:2: `."""
    path = write(folder, {"messages": [USER, ASSISTANT]}, row)
    with pytest.raises(DataError) as caught:
        read(path)
    head, found, tail = str(caught.value).partition(": ")
    assert head + found == f"{path}:2: "
    return tail


def test_a_conversation_is_read_turn_by_turn(tmp_path: Path) -> None:
    turns = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "2+2?", "name": "ann"},
        {"role": "assistant", "content": "5", "weight": 0},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
        {"role": "assistant", "content": " 4", "weight": 1},
    ]
    row = {"messages": turns, "id": "a", "lang": "en", "parallel_tool_calls": True, "tools": []}
    (found,) = read(write(tmp_path, row))
    assert [(m.developer, m.name, m.tool_call_id) for m in found.messages[:4]] == [
        (True, None, None),
        (False, "ann", None),
        (False, None, None),
        (False, None, "c1"),
    ]
    assert [(m.role, m.content, m.weight) for m in found.messages] == [
        ("system", "be brief", 1),
        ("user", "2+2?", 1),
        ("assistant", "5", 0),
        ("tool", "4", 1),
        ("assistant", " 4", 1),
    ]
    assert (found.id, found.target, found.meta, found.parallel_tool_calls) == ("a", " 4", {"lang": "en"}, True)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"message": [USER]}, "key 'messages' is missing, found keys message; did you mean 'message'?"),
        ({"messages": "hi"}, "'messages' is a text, wanted a list"),
        ({"messages": []}, "found 0 messages and none from the assistant"),
        ({"messages": [USER]}, "found 1 messages and none from the assistant"),
        ({"messages": [USER, ASSISTANT, USER]}, "the last message is from 'user', wanted 'assistant'"),
        ({"messages": [ASSISTANT]}, "empty prompt: found no message from the user"),
        ({"messages": [USER, "hello"]}, "messages[1] is a text, wanted {"),
        ({"messages": [{"content": "hi"}, ASSISTANT]}, "messages[0]: key 'role' is missing, found keys content"),
        ({"messages": [USER, {"role": "assistant"}]}, "messages[1]: key 'content' is missing, found keys role"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "messages[1]: 'content' is null, wanted text"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}, ASSISTANT]}, "messages[0]: 'content' is a list, wanted text"),
        ({"messages": [{"role": 1, "content": "hi"}, ASSISTANT]}, "messages[0]: 'role' is 1, wanted text"),
        (
            {"messages": [USER, {"role": "asistant", "content": "x"}]},
            "messages[1]: found role 'asistant', wanted one of system, developer, user,",
        ),
        ({"messages": [{"role": "user", "content": " "}, ASSISTANT]}, "messages[0]: empty prompt (role 'user')"),
        ({"messages": [USER, {"role": "assistant", "content": "\n"}]}, "messages[1]: empty completion (role 'assistant')"),
        ({"messages": [USER, {**ASSISTANT, "weight": 2}]}, "messages[1]: 'weight' is 2, wanted the integer 0 or 1"),
        ({"messages": [USER, {**ASSISTANT, "weight": True}]}, "messages[1]: 'weight' is true, wanted the integer 0 or 1"),
        ({"messages": [USER, {**ASSISTANT, "weight": 1.0}]}, "messages[1]: 'weight' is 1.0, wanted the integer 0 or 1"),
        ({"messages": [USER, {**ASSISTANT, "weight": "1"}]}, "messages[1]: 'weight' is a text, wanted the integer 0 or 1"),
        ({"messages": [USER, {**ASSISTANT, "weight": None}]}, "messages[1]: 'weight' is null, wanted the integer 0 or 1"),
        ({"messages": [USER, {**ASSISTANT, "weight": 0}]}, "the last message has weight 0, wanted 1"),
        ({"messages": [USER, {**ASSISTANT, "tool_calls": [{}]}]}, "messages[1]: 'tool_calls'[0]: found {}, wanted {\"name\": ..."),
        ({"messages": [USER, {**ASSISTANT, "tool_calls": "x"}]}, "messages[1]: 'tool_calls': not JSON: Expecting value"),
        ({"messages": [USER, {**ASSISTANT, "tool_calls": 7}]}, "messages[1]: 'tool_calls' is 7, wanted a list of calls"),
        ({"messages": [USER, called("not JSON")]}, "messages[1]: 'tool_calls'[0]: 'arguments': not JSON"),
        ({"messages": [USER, called("[1]")]}, "messages[1]: 'tool_calls'[0]: 'arguments': found a list, wanted a JSON object"),
        ({"messages": [USER, called(None)]}, "messages[1]: 'tool_calls'[0]: 'arguments' is null, wanted a JSON object"),
        ({"messages": [{**USER, "tool_calls": CALLS}, ASSISTANT]}, "messages[0]: found 'tool_calls' in a message of the role 'user'"),
        ({"messages": [USER, {**ASSISTANT, "audio": {"id": "a"}}]}, "messages[1]: found 'audio', which cannot be learned from yet"),
        ({"messages": [USER, {**ASSISTANT, "reasoning_content": "x"}]}, "messages[1]: found 'reasoning_content', which cannot be learned"),
        ({"messages": [USER, {**ASSISTANT, "name": 7}]}, "messages[1]: 'name' is 7, wanted text"),
        ({"messages": [USER, ASSISTANT], "tools": [{}]}, '\'tools\'[0]: found {}, wanted {"type": "function"'),
        ({"messages": [USER, ASSISTANT], "tools": {"a": 1}}, "'tools' is an object, wanted a list of functions"),
        ({"messages": [USER, ASSISTANT], "functions": [{}]}, "found 'functions', which cannot be learned from yet"),
        ({"messages": [USER, ASSISTANT], "parallel_tool_calls": "no"}, "'parallel_tool_calls' is a text, wanted true or false"),
        ({"messages": [USER, {**ASSISTANT, "weight": float("nan")}]}, "found NaN, wanted a finite number"),
        ([USER, ASSISTANT], "found a list, wanted a JSON object"),
    ],
)
def test_a_row_of_another_shape_is_refused(tmp_path: Path, row: Any, message: str) -> None:
    assert failure(tmp_path, row).startswith(message)


def test_tools_and_calls_are_kept_as_they_stand(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "default": None}, "strict": True}}
    call = called('{"b": 1,  "a": "Köln"}')
    row = {"messages": [USER, call, {"role": "tool", "content": "", "tool_call_id": "c1"}, ASSISTANT], "tools": [tool]}
    (found,) = read(write(tmp_path, row))
    assert [json.loads(text) for text in found.messages[0].tools] == [tool]
    assert found.messages[1].content == ""
    assert found.messages[1].tool_calls == (ToolCall(name="f", arguments='{"b": 1,  "a": "Köln"}', id="c1"),)
    assert found.messages[1].text == '{"name": "f", "arguments": {"b": 1,  "a": "Köln"}}'
    # relatives of the form: a function without its wrapping, arguments as an object, the list as text
    bare = {
        "messages": [USER, {**ASSISTANT, "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}],
        "tools": json.dumps([tool["function"]]),
    }
    (found,) = read(write(tmp_path, bare))
    assert [json.loads(text) for text in found.messages[0].tools] == [tool]
    assert found.messages[1].tool_calls == (ToolCall(name="f", arguments='{"a": 1}'),)


def test_keys_of_a_message_that_are_not_read_are_counted(tmp_path: Path) -> None:
    notes = Notes()
    rows = [{"messages": [USER, {**ASSISTANT, "time": k, "gone": None}]} for k in range(3)]
    path = write(tmp_path, *rows)
    assert len(list(READERS["chat"](path, ColumnsSpec(), notes))) == 3
    assert notes.lines() == [f"left out of 3 rows: key 'time' of a message (first: {path}:1)"]


@pytest.mark.parametrize("key", ["kto_tag", "label"])
def test_true_or_false_rates_the_answer(tmp_path: Path, key: str) -> None:
    rows = [{"messages": [USER, ASSISTANT], key: value} for value in (True, False, "billing", 1)]
    assert [row.desirable for row in read(write(tmp_path, *rows))] == [True, False, None, None]
    assert [row.desirable for row in read(write(tmp_path, rows[1]), ColumnsSpec(slice=[key]))] == [None]


def test_a_misspelt_role_is_named_with_the_right_one(tmp_path: Path) -> None:
    assert failure(tmp_path, {"messages": [USER, {"role": "asistant", "content": "x"}]}).endswith("; did you mean 'assistant'?")


@pytest.mark.parametrize("part", ["prompt", "target"])
def test_columns_that_a_chat_file_lacks_are_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(SpecError, match=rf"^data\.columns\.{part}: found 'q', but a chat file has `messages` only"):
        read(write(tmp_path, {"messages": [USER, ASSISTANT], "q": "x"}), ColumnsSpec.model_validate({part: "q"}))


@given(st.lists(st.lists(WORDS, min_size=2, max_size=6), min_size=1, max_size=5))
def test_written_conversations_come_back(conversations: list[list[str]]) -> None:
    rows = []
    for texts in conversations:
        roles = ["assistant" if (len(texts) - k) % 2 else "user" for k in range(len(texts))]
        rows.append({"messages": [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]})
    with tempfile.TemporaryDirectory() as folder:
        found = read(write(Path(folder), *rows))
    assert [[m.content for m in row.messages] for row in found] == conversations
    assert [row.target for row in found] == [texts[-1] for texts in conversations]
