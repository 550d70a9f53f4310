"""Preference pairs: OpenAI's form in both spellings, and TRL's."""

from __future__ import annotations

import dataclasses
from typing import Any

from provetune.chat import tools_of, with_tools
from provetune.errors import DataError
from provetune.formats.chat import check_order, message_object, read_flag, read_messages, tool_objects
from provetune.formats.jsonl import JsonObject, json_row, kind, text_of
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.shape import Shape, completed, refuse_columns
from provetune.formats.text import listed, quoted
from provetune.formats.tools import read_tools
from provetune.records.data import Example, Message
from provetune.spec import ColumnsSpec

# OpenAI's guide and OpenAI's machine schema differ
SPELLINGS = (("preferred_output", "non_preferred_output"), ("preferred_completion", "non_preferred_completion"))
TRL = ("chosen", "rejected")
_KEYS = {"input", "prompt", "tools", *TRL, *SPELLINGS[0], *SPELLINGS[1]}


def read_row(row: JsonObject, place: Place) -> RawRow:
    """A row of `{"input": {"messages", "tools"?}, "preferred_output", "non_preferred_output"}` or TRL's `prompt`, `chosen`, `rejected`.

    The two outputs are one assistant message each. TRL's may also be whole conversations that begin alike (then without `prompt`), or
    texts. Raises SpecError when `columns` names a prompt or target, DataError on an object of another shape.
    """
    refuse_columns(place.columns, "preference", "a prompt and two outputs")
    found = [pair for pair in (*SPELLINGS, TRL) if pair[0] in row or pair[1] in row]
    if len(found) != 1 or not (found[0][0] in row and found[0][1] in row):
        raise DataError(f"{place.where}: found keys {listed(row)}, wanted one pair of {SPELLINGS[0][0]!r} and {SPELLINGS[0][1]!r}")
    pair = found[0]
    if pair == TRL:
        prompt, used, outer = _trl_prompt(row, place), {"prompt", "tools", *pair}, row
    else:
        outer = _input(row, place)
        prompt, used = _turns(outer, "messages", place, "input: "), {"input", *pair}
    better, worse = (_output(row, key, prompt, place) for key in pair)
    messages = (*prompt, better)
    check_order(messages, place.where)
    if worse == better:
        raise DataError(f"{place.where}: {pair[0]!r} and {pair[1]!r} say the same; remove the row")
    messages = with_tools(messages, read_tools(outer.get("tools"), f"{place.where}: 'tools'"))
    parallel = None if pair == TRL else read_flag(outer, "parallel_tool_calls", place.where)
    return dataclasses.replace(json_row(row, messages, place, used), rejected=(worse,), parallel_tool_calls=parallel)


def _input(row: JsonObject, place: Place) -> JsonObject:
    outer = row.get("input")
    if not isinstance(outer, dict):
        raise DataError(f"{place.where}: 'input' is {kind(outer)}, wanted {{\"messages\": [...]}}")
    for key in outer.keys() - {"messages", "tools", "parallel_tool_calls"}:
        if outer[key] is not None:
            place.notes.part(f"key {quoted(key)} of 'input'", place.where)
    return outer


def _turns(row: JsonObject, key: str, place: Place, inside: str = "") -> tuple[Message, ...]:
    return read_messages(row.get(key), place, f"{place.where}: {inside}{key}")


def _trl_prompt(row: JsonObject, place: Place) -> tuple[Message, ...]:
    """The prompt of TRL's forms: a text, messages, or what both conversations begin with."""
    if "prompt" not in row:
        better, worse = (_turns(row, key, place) for key in TRL)
        if not better or not worse or better[:-1] != worse[:-1]:
            raise DataError(f"{place.where}: without 'prompt' the turns of 'chosen' and 'rejected' before the last must be the same")
        return better[:-1]
    if isinstance(row["prompt"], str):
        return (Message(role="user", content=text_of(row, "prompt", part="prompt", where=place.where)),)
    return _turns(row, "prompt", place)


def _output(row: JsonObject, key: str, prompt: tuple[Message, ...], place: Place) -> Message:
    """The assistant message under `key`."""
    value: Any = row[key]
    if isinstance(value, str):
        value = [{"role": "assistant", "content": value}]
    turns = read_messages([value] if isinstance(value, dict) else value, place, f"{place.where}: {key}")
    if turns[:-1] == prompt and key in TRL:
        turns = turns[-1:]
    if len(turns) != 1 or turns[0].role != "assistant" or turns[0].weight == 0:
        raise DataError(f"{place.where}: {key!r} holds {len(turns)} messages, wanted one, of the assistant and without weight 0")
    return turns[0]


def write_row(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row in the spelling of OpenAI's guide; a row without a rejected answer is left out."""
    if len(example.rejected) != 1:
        notes.row("no answer to be ranked below; write it as 'chat'", example.source)
        return None
    *prompt, better = example.messages
    outer: JsonObject = {"messages": [message_object(message) for message in prompt]}
    tools = tools_of(example.messages)
    if tools:
        outer["tools"] = tool_objects(tools)
    if example.parallel_tool_calls is not None:
        outer["parallel_tool_calls"] = example.parallel_tool_calls
    own = {"input": outer, SPELLINGS[0][0]: [message_object(better)], SPELLINGS[0][1]: [message_object(example.rejected[0])]}
    return completed(own, example, columns, _KEYS, notes)


def _fits(keys: Any) -> bool:
    return any(better in keys or worse in keys for better, worse in SPELLINGS) or (TRL[0] in keys and TRL[1] in keys)


PREFERENCE = Shape(fits=_fits, read=read_row, write=write_row)
