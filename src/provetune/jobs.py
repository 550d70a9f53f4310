"""Runs as processes of their own: started, followed and cancelled by whoever asks, unharmed when that one ends.

A job is a folder: `job.json` (what to do), `runner.json` (who does it), `log.txt` (what is said), `out-K.json` (each command's
document), `ended.json` (how it ended). One job of a folder of jobs runs at a time; the others wait their turn.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import psutil

from provetune.errors import FolderError
from provetune.store import write_atomic

JobStatus = Literal["queued", "running", "ended", "lost"]
INTERRUPTED = 130
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class JobState:
    """How a job stands. `code` is the exit code of its last command; times are seconds since 1970.

    `lost`: its process is gone without a word (killed, or the machine went down). `cancelled` says that somebody asked for its end.
    """

    id: str
    status: JobStatus
    started_at: float
    code: int | None = None
    ended_at: float | None = None
    cancelled: bool = False


class Jobs:
    """All jobs below a folder; any number of processes may look at them. `environment` is that of the jobs, this process's own if None."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder, self.environment = folder, environment

    def start(self, project: Path, commands: Sequence[Sequence[str]], name: str | None = None) -> str:
        """Begin `provetune -C project ...` for each command, the next one where the one before succeeded; the job's id.

        FolderError where a job of this name is there, or the name could leave the folder.
        """
        name = name or f"job-{secrets.token_hex(8)}"
        place = self._place(name)
        try:
            place.mkdir(parents=True)
        except FileExistsError as error:
            raise FolderError(f"{place}: a job of this name is there already; take another name") from error
        wanted = {"project": str(project.resolve()), "commands": [list(words) for words in commands], "started_at": time.time()}
        write_atomic(place / "job.json", json.dumps(wanted))
        with (place / "log.txt").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "provetune.jobs", str(place)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,  # Ctrl-C for a server is none for its jobs
            )
        threading.Thread(target=child.wait, daemon=True).start()  # no zombie is left while this process lives
        write_atomic(place / "runner.json", json.dumps({"pid": child.pid, "made": psutil.Process(child.pid).create_time()}))
        return name

    def state(self, name: str) -> JobState:
        """How a job stands; FolderError where there is none of this name."""
        place = self._place(name)
        wanted = _read(place / "job.json")
        if wanted is None:
            raise FolderError(f"{place}: found no job of this name")
        running = _alive(_read(place / "runner.json"))
        ended = _read(place / "ended.json")
        cancelled = (place / "cancelled").exists()
        if ended is not None:
            return JobState(name, "ended", wanted["started_at"], ended["code"], ended["at"], cancelled)
        if not running:
            return JobState(name, "lost", wanted["started_at"], None, None, cancelled)
        status: JobStatus = "running" if (place / "turn").exists() else "queued"
        return JobState(name, status, wanted["started_at"], None, None, cancelled)

    def cancel(self, name: str) -> None:
        """Ask a job to end; a run saves its state first. One that has ended stays as it is."""
        if self.state(name).status not in ("queued", "running"):
            return
        place = self._place(name)
        (place / "cancelled").touch()
        runner = _read(place / "runner.json")
        if runner is not None and _alive(runner):
            with suppress(ProcessLookupError):
                os.kill(runner["pid"], signal.SIGTERM)

    def documents(self, name: str) -> list[dict[str, Any]]:
        """What each command so far wrote as its JSON document."""
        found = (_read(file) for file in sorted(self._place(name).glob("out-*.json")))
        return [document for document in found if document is not None]

    def commands(self, name: str) -> list[list[str]]:
        """The words of each command of a job, after `provetune`."""
        found = _read(self._place(name) / "job.json") or {}
        return [[str(word) for word in words] for words in found.get("commands", [])]

    @property
    def ids(self) -> list[str]:
        """All jobs, the oldest first."""
        found = [(wanted["started_at"], file.parent.name) for file in self.folder.glob("*/job.json") if (wanted := _read(file))]
        return [name for _, name in sorted(found)]

    def _place(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise FolderError(f"found the job name {name[:80]!r}, wanted letters, digits, '-' and '_'")
        return self.folder / name


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _alive(runner: dict[str, Any] | None) -> bool:
    """Whether it is that very process that runs, and no later one with its number."""
    if runner is None:
        return True  # it is being started
    try:
        found = psutil.Process(runner["pid"])
        return bool(found.create_time() == runner["made"] and found.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class _Cancelled(Exception):
    """Raised by the signal that ends a job."""


def run_job(place: Path) -> int:
    """What the process of a job does; the exit code of its last command."""

    def cancel(number: int, frame: FrameType | None) -> None:
        raise _Cancelled

    signal.signal(signal.SIGTERM, cancel)
    signal.signal(signal.SIGINT, cancel)
    wanted = json.loads((place / "job.json").read_text(encoding="utf-8"))
    code = INTERRUPTED
    with suppress(_Cancelled), (place.parent / ".turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        (place / "turn").touch()
        for number, words in enumerate(wanted["commands"]):
            code = _command(place / f"out-{number}.json", ["-C", wanted["project"], "--format", "json", *words])
            if code != 0:
                break
    write_atomic(place / "ended.json", json.dumps({"code": code, "at": time.time()}))
    return code


def _command(out: Path, words: Sequence[str]) -> int:
    with out.open("wb") as stdout:
        child = subprocess.Popen([sys.executable, "-m", "provetune", *words], stdin=subprocess.DEVNULL, stdout=stdout)
    try:
        return child.wait()
    except _Cancelled:
        child.send_signal(signal.SIGINT)
        child.wait()
        raise


if __name__ == "__main__":
    sys.exit(run_job(Path(sys.argv[1])))
