"""Multiple-choice tasks of lm-evaluation-harness (MIT) as suite items, through its Python API, where it is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from provetune.errors import SpecError
from provetune.records.retention import SuiteItem


def task_items(name: str) -> tuple[SuiteItem, ...]:
    """The documents of the task's test split (else its validation split); each task is one skill. SpecError where it has no choices."""
    try:
        tasks = import_module("lm_eval.tasks")
    except ImportError as error:
        raise SpecError(
            f"prove.retention: lm-eval:{name} needs lm-evaluation-harness; `pip install lm-eval`, or leave the suite out"
        ) from error
    try:
        found = tasks.get_task_dict([name], tasks.TaskManager())
    except KeyError as error:
        raise SpecError(f"prove.retention: lm_eval knows no task {name!r}; `lm-eval ls tasks` lists them") from error
    return tuple(item for task_name, task in _leaves(found) for item in _items(task_name, task))


def _leaves(tasks: dict[Any, Any]) -> list[tuple[str, Any]]:
    """Tasks inside groups of tasks."""
    return [leaf for key, task in tasks.items() for leaf in (_leaves(task) if isinstance(task, dict) else [(str(key), task)])]


def _items(name: str, task: Any) -> list[SuiteItem]:
    if task.OUTPUT_TYPE != "multiple_choice":
        raise SpecError(f"prove.retention: lm-eval:{name} is of type {task.OUTPUT_TYPE}, wanted multiple_choice; leave it out")
    documents = task.test_docs() if task.has_test_docs() else task.validation_docs()
    return [_item(name, number, task, document) for number, document in enumerate(documents)]


def _item(name: str, number: int, task: Any, document: Any) -> SuiteItem:
    options = tuple(str(option) for option in task.doc_to_choice(document))
    prompt, target = task.doc_to_text(document), task.doc_to_target(document)
    try:
        if not isinstance(prompt, str):
            raise ValueError("its options stand before the question, not after it")
        answer = options.index(target) if isinstance(target, str) else int(target)
        return SuiteItem(id=f"{name}-{number}", skill=name, prompt=prompt, options=options, answer=answer)
    except ValueError as error:
        raise SpecError(
            f"prove.retention: lm-eval:{name}, document {number} is no question with options ({error}); leave the task out"
        ) from error
