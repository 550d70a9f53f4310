"""Alpaca, ShareGPT, preference pairs, Vertex AI and Bedrock: files as their tools write them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import DataError, SpecError
from provetune.formats import READERS, Notes, RawRow
from provetune.formats.detection import detect
from provetune.records.data import ToolCall
from provetune.spec import ColumnsSpec

USER = {"role": "user", "content": "hi"}
GOOD, BAD = {"role": "assistant", "content": "hello"}, {"role": "assistant", "content": "no"}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def read(path: Path, name: str) -> list[RawRow]:
    assert detect(path) == name
    return list(READERS[name](path, ColumnsSpec()))


def failure(folder: Path, name: str, row: Any) -> str:
    """The message for a row, without its `file:line: `."""
    path = write(folder, row)
    with pytest.raises(DataError) as caught:
        list(READERS[name](path, ColumnsSpec()))
    assert str(caught.value).startswith(f"{path}:2: ")
    return str(caught.value).removeprefix(f"{path}:2: ")


def turns(row: RawRow) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in row.messages]


def test_alpaca_joins_instruction_and_input_and_learns_the_history(tmp_path: Path) -> None:
    first = {"instruction": "Sort these.", "input": "b a", "output": "a b"}
    second = {"instruction": "And now?", "output": "c", "system": "Be brief.", "history": [["one", "1"], ["two", "2"]], "lang": "en"}
    one, two = read(write(tmp_path, first, second), "alpaca")
    assert (turns(one), one.meta) == ([("user", "Sort these.\nb a"), ("assistant", "a b")], {"input": "b a"})
    assert turns(two) == [
        *(("system", "Be brief."), ("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", "2")),
        *(("user", "And now?"), ("assistant", "c")),
    ]
    assert all(message.weight == 1 for message in two.messages) and two.meta == {"lang": "en"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": ""}, "empty completion ('output')"),
        ({"instruction": None}, "'instruction' is null, wanted text; write the prompt"),
        ({"input": 7}, "'input' is 7, wanted text"),
        ({"history": "x"}, "'history' is a text, wanted a list of pairs"),
        ({"history": [["a"]]}, "history[0]: found a list, wanted a pair of texts"),
        ({"history": [["a", 1]]}, "history[0]: found a list, wanted a pair of texts"),
    ],
)
def test_alpaca_refuses_what_is_no_text(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    assert failure(tmp_path, "alpaca", {"instruction": "i", "output": "o", **change}).startswith(message)


def test_sharegpt_with_tools_as_llama_factory_writes_them(tmp_path: Path) -> None:
    tools = '[{"name": "area", "description": "Area of a shape", "parameters": {"type": "object"}}]'
    conversation = [
        {"from": "human", "value": "How large is it?"},
        {"from": "function_call", "value": '{"name": "area", "arguments": {"sides": [5, 3]}}'},
        {"from": "observation", "value": '{"area": 15}'},
        {"from": "gpt", "value": "15"},
    ]
    (row,) = read(write(tmp_path, {"conversations": conversation, "system": "Compute.", "tools": tools}), "sharegpt")
    assert [message.role for message in row.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert row.messages[2].tool_calls == (ToolCall(name="area", arguments='{"sides": [5, 3]}'),)
    assert json.loads(row.messages[0].tools[0]) == {"type": "function", "function": json.loads(tools)[0]}
    (row,) = read(write(tmp_path, {"conversations": [*conversation[:1], conversation[3]], "tools": "[]"}), "sharegpt")
    assert row.messages[0].tools == ()


def test_sharegpt_pairs_ratings_and_files_that_deviate(tmp_path: Path) -> None:
    human = {"from": "human", "value": "hi"}
    pair = {"conversations": [human], "chosen": {"from": "gpt", "value": "hello"}, "rejected": {"from": "gpt", "value": "no"}}
    rated = {"conversations": [human, {"from": "gpt", "value": "no"}], "kto_tag": False}
    other = {"conversations": [USER, GOOD], "label": True}
    rows = read(write(tmp_path, pair, rated, other), "sharegpt")
    assert [(row.target, [m.content for m in row.rejected], row.desirable) for row in rows] == [
        ("hello", ["no"], None),
        ("no", [], False),
        ("hello", [], True),
    ]
    (row,) = read(write(tmp_path, {"messages": [USER, BAD], "label": False}), "chat")  # LLaMA-Factory's own KTO demo
    assert (row.target, row.desirable) == ("no", False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"conversations": "x"}, "found keys conversations, wanted a list under 'conversations'"),
        ({"conversations": []}, "found 0 messages and none from the assistant"),
        ({"conversations": [7]}, "conversations[0] is 7, wanted {"),
        ({"conversations": [{"from": "human"}]}, "conversations[0]: 'value' is missing, found keys from, wanted text"),
        ({"conversations": [{"from": "humam", "value": "x"}]}, "conversations[0]: found speaker 'humam', wanted one of human,"),
        ({"conversations": [{"from": "gpt", "value": " "}]}, "conversations[0]: empty completion (speaker 'gpt')"),
        ({"conversations": [{"from": "function_call", "value": "f()"}]}, "conversations[0]: not JSON"),
        ({"conversations": [{"from": "function_call", "value": "[]"}]}, "conversations[0]: found no call"),
        ({"conversations": [USER], "chosen": GOOD}, "rejected is null, wanted {"),
        ({"conversations": [USER], "chosen": GOOD, "rejected": GOOD}, "'rejected' says the same as 'chosen'"),
        ({"conversations": [USER, GOOD], "system": 7}, "'system' is 7, wanted text"),
    ],
)
def test_sharegpt_refuses_other_shapes(tmp_path: Path, row: Any, message: str) -> None:
    assert failure(tmp_path, "sharegpt", row).startswith(message)


@pytest.mark.parametrize("keys", [("preferred_output", "non_preferred_output"), ("preferred_completion", "non_preferred_completion")])
def test_openai_pairs_in_both_spellings(tmp_path: Path, keys: tuple[str, str]) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    outer = {"messages": [USER], "tools": [tool], "parallel_tool_calls": False}
    (row,) = read(write(tmp_path, {"input": outer, keys[0]: [GOOD], keys[1]: [BAD], "id": 3}), "preference")
    assert (turns(row), turns(row)[-1], row.rejected[0].content) == ([("user", "hi"), ("assistant", "hello")], ("assistant", "hello"), "no")
    assert (row.id, row.parallel_tool_calls, json.loads(row.messages[0].tools[0])) == ("3", False, tool)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "hi", "chosen": "hello", "rejected": "no"},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": [USER], "chosen": [USER, GOOD], "rejected": [USER, BAD]},
    ],
)
def test_trl_pairs_in_their_forms(tmp_path: Path, row: dict[str, Any]) -> None:
    (found,) = read(write(tmp_path, row), "preference")
    assert (turns(found), found.rejected[0].content) == ([("user", "hi"), ("assistant", "hello")], "no")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": {"messages": [USER]}, "preferred_output": [GOOD]}, "found keys input, preferred_output, wanted one pair of"),
        ({"input": [USER], "preferred_output": [GOOD], "non_preferred_output": [BAD]}, "'input' is a list, wanted {"),
        ({"input": {}, "preferred_output": [GOOD], "non_preferred_output": [BAD]}, "input: 'messages' is null, wanted a list"),
        (
            {"input": {"messages": [USER]}, "preferred_output": [GOOD], "non_preferred_output": []},
            "'non_preferred_output' holds 0 messages",
        ),
        ({"input": {"messages": [USER]}, "preferred_output": [USER], "non_preferred_output": [BAD]}, "'preferred_output' holds 1 messages"),
        ({"prompt": "hi", "chosen": "same", "rejected": "same"}, "'chosen' and 'rejected' say the same"),
        ({"prompt": " ", "chosen": "a", "rejected": "b"}, "empty prompt ('prompt')"),
        ({"chosen": [USER, GOOD], "rejected": [BAD]}, "without 'prompt' the turns of 'chosen' and 'rejected' before the last"),
        ({"prompt": "hi", "chosen": "a", "rejected": "b", "preferred_output": []}, "found keys prompt, chosen, rejected, preferred_output"),
    ],
)
def test_pairs_of_another_shape_are_refused(tmp_path: Path, row: Any, message: str) -> None:
    assert failure(tmp_path, "preference", row).startswith(message)


def test_vertex_and_bedrock_as_their_guides_show_them(tmp_path: Path) -> None:
    vertex = {
        "systemInstruction": {"role": "system", "parts": [{"text": "Be kind."}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "hello"}]}],
    }
    bedrock = {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"text": "hi"}]}, {"role": "assistant", "content": [{"text": "hello"}]}],
    }
    for name, row in (("vertex", vertex), ("bedrock", bedrock)):
        (found,) = read(write(tmp_path, row), name)
        assert turns(found) == [("system", "Be kind."), ("user", "hi"), ("assistant", "hello")]
    image = {"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": "gs://x"}}]}]}
    assert failure(tmp_path, "vertex", image).startswith("contents[0]: 'parts' is a list, wanted a list of one text")
    assert failure(tmp_path, "vertex", {"contents": [{"role": "x", "parts": [{"text": "a"}]}]}).startswith("contents[0]: found role 'x'")
    assert failure(tmp_path, "vertex", {"contents": [], "tools": [{}]}).startswith("found 'tools' or 'generationConfig'")
    assert failure(tmp_path, "bedrock", {"schemaVersion": "x", "messages": []}).startswith("'schemaVersion' is 'x', wanted")


@pytest.mark.parametrize("name", ["alpaca", "sharegpt", "preference", "vertex", "bedrock"])
def test_columns_that_these_formats_lack_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match=r"^data\.columns\.target: found 'q', but an? "):
        list(READERS[name](write(tmp_path, {"q": "x"}), ColumnsSpec(target="q"), Notes()))
