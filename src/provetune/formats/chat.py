"""OpenAI's chat format: JSON lines with `messages`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provetune.errors import DataError, SpecError
from provetune.formats.jsonl import JsonObject, kind, objects, scalar_cells
from provetune.formats.row import RawRow, raw_row
from provetune.formats.text import did_you_mean
from provetune.records.data import Message, Role
from provetune.spec import ColumnsSpec

ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
"""The file's role -> ours."""

# Keys whose content a Message cannot hold: dropping them would change what is learned.
_UNSUPPORTED_IN_ROW = ("tools", "functions")
_UNSUPPORTED_IN_MESSAGE = ("tool_calls", "function_call", "audio")


def read_chat(path: Path, columns: ColumnsSpec) -> Iterator[RawRow]:
    """One row per line of `{"messages": [{"role", "content", "weight"?}, ...]}`, the assistant turn to be learned last.

    Raises SpecError when `columns` names a prompt or target (the messages are both), DataError on a line of another shape.
    """
    for part, name in (("prompt", columns.prompt), ("target", columns.target)):
        if name is not None:
            raise SpecError(f"data.columns.{part}: found {name!r}, but a chat file has `messages` only; remove it or set data.format")
    for line, row in objects(path):
        where = f"{path}:{line}"
        messages = _messages(row, where)
        yield raw_row(line, messages, cells=scalar_cells(row, columns, where), columns=columns, used=("messages",))


def _messages(row: JsonObject, where: str) -> tuple[Message, ...]:
    if "messages" not in row:
        raise DataError(f"{where}: key 'messages' is missing, found keys {', '.join(row) or 'none'}{did_you_mean('messages', row)}")
    turns = row["messages"]
    if not isinstance(turns, list):
        raise DataError(f"{where}: 'messages' is {kind(turns)}, wanted a list of messages")
    _refuse_keys(row, _UNSUPPORTED_IN_ROW, where)
    messages = tuple(_message(turn, f"{where}: messages[{k}]") for k, turn in enumerate(turns))
    _check_order(messages, where)
    return messages


def _message(turn: Any, where: str) -> Message:
    if not isinstance(turn, dict):
        raise DataError(f'{where} is {kind(turn)}, wanted {{"role": ..., "content": ...}}')
    _refuse_keys(turn, _UNSUPPORTED_IN_MESSAGE, where)
    for key in ("role", "content"):
        if key not in turn:
            raise DataError(f"{where}: key {key!r} is missing, found keys {', '.join(turn) or 'none'}")
        if not isinstance(turn[key], str):
            raise DataError(f"{where}: {key!r} is {kind(turn[key])}, wanted text")
    role = turn["role"]
    if role not in ROLES:
        raise DataError(f"{where}: found role {role!r}, wanted one of {', '.join(ROLES)}{did_you_mean(role, ROLES)}")
    weight = turn.get("weight", 1)
    if type(weight) is not int or weight not in (0, 1):  # true and 1.0 equal 1 but are no integers in JSON
        raise DataError(f"{where}: 'weight' is {kind(weight)}, wanted the integer 0 or 1")
    if role in ("user", "assistant") and not turn["content"].strip():
        part = "prompt" if role == "user" else "completion"
        raise DataError(f"{where}: empty {part} (role {role!r}); fill it in or remove the row")
    return Message(role=ROLES[role], content=turn["content"], weight=weight)


def _check_order(messages: tuple[Message, ...], where: str) -> None:
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        raise DataError(f"{where}: found {len(messages)} messages and none from the assistant, wanted the completion as the last message")
    if roles[-1] != "assistant":
        raise DataError(f"{where}: the last message is from {roles[-1]!r}, wanted 'assistant'; add the completion")
    if messages[-1].weight == 0:
        raise DataError(f"{where}: the last message has weight 0, wanted 1; cut the messages after the last one to be learned")
    if "user" not in roles:
        raise DataError(f"{where}: empty prompt: found no message from the user, wanted at least one before the completion")


def _refuse_keys(mapping: JsonObject, keys: tuple[str, ...], where: str) -> None:
    for key in keys:
        if mapping.get(key):
            raise DataError(f"{where}: found {key!r}, which cannot be learned from yet, wanted text only; remove the key or the row")
