"""Tasks of lm-evaluation-harness as items, with a stand-in of the few names that are used of it (checked against release 0.4.13)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from provetune.errors import SpecError
from provetune.suites.lm_eval import task_items
from provetune.suites.retention import load_suites

ROWS: list[dict[str, Any]] = [
    {"text": "Colour of grass?", "choices": ["red", "green"], "target": 1},
    {"text": "Colour of snow?", "choices": ["white", "black"], "target": "white"},
]


class Task:
    OUTPUT_TYPE = "multiple_choice"

    def __init__(self, rows: list[dict[str, Any]], *, tested: bool = True, kind: str = "multiple_choice") -> None:
        self.rows, self.tested, self.OUTPUT_TYPE = rows, tested, kind

    def has_test_docs(self) -> bool:
        return self.tested

    def test_docs(self) -> list[dict[str, Any]]:
        return self.rows

    def validation_docs(self) -> list[dict[str, Any]]:
        return self.rows[:1]

    def doc_to_text(self, document: Mapping[str, Any]) -> Any:
        return document["text"]

    def doc_to_choice(self, document: Mapping[str, Any]) -> Any:
        return document["choices"]

    def doc_to_target(self, document: Mapping[str, Any]) -> Any:
        return document["target"]


@pytest.fixture(autouse=True)
def harness(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = {
        "sky": {"sky": Task(ROWS)},
        "group": {"group": {"a": Task(ROWS), "b": Task(ROWS, tested=False)}},
        "free": {"free": Task(ROWS, kind="generate_until")},
        "turned": {"turned": Task([{"text": 1, "choices": ["x", "y"], "target": 0}])},
        "alike": {"alike": Task([{"text": "?", "choices": ["x", "x"], "target": 0}])},
    }
    module = ModuleType("lm_eval.tasks")
    module.__dict__.update(TaskManager=object, get_task_dict=lambda names, manager: tasks[names[0]])
    monkeypatch.setitem(sys.modules, "lm_eval", ModuleType("lm_eval"))
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", module)


def test_documents_become_items(tmp_path: Any) -> None:
    first, second = load_suites(["lm-eval:sky"], tmp_path)["lm-eval:sky"]
    assert (first.id, first.skill, first.prompt, first.options, first.answer) == ("sky-0", "sky", "Colour of grass?", ("red", "green"), 1)
    assert second.options[second.answer] == "white"


def test_every_task_of_a_group_is_a_skill() -> None:
    assert [(item.id, item.skill) for item in task_items("group")] == [("a-0", "a"), ("a-1", "a"), ("b-0", "b")]


@pytest.mark.parametrize(
    ("name", "words"),
    [("unknown", "knows no task"), ("free", "generate_until"), ("turned", "document 0"), ("alike", "document 0")],
)
def test_what_has_no_options_is_refused(name: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        task_items(name)


def test_without_the_harness_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(SpecError, match="pip install lm-eval"):
        task_items("sky")
