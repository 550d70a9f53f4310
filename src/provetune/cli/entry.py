"""The entry point: options in any place, every error as one message and one exit code."""

from __future__ import annotations

import errno
import io
import itertools
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from provetune.cli.session import Session
from provetune.cli.verbs import app
from provetune.errors import Notice, ProvetuneError, RunFailed

INTERRUPTED = 130
_WITH_VALUE = ("-C", "--project", "--format")
_FLAGS = ("--offline", "-v", "--verbose")
_JOINED = ("--project=", "--format=")
_DISK = {
    errno.ENOSPC: ("the disk is full", "Free some space"),
    errno.EDQUOT: ("your quota of the disk is used up", "Free some space"),
    errno.EFBIG: ("files may not grow this large here", "Raise the limit on file size (ulimit -f)"),
    errno.EIO: ("the disk fails to read or write", "Check the disk"),
    errno.EROFS: ("the file system is read-only", "Make it writable"),
}
"""What a disk can refuse, in words, and what mends it."""
_DATABASE = ("disk is full", "readonly database", "disk I/O error", "unable to open database")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never shows a traceback. `arguments` default to the command line's."""
    given = globals_first(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a result is worth more than a letter that the terminal's encoding lacks
    session = Session(format="json" if asks_for_json(given) else "human")
    try:
        with _terminated_as_interrupted(), warnings.catch_warnings():
            warnings.showwarning = _noticing(session, warnings.showwarning)
            app(args=given, obj=session, prog_name="provetune")
    except SystemExit as stop:
        return _stopped(session, stop)
    except ProvetuneError as error:
        if session.verbose:
            traceback.print_exc()
        return session.refused(error)
    except KeyboardInterrupt:
        return _interrupted(session)
    except Exception as error:
        return _crashed(session, error)
    return 0


def _noticing(session: Session, otherwise: Callable[..., None]) -> Callable[..., None]:
    """Notices of ours as warnings of the command line; other warnings as before."""

    def show(message: Warning | str, category: type[Warning], *place: Any, **named: Any) -> None:
        if issubclass(category, Notice):
            session.warn(str(message))
        else:
            otherwise(message, category, *place, **named)

    return show


def globals_first(arguments: Sequence[str]) -> list[str]:
    """Move the global options before the verb, so that they may be written after it too.

    >>> globals_first(["audit", "--format", "json", "--set", "a=1", "-C", "here"])
    ['--format', 'json', '-C', 'here', 'audit', '--set', 'a=1']
    """
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _FLAGS or word.startswith(_JOINED):
            front.append(word)
        elif word in _WITH_VALUE:
            front += [word, *itertools.islice(words, 1)]
        elif word == "--set":
            rest += [word, *itertools.islice(words, 1)]
        else:
            rest.append(word)
    return front + rest


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether JSON is wanted, known before the options are parsed, so that a mistake in them is told in JSON as well."""
    return "--format=json" in arguments or ("--format", "json") in itertools.pairwise(arguments)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A SIGTERM stops as Ctrl-C does: with saved state and its message."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(session: Session, stop: SystemExit) -> int:
    code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    if code == INTERRUPTED:
        return _interrupted(session)
    usage = stop.__context__  # Typer has shown it already
    if code == 2 and usage is not None:
        session.document_error(type(usage).__name__, str(usage), code)
    return code


def _interrupted(session: Session) -> int:
    session.failed("Interrupted", "interrupted, state saved; the same command continues", INTERRUPTED)
    return INTERRUPTED


def _crashed(session: Session, error: Exception) -> int:
    if isinstance(error, BrokenPipeError):  # `provetune ... | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    refused = _refused_by_the_disk(error)
    if refused is not None:
        place, found, remedy = refused
        return session.refused(RunFailed(f"{place or session.folder}: {found}; state is saved. {remedy}; the same command continues"))
    file = _crash_file(session.folder, "".join(traceback.format_exception(error)))
    message = f"this is a bug in provetune ({type(error).__name__}: {error}). Please report it with {file}; state is saved"
    return session.failed(type(error).__name__, message, 1)


def _refused_by_the_disk(error: Exception) -> tuple[str | None, str, str] | None:
    """(file, what was found, what mends it) where an error is the disk's."""
    if isinstance(error, OSError) and error.errno in _DISK:
        return (error.filename, *_DISK[error.errno])
    if isinstance(error, sqlite3.OperationalError) and any(words in str(error) for words in _DATABASE):
        return None, str(error), "Free some space, or make the folder writable"
    return None


def _crash_file(folder: Path, text: str) -> Path:
    """Where the traceback was written: the project's own folder, or, where that cannot be written, the one for temporary files."""
    name = f"crash-{datetime.now(UTC):%Y%m%dT%H%M%S}.txt"
    for place in (folder / ".provetune", Path(tempfile.gettempdir())):
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return place / name
    return Path(name)
