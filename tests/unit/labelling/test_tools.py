"""Label Studio and Argilla: what goes out has their shape; what comes back becomes votes by their rules."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import DataError
from provetune.labelling.argilla import read_responses, write_records
from provetune.labelling.consensus import consensus
from provetune.labelling.incoming import Expected, Incoming, votes_of
from provetune.labelling.label_studio import read_annotations, write_tasks
from provetune.labelling.votes import standing, votes_by_row
from provetune.records.labels import Vote
from tests.unit.labelling.desk import row

LABELS = ("billing", "login", 'a "b" & c')
DATA = {name: row(name) for name in "abcd"}
EXPECTED = Expected(DATA, LABELS, "", {})


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def said(incoming: Incoming, source: str) -> list[tuple[str, str, str | None]]:
    votes: list[Vote] = votes_of(incoming, EXPECTED, source)  # type: ignore[arg-type]
    return [(vote.example_id, vote.annotator, vote.value) for vote in votes]


def annotation(by: Any, choice: str, **more: Any) -> dict[str, Any]:
    result = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [choice]}}
    return {"id": 1, "completed_by": by, "result": [result], "was_cancelled": False, "ground_truth": False, **more}


def test_label_studio_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    configuration = write_tasks(path, list(DATA.values()), LABELS)
    root = ElementTree.fromstring(configuration.read_text(encoding="utf-8"))
    assert [choice.get("value") for choice in root.iter("Choice")] == list(LABELS)
    tasks = json.loads(path.read_text(encoding="utf-8"))
    # as the server exports them: its own ids, our data, several annotators, an object or a number for each
    tasks[0] |= {"id": 7, "annotations": [annotation(1, "billing"), annotation({"id": 2, "email": "ben@example.org"}, "login")]}
    tasks[1] |= {"id": 8, "annotations": [annotation(1, "billing", was_cancelled=True), annotation({"id": 3}, "login", ground_truth=True)]}
    tasks[2] |= {"id": 9, "annotations": [annotation(1, "login", result=[])], "predictions": [annotation(0, "billing")]}
    tasks[3] |= {"id": 10, "annotations": []}
    incoming = read_annotations(written(path, tasks))
    assert said(incoming, "label-studio") == [
        ("a", "label-studio:1", "billing"),
        ("a", "ben@example.org", "login"),
        ("b", "label-studio:3", "login"),
    ]
    assert incoming.left_out == {"cancelled": 1, "no answer": 1}


def test_a_ground_truth_of_label_studio_wins(tmp_path: Path) -> None:
    task = {"data": {"text": "text of a"}, "annotations": [annotation(k, "billing") for k in (1, 2)]}
    task["annotations"] = [*task["annotations"], annotation(3, "login", ground_truth=True)]
    votes = votes_of(read_annotations(written(tmp_path / "x.json", [task])), EXPECTED, "label-studio")
    found = consensus(votes_by_row(standing(votes))["a"])
    assert (found.label, found.by) == ("login", "adjudication")


def test_free_text_of_label_studio(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks.json", list(DATA.values()), ())
    assert 'TextArea name="label"' in (tmp_path / "tasks.xml").read_text()
    result = {"from_name": "label", "type": "textarea", "value": {"text": ["An answer."]}}
    task = {"data": {"id": "a", "text": "text of a"}, "annotations": [annotation(1, "", result=[result])]}
    votes = votes_of(read_annotations(written(tmp_path / "x.json", [task])), Expected(DATA, (), "", {}), "label-studio")
    assert votes[0].value == "An answer."


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"data": {"text": "x"}, "choice": "login"}, "export as JSON, not as JSON-MIN"),
        (
            {
                "data": {"text": "text of a"},
                "annotations": [annotation(1, "x", result=[{"type": "choices", "value": {"choices": ["a", "b"]}}])],
            },
            "one choice",
        ),
        ({"data": {"text": "gone"}, "annotations": [annotation(1, "login")]}, "the row None is not in the data"),
        ({"data": {"id": "a", "key": "0", "text": "gone"}, "annotations": [annotation(1, "login")]}, "'a' says something else now"),
        ({"data": {"text": "text of a"}, "annotations": [annotation(1, "refund")]}, "found the label 'refund'"),
        ({"data": {"text": "text of a"}, "annotations": ["x"]}, r"annotations\[0\] is no object"),
    ],
)
def test_tasks_that_cannot_be_meant_are_named(tmp_path: Path, task: Any, words: str) -> None:
    path = written(tmp_path / "x.json", [task])
    with pytest.raises(DataError, match=rf"x\.json:2: .*{words}"):
        said(read_annotations(path), "label-studio")


def test_argilla_round_trip_nested(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    write_records(path, list(DATA.values()))
    records = json.loads(path.read_text(encoding="utf-8"))
    assert records[0]["fields"] == {"text": "text of a"} and records[0]["responses"] == {}
    records[0]["responses"] = {"label": [{"value": "billing", "user_id": "u1"}, {"value": "login", "user_id": "u2"}]}
    records[1]["responses"] = {"label": [{"value": "login", "user_id": "u1", "status": "draft"}]}
    incoming = read_responses(written(path, records))
    assert said(incoming, "argilla") == [("a", "argilla:u1", "billing"), ("a", "argilla:u2", "login")]
    assert incoming.left_out == {"draft": 1}


def test_argilla_flat(tmp_path: Path) -> None:
    flat = {
        "id": "a",
        "status": "completed",
        "text": "text of a",
        "label.responses": ["billing", "login", "login"],
        "label.responses.users": ["u1", "u2", "u3"],
        "label.responses.status": ["submitted", "discarded", "submitted"],
        "label.suggestion": "login",
        "label.suggestion.score": 0.9,
    }
    nobody = {**dict.fromkeys(flat), "id": "b", "text": "text of b"}  # Argilla fills the keys of the others with null
    path = tmp_path / "flat.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in (flat, nobody)), encoding="utf-8")
    incoming = read_responses(path)
    assert said(incoming, "argilla") == [("a", "argilla:u1", "billing"), ("a", "argilla:u3", "login")]
    assert incoming.left_out == {"discarded": 1}


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"id": "a", "fields": {"text": "text of a"}, "responses": {"label": [{"value": ["billing"], "user_id": "u"}]}}, "one label"),
        ({"id": "a", "fields": {"text": "text of a"}, "responses": {"x": [], "y": []}}, "found questions x, y"),
        ({"id": "a", "text": "text of a", "label.responses": ["login"], "label.responses.users": ["u", "v"]}, "equally many"),
        ({"id": "a", "fields": {"text": "text of a"}, "responses": {"label": ["login"]}}, "response that is no object"),
        ({"id": "q", "fields": {"text": "?"}, "responses": {"label": [{"value": "login", "user_id": "u"}]}}, "'q' is not in the data"),
    ],
)
def test_records_that_cannot_be_meant_are_named(tmp_path: Path, record: Any, words: str) -> None:
    with pytest.raises(DataError, match=rf"x\.json:2: .*{words}"):
        said(read_responses(written(tmp_path / "x.json", [record])), "argilla")
