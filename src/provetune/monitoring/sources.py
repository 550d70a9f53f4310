"""New lines of files that grow: JSONL, CSV and our own traffic log, each read on from where it was left."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from provetune.errors import DataError
from provetune.formats.delimited import sniff_delimiter

ENDINGS = (".jsonl", ".ndjson", ".csv", ".sqlite", ".db")
LONGEST_LINE = 16_000_000
"""Bytes of a line beyond which it is left out, so that memory stays flat."""
_HEAD = 256
_FILE = 1 << 20

Line = Mapping[str, Any] | None
"""What a line holds; None where it cannot be read."""


@dataclass(frozen=True)
class Cursor:
    """How far a file was read: bytes (rows of a traffic log, as `requests/feedback`), and the hash of its first bytes, `seen` of them."""

    position: int = 0
    head: str = ""
    seen: int = 0
    feedback: int = 0


def files_of(source: Path) -> list[Path]:
    """The files that a source names: a file, all known ones in a folder, or those of a pattern; oldest first.

    Raises DataError where there is neither a file nor a folder to wait in.
    """
    if source.is_dir():
        found = [path for path in source.iterdir() if path.suffix in ENDINGS and path.is_file()]
    elif any(sign in source.name for sign in "*?["):
        found = [path for path in source.parent.glob(source.name) if path.is_file()]
    elif source.is_file():
        found = [source]
    else:
        raise DataError(f"{source}: found no such file or folder, wanted a log to watch; name it with --source or watch.source")
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def identity(path: Path) -> str:
    """Names a file through renames: its device and inode."""
    stat = path.stat()
    return f"{stat.st_dev}-{stat.st_ino}"


def new_lines(path: Path, cursor: Cursor) -> Iterator[tuple[Line, Cursor]]:
    """What was added since `cursor`, each with the cursor after it; only whole lines and records.

    A file that became shorter, or begins otherwise than it did, is a new one and is read from its start.
    """
    if path.suffix in (".sqlite", ".db"):
        yield from _log_rows(path, cursor)
        return
    with path.open("rb") as file:
        cursor = _checked(file, cursor)
        file.seek(cursor.position)
        if path.suffix == ".csv":
            yield from _records(file, path, cursor)
        else:
            yield from _objects(file, cursor)


def _checked(file: BinaryIO, cursor: Cursor) -> Cursor:
    """The cursor if the file still begins as it did; one at the start otherwise."""
    head = file.read(_HEAD)
    same = hashlib.sha256(head[: cursor.seen]).hexdigest()[:16] == cursor.head
    file.seek(0, 2)
    position = cursor.position if cursor.head and same and cursor.position <= file.tell() else 0
    return Cursor(position, hashlib.sha256(head).hexdigest()[:16], len(head))


def _objects(file: BinaryIO, cursor: Cursor) -> Iterator[tuple[Line, Cursor]]:
    position, too_long = cursor.position, False
    while True:
        raw = file.readline(LONGEST_LINE)
        if not raw or (not raw.endswith(b"\n") and len(raw) < LONGEST_LINE):
            return  # a line that is still being written
        position += len(raw)
        whole = raw.endswith(b"\n")
        if too_long or not whole:  # the pieces of a line beyond the limit count once
            if whole:
                yield None, Cursor(position, cursor.head, cursor.seen)
            too_long = not whole
            continue
        if raw.strip():
            yield _parsed(raw), Cursor(position, cursor.head, cursor.seen)


def _parsed(raw: bytes) -> Line:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _records(file: BinaryIO, path: Path, cursor: Cursor) -> Iterator[tuple[Line, Cursor]]:
    """Records of a CSV file under its header, which is read again each time."""
    consumed = cursor.position
    whole = True

    def lines() -> Iterator[str]:
        nonlocal consumed, whole
        for raw in iter(lambda: file.readline(LONGEST_LINE), b""):
            whole = raw.endswith(b"\n")
            consumed += len(raw)
            yield raw.decode("utf-8-sig" if consumed == len(raw) else "utf-8", "replace")

    with path.open("rb") as again:
        header = again.readline(LONGEST_LINE).decode("utf-8-sig", "replace")
    delimiter = sniff_delimiter(header)
    names = next(csv.reader([header], delimiter=delimiter), [])
    reader = csv.reader(lines(), delimiter=delimiter)
    first = cursor.position == 0
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            fields = []
        if not whole:
            return  # a record that is still being written
        if not first and fields:
            line = {name.strip(): field for name, field in zip(names, fields, strict=False) if field != ""}
            yield (line if len(fields) == len(names) else None), Cursor(consumed, cursor.head, cursor.seen)
        first = False


def _log_rows(path: Path, cursor: Cursor) -> Iterator[tuple[Line, Cursor]]:
    """Requests and then feedback of our own traffic log, in the order they were written."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30.0)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"traffic", "feedback"} <= tables:
            raise DataError(f"{path}: found tables {sorted(tables)}, wanted a traffic log of `provetune serve`; name a log")
        at = cursor.position
        query = "SELECT rowid, numbers, text FROM traffic WHERE rowid > ? ORDER BY rowid"
        for at, numbers, text in connection.execute(query, (cursor.position,)):
            row = {**json.loads(numbers), **(json.loads(text) if text else {})}
            usable = row.get("route") != "shadow" and text is not None
            yield ({**row, "messages": row.pop("prompt", None)} if usable else None), Cursor(at, cursor.head, 0, cursor.feedback)
        for place, content in connection.execute("SELECT place, content FROM feedback WHERE place > ? ORDER BY place", (cursor.feedback,)):
            yield json.loads(content), Cursor(at, cursor.head, 0, place)
