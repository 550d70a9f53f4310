"""What `init` does: look at a file of examples, guess what it is, write the project file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from provetune.errors import DataError, SpecError
from provetune.formats.columns import Ask, choose_columns, choose_part
from provetune.formats.detection import detect
from provetune.formats.hub import hub_name
from provetune.formats.row import Notes
from provetune.load import choose_task, labels_of, load, read_rows
from provetune.spec import ColumnsSpec, DataSpec, ProjectSpec, TaskSpec, json_schema, resolve_metric
from provetune.spec.model import TaskType
from provetune.spec.text import SPEC_FILE
from provetune.spec.write import minimal_yaml
from provetune.store import need_writable, write_atomic
from provetune.workflow.advice import advice_at_start


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


def relative_to_project(path: Path, folder: Path) -> str:
    """The path as the project file names it: relative up to two folders above the project, else absolute."""
    if hub_name(path) is not None:
        return path.as_posix()[path.as_posix().index("hf:") :]
    relative = os.path.relpath(path.resolve(), folder.resolve())
    far = relative.startswith(os.path.join("..", "..", "..")) or os.path.isabs(relative)
    return path.resolve().as_posix() if far else Path(relative).as_posix()


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
