"""Alpaca's format, with LLaMA-Factory's `system` and `history`."""

from __future__ import annotations

import dataclasses
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import JsonObject, json_row, kind, rating_key, text_of
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.shape import Shape, completed, refuse_columns
from provetune.records.data import Example, Message
from provetune.spec import ColumnsSpec

_KEYS = ("instruction", "output", "system", "history", "input")


def read_row(row: JsonObject, place: Place) -> RawRow:
    r"""A row of `{"instruction", "input"?, "output", "system"?, "history"?: [[user, assistant], ...]}`.

    The user's text is the instruction and, on the next line, the input (which stays in `meta` as well, so that it can be written back).
    The answers of the history are learned too, as LLaMA-Factory does. Raises SpecError when `columns` names a prompt or target,
    DataError on an object of another shape.
    """
    refuse_columns(place.columns, "Alpaca", "`instruction` and `output`")
    where = place.where
    instruction = text_of(row, "instruction", part="prompt", where=where)
    output = text_of(row, "output", part="completion", where=where)
    system, second = (_optional(row, key, where) for key in ("system", "input"))
    messages = [Message(role="system", content=system)] if system else []
    history = row.get("history") or []
    if not isinstance(history, list):
        raise DataError(f"{where}: 'history' is {kind(history)}, wanted a list of pairs")
    for number, pair in enumerate(history):
        messages += _turns(pair, f"{where}: history[{number}]")
    messages += [Message(role="user", content=f"{instruction}\n{second}" if second else instruction)]
    messages += [Message(role="assistant", content=output)]
    rating = rating_key(row, place.columns)
    used = (*(_KEYS if not second else _KEYS[:-1]), rating)
    return dataclasses.replace(json_row(row, tuple(messages), place, used), desirable=row[rating] if rating else None)


def _optional(row: JsonObject, key: str, where: str) -> str:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {key!r} is {kind(value)}, wanted text")
    return value or ""


def _turns(pair: Any, where: str) -> list[Message]:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) and text.strip() for text in pair):
        raise DataError(f"{where}: found {kind(pair)}, wanted a pair of texts: what the user said and what was answered")
    return [Message(role="user", content=pair[0]), Message(role="assistant", content=pair[1])]


def write_row(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row as an object; other turns than a system line and then user and assistant in turn are left out."""
    if not holds_plain_turns(example, notes):
        return None
    system = [message.content for message in example.messages if message.role == "system"]
    texts = [message.content for message in example.messages if message.role != "system"]
    instruction, second = texts[-2], example.meta.get("input", "")
    if second and instruction.endswith(f"\n{second}") and instruction.removesuffix(f"\n{second}").strip():
        instruction = instruction.removesuffix(f"\n{second}")
    else:
        second = ""
    own: JsonObject = {"instruction": instruction, "input": second, "output": texts[-1]}
    if system:
        own["system"] = system[0]
    if len(texts) > 2:
        own["history"] = [texts[place : place + 2] for place in range(0, len(texts) - 2, 2)]
    if example.desirable is not None:
        own["kto_tag"] = example.desirable
    return completed(own, example, columns, _KEYS, notes)


def holds_plain_turns(example: Example, notes: Notes) -> bool:
    """Whether a system line and then plain texts of user and assistant in turn say all; notes why not, or what is lost."""
    roles = [message.role for message in example.messages]
    turns = roles[1:] if roles[0] == "system" else roles
    reason = None
    if example.rejected:
        reason = "a preference pair; write it as 'preference'"
    elif turns != ["user", "assistant"] * (len(turns) // 2) or not example.messages[0].content:
        reason = "turns that are not a system line and then user and assistant in turn; write it as 'chat'"
    elif any(message.weight == 0 for message in example.messages):
        reason = "an answer of weight 0, which must not be learned; write it as 'chat'"
    elif any(m.tools or m.tool_calls or m.name or m.tool_call_id for m in example.messages) or example.parallel_tool_calls is not None:
        reason = "tools, or names of speakers; write it as 'chat'"
    if reason is not None:
        notes.row(reason, example.source)
        return False
    if example.messages[0].developer:
        notes.part("the name 'developer' of a system line", example.source)
    return True


ALPACA = Shape(fits=lambda keys: "instruction" in keys and "output" in keys, read=read_row, write=write_row)
