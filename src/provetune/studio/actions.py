"""What can be done from a page: each action is a command of the command line, run as a process of its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provetune.errors import FolderError, SpecError
from provetune.jobs import Jobs, JobState

LOG_LINES = 50
JOBS = Path(".provetune") / "jobs"
PAGES = Path(".provetune") / "pages"
PAGE_OPTIONS = {"vote": "--rater", "label": "--annotator"}
"""Verbs with a page for one person, and the option that names the person."""
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/start\?key=[\w-]+")
_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")


@dataclass(frozen=True)
class Action:
    """`words` are those after `provetune`, `{run}` standing for the newest decided run; `explained` says what it does."""

    words: tuple[str, ...]
    label: str
    explained: str
    then: str
    """The screen that shows what comes of it."""


ACTIONS: dict[str, Action] = {
    "audit": Action(("audit",), "Review the data", "Looks at every row; changes nothing.", "audit"),
    "fix-list": Action(("audit", "--fix"), "List the remedies", "Shows what would be mended; writes nothing.", "audit"),
    "fix": Action(("audit", "--fix", "--yes"), "Write the mended rows", "Writes a new file; yours stays as it is.", "audit"),
    "plan": Action(("plan",), "Estimate memory, time and cost", "Trains nothing.", "plan"),
    "baseline": Action(("baseline",), "Measure the prompts", "On the validation rows; opens nothing, trains nothing.", "baselines"),
    "run": Action(("run",), "Train and prove", "Locks metric and test split, measures prompts, trains, decides.", "train"),
    "prove": Action(("prove",), "Decide again", "The verdict on what is already trained.", "train"),
    "verify": Action(("report", "--verify", "{evidence}"), "Verify", "Computes the decision again from the evidence alone.", "evidence"),
}


@dataclass(frozen=True)
class ShownJob:
    """A job for a page: its commands as a person would type them, the end of its log, what it wrote."""

    state: JobState
    commands: tuple[str, ...]
    log: tuple[str, ...]
    documents: tuple[dict[str, Any], ...]

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state.status in ("queued", "running")

    @property
    def word(self) -> str:
        """How it stands, in words."""
        if self.state.status == "ended":
            return "cancelled" if self.state.cancelled else END_WORDS.get(self.state.code or 0, f"ended with exit code {self.state.code}")
        return {"queued": "waiting for its turn", "running": "running", "lost": "its process is gone; start it again, it goes on"}[
            self.state.status
        ]


END_WORDS = {
    0: "done",
    1: "failed: a bug",
    2: "failed: a mistake in the project file or the data",
    3: "done: HOLD",
    4: "done: NOT ENOUGH EVIDENCE",
    5: "stopped: the review of the data blocks",
    6: "stopped: nothing can be trained on this machine",
    8: "stopped with saved state",
    130: "interrupted, state saved",
}


class Desk:
    """Jobs of projects. `environment` is what their processes see."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self._held: dict[Path, Jobs] = {}

    def jobs(self, folder: Path) -> Jobs:
        """The jobs below a folder; one object per folder, which waits for its children."""
        return self._held.setdefault(folder, Jobs(folder, self.environment))

    def start(self, project: Path, action: str, evidence: Path | None) -> str:
        """Start an action; the job's id. SpecError where there is no such action, or one is running already."""
        if action not in ACTIONS:
            raise SpecError(f"found no action named {action[:40]!r}; wanted {', '.join(ACTIONS)}")
        words = ACTIONS[action].words
        if "{evidence}" in words and evidence is None:
            raise FolderError(f"{project}: found no run with a decision, wanted one; `provetune run` makes it")
        if (now := self.active(project)) is not None:
            raise SpecError(f"`{now.commands[0]}` is {now.word}; wait for its end, or cancel it")
        return self.jobs(project / JOBS).start(project, [[str(evidence) if word == "{evidence}" else word for word in words]])

    def open_page(self, project: Path, kind: str, person: str) -> str:
        """Start `provetune vote` or `label` for a person; the job's id. A page that is open for this person already is taken."""
        jobs = self.jobs(_page_place(project, kind, person))
        for name in reversed(jobs.ids):
            if jobs.state(name).status == "running":
                jobs.cancel(name)  # its address works once: whoever asks again has lost it
        return jobs.start(project, [[kind, PAGE_OPTIONS[kind], person]])

    def page_address(self, project: Path, kind: str, person: str, name: str) -> tuple[str | None, ShownJob]:
        """The address of such a page, None while it is not there yet."""
        job = self.shown(_page_place(project, kind, person), name)
        found = next((match.group() for line in job.log if (match := _ADDRESS.search(line))), None)
        return found, job

    def recent(self, project: Path, count: int = 10) -> list[ShownJob]:
        """The newest jobs of a project, newest first."""
        jobs = self.jobs(project / JOBS)
        return [self.shown(project / JOBS, name) for name in jobs.ids[-count:][::-1]]

    def active(self, project: Path) -> ShownJob | None:
        """The job that runs or waits."""
        return next((job for job in self.recent(project) if job.active), None)

    def shown(self, folder: Path, name: str) -> ShownJob:
        """One job. FolderError where there is none of this name."""
        jobs = self.jobs(folder)
        state = jobs.state(name)
        place = folder / name
        wanted = jobs.commands(name)
        log = (place / "log.txt").read_text(encoding="utf-8", errors="replace").split("\n") if (place / "log.txt").is_file() else []
        commands = tuple(shlex.join(["provetune", *words]) for words in wanted)
        return ShownJob(state, commands, tuple(line for line in log if line.strip())[-LOG_LINES:], tuple(jobs.documents(name)))

    def document(self, project: Path, schema: str) -> dict[str, Any] | None:
        """The newest document of this schema (`name/`) that a job of the project wrote."""
        jobs = self.jobs(project / JOBS)
        for name in reversed(jobs.ids):
            for document in jobs.documents(name):
                if str(document.get("schema", "")).startswith(f"provetune.{schema}"):
                    return document
        return None


def _page_place(project: Path, kind: str, person: str) -> Path:
    """Where the jobs of a page are kept; SpecError on a name that could be more than one."""
    if kind not in PAGE_OPTIONS or not _PERSON.fullmatch(person):
        raise SpecError(f"found the name {person[:40]!r}, wanted 1 to 40 letters, digits, blanks, '.', '_' or '-'")
    return project / PAGES / f"{kind}-{person}"
