"""Argilla 2: records out (for `Dataset.records.from_json`), responses in, nested or flat (`to_json`, `to_list(flatten=True)`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from provetune.errors import DataError
from provetune.formats.jsonl import objects
from provetune.labelling.incoming import Answer, Incoming, texts_of
from provetune.labelling.rows import Row
from provetune.store import write_atomic

_FLAT = ".responses"


def write_records(path: Path, rows: Sequence[Row]) -> None:
    """Write records with the field `text`; the question `label` is a setting of the Argilla data set."""
    empty: dict[str, Any] = {"metadata": {}, "suggestions": {}, "responses": {}, "vectors": {}}
    records = [{"id": row, "fields": {"text": text}, **empty} for row, _, text in texts_of(rows)]
    write_atomic(path, json.dumps(records, indent=1, ensure_ascii=False) + "\n")


def read_responses(path: Path) -> Incoming:
    """One answer for each submitted response (nested exports carry no status: all of theirs count).

    The question is `label`, or the only one. Raises DataError with `file:line` on a record of another shape and on several values.
    """
    found = Incoming()
    for line, record in objects(path):
        where = f"{path}:{line}"
        fields = record.get("fields", record)
        text = fields.get("text") if isinstance(fields, dict) else None
        for value, user, status in _responses(record, where):
            if status != "submitted":
                found.leave_out(status)
                continue
            if value is None or isinstance(value, list | dict):
                raise DataError(f"{where}: found {json.dumps(value)[:100]}, wanted one label, number or text")
            own = None if record.get("id") is None else str(record["id"])
            shown = text if isinstance(text, str) else None
            found.answers.append(Answer(where, f"argilla:{user}", str(value), example_id=own, text=shown))
    return found


def _responses(record: Mapping[str, Any], where: str) -> Iterator[tuple[Any, Any, str]]:
    """(value, user, status) of each response to the question."""
    nested = record.get("responses")
    flat = {key.removesuffix(_FLAT): value for key, value in record.items() if key.endswith(_FLAT) and value is not None}
    questions = nested if isinstance(nested, dict) else flat
    if len(questions) > 1 and "label" not in questions:
        raise DataError(f"{where}: found questions {', '.join(questions)}, wanted one; name that of the label 'label'")
    if not questions:
        return
    name = "label" if "label" in questions else next(iter(questions))
    answers = questions.get(name) or []
    if not isinstance(answers, list):
        raise DataError(f"{where}: found responses that are no list; export again with to_json or to_list")
    if isinstance(nested, dict):
        for answer in answers:
            if not isinstance(answer, dict):
                raise DataError(f"{where}: found a response that is no object; export again with to_json")
            yield answer.get("value"), answer.get("user_id", "?"), str(answer.get("status") or "submitted")
        return
    users = record.get(f"{name}{_FLAT}.users") or ["?"] * len(answers)
    states = record.get(f"{name}{_FLAT}.status") or ["submitted"] * len(answers)
    if not len(answers) == len(users) == len(states):
        raise DataError(f"{where}: found {len(answers)} responses, {len(users)} users and {len(states)} states, wanted equally many")
    for value, user, status in zip(answers, users, states, strict=True):
        yield value, user, str(status or "submitted")
