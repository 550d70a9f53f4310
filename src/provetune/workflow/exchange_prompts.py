"""What `import` and `export` do with prompts: from and to configurations of promptfoo and saved programs of DSPy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from provetune.errors import DataError, FolderError
from provetune.formats.dspy import read_dspy, write_dspy
from provetune.formats.promptfoo import read_promptfoo, write_promptfoo
from provetune.records.base import Record
from provetune.records.baseline import BaselineReport
from provetune.records.candidate import Candidate
from provetune.records.evaluation import Evidence
from provetune.records.prompt_search import NamedPrompt, PromptSearch, PromptSet
from provetune.store import write_atomic

READERS: dict[str, Callable[[Path], PromptSet]] = {"promptfoo": read_promptfoo, "dspy": read_dspy}
WRITERS: dict[str, Callable[[Sequence[NamedPrompt]], tuple[str, list[str]]]] = {"promptfoo": write_promptfoo, "dspy": write_dspy}
FOLDER = "prompts"
"""Where imported prompts stand in a project."""


@dataclass(frozen=True)
class PromptsExported:
    """What was written, under which names, and what the format cannot hold."""

    out: Path
    format: str
    prompts: tuple[str, ...]
    left_out: tuple[str, ...]


def import_prompts(project: Path, tool: str, file: Path, name: str | None = None, *, force: bool = False) -> tuple[Path, PromptSet]:
    """Write the prompts of another tool's file to `prompts/<name>.json` of a project, to be named in `prompts.files`.

    Raises DataError on a file without prompts, FolderError where the output is there already or cannot be written.
    """
    found = READERS[tool](file)
    out = project / FOLDER / f"{Path(name or file.stem).name}.json"
    _write(out, found.to_json() + "\n", force=force, unlike=file)
    return out, found


def export_prompts(source: Path, to: str, out: Path, name: str | None = None, *, force: bool = False) -> PromptsExported:
    """Write the prompts of a record, as `prompts_of` reads it, in another tool's format.

    Raises DataError on a file that holds no such record or no prompt called `name`, and as the format's writer does; FolderError as
    `import_prompts`.
    """
    prompts = prompts_of(source)
    if name is not None:
        chosen = [prompt for prompt in prompts if prompt.name == name]
        if not chosen:
            raise DataError(f"{source}: found the prompts {', '.join(p.name for p in prompts)}, wanted {name!r}; name one of them")
        prompts = chosen
    try:
        text, left_out = WRITERS[to](prompts)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    _write(out, text, force=force, unlike=source)
    return PromptsExported(out, to, tuple(prompt.name for prompt in prompts), tuple(left_out))


def prompts_of(file: Path) -> list[NamedPrompt]:
    """The prompts that a record holds; of a search the winner's. Raises DataError on a file that is no such record."""
    try:
        text = file.read_text(encoding="utf-8")
        schema = str(json.loads(text).get("schema", ""))
        kind = schema.removeprefix("provetune.").partition("/")[0]
        records: dict[str, type[Record]] = {
            "evidence": Evidence,
            "baseline_report": BaselineReport,
            "prompt_search": PromptSearch,
            "prompt_set": PromptSet,
            "candidate": Candidate,
        }
        record = records[kind].from_json(text)
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise DataError(
            f"{file}: found no record with prompts, wanted a run's evidence.json, a baseline report, a prompt search or imported prompts"
        ) from error
    match record:
        case PromptSet():
            return list(record.prompts)
        case Evidence():
            found = [evaluation.candidate for evaluation in record.evaluations]
        case BaselineReport():
            found = [result.candidate for result in record.results]
        case PromptSearch():
            found = [record.candidate]
        case _:
            found = [record] if isinstance(record, Candidate) else []
    return [NamedPrompt(name=c.name, prompt=c.prompt) for c in {c.name: c for c in found if c.kind != "linear"}.values()]


def _write(out: Path, text: str, *, force: bool, unlike: Path) -> None:
    if out.exists() and (not force or out.resolve() == unlike.resolve()):
        raise FolderError(f"{out}: is there already; give another name, or write it anew with --force (never the file that is read)")
    try:
        write_atomic(out, text)
    except OSError as error:
        raise FolderError(f"{out}: {error.strerror or error}; wanted a file that can be written") from error
