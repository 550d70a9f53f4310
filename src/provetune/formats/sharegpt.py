"""ShareGPT's format, with LLaMA-Factory's tools, preference pairs and ratings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from provetune.chat import tools_of, with_tools
from provetune.errors import DataError
from provetune.formats.chat import check_order, read_messages
from provetune.formats.jsonl import JsonObject, json_row, kind, parse_object, rating_key
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.shape import Shape, completed, refuse_columns
from provetune.formats.text import did_you_mean, listed, quoted
from provetune.formats.tools import bare_tool, read_call, read_tools
from provetune.records.data import Example, Message, Role
from provetune.spec import ColumnsSpec

SPEAKERS: dict[str, Role] = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "function_call"), "assistant"),
    **dict.fromkeys(("observation", "tool"), "tool"),
    "system": "system",
}
"""The file's speaker -> our role."""

_SPEAKER: dict[Role, str] = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}
_KEYS = ("conversations", "system", "tools", "chosen", "rejected")


def read_row(row: JsonObject, place: Place) -> RawRow:
    """A row of `{"conversations": [{"from", "value"}, ...], "system"?, "tools"?, "chosen"?, "rejected"?, "kto_tag"?}`.

    Files that deviate are read too: messages with `role` and `content`, `label` for `kto_tag`. A `function_call` is a tool call (or a
    list of them) as JSON text. Raises SpecError when `columns` names a prompt or target, DataError on an object of another shape.
    """
    refuse_columns(place.columns, "ShareGPT", "`conversations`")
    if not isinstance(row.get("conversations"), list):
        raise DataError(f"{place.where}: found keys {listed(row)}, wanted a list under 'conversations'{did_you_mean('conversations', row)}")
    turns = [_turn(turn, place, f"conversations[{number}]") for number, turn in enumerate(row["conversations"])]
    system = row.get("system")
    if system is not None and not isinstance(system, str):
        raise DataError(f"{place.where}: 'system' is {kind(system)}, wanted text")
    if system:
        turns.insert(0, Message(role="system", content=system))
    rejected: tuple[Message, ...] = ()
    if row.get("chosen") is not None or row.get("rejected") is not None:
        chosen, worse = (_turn(row.get(key), place, key) for key in ("chosen", "rejected"))
        turns, rejected = [*turns, chosen], (worse,)
        if worse.role != "assistant" or worse == chosen:
            found = "says the same as 'chosen'" if worse == chosen else f"is from {worse.role!r}"
            raise DataError(f"{place.where}: 'rejected' {found}, wanted another answer of the assistant; mend or remove the row")
    check_order(turns, place.where)
    rating = rating_key(row, place.columns)
    messages = with_tools(turns, read_tools(row.get("tools"), f"{place.where}: 'tools'"))
    found_row = json_row(row, messages, place, (*_KEYS, rating))
    return dataclasses.replace(found_row, rejected=rejected, desirable=row[rating] if rating else None)


def _turn(turn: Any, place: Place, name: str) -> Message:
    where = f"{place.where}: {name}"
    if not isinstance(turn, dict):
        raise DataError(f'{where} is {kind(turn)}, wanted {{"from": ..., "value": ...}}')
    if "from" not in turn and "role" in turn:
        return read_messages([turn], place, where)[0]
    speaker, text = (_text(turn, key, where) for key in ("from", "value"))
    if speaker not in SPEAKERS:
        raise DataError(f"{where}: found speaker {quoted(speaker)}, wanted one of {', '.join(SPEAKERS)}{did_you_mean(speaker, SPEAKERS)}")
    for key in turn.keys() - {"from", "value"}:
        if turn[key] is not None:
            place.notes.part(f"key {quoted(key)} of a turn", place.where)
    if speaker == "function_call":
        calls = parse_object(f'{{"calls": {text}}}', where)["calls"]
        listed = calls if isinstance(calls, list) else [calls]
        if not listed:
            raise DataError(f"{where}: found no call, wanted one; remove the turn")
        return Message(role="assistant", content="", tool_calls=tuple(read_call(call, where) for call in listed))
    role = SPEAKERS[speaker]
    if role in ("user", "assistant") and not text.strip():
        part = "prompt" if role == "user" else "completion"
        raise DataError(f"{where}: empty {part} (speaker {speaker!r}); fill it in or remove the row")
    return Message(role=role, content=text)


def _text(turn: JsonObject, key: str, where: str) -> str:
    if not isinstance(turn.get(key), str):
        found = kind(turn[key]) if key in turn else f"missing, found keys {listed(turn)}"
        raise DataError(f"{where}: {key!r} is {found}, wanted text")
    return str(turn[key])


def write_row(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row as an object; weights of 0, and turns with both a text and tool calls, are left out."""
    messages = [*example.messages, *example.rejected]
    reason = _cannot_hold(messages, len(example.rejected))
    if reason:
        notes.row(reason, example.source)
        return None
    for name, lost in _lost_parts(messages, example.parallel_tool_calls):
        if lost:
            notes.part(name, example.source)
    turns = [_turn_object(message) for message in messages]
    own: JsonObject = {}
    if example.messages[0].role == "system" and example.messages[0].content:
        own["system"] = turns.pop(0)["value"]
    if example.rejected:
        own["conversations"], own["chosen"], own["rejected"] = turns[:-2], *turns[-2:]
    else:
        own["conversations"] = turns
    tools = tools_of(example.messages)
    if tools:
        own["tools"] = json.dumps([bare_tool(tool) for tool in tools], ensure_ascii=False)
    if example.desirable is not None:
        own["kto_tag"] = example.desirable
    return completed(own, example, columns, _KEYS, notes)


def _cannot_hold(messages: Sequence[Message], rejected: int) -> str | None:
    if any(message.weight == 0 for message in messages):
        return "an answer of weight 0, which must not be learned; write it as 'chat'"
    if any(message.tool_calls and message.content.strip() for message in messages):
        return "a turn with both a text and tool calls; write it as 'chat'"
    return "more than one rejected message" if rejected > 1 else None


def _lost_parts(messages: Sequence[Message], parallel: bool | None) -> list[tuple[str, bool]]:
    return [
        ("ids of tool calls", any(m.tool_call_id or any(call.id for call in m.tool_calls) for m in messages)),
        ("names of speakers", any(m.name for m in messages)),
        ("the name 'developer' of a system line", any(m.developer for m in messages)),
        ("'parallel_tool_calls'", parallel is not None),
        ("blanks beside tool calls", any(m.tool_calls and m.content for m in messages)),
    ]


def _turn_object(message: Message) -> JsonObject:
    if message.tool_calls:
        calls = [f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}' for call in message.tool_calls]
        return {"from": "function_call", "value": calls[0] if len(calls) == 1 else f"[{', '.join(calls)}]"}
    return {"from": _SPEAKER[message.role], "value": message.content}


SHAREGPT = Shape(fits=lambda keys: "conversations" in keys, read=read_row, write=write_row)
