"""What `init` does: look at a file of examples, guess what it is, write the project file."""

from __future__ import annotations

import json
import os
import re
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from provetune.errors import DataError, FolderError, SpecError
from provetune.formats.detection import detect
from provetune.formats.hub import hub_name
from provetune.formats.part import joined
from provetune.formats.peek import named_cells, parts_named
from provetune.formats.row import Notes, RawRow
from provetune.formats.table import PROMPT_NAMES, TARGET_NAMES
from provetune.formats.text import quoted
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
_SHORT_WORDS = 6
_UNSURE = (0.2, 0.6)
"""Shares of distinct short targets between which a file may be labels or free text."""

Ask = Callable[[str, Sequence[str], str], str]
"""`ask(question, choices, best guess)` -> the choice; who cannot ask returns the guess."""

# what the readers advise for a project file that is not there yet -> what helps now
_ADVICE = (
    ("name both with data.columns, e.g. columns: {prompt: ..., target: ...}", "name both with --prompt NAME and --target NAME"),
    ("name another column with data.columns.id", "rename the column if it is no id"),
    ("name one with data.columns.target", "name one with --target NAME"),
    ("; correct data.columns", "; correct --prompt or --target"),
    ("; change the row or data.columns", "; change the row"),
    ("data.columns.prompt: found", "--prompt: found"),
    ("data.columns.target: found", "--target: found"),
    ("; remove it or set data.format", "; remove the option"),
    ("with data.columns", "with --prompt NAME and --target NAME"),
    (" (data.path in a project file)", ""),
    ("set task.type to chat", "repeat with --task chat"),
    ("set task.type", "repeat with --task"),
)


@dataclass(frozen=True)
class Wish:
    """What the user gave: files as seen from the current folder; None is to be guessed. `train` goes into the project file as it is."""

    data: Path
    test: Path | None = None
    task: TaskType | None = None
    name: str | None = None
    base: str = "starter"
    columns: Mapping[str, str] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)


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
    left_out: tuple[str, ...] = ()


def start_project(folder: Path, wish: Wish, ask: Ask, *, force: bool = False) -> Started:
    """Write `provetune.yaml` and the schema for editors into `folder`.

    Every row is read first: DataError names file and line of what is wrong. SpecError where a project file is there already
    and `force` is not given; FolderError where the folder cannot be written.
    """
    project_file = folder / SPEC_FILE
    if project_file.exists() and not force:
        raise SpecError(f"{project_file}: is there already; `provetune init --force` writes it anew, `provetune -C DIR init` elsewhere")
    notes = Notes()
    try:
        path = choose_part(wish.data, ask)
        columns = choose_columns(path, ask, wish.columns)
        data = DataSpec(path=str(path), columns=ColumnsSpec.model_validate(columns))
        rows = list(read_rows(path, data))
        task = TaskSpec(type=wish.task or (choose_task(rows, ask) if rows else "generate"))  # load says what no rows mean
        examples = load(path, data, task, notes)
        if wish.test is not None:
            load(wish.test, data, task)
    except (DataError, SpecError) as error:
        raise type(error)(advice_at_start(str(error))) from error
    spec = _checked(ProjectSpec(version=1, name="draft", data=data, task=task), wish)
    need_writable(folder)
    test = relative_to_project(wish.test, folder) if wish.test is not None else None
    written = data.model_copy(update={"path": relative_to_project(path, folder), "test": test})
    text = _with_train(minimal_yaml(spec.name, written, task.type, resolve_metric(spec)), wish.train)
    write_atomic(folder / ".provetune" / "schema.json", json.dumps(json_schema(), indent=2) + "\n")
    write_atomic(project_file, _with_base(text, wish.base, folder))
    return Started(
        project_file=project_file,
        name=spec.name,
        data=relative_to_project(path, folder),
        format=detect(path, data.columns),
        rows=len(examples),
        task=task.type,
        labels=len(labels_of(examples)),
        columns=columns,
        metric=resolve_metric(spec),
        left_out=tuple(notes.lines()),
    )


