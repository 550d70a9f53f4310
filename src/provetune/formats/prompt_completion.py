"""JSON objects with a prompt and a completion."""

from __future__ import annotations

import dataclasses

from provetune.formats.jsonl import JsonObject, json_row, rating_key, text_of
from provetune.formats.row import Notes, Place, RawRow, single_turn
from provetune.formats.shape import Shape, completed
from provetune.records.data import Example
from provetune.spec import ColumnsSpec

PROMPT, COMPLETION = "prompt", "completion"


def read_row(row: JsonObject, place: Place) -> RawRow:
    """A row of `{"prompt": ..., "completion": ...}`; `columns` may name other keys. Texts stay untouched."""
    prompt_key, target_key = place.columns.prompt or PROMPT, place.columns.target or COMPLETION
    prompt = text_of(row, prompt_key, part="prompt", where=place.where)
    target = text_of(row, target_key, part="completion", where=place.where)
    rating = rating_key(row, place.columns)
    found = json_row(row, single_turn(prompt, target), place, (prompt_key, target_key, rating))
    return dataclasses.replace(found, desirable=row[rating]) if rating else found


def write_row(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row as an object; one with more than a question and an answer is left out."""
    reason = more_than_two_texts(example)
    if reason:
        notes.row(reason, example.source)
        return None
    prompt, target = example.messages
    own: JsonObject = {columns.prompt or PROMPT: prompt.content, columns.target or COMPLETION: target.content}
    if example.desirable is not None:
        own["kto_tag"] = example.desirable
    return completed(own, example, columns, (), notes)


def no_answer_of_one_text(example: Example) -> str | None:
    """Why a record with one prompt and one answer, as labelling tools keep it, does not hold an example; None where it does."""
    rated = "a rated answer; write it as 'chat'" if example.desirable is not None else None
    return more_than_two_texts(example) or rated or (None if example.target.strip() else "an empty target")


def more_than_two_texts(example: Example) -> str | None:
    """Why a prompt and a completion do not hold an example; None where they do."""
    if example.rejected:
        return "a preference pair; write it as 'preference'"
    if [message.role for message in example.messages] != ["user", "assistant"]:
        return "more turns than a user's and an assistant's; write it as 'chat'"
    if any(message.tool_calls or message.tools for message in example.messages):
        return "tools or tool calls; write it as 'chat'"
    if example.parallel_tool_calls is not None or any(message.name or message.tool_call_id for message in example.messages):
        return "names of speakers, or settings of tools; write it as 'chat'"
    return None


PROMPT_COMPLETION = Shape(fits=lambda keys: PROMPT in keys and COMPLETION in keys, read=read_row, write=write_row)
