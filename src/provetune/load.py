"""Step load: a file of rows -> examples in canonical form."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from provetune.errors import DataError, SpecError
from provetune.formats import READERS, RawRow, detect
from provetune.formats.text import did_you_mean
from provetune.records.data import Example, Message
from provetune.spec import ColumnsSpec, DataSpec, TaskSpec

FEWEST_EXAMPLES = 10
"""Below this nothing can be learned and proven; the smallest file that OpenAI's fine-tuning took, too."""

_SHOWN_LABELS = 10


def load(path: Path, data: DataSpec, task: TaskSpec) -> list[Example]:
    """The examples of `path`, in the file's order, each with an id and its source as `file name:line`.

    For a classification task the label is the target without surrounding blanks. Raises DataError, with `file:line`, on a row
    that cannot be read, an id used twice or a label outside `task.labels`; and, for the whole file, on fewer than 10 examples
    or a single class.
    """
    examples: list[Example] = []
    line_of: dict[str, int] = {}
    for row in read_rows(path, data):
        example = _example(row, path, task)
        first = line_of.setdefault(example.id, row.line)
        if first != row.line:
            raise DataError(
                f"{path}:{row.line}: id {example.id!r} is used already on line {first}, wanted each id once; "
                "change one, or name another column with data.columns.id"
            )
        examples.append(example)
    if len(examples) < FEWEST_EXAMPLES:
        raise DataError(f"{path}: found {len(examples)} rows, wanted at least {FEWEST_EXAMPLES}; collect more examples")
    if task.type == "classify" and len(labels := labels_of(examples)) < 2:
        raise DataError(f"{path}: found one label only, {labels[0]!r}, wanted at least 2; add rows of other labels")
    return examples


def read_rows(path: Path, data: DataSpec) -> Iterator[RawRow]:
    """The rows of `path` under `data.format` (`auto` looks at the file) and `data.columns`; errors as the readers raise them."""
    columns = _columns(data)
    name = detect(path, columns) if data.format == "auto" else data.format
    if name not in READERS:
        raise SpecError(f"data.format: {name!r} has no reader yet, wanted one of auto, {', '.join(READERS)}; convert the file first")
    return READERS[name](path, columns)


def labels_of(examples: Iterable[Example]) -> tuple[str, ...]:
    """The labels that occur, sorted, each once."""
    return tuple(sorted({example.label for example in examples if example.label is not None}))


def guess_task(examples: Sequence[RawRow]) -> Literal["classify", "generate", "extract"]:
    """The likely task: `extract` when 90 % of the targets are JSON objects; `classify` when targets repeat and are short.

    Repeat: fewer distinct targets than a third of the rows (the rule of OpenAI's file checker); short: a median of at most
    6 words. Otherwise `generate`. Raises DataError without rows.
    """
    if not examples:
        raise DataError(f"found 0 rows, wanted at least {FEWEST_EXAMPLES} to guess the task; set task.type")
    targets = [row.target.strip() for row in examples]
    if sum(map(_is_json_object, targets)) >= 0.9 * len(targets):
        return "extract"
    if 3 * len(set(targets)) < len(targets) and statistics.median(len(target.split()) for target in targets) <= 6:
        return "classify"
    return "generate"


def _columns(data: DataSpec) -> ColumnsSpec:
    """`data.columns` with the group of `data.split.group`, which may stand in either place."""
    columns, group = data.columns, data.split.group
    if group is None or group == columns.group:
        return columns
    if columns.group is not None:
        raise SpecError(f"data.split.group is {group!r} but data.columns.group is {columns.group!r}, wanted one; remove the other")
    return columns.model_copy(update={"group": group})


def _example(row: RawRow, path: Path, task: TaskSpec) -> Example:
    messages, label = row.messages, None
    if task.type == "classify":
        label = row.target.strip()
        _check_label(label, f"{path}:{row.line}", task)
        messages = (*messages[:-1], Message(role="assistant", content=label))
    if task.system and all(message.role != "system" for message in messages):
        messages = (Message(role="system", content=task.system), *messages)
    return Example(
        id=row.id or f"r{row.line}",
        messages=messages,
        label=label,
        group=row.group,
        source=f"{path.name}:{row.line}",
        meta=row.meta,
    )


def _check_label(label: str, where: str, task: TaskSpec) -> None:
    if task.labels == "auto" or label in task.labels:
        return
    shown = ", ".join(task.labels[:_SHOWN_LABELS]) + (", ..." if len(task.labels) > _SHOWN_LABELS else "")
    raise DataError(
        f"{where}: found label {label!r}, wanted one of task.labels ({shown}); mend one of them{did_you_mean(label, task.labels)}"
    )


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
