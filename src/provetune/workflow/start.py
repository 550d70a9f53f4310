"""What `init` does: look at a file of examples, guess what it is, write the project file."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import re
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from provetune.errors import DataError, FolderError, SpecError
from provetune.formats.delimited import PROMPT_NAMES, TARGET_NAMES, sniff_delimiter
from provetune.formats.detection import detect
from provetune.formats.jsonl import objects, parse_object
from provetune.formats.row import RawRow
from provetune.formats.text import physical_lines, read_text
from provetune.load import guess_task, labels_of, load, read_rows
from provetune.spec import ColumnsSpec, DataSpec, ProjectSpec, TaskSpec, json_schema, resolve_metric
from provetune.spec.model import TaskType
from provetune.spec.write import minimal_yaml
from provetune.store import write_atomic
from provetune.workflow.project import SPEC_FILE

GROUP_NAMES = (
    "group",
    "customer",
    "customer_id",
    "user",
    "user_id",
    "author",
    "author_id",
    "account",
    "account_id",
    "conversation_id",
    "thread_id",
)
"""Columns whose equal values tie rows together, so that they do not straddle the split."""
_LOOKED_AT = 1_000
_SHORT_WORDS = 6
_UNSURE = (0.2, 0.6)
"""Shares of distinct short targets between which a file may be labels or free text."""

Ask = Callable[[str, Sequence[str], str], str]
"""`ask(question, choices, best guess)` -> the choice; who cannot ask returns the guess."""
Cells = list[dict[str, str]]


@dataclass(frozen=True)
class Wish:
    """What the user gave: files as seen from the current folder; None is to be guessed."""

    data: Path
    test: Path | None = None
    task: TaskType | None = None
    name: str | None = None
    base: str = "starter"


@dataclass(frozen=True)
class Started:
    """What was found and written."""

    project_file: Path
    name: str
    data: str
    format: str
    rows: int
    task: TaskType
    labels: int
    columns: dict[str, str]
    metric: str


def start_project(folder: Path, wish: Wish, ask: Ask, *, force: bool = False) -> Started:
    """Write `provetune.yaml` and the schema for editors into `folder`.

    Every row is read first: DataError names file and line of what is wrong. SpecError where a project file is there already
    and `force` is not given; FolderError where the folder cannot be written.
    """
    project_file = folder / SPEC_FILE
    if project_file.exists() and not force:
        raise SpecError(f"{project_file}: is there already; `provetune init --force` writes it anew, `provetune -C DIR init` elsewhere")
    columns = choose_columns(wish.data, ask)
    data = DataSpec(path=str(wish.data), columns=ColumnsSpec.model_validate(columns))
    rows = list(read_rows(wish.data, data))
    task = TaskSpec(type=wish.task or choose_task(rows, ask))
    examples = load(wish.data, data, task)
    if wish.test is not None:
        load(wish.test, data, task)
    spec = _checked(ProjectSpec(version=1, name="draft", data=data, task=task), wish)
    need_writable(folder)
    test = relative_to_project(wish.test, folder) if wish.test is not None else None
    written = data.model_copy(update={"path": relative_to_project(wish.data, folder), "test": test})
    text = minimal_yaml(spec.name, written, task.type, resolve_metric(spec))
    write_atomic(folder / ".provetune" / "schema.json", json.dumps(json_schema(), indent=2) + "\n")
    write_atomic(project_file, _with_base(text, wish.base, folder))
    return Started(
        project_file=project_file,
        name=spec.name,
        data=relative_to_project(wish.data, folder),
        format=detect(wish.data, data.columns),
        rows=len(examples),
        task=task.type,
        labels=len(labels_of(examples)),
        columns=columns,
        metric=resolve_metric(spec),
    )


def choose_columns(path: Path, ask: Ask) -> dict[str, str]:
    """Which columns (or JSON keys) hold prompt, target and group; nothing where the format names its own parts.

    A usual name decides; else the user is asked. Guesses: the target has the fewest distinct values, the prompt the longest texts.
    """
    cells = named_cells(path)
    if cells is None:
        return {}
    names = [name for name in (cells[0] if cells else {}) if name]
    if len(names) < 2:
        raise DataError(f"{path}: found {', '.join(names) or 'no column with a name'}, wanted at least a prompt and a target; add a column")
    values = {name: [row[name] for row in cells if name in row] for name in names}
    known = [name for name in names if name.casefold() in PROMPT_NAMES]
    left = [name for name in names if len(known) != 1 or name != known[0]]
    target = _choose("target (what the model should write)", left, TARGET_NAMES, lambda n: -_variety(values[n]), ask)
    others = [name for name in names if name != target]
    prompt = _choose("prompt (what the model gets)", others, PROMPT_NAMES, lambda n: statistics.fmean(map(len, values[n])), ask)
    group = [name for name in others if name != prompt and name.casefold() in GROUP_NAMES and _ties_rows(values[name])]
    return {"prompt": prompt, "target": target, **({"group": group[0]} if group else {})}


def named_cells(path: Path) -> Cells | None:
    """The cells of up to 1,000 rows by column name; None where the format names its own parts. DataError where nothing fits."""
    text = read_text(path)
    number, first = next((number, line) for number, line in enumerate(physical_lines(text), start=1) if line.strip())
    if first.lstrip().startswith("{") and first.strip() != "{":
        keys = parse_object(first.rstrip("\r\n"), f"{path}:{number}").keys()
        if "messages" in keys or {"prompt", "completion"} <= keys:
            return None
        found = itertools.islice(objects(path), _LOOKED_AT)
        return [{key: str(value) for key, value in row.items() if isinstance(value, str | int | float)} for _, row in found]
    detect(path)
    reader = csv.reader(physical_lines(text), delimiter=sniff_delimiter(text))
    records: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # the reader of all rows will name the line
        records += (fields for fields in itertools.islice(reader, _LOOKED_AT) if fields)
    names = [name.strip() for name in records[0]]
    return [dict(zip(names, fields, strict=True)) for fields in records[1:] if len(fields) == len(names)] or [dict.fromkeys(names, "")]


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


def relative_to_project(path: Path, folder: Path) -> str:
    """The path as the project file names it: relative up to two folders above the project, else absolute."""
    relative = os.path.relpath(path.resolve(), folder.resolve())
    far = relative.startswith(os.path.join("..", "..", "..")) or os.path.isabs(relative)
    return path.resolve().as_posix() if far else Path(relative).as_posix()


def need_writable(folder: Path) -> None:
    """Raise FolderError where nothing can be written below the project folder."""
    place = folder / ".provetune"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise FolderError(
            f"{folder}: {error.strerror or error}; wanted a folder that can be written. "
            "Change its permissions, or name another with `provetune -C DIR`"
        ) from error


def _choose(part: str, names: Sequence[str], usual: Sequence[str], worth: Callable[[str], float], ask: Ask) -> str:
    matches = [name for name in names if name.casefold() in usual]
    if len(matches) == 1:
        return matches[0]
    if len(names) == 1:
        return names[0]
    return ask(f"Which column holds the {part}?", matches or names, max(matches or names, key=worth))


def _variety(values: Sequence[str]) -> float:
    """Distinct values; a column that never varies, or is blank somewhere, is no target."""
    return len(set(values)) if len(set(values)) > 1 and all(value.strip() for value in values) else float("inf")


def _ties_rows(values: Sequence[str]) -> bool:
    """Whether a column names many small groups, as customers do and two agents do not."""
    return len(values) / 10 <= len(set(values)) < len(values)


def _checked(draft: ProjectSpec, wish: Wish) -> ProjectSpec:
    name = wish.name if wish.name is not None else re.sub(r"[^\w.-]+", "-", wish.data.stem).strip("-.") or "project"
    try:
        return ProjectSpec.model_validate({**draft.model_dump(by_alias=True), "name": name})
    except ValidationError as error:
        raise SpecError(f"--name: found {name!r}, wanted 1 to 100 characters") from error


def _with_base(text: str, base: str, folder: Path) -> str:
    """The project file with the base model that the user named; a folder is named from the project folder."""
    if base == "starter":
        return text
    named = relative_to_project(Path(base), folder) if Path(base).is_dir() else base
    return re.sub(r"^base: .*$", lambda _: f"base: {json.dumps(named, ensure_ascii=False)}", text, count=1, flags=re.MULTILINE)


def columns_text(columns: Mapping[str, str]) -> str:
    """Which column is what, in words.

    >>> columns_text({"prompt": "message", "target": "queue"})
    "prompt from 'message', target from 'queue'"
    """
    return ", ".join(f"{part} from {name!r}" for part, name in columns.items())
