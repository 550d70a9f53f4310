"""OpenAI's chat format: JSON lines with `messages`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from provetune.chat import tools_of, with_tools
from provetune.errors import DataError
from provetune.formats.jsonl import JsonObject, json_row, kind, rating_key
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.shape import Shape, completed, refuse_columns
from provetune.formats.text import did_you_mean, listed, quoted
from provetune.formats.tools import call_object, read_calls, read_tools
from provetune.records.data import Example, Message, Role
from provetune.spec import ColumnsSpec

ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
"""The file's role -> ours."""

# Keys whose content a Message cannot hold: dropping them would change what is learned.
_UNSUPPORTED_IN_ROW = ("functions",)
_UNSUPPORTED_IN_MESSAGE = ("function_call", "audio", "refusal", "reasoning_content", "reasoning", "thinking")
_KNOWN_IN_MESSAGE = {"role", "content", "weight", "name", "tool_calls", "tool_call_id", *_UNSUPPORTED_IN_MESSAGE}
_OWN_KEYS = ("messages", "tools", "parallel_tool_calls", *_UNSUPPORTED_IN_ROW)


def read_row(row: JsonObject, place: Place) -> RawRow:
    """A row of `{"messages": [{"role", "content", "weight"?, "tool_calls"?, ...}, ...], "tools"?}`, the turn to be learned last.

    Raises SpecError when `columns` names a prompt or target (the messages are both), DataError on an object of another shape.
    """
    refuse_columns(place.columns, "chat", "`messages`")
    if "messages" not in row:
        raise DataError(f"{place.where}: key 'messages' is missing, found keys {listed(row)}{did_you_mean('messages', row)}")
    refuse_keys(row, _UNSUPPORTED_IN_ROW, place.where)
    messages = read_messages(row["messages"], place, f"{place.where}: messages")
    check_order(messages, place.where)
    rating = rating_key(row, place.columns)
    plain = json_row(row, with_tools(messages, read_tools(row.get("tools"), f"{place.where}: 'tools'")), place, (*_OWN_KEYS, rating))
    parallel = read_flag(row, "parallel_tool_calls", place.where)
    if parallel is None and rating is None:
        return plain
    return dataclasses.replace(plain, parallel_tool_calls=parallel, desirable=row[rating] if rating else None)


def read_flag(row: JsonObject, key: str, where: str) -> bool | None:
    """The true or false under `key`; None where it is missing or null. Raises DataError on anything else."""
    value = row.get(key)
    if value is not None and not isinstance(value, bool):
        raise DataError(f"{where}: {key!r} is {kind(value)}, wanted true or false")
    return value


def read_messages(turns: Any, place: Place, where: str) -> tuple[Message, ...]:
    """The turns of one list, in order; DataError, beginning with `where`, on one of another shape."""
    if not isinstance(turns, list):
        path, _, name = where.rpartition(" ")
        raise DataError(f"{path} {name!r} is {kind(turns)}, wanted a list of messages")
    return tuple(_message(turn, place, f"{where}[{number}]") for number, turn in enumerate(turns))


def _message(turn: Any, place: Place, where: str) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f'{where} is {kind(turn)}, wanted {{"role": ..., "content": ...}}')
    refuse_keys(turn, _UNSUPPORTED_IN_MESSAGE, where)
    for key, value in turn.items():
        if key not in _KNOWN_IN_MESSAGE and value is not None:
            place.notes.part(f"key {quoted(key)} of a message", place.where)
    calls = read_calls(turn.get("tool_calls"), place, f"{where}: 'tool_calls'")
    if calls and turn.get("content") is None:
        turn = {**turn, "content": ""}
    for key in ("role", "content"):
        if key not in turn:
            raise DataError(f"{where}: key {key!r} is missing, found keys {listed(turn)}")
        if not isinstance(turn[key], str):
            raise DataError(f"{where}: {key!r} is {kind(turn[key])}, wanted text")
    role = turn["role"]
    if role not in ROLES:
        raise DataError(f"{where}: found role {quoted(role)}, wanted one of {', '.join(ROLES)}{did_you_mean(role, ROLES)}")
    if calls and role != "assistant":
        raise DataError(f"{where}: found 'tool_calls' in a message of the role {role!r}, wanted them in one of the assistant")
    if role in ("user", "assistant") and not turn["content"].strip() and not calls:
        part = "prompt" if role == "user" else "completion"
        raise DataError(f"{where}: empty {part} (role {role!r}); fill it in or remove the row")
    return Message(
        role=ROLES[role],
        content=turn["content"],
        weight=_weight(turn, where),
        name=_text_or_none(turn, "name", where),
        tool_calls=calls,
        tool_call_id=_text_or_none(turn, "tool_call_id", where),
        developer=role == "developer",
    )


def _weight(turn: JsonObject, where: str) -> Any:
    weight = turn.get("weight", 1)
    if type(weight) is not int or weight not in (0, 1):  # true and 1.0 equal 1 but are no integers in JSON
        raise DataError(f"{where}: 'weight' is {kind(weight)}, wanted the integer 0 or 1")
    return weight


def _text_or_none(turn: JsonObject, key: str, where: str) -> str | None:
    value = turn.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {key!r} is {kind(value)}, wanted text")
    return value


def check_order(messages: Sequence[Message], where: str) -> None:
    """DataError unless the last turn is one of the assistant that is learned, and a user has spoken before."""
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        raise DataError(
            f"{where}: found {len(messages)} messages and none from the assistant, wanted the completion as the last message; "
            "add it, or remove the row"
        )
    if roles[-1] != "assistant":
        raise DataError(f"{where}: the last message is from {roles[-1]!r}, wanted 'assistant'; add the completion")
    if messages[-1].weight == 0:
        raise DataError(f"{where}: the last message has weight 0, wanted 1; cut the messages after the last one to be learned")
    if "user" not in roles:
        raise DataError(f"{where}: empty prompt: found no message from the user, wanted at least one before the completion")


def refuse_keys(mapping: JsonObject, keys: Sequence[str], where: str) -> None:
    """DataError where one of the keys holds something."""
    for key in keys:
        if mapping.get(key):
            raise DataError(f"{where}: found {key!r}, which cannot be learned from yet, wanted text only; remove the key or the row")


def write_row(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row as an object; a preference pair is left out."""
    if example.rejected:
        notes.row("a preference pair; write it as 'preference'", example.source)
        return None
    own: JsonObject = {"messages": [message_object(message) for message in example.messages]}
    tools = tools_of(example.messages)
    if tools:
        own["tools"] = tool_objects(tools)
    if example.parallel_tool_calls is not None:
        own["parallel_tool_calls"] = example.parallel_tool_calls
    if example.desirable is not None:
        own["kto_tag"] = example.desirable
    return completed(own, example, columns, (*_OWN_KEYS,), notes)


def message_object(message: Message) -> JsonObject:
    """One turn in OpenAI's form."""
    turn: JsonObject = {"role": "developer" if message.developer else message.role, "content": message.content}
    if message.tool_calls:
        turn |= {"content": message.content or None, "tool_calls": [call_object(call) for call in message.tool_calls]}
    if message.weight == 0:
        turn["weight"] = 0
    given = {"name": message.name, "tool_call_id": message.tool_call_id}
    return turn | {key: value for key, value in given.items() if value is not None}


def tool_objects(tools: Sequence[str]) -> list[JsonObject]:
    """The declared functions as objects."""
    return [json.loads(tool) for tool in tools]


CHAT = Shape(fits=lambda keys: "messages" in keys, read=read_row, write=write_row)
