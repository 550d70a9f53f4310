"""Label Studio's JSON export: a list of tasks, each with its annotations."""

from __future__ import annotations

import dataclasses
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import JsonObject, json_row, kind, text_of
from provetune.formats.prompt_completion import no_answer_of_one_text
from provetune.formats.row import Notes, Place, RawRow, single_turn
from provetune.formats.shape import Shape, completed
from provetune.formats.table import PROMPT_NAMES, guess_column
from provetune.formats.text import listed, quoted
from provetune.formats.votes import Vote, decide
from provetune.records.data import Example
from provetune.spec import ColumnsSpec

REST = "label_studio"
"""Key of `extra` that keeps everything of a task but its id and data."""

_VALUES = {"choices": "choices", "textarea": "text"}
_CONTROL, _OBJECT = "label", "text"


def read_row(row: JsonObject, place: Place) -> RawRow | None:
    """A task of `{"id", "data": {...}, "annotations": [{"result": [...], "was_cancelled", "ground_truth"}, ...]}`.

    The prompt is a text of `data`: `columns.prompt`, else the one usual name, else the only text. The target is the answer of most
    annotations, of those marked as ground truth where there are any; `columns.target` names the control where there are several.
    A task without an answer, or with a tie, is left out and noted. Raises DataError on a task of another shape.
    """
    data = row.get("data")
    if not isinstance(data, dict):
        raise DataError(f"{place.where}: 'data' is {kind(data)}, wanted the fields of a task; export as JSON, not JSON_MIN")
    if REST in data:
        raise DataError(f"{place.where}: found a field {REST!r} in 'data', a name that is needed here; rename it")
    prompt_key = place.columns.prompt or _text_field(data, place)
    prompt = text_of(data, prompt_key, part="prompt", where=f"{place.where}: data")
    votes = _votes(row.get("annotations"), place)
    target = decide(votes)
    if target is None:
        place.notes.row("annotators disagree and none has the majority" if votes else "no answer by an annotator", place.where)
        return None
    rest = {key: value for key, value in row.items() if key != "data"}
    if "id" not in data and "id" in rest:  # where the data have an id of their own, the task's stays among the rest
        data = {"id": rest.pop("id"), **data}
    columns = place.columns.model_copy(update={"target": None})
    found = json_row(data, single_turn(prompt, target), dataclasses.replace(place, columns=columns), (prompt_key,))
    return dataclasses.replace(found, extra={**found.extra, REST: rest})


def _text_field(data: JsonObject, place: Place) -> str:
    texts = [name for name, value in data.items() if isinstance(value, str)]
    return texts[0] if len(texts) == 1 else guess_column(texts, "prompt", PROMPT_NAMES, place.columns, place.where)


def _votes(annotations: Any, place: Place) -> list[Vote]:
    if annotations is not None and not isinstance(annotations, list):
        raise DataError(f"{place.where}: 'annotations' is {kind(annotations)}, wanted a list")
    votes = []
    for number, annotation in enumerate(annotations or ()):
        where = f"{place.where}: annotations[{number}]"
        if not isinstance(annotation, dict):
            raise DataError(f'{where} is {kind(annotation)}, wanted {{"result": [...]}}')
        if annotation.get("was_cancelled"):
            place.notes.part("an annotation that was cancelled", place.where)
            continue
        answers = _answers(annotation.get("result"), place, where)
        if answers:
            votes.append(Vote(answers[0], settled=annotation.get("ground_truth") is True))
    return votes


def _answers(results: Any, place: Place, where: str) -> list[str]:
    """The answer that one annotation gives: none or one."""
    if results is not None and not isinstance(results, list):
        raise DataError(f"{where}: 'result' is {kind(results)}, wanted a list")
    wanted = place.columns.target
    answers: dict[str, str] = {}
    for result in results or ():
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            raise DataError(f'{where}: found {kind(result)} in \'result\', wanted {{"from_name", "type", "value": {{...}}}}')
        control, key = str(result.get("from_name")), _VALUES.get(str(result.get("type")))
        if key is None or (wanted is not None and control != wanted):
            place.notes.part(f"answers of type {quoted(str(result.get('type')))} to {quoted(control)}", place.where)
            continue
        values = result["value"].get(key)
        if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str) or not values[0].strip():
            raise DataError(f"{where}: {key!r} is {kind(values)}, wanted a list of one text: several choices for one row cannot be learned")
        if answers and answers != {control: values[0]}:
            raise DataError(f"{where}: found answers to {listed((*answers, control))}, wanted one; name one with data.columns.target")
        answers[control] = values[0]
    return list(answers.values())


def write_row(example: Example, columns: ColumnsSpec, notes: Notes) -> JsonObject | None:
    """The row as a task; the annotations it was read with are kept as long as they give its target."""
    reason = no_answer_of_one_text(example)
    if reason:
        notes.row(reason, example.source)
        return None
    rest = example.extra.get(REST)
    rest = dict(rest) if isinstance(rest, dict) else {}
    own = {columns.prompt or _OBJECT: example.messages[0].content}
    plain = example.model_copy(update={"extra": {key: value for key, value in example.extra.items() if key != REST}})
    data = completed(own, plain, columns, (REST,), notes)
    task: JsonObject = {"id": data.pop("id")} if "id" in data and "id" not in rest else {}
    task["data"] = data
    if decide(_votes(rest.get("annotations"), Place(example.source, 0, columns, Notes()))) == example.target:
        return {**task, **rest}
    kind_of = "choices" if example.label is not None else "textarea"
    result = {"from_name": columns.target or _CONTROL, "to_name": columns.prompt or _OBJECT, "type": kind_of}
    annotation = {"result": [{**result, "value": {_VALUES[kind_of]: [example.target]}}], "was_cancelled": False, "ground_truth": False}
    return {**task, **rest, "annotations": [annotation]}


LABEL_STUDIO = Shape(fits=lambda keys: "data" in keys and "annotations" in keys, read=read_row, write=write_row)
