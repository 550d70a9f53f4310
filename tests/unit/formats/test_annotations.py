"""Exports of Label Studio and Argilla: votes, cancelled and missing answers, and writing tasks back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import DataError
from provetune.formats import READERS, WRITERS, Notes, RawRow
from provetune.formats.detection import detect
from provetune.formats.row import example_of
from provetune.records.data import Message
from provetune.spec import ColumnsSpec


def vote(label: str, by: Any = 1, **more: Any) -> dict[str, Any]:
    result = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
    return {"id": 9, "completed_by": by, "result": [result], "was_cancelled": False, "ground_truth": False, "lead_time": 4.2, **more}


def task(*annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"text": "My card is lost", "lang": "en"}, "annotations": list(annotations), "predictions": [], **more}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "export.json"
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def read(path: Path, name: str, columns: ColumnsSpec | None = None) -> tuple[list[RawRow], Notes]:
    notes = Notes()
    assert detect(path) == name
    return list(READERS[name](path, columns or ColumnsSpec(), notes)), notes


def failure(folder: Path, name: str, row: Any, columns: ColumnsSpec | None = None) -> str:
    path = write(folder, row)
    with pytest.raises(DataError) as caught:
        list(READERS[name](path, columns or ColumnsSpec()))
    assert str(caught.value).startswith(f"{path}:2: ")
    return str(caught.value).removeprefix(f"{path}:2: ")


def test_a_task_becomes_a_row(tmp_path: Path) -> None:
    (row,), notes = read(write(tmp_path, task(vote("card"))), "label-studio")
    assert (row.id, row.line, row.messages[0].content, row.target, row.meta) == ("7", 2, "My card is lost", "card", {"lang": "en"})
    assert notes.lines() == []
    text = {"result": [{"from_name": "answer", "type": "textarea", "value": {"text": ["Block it."]}}]}
    (row,), _ = read(write(tmp_path, task(text)), "label-studio")
    assert row.target == "Block it."


@pytest.mark.parametrize(
    ("annotations", "target"),
    [
        ([vote("a"), vote("b"), vote("b", by={"id": 2, "email": "x@example.org"})], "b"),
        ([vote("a"), vote("b"), vote("b"), vote("c", ground_truth=True)], "c"),
        ([vote("a", was_cancelled=True), vote("b")], "b"),
    ],
)
def test_the_majority_or_the_ground_truth_decides(tmp_path: Path, annotations: list[dict[str, Any]], target: str) -> None:
    (row,), _ = read(write(tmp_path, task(*annotations)), "label-studio")
    assert row.target == target


def test_tasks_without_an_answer_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, task(vote("a"), vote("b")), task(), task(vote("a", was_cancelled=True)), task(vote("a")))
    rows, notes = read(path, "label-studio")
    assert len(rows) == 1 and notes.rows_left_out == 3
    assert [line.split(" (")[0] for line in notes.lines()] == [
        "1 row left out: annotators disagree and none has the majority",
        "2 rows left out: no answer by an annotator",
        "left out of 1 row: an annotation that was cancelled",
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"data": "x", "annotations": []}, "'data' is a text, wanted the fields of a task"),
        ({"data": {"text": 7}, "annotations": []}, "no usual name is the prompt column"),
        ({"data": {"text": " "}, "annotations": []}, "data: empty prompt ('text')"),
        ({"data": {"text": "x"}, "annotations": {}}, "'annotations' is an object, wanted a list"),
        ({"data": {"text": "x"}, "annotations": [7]}, "annotations[0] is 7, wanted {"),
        ({"data": {"text": "x"}, "annotations": [{"result": 7}]}, "annotations[0]: 'result' is 7, wanted a list"),
        ({"data": {"text": "x"}, "annotations": [{"result": [{"value": 7}]}]}, "annotations[0]: found an object in 'result', wanted {"),
        (
            {"data": {"text": "x"}, "annotations": [{"result": [{"type": "choices", "value": {"choices": ["a", "b"]}}]}]},
            "annotations[0]: 'choices' is a list, wanted a list of one text: several choices",
        ),
    ],
)
def test_tasks_of_another_shape_are_refused(tmp_path: Path, row: Any, message: str) -> None:
    assert failure(tmp_path, "label-studio", row).startswith(message)


def test_two_controls_need_a_name(tmp_path: Path) -> None:
    second = {"from_name": "tone", "type": "choices", "value": {"choices": ["kind"]}}
    both = vote("card")
    both["result"].append(second)
    assert "name one with data.columns.target" in failure(tmp_path, "label-studio", task(both))
    (row,), notes = read(write(tmp_path, task(both)), "label-studio", ColumnsSpec(target="tone"))
    assert row.target == "kind" and notes.lines()[0].startswith("left out of 1 row: answers of type 'choices' to 'label'")


@pytest.mark.parametrize(
    "more", [{}, {"data": {"text": "x", "id": "own", "deep": {"a": [1]}}}, {"created_at": "2026", "drafts": [{"k": 1}]}]
)
def test_a_task_is_written_back_whole(tmp_path: Path, more: dict[str, Any]) -> None:
    content = {**task(vote("a"), vote("a", by=2), vote("b", was_cancelled=True)), **more}
    (row,), _ = read(write(tmp_path, content), "label-studio")
    again = tmp_path / "again.json"
    assert WRITERS["label-studio"](again, [example_of(row, "export.json")], ColumnsSpec(), Notes()) == 1
    assert json.loads(again.read_text()) == [content]
    # a target that was corrected since makes one new annotation
    mended = example_of(row, "export.json").model_copy(
        update={"messages": (row.messages[0], row.messages[1].model_copy(update={"content": "b"}))}
    )
    WRITERS["label-studio"](again, [mended], ColumnsSpec(), Notes())
    (row,), _ = read(again, "label-studio")
    assert row.target == "b"


def test_argilla_nested_and_flat(tmp_path: Path) -> None:
    answers = [
        {"value": "a", "user_id": "u1", "status": "submitted"},
        {"value": "b", "user_id": "u2", "status": "draft"},
        {"value": "c", "user_id": "u3", "status": "discarded"},
    ]
    nested = {
        "id": "r",
        "fields": {"text": "hello"},
        "metadata": {"k": 1},
        "responses": {"label": answers},
        "suggestions": {},
        "status": "completed",
    }
    (row,), notes = read(write(tmp_path, nested), "argilla")
    assert (row.id, row.messages[0].content, row.target) == ("r", "hello", "a")
    assert [counted.count for counted in notes.parts.values()] == [1, 1]
    flat = {
        "id": "r",
        "status": "completed",
        "text": "hello",
        "label.responses": ["a", "b", "b"],
        "label.responses.users": ["1", "2", "3"],
        "label.responses.status": ["submitted", "draft", "submitted"],
    }
    assert read(write(tmp_path, {**flat, "label.responses": ["a", "b", "a"]}), "argilla")[0][0].target == "a"
    rows, notes = read(write(tmp_path, flat), "argilla")
    assert (rows, notes.rows_left_out) == ([], 1)  # one a and one b are submitted: a tie
    # written back whole; a target that was corrected since makes one new response
    (row,), _ = read(write(tmp_path, nested), "argilla")
    again, example = tmp_path / "again.json", example_of(row, "export.json")
    assert WRITERS["argilla"](again, [example], ColumnsSpec(), Notes()) == 1
    assert json.loads(again.read_text()) == [nested]
    WRITERS["argilla"](
        again, [example.model_copy(update={"messages": (row.messages[0], Message(role="assistant", content="b"))})], ColumnsSpec(), Notes()
    )
    assert read(again, "argilla")[0][0].target == "b"
    (row,), _ = read(
        write(tmp_path, {"text": "hello", "stars.responses": [4], "label.responses": ["a"]}), "argilla", ColumnsSpec(target="stars")
    )
    assert row.target == "4"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"fields": 7, "responses": {}}, "'fields' is 7, wanted the fields of a record"),
        ({"fields": {"text": "x"}, "responses": []}, "'responses' is a list, wanted the answers by question"),
        ({"fields": {"text": "x"}, "responses": {"a": [], "b": []}}, "found questions a, b; name one with data.columns.target"),
        ({"fields": {"text": "x"}, "responses": {"a": 7}}, "responses to 'a': found 7, wanted a list"),
        ({"fields": {"text": "x"}, "responses": {"a": ["yes"]}}, "responses to 'a': found a text, wanted {"),
        (
            {"fields": {"text": "x"}, "responses": {"a": [{"value": ["x", "y"]}]}},
            "responses to 'a': found a list, wanted one text or number",
        ),
        ({"fields": {"text": 7}, "responses": {"a": [{"value": "x"}]}}, "no usual name is the prompt column"),
        ({"text": "x", "a.responses": ["x"], "a.responses.status": []}, "responses to 'a': found a list for 1 answers in '.status'"),
    ],
)
def test_records_of_another_shape_are_refused(tmp_path: Path, row: Any, message: str) -> None:
    if row.get("a.responses.status") == []:
        row = {**row, "a.responses.status": ["submitted"] * 2}
    assert failure(tmp_path, "argilla", row).startswith(message)