def advice_at_start(message: str) -> str:
    """A reader's message with advice that needs no project file.

    >>> advice_at_start("a.csv:1: no usual name is the prompt column; correct data.columns")
    'a.csv:1: no usual name is the prompt column; correct --prompt or --target'
    """
    for told, helps in _ADVICE:
        message = message.replace(told, helps)
    return message


def choose_part(path: Path, ask: Ask) -> Path:
    """The path with the sheet of a workbook or the part of a data set that holds the examples; asks where there are several."""
    parts = parts_named(path)
    if not parts:
        return path
    guess = "train" if "train" in parts else max(parts, key=lambda name: parts[name])
    return Path(joined(path, ask("Which part holds the examples?", list(parts), guess)))


def choose_columns(path: Path, ask: Ask, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Which columns (or JSON keys) hold prompt, target and group; nothing where the format names its own parts.

    What is `given` stands. A usual name decides, or that one column alone holds sentences or labels; else the user is asked. Guesses:
    the target has the fewest distinct values, the prompt the longest texts.
    """
    given = dict(given or {})
    cells = named_cells(path)
    if cells is None or {"prompt", "target"} <= given.keys():
        return given
    names = list(dict.fromkeys(name for row in cells for name in row if name))
    if len(names) < 2:
        found = f"one column only, {quoted(names[0])}" if names else "no column with a name"
        raise DataError(f"{path}: found {found}, wanted at least a prompt and a target; add the missing column")
    values = {name: [row[name] for row in cells if name in row] for name in names}
    known = [name for name in names if name.casefold() in PROMPT_NAMES]
    left = [name for name in names if name != given.get("prompt") and (len(known) != 1 or name != known[0])]
    sure = [name for name in left if _repeats(values[name])]
    target = given.get("target") or _choose(
        "target (what the model should write)", left, (TARGET_NAMES, sure), lambda n: -_variety(values[n]), ask
    )
    others = [name for name in names if name != target]
    sure = [name for name in others if _has_sentences(values[name])]
    prompt = given.get("prompt") or _choose(
        "prompt (what the model gets)", others, (PROMPT_NAMES, sure), lambda n: statistics.fmean(map(len, values[n])), ask
    )
    group = [name for name in others if name != prompt and name.casefold() in GROUP_NAMES and _ties_rows(values[name])]
    return {"prompt": prompt, "target": target, **({"group": group[0]} if group else {})}


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
    if hub_name(path) is not None:
        return path.as_posix()[path.as_posix().index("hf:") :]
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


def _choose(part: str, names: Sequence[str], signs: tuple[Sequence[str], Sequence[str]], worth: Callable[[str], float], ask: Ask) -> str:
    """The one column that its name speaks for, else the one that its cells speak for; `signs` are the usual names and those columns."""
    usual, sure = signs
    matches = [name for name in names if name.casefold() in usual]
    for found in (matches, names, [] if matches else sure):
        if len(found) == 1:
            return found[0]
    return ask(f"Which column holds the {part}?", matches or names, max(matches or names, key=worth))


def _variety(values: Sequence[str]) -> float:
    """Distinct values; a column that never varies, or is blank somewhere, is no target."""
    return len(set(values)) if len(set(values)) > 1 and all(value.strip() for value in values) else float("inf")


def _repeats(values: Sequence[str]) -> bool:
    """Whether a column holds labels: few different values, so that each stands in ten rows or more on average; ids and dates do not."""
    return _variety(values) <= len(values) / 10


def _has_sentences(values: Sequence[str]) -> bool:
    """Whether a column holds texts that are mostly different, of more than three words on average: no ids, no dates, no labels."""
    return len(set(values)) > len(values) / 2 and statistics.fmean(len(value.split()) for value in values) > 3


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


def _with_train(text: str, train: Mapping[str, Any]) -> str:
    """The project file with settings for training."""
    section = "".join(f"  {key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in train.items())
    return text.replace("prove:\n", f"train:\n{section}prove:\n", 1) if section else text


def columns_text(columns: Mapping[str, str]) -> str:
    """Which column is what, in words.

    >>> columns_text({"prompt": "message", "target": "queue"})
    "prompt from 'message', target from 'queue'"
    """
    return ", ".join(f"{part} from {name!r}" for part, name in columns.items())
