"""What the studio reads of a project: its file, its rows, the newest record of each kind, its runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from provetune.chat import TokenRow, encode_training_rows
from provetune.errors import EvidenceError, FolderError, ProvetuneError
from provetune.records.base import Record
from provetune.records.data import Example, Split
from provetune.records.evaluation import Evidence
from provetune.spec.text import SPEC_FILE
from provetune.store import Store
from provetune.workflow.project import Project, open_project
from provetune.workflow.verify import read_evidence

R = TypeVar("R", bound=Record)
_OPENED: dict[Path, tuple[object, Project]] = {}
_PROJECTS_HELD = 4


def opened(folder: Path) -> Project:
    """The project with its rows, read again only where its file or its data changed."""
    spec = folder / SPEC_FILE
    if folder in _OPENED:
        before, project = _OPENED[folder]
        if before == _signature(spec, project):
            return project
    project = open_project(folder, (), lambda *_: None)
    while len(_OPENED) >= _PROJECTS_HELD:
        _OPENED.pop(next(iter(_OPENED)))
    _OPENED[folder] = (_signature(spec, project), project)
    return project


def _signature(spec: Path, project: Project) -> object:
    files = [spec, *(project.folder / source.path for source in project.sources)]
    return [(str(file), state.st_mtime_ns, state.st_size) for file in files if file.exists() for state in [file.stat()]]


def runs_of(folder: Path) -> list[Path]:
    """Run folders, the newest first."""
    return sorted((folder / "runs").glob("[0-9]*-*"), reverse=True)


def run_named(folder: Path, name: str) -> Path:
    """One run of the project; FolderError where there is none. Nothing else can be named."""
    found = next((run for run in runs_of(folder) if run.name == name), None)
    if found is None:
        raise FolderError(f"found no run named {name[:80]!r} in {folder}")
    return found


def newest(folder: Path, step: str, kind: type[R]) -> R | None:
    """The newest readable record of a step in all runs; `step` begins its file's name."""
    files = sorted((folder / "runs").glob(f"[0-9]*/records/{step}-*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return next((record for file in files if (record := _record(file, kind)) is not None), None)


def records_of(run: Path, step: str, kind: type[R]) -> list[R]:
    """The readable records of a step in one run."""
    found = (_record(file, kind) for file in sorted((run / "records").glob(f"{step}-*.json")))
    return [record for record in found if record is not None]


def _record(file: Path, kind: type[R]) -> R | None:
    try:
        return kind.from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, EvidenceError):
        return None


def evidence_of(folder: Path) -> tuple[Path, Evidence] | None:
    """The newest decision's run and evidence."""
    try:
        run = Store(folder).decided_run()
        return run, read_evidence(run / "evidence.json")
    except FolderError:
        return None


def json_file(file: Path) -> dict[str, Any]:
    """What a JSON file of a run says; nothing where it is missing or damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def events_of(run: Path) -> Iterator[dict[str, Any]]:
    """The lines of a run's events.jsonl; half a line at its end is still being written."""
    file = run / "events.jsonl"
    if not file.is_file():
        return
    for line in file.read_text(encoding="utf-8").split("\n"):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


@dataclass(frozen=True)
class ShownRow:
    """One row through the model's own template: pieces of text and whether the loss is taken on them; or why it cannot be rendered."""

    id: str
    source: str
    pieces: tuple[tuple[str, bool], ...]
    tokens: int
    trained: int
    error: str = ""


def shown_rows(project: Project, examples: Sequence[Example]) -> list[ShownRow]:
    """Each example as the model would be trained on it."""
    encoded = encode_training_rows(examples, project.tokenizer)
    return [_shown(project, example, row) for example, row in zip(examples, encoded, strict=True)]


def _shown(project: Project, example: Example, row: TokenRow | ProvetuneError) -> ShownRow:
    if isinstance(row, ProvetuneError):
        return ShownRow(example.id, example.source, ((example.prompt_text, False), (example.target, True)), 0, 0, str(row))
    edges = [0, *(place for place in range(1, len(row)) if row.labelled[place] != row.labelled[place - 1]), len(row)]
    pieces = [
        (project.tokenizer.shown(row.ids[start:end].tolist()), bool(row.labelled[start]))
        for start, end in zip(edges, edges[1:], strict=False)
    ]
    return ShownRow(example.id, example.source, tuple(pieces), len(row), row.label_count)


def unsealed(folder: Path, examples: Sequence[Example], words: str = "") -> tuple[list[Example], int]:
    """The examples that are not in the sealed test split, with `words` in them; and how many are sealed."""
    split = newest(folder, "split", Split)
    sealed = set() if split is None or split.test_given else set(split.test_ids)
    wanted = words.casefold()
    found = [one for one in examples if one.id not in sealed and (not wanted or _holds(one, wanted))]
    return found, len(sealed)


def _holds(example: Example, words: str) -> bool:
    return words in example.id.casefold() or any(words in message.text.casefold() for message in example.messages)
