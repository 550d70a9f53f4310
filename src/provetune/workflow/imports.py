"""What `import` does: a training job of another tool in, a project file out, and a list of what has no counterpart here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provetune.errors import SpecError
from provetune.formats.columns import Ask
from provetune.formats.text import did_you_mean
from provetune.formats.training_jobs import TOOLS
from provetune.workflow.start import Started, Wish, start_project


@dataclass(frozen=True)
class Imported:
    """The project that was started, the settings taken over, and what has no counterpart."""

    started: Started
    train: dict[str, Any]
    unmapped: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """What the user gave: which tool's file, the folder of its data files, and what stands whatever the file says."""

    tool: str
    file: Path
    files: Path | None = None
    base: str | None = None
    name: str | None = None


def import_job(folder: Path, source: Source, ask: Ask, *, force: bool = False) -> Imported:
    """Write a project file for a job of another tool into `folder`.

    Raises SpecError on an unknown tool; DataError on a file that is no such job, that names data files which are not there, or whose
    data cannot be read; SpecError and FolderError as `start_project` does.
    """
    if source.tool not in TOOLS:
        raise SpecError(f"found {source.tool!r}, wanted one of {', '.join(TOOLS)}{did_you_mean(source.tool, TOOLS)}")
    job = TOOLS[source.tool](source.file, source.files or source.file.parent)
    name = source.name or job.name
    wish = Wish(job.data, job.test, None, name, source.base or job.base or "starter", train=job.train)
    return Imported(start_project(folder, wish, ask, force=force), job.train, tuple(job.unmapped))
