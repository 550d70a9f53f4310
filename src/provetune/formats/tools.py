"""Tools and tool calls: OpenAI's form, its relatives, and back."""

from __future__ import annotations

import json
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import JsonObject, kind, parse_object
from provetune.formats.row import Place
from provetune.formats.text import quoted
from provetune.records.data import ToolCall


def read_tools(value: Any, where: str) -> tuple[str, ...]:
    """The declared functions as JSON texts of `{"type": "function", "function": {"name", ...}}`.

    `value` is a list, or (LLaMA-Factory, Parquet files) the list as JSON text; a function without its wrapping is wrapped. Null
    and an empty list are no tools. Raises DataError, which begins with `where`.
    """
    if isinstance(value, str):
        value = _parsed(value, where) if value.strip() else None
    if value is None:
        return ()
    if not isinstance(value, list):
        raise DataError(f"{where} is {kind(value)}, wanted a list of functions")
    return tuple(_tool(tool, f"{where}[{place}]") for place, tool in enumerate(value))


def _tool(tool: Any, where: str) -> str:
    if not isinstance(tool, dict):
        raise DataError(f'{where} is {kind(tool)}, wanted {{"type": "function", "function": {{...}}}}')
    wrapped = tool if "function" in tool else {"type": "function", "function": tool}
    function = wrapped["function"]
    if wrapped.get("type", "function") != "function" or not isinstance(function, dict) or not _is_name(function.get("name")):
        raise DataError(f'{where}: found {_shown(tool)}, wanted {{"type": "function", "function": {{"name": ..., "parameters": ...}}}}')
    return json.dumps(wrapped, ensure_ascii=False)


def read_calls(value: Any, place: Place, where: str) -> tuple[ToolCall, ...]:
    """The calls of one assistant turn: a list (or its JSON text) of `{"id", "type", "function": {"name", "arguments"}}`.

    `arguments` is a JSON object, or the text of one as OpenAI writes it. Null and an empty list are no calls. Raises DataError.
    """
    if isinstance(value, str):
        value = _parsed(value, where)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise DataError(f"{where} is {kind(value)}, wanted a list of calls")
    return tuple(_call(call, place, f"{where}[{number}]") for number, call in enumerate(value))


def read_call(call: Any, where: str) -> ToolCall:
    """One bare call, `{"name": ..., "arguments": ...}`. Raises DataError."""
    if not isinstance(call, dict) or not _is_name(call.get("name")):
        raise DataError(f'{where}: found {_shown(call)}, wanted {{"name": ..., "arguments": {{...}}}}')
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        parse_object(arguments, f"{where}: 'arguments'")
    elif isinstance(arguments, dict):
        arguments = json.dumps(arguments, ensure_ascii=False)
    else:
        raise DataError(f"{where}: 'arguments' is {kind(arguments)}, wanted a JSON object or its text")
    return ToolCall(name=call["name"], arguments=arguments)


def _call(call: Any, place: Place, where: str) -> ToolCall:
    if not isinstance(call, dict):
        raise DataError(f'{where} is {kind(call)}, wanted {{"id": ..., "type": "function", "function": {{"name", "arguments"}}}}')
    found = read_call(call.get("function", call), where)
    if call.get("type", "function") != "function":
        raise DataError(f"{where}: found a call of type {_shown(call['type'])}, wanted 'function'")
    known = {"id", "type", "function"} if "function" in call else {"id", "type", "name", "arguments"}
    for key in call.keys() - known:
        place.notes.part(f"key {quoted(key)} of a tool call", place.where)
    identity = call.get("id")
    if identity is not None and not isinstance(identity, str):
        raise DataError(f"{where}: 'id' is {kind(identity)}, wanted text")
    return found.model_copy(update={"id": identity or ""})


def call_object(call: ToolCall) -> JsonObject:
    """The call in OpenAI's form: the arguments are text there."""
    function = {"name": call.name, "arguments": call.arguments}
    return {**({"id": call.id} if call.id else {}), "type": "function", "function": function}


def bare_tool(tool: str) -> JsonObject:
    """A declared function without its wrapping, where that adds nothing."""
    wrapped: JsonObject = json.loads(tool)
    plain = wrapped.keys() == {"type", "function"}
    return dict(wrapped["function"]) if plain else wrapped


def _parsed(text: str, where: str) -> Any:
    return parse_object(f'{{"value": {text}}}', where)["value"]


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and bool(name.strip())


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
