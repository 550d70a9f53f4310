"""Records of Argilla 2: exports flat and nested; written nested."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import JsonObject, json_row, kind, scalar_text, text_of
from provetune.formats.prompt_completion import no_answer_of_one_text
from provetune.formats.row import Notes, Place, RawRow, single_turn
from provetune.formats.shape import Shape, completed
from provetune.formats.table import PROMPT_NAMES, guess_column
from provetune.formats.text import listed, quoted
from provetune.formats.votes import Vote, decide
from provetune.records.data import Example
from provetune.spec import ColumnsSpec

_RESPONSES = ".responses"
_SUBMITTED = "submitted"
_FIELD, _QUESTION = "text", "label"
_BESIDE = ("metadata", "suggestions", "vectors", "status", "_server_id", "inserted_at", "updated_at")
"""Keys of a record that stand beside its fields."""


def read_row(row: JsonObject, place: Place) -> RawRow | None:
    """A record: nested (`fields`, `responses: {question: [{"value", "status"}]}`) or flat (`"question.responses"`, `".status"`).

    The prompt is a field: `columns.prompt`, else the one usual name, else the only text. The target is what most submitted responses
    to the question say; `columns.target` names the question where there are several. A record without one, or with a tie, is left out
    and noted. Raises DataError on a record of another shape.
    """
    flat = "responses" not in row
    fields = {key: value for key, value in row.items() if "." not in key} if flat else row.get("fields")
    if not isinstance(fields, dict):
        raise DataError(f"{place.where}: 'fields' is {kind(fields)}, wanted the fields of a record")
    questions = _flat_questions(row) if flat else row["responses"]
    if not isinstance(questions, dict):
        raise DataError(f"{place.where}: 'responses' is {kind(questions)}, wanted the answers by question")
    votes = _votes(questions, place, row if flat else None)
    target = decide(votes)
    if target is None:
        place.notes.row("annotators disagree and none has the majority" if votes else "no submitted response", place.where)
        return None
    texts = [name for name, value in fields.items() if isinstance(value, str) and name not in ("id", "status", "_server_id")]
    prompt_key = place.columns.prompt or (texts[0] if len(texts) == 1 else None)
    prompt_key = prompt_key or guess_column(texts, "prompt", PROMPT_NAMES, place.columns, place.where)
    prompt = text_of(fields, prompt_key, part="prompt", where=place.where)
    rest = {key: value for key, value in row.items() if key not in ("fields", prompt_key)}
    others = {key: value for key, value in fields.items() if key != prompt_key}
    columns = place.columns.model_copy(update={"target": None})
    return json_row({**rest, **others}, single_turn(prompt, target), dataclasses.replace(place, columns=columns), (prompt_key,))


def _flat_questions(row: JsonObject) -> JsonObject:
    return {key.removesuffix(_RESPONSES): value for key, value in row.items() if key.endswith(_RESPONSES)}


def _votes(questions: JsonObject, place: Place, flat: JsonObject | None) -> list[Vote]:
    """The submitted answers to the one question."""
    wanted = place.columns.target
    if wanted is None and len(questions) > 1:
        raise DataError(f"{place.where}: found questions {listed(questions)}; name one with data.columns.target")
    name = wanted or next(iter(questions), None)
    answers = questions.get(name) if name is not None else None
    where = f"{place.where}: responses to {quoted(str(name))}"
    if answers is None:
        return []
    if not isinstance(answers, list):
        raise DataError(f"{where}: found {kind(answers)}, wanted a list")
    if flat is not None:
        states = flat.get(f"{name}{_RESPONSES}.status") or [_SUBMITTED] * len(answers)
        if not isinstance(states, list) or len(states) != len(answers):
            raise DataError(f"{where}: found {kind(states)} for {len(answers)} answers in '.status', wanted one each")
        answers = [{"value": value, "status": status} for value, status in zip(answers, states, strict=True)]
    return [Vote(_answer(answer, where)) for answer in answers if _counts(answer, place, where)]


def _counts(answer: Any, place: Place, where: str) -> bool:
    if not isinstance(answer, dict):
        raise DataError(f'{where}: found {kind(answer)}, wanted {{"value": ..., "status": ...}}')
    if answer.get("status", _SUBMITTED) != _SUBMITTED:
        place.notes.part(f"a response that is {quoted(str(answer.get('status')))}, not submitted", place.where)
        return False
    return True


def _answer(answer: JsonObject, where: str) -> str:
    value = answer.get("value")
    if value is None or isinstance(value, list | dict) or not scalar_text(value).strip():
        raise DataError(f"{where}: found {kind(value)}, wanted one text or number: several values for one row cannot be learned")
    return scalar_text(value)


def _fits(keys: Collection[str]) -> bool:
    return ("fields" in keys and "responses" in keys) or any(key.endswith(_RESPONSES) for key in keys)


def write_row(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row as a record; the responses it was read with are kept as long as they give its target."""
    reason = no_answer_of_one_text(example)
    if reason:
        notes.row(reason, example.source)
        return None
    responses = example.extra.get("responses")
    kept = {key: example.extra.get(key, example.meta.get(key)) for key in _BESIDE if key in example.extra or key in example.meta}
    moved = {*kept, *(("responses",) if isinstance(responses, dict) else ())}
    extra = {key: value for key, value in example.extra.items() if key not in moved}
    meta = {key: value for key, value in example.meta.items() if key not in moved}
    plain = example.model_copy(update={"extra": extra, "meta": meta})
    fields = completed({columns.prompt or _FIELD: example.messages[0].content}, plain, columns, ("fields", "responses"), notes)
    identity = {"id": fields.pop("id")} if "id" in fields else {}
    if not isinstance(responses, dict) or not any(_says({name: answers}, example) for name, answers in responses.items()):
        responses = {columns.target or _QUESTION: [{"value": example.target, "status": _SUBMITTED}]}
    return {**identity, "fields": fields, **kept, "responses": responses}


def _says(responses: JsonObject, example: Example) -> bool:
    """Whether these answers, as a reader takes them, give the target of the row."""
    try:
        return decide(_votes(responses, Place(example.source, 0, ColumnsSpec(), Notes()), None)) == example.target
    except DataError:
        return False


ARGILLA = Shape(fits=_fits, read=read_row, write=write_row)
