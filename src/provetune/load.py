"""Step load: a file of rows -> examples in canonical form."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from provetune.chat import tools_of, with_tools
from provetune.errors import DataError, SpecError
from provetune.formats import READERS, Notes, RawRow, detect
from provetune.formats.columns import Ask
from provetune.formats.row import example_of
from provetune.formats.text import did_you_mean, quoted
from provetune.records.data import Example, Message
from provetune.spec import ColumnsSpec, DataSpec, TaskSpec
from provetune.spec.model import TaskType

FEWEST_EXAMPLES = 10
"""Below this nothing can be learned and proven; the smallest file that OpenAI's fine-tuning took, too."""

_SHOWN_LABELS = 10
_NO_FIELDS: set[str] = set()


def load(path: Path, data: DataSpec, task: TaskSpec, notes: Notes | None = None) -> list[Example]:
    """The examples of `path`, in the file's order, each with an id and its source as `file name:line`.

    For a classification task the label is the target without surrounding blanks. What the file's format leaves out on purpose is
    counted in `notes`. Raises DataError, with `file:line`, on a row that cannot be read or is marked as undesirable, an id used
    twice or a label outside `task.labels`; and, for the whole file, on fewer than 10 examples or a single class.
    """
    notes = notes or Notes()
    examples: list[Example] = []
    line_of: dict[str, int] = {}
    for row in read_rows(path, data, notes):
        example = _example(row, path, task)
        first = line_of.setdefault(example.id, row.line)
        if first != row.line:
            raise DataError(
                f"{path}:{row.line}: id {quoted(example.id)} is used already on line {first}, wanted each id once; "
                "change one, or name another column with data.columns.id"
            )
        if task.type == "classify" and example.target != row.target:
            notes.part("blanks around the label", example.source)
        examples.append(_lean(example))
    if len(examples) < FEWEST_EXAMPLES:
        left_out = f" ({'; '.join(notes.lines())})" if notes.rows else ""
        remedy = "collect more examples" if examples or left_out else "the file holds a header or a frame and no examples; export it again"
        raise DataError(f"{path}: found {len(examples)} rows{left_out}, wanted at least {FEWEST_EXAMPLES}; {remedy}")
    if task.type == "classify" and len(labels := labels_of(examples)) < 2:
        raise DataError(f"{path}: found one label only, {quoted(labels[0])}, wanted at least 2; add rows of other labels")
    return examples


def _lean(example: Example) -> Example:
    """The example without pydantic's notes of which fields were given: a third of a row's memory, and nothing reads them."""
    for part in (example, *example.messages, *example.rejected):
        object.__setattr__(part, "__pydantic_fields_set__", _NO_FIELDS)
    return example


def read_rows(path: Path, data: DataSpec, notes: Notes | None = None) -> Iterator[RawRow]:
    """The rows of `path` under `data.format` (`auto` looks at the file) and `data.columns`; errors as the readers raise them."""
    columns = _columns(data)
    name = detect(path, columns) if data.format == "auto" else data.format
    return READERS[name](path, columns, notes)


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
    where = f"{path}:{row.line}"
    if row.desirable is False:
        raise DataError(
            f"{where}: the answer is marked as undesirable (kto_tag or label false) and would be learned as if it were good; "
            "remove these rows, or rename the key if it means something else"
        )
    messages, label = row.messages, None
    if task.type == "classify":
        if messages[-1].tool_calls:
            raise DataError(f"{where}: found a tool call where a label was wanted; set task.type to chat, or remove the row")
        label = row.target.strip()
        _check_label(label, where, task)
        messages = (*messages[:-1], Message(role="assistant", content=label))
    if task.system and all(message.role != "system" for message in messages):
        messages = with_tools((Message(role="system", content=task.system), *messages), tools_of(messages))
    return example_of(row, path.name, messages=messages, label=label, default_id=f"r{row.line}")


def _check_label(label: str, where: str, task: TaskSpec) -> None:
    if task.labels == "auto" or label in task.labels:
        return
    shown = ", ".join(task.labels[:_SHOWN_LABELS]) + (", ..." if len(task.labels) > _SHOWN_LABELS else "")
    raise DataError(
        f"{where}: found label {quoted(label)}, wanted one of task.labels ({shown}); mend one of them{did_you_mean(label, task.labels)}"
    )


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


_SHORT_WORDS = 6
_UNSURE = (0.2, 0.6)
"""Shares of distinct short targets between which a file may be labels or free text."""


def choose_task(rows: Sequence[RawRow], ask: Ask) -> TaskType:
    """The task that the targets look like; asks where short targets repeat, but not often."""
    guess: TaskType = guess_task(rows)
    if guess == "extract":
        return guess
    if any(sum(message.role == "assistant" for message in row.messages) > 1 for row in rows):
        return "classify" if guess == "classify" else "chat"
    targets = [row.target.strip() for row in rows]
    share = len(set(targets)) / len(targets)
    if statistics.median(len(target.split()) for target in targets) <= _SHORT_WORDS and _UNSURE[0] < share < _UNSURE[1]:
        choices: tuple[Literal["classify", "generate"], ...] = ("classify", "generate")
        answer = ask(f"{len(set(targets))} different short targets in {len(rows)} rows: labels or free text?", choices, guess)
        return next(choice for choice in choices if choice == answer)
    return guess
