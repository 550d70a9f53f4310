"""Formats whose texts stand in lists of parts: Gemini tuning on Vertex AI, and Amazon Bedrock's conversations."""

from __future__ import annotations

from typing import Any

from provetune.errors import DataError
from provetune.formats.alpaca import holds_plain_turns
from provetune.formats.chat import check_order
from provetune.formats.jsonl import JsonObject, json_row, kind
from provetune.formats.row import Notes, Place, RawRow
from provetune.formats.shape import Shape, completed, refuse_columns
from provetune.formats.text import quoted
from provetune.records.data import Example, Message, Role
from provetune.spec import ColumnsSpec

BEDROCK_VERSION = "bedrock-conversation-2024"
_GEMINI_KEYS = ("contents", "systemInstruction", "tools", "generationConfig")
_BEDROCK_KEYS = ("schemaVersion", "system", "messages")
_GEMINI_ROLES: dict[str, Role] = {"user": "user", "model": "assistant"}
_BEDROCK_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}


def read_gemini(row: JsonObject, place: Place) -> RawRow:
    """A row of `{"systemInstruction"?: {"parts": [{"text"}]}, "contents": [{"role": "user"|"model", "parts": [{"text"}]}, ...]}`.

    Texts only. Raises SpecError when `columns` names a prompt or target, DataError on anything else.
    """
    refuse_columns(place.columns, "Vertex AI", "`contents`")
    system = row.get("systemInstruction")
    lines = [Message(role="system", content=_only_text(system, "parts", f"{place.where}: systemInstruction"))] if system else []
    if row.get("tools") or row.get("generationConfig"):
        raise DataError(f"{place.where}: found 'tools' or 'generationConfig', which cannot be learned from here; write the row as chat")
    messages = (*lines, *_turns(row, "contents", "parts", _GEMINI_ROLES, place))
    check_order(messages, place.where)
    return json_row(row, messages, place, _GEMINI_KEYS)


def read_bedrock(row: JsonObject, place: Place) -> RawRow:
    """A row of `{"schemaVersion", "system"?: [{"text"}], "messages": [{"role", "content": [{"text"}]}, ...]}`.

    Texts only. Raises SpecError when `columns` names a prompt or target, DataError on anything else.
    """
    refuse_columns(place.columns, "Bedrock", "`messages`")
    if row.get("schemaVersion") != BEDROCK_VERSION:
        raise DataError(f"{place.where}: 'schemaVersion' is {quoted(str(row.get('schemaVersion')))}, wanted {BEDROCK_VERSION!r}")
    lines = [Message(role="system", content=_only_text(row, "system", place.where))] if row.get("system") else []
    messages = (*lines, *_turns(row, "messages", "content", _BEDROCK_ROLES, place))
    check_order(messages, place.where)
    return json_row(row, messages, place, _BEDROCK_KEYS)


def _turns(row: JsonObject, key: str, parts: str, roles: dict[str, Role], place: Place) -> list[Message]:
    turns = row.get(key)
    if not isinstance(turns, list):
        raise DataError(f"{place.where}: {key!r} is {kind(turns)}, wanted a list of turns")
    found = []
    for number, turn in enumerate(turns):
        where = f"{place.where}: {key}[{number}]"
        text = _only_text(turn, parts, where)
        role = turn.get("role")
        if not isinstance(role, str) or role not in roles:
            raise DataError(f"{where}: found role {quoted(str(role))}, wanted one of {', '.join(roles)}")
        if not text.strip():
            raise DataError(f"{where}: empty text (role {role!r}); fill it in or remove the row")
        found.append(Message(role=roles[role], content=text))
    return found


def _only_text(turn: Any, key: str, where: str) -> str:
    """The text of the one part that stands under `key`."""
    parts = turn.get(key) if isinstance(turn, dict) else None
    one = parts[0] if isinstance(parts, list) and len(parts) == 1 else None
    if not isinstance(one, dict) or one.keys() != {"text"} or not isinstance(one["text"], str):
        raise DataError(f'{where}: {key!r} is {kind(parts)}, wanted a list of one text, [{{"text": ...}}]; other parts cannot be learned')
    return str(one["text"])


def write_gemini(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row as an object; anything but texts in turn is left out."""
    turns = _plain(example, notes)
    if turns is None:
        return None
    names = {role: name for name, role in _GEMINI_ROLES.items()}
    own: JsonObject = {"contents": [{"role": names[m.role], "parts": [{"text": m.content}]} for m in turns if m.role != "system"]}
    if turns[0].role == "system":
        own = {"systemInstruction": {"role": "system", "parts": [{"text": turns[0].content}]}, **own}
    return completed(own, example, columns, _GEMINI_KEYS, notes)


def write_bedrock(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row as an object; anything but texts in turn is left out."""
    turns = _plain(example, notes)
    if turns is None:
        return None
    own: JsonObject = {"schemaVersion": BEDROCK_VERSION}
    if turns[0].role == "system":
        own["system"] = [{"text": turns[0].content}]
    own["messages"] = [{"role": m.role, "content": [{"text": m.content}]} for m in turns if m.role != "system"]
    return completed(own, example, columns, _BEDROCK_KEYS, notes)


def _plain(example: Example, notes: Notes) -> tuple[Message, ...] | None:
    if example.desirable is not None:
        notes.row("a rated answer; write it as 'chat'", example.source)
        return None
    return example.messages if holds_plain_turns(example, notes) else None


GEMINI = Shape(fits=lambda keys: "contents" in keys, read=read_gemini, write=write_gemini)
BEDROCK = Shape(fits=lambda keys: "schemaVersion" in keys and "messages" in keys, read=read_bedrock, write=write_bedrock)
