"""Label Studio: tasks and labelling configuration out, annotations in.

JSON as of server 1.23: tasks `[{"data": {...}}]`; export `[{"id", "data", "annotations": [{"completed_by", "result": [{"from_name", "type",
"value": {"choices": [...]}}], "was_cancelled", "ground_truth"}]}]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from provetune.errors import DataError
from provetune.formats.jsonl import objects
from provetune.labelling.incoming import Answer, Incoming, texts_of
from provetune.labelling.rows import Row
from provetune.store import write_atomic

_VALUES = {"choices": "choices", "textarea": "text"}


def write_tasks(path: Path, rows: Sequence[Row], labels: Sequence[str]) -> Path:
    """Write the tasks, and beside them the labelling configuration; returns the path of the latter."""
    tasks = [{"data": {"id": row, "key": key, "text": text}} for row, key, text in texts_of(rows)]
    write_atomic(path, json.dumps(tasks, indent=1, ensure_ascii=False) + "\n")
    control = '  <TextArea name="label" toName="text" maxSubmissions="1"/>\n'
    if labels:
        choices = "".join(f"    <Choice value={quoteattr(label)}/>\n" for label in labels)
        control = f'  <Choices name="label" toName="text" choice="single" required="true">\n{choices}  </Choices>\n'
    configuration = path.with_suffix(".xml")
    write_atomic(configuration, f'<View>\n  <Text name="text" value="$text"/>\n{control}</View>\n')
    return configuration


def read_annotations(path: Path) -> Incoming:
    """One answer for each annotation that was not cancelled; a ground truth decides.

    Raises DataError with `file:line` on a task of another shape and on more than one choice.
    """
    found = Incoming()
    for line, task in objects(path):
        where = f"{path}:{line}"
        data, annotations = task.get("data"), task.get("annotations")
        if not isinstance(data, dict) or not isinstance(annotations, list):
            raise DataError(f"{where}: found keys {', '.join(task)}, wanted 'data' and 'annotations'; export as JSON, not as JSON-MIN")
        for number, annotation in enumerate(annotations):
            if not isinstance(annotation, dict):
                raise DataError(f"{where}: annotations[{number}] is no object; export as JSON again")
            if annotation.get("was_cancelled"):
                found.leave_out("cancelled")
            elif (value := _value(annotation, f"{where}: annotations[{number}]")) is None:
                found.leave_out("no answer")
            else:
                found.answers.append(_answer(where, data, annotation, value))
    return found


def _answer(where: str, data: Mapping[str, Any], annotation: Mapping[str, Any], value: str) -> Answer:
    own, text = data.get("id"), data.get("text")
    return Answer(
        where,
        _annotator(annotation.get("completed_by")),
        value,
        example_id=None if own is None else str(own),
        text=text if isinstance(text, str) else None,
        key=str(data["key"]) if "key" in data else None,
        decides=annotation.get("ground_truth") is True,
    )


def _annotator(completed_by: Any) -> str:
    """The name of an annotator: an id, or an object with an e-mail address."""
    if isinstance(completed_by, dict):
        return str(completed_by.get("email") or f"label-studio:{completed_by.get('id', '?')}")
    return f"label-studio:{'?' if completed_by is None else completed_by}"


def _value(annotation: Mapping[str, Any], where: str) -> str | None:
    """The one choice or text of an annotation, None where it has none; the control `label` where there are several."""
    answers: dict[str, str] = {}
    for result in annotation.get("result") or []:
        if not isinstance(result, dict) or not isinstance(result.get("value"), dict):
            raise DataError(f"{where}: found a result without a 'value' object; export as JSON again")
        values = result["value"].get(_VALUES.get(str(result.get("type")), ""))
        if values is None:
            continue
        if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str):
            raise DataError(f"{where}: found {json.dumps(values)[:100]}, wanted one choice or one text")
        answers[str(result.get("from_name"))] = values[0]
    if len(answers) > 1 and "label" not in answers:
        raise DataError(f"{where}: found answers to {', '.join(answers)}, wanted one; name the control of the label 'label'")
    return answers.get("label", next(iter(answers.values()), None))
