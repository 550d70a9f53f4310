"""The request log: written beside serving without ever slowing it, read by watching, labelling and comparing.

One SQLite file. Texts are redacted before they reach it; text is kept for 90 days, numbers for 400; one user's rows can be erased.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from provetune.errors import FolderError
from provetune.personal_data import find, find_secrets, masked
from provetune.records.data import Message
from provetune.records.traffic import Feedback, TrafficRecord

TRAFFIC_FILE = Path(".provetune/traffic.sqlite")
"""Where it lies in a project."""
REDACTOR = "patterns/1"
"""Version of what `redacted` takes out: texts of two versions are not comparable."""
BATCH, QUEUED, ATTEMPTS, LOCKED_S = 200, 5_000, 5, 1.0
_TABLES = """
CREATE TABLE IF NOT EXISTS traffic (request_id TEXT PRIMARY KEY, at TEXT NOT NULL, release TEXT NOT NULL, route TEXT NOT NULL,
  user TEXT NOT NULL, numbers TEXT NOT NULL, text TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traffic_at ON traffic (at);
CREATE TABLE IF NOT EXISTS feedback (place INTEGER PRIMARY KEY, request_id TEXT NOT NULL, at TEXT NOT NULL, content TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS feedback_request ON feedback (request_id);
"""


def moment(at: datetime | None = None) -> str:
    """A moment (now, if none is given) as the log writes it."""
    return (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds")


def redacted_text(text: str) -> str:
    """The text with personal data and secrets masked.

    >>> redacted_text("I am jo@example.org")
    'I am [EMAIL]'
    """
    clean = masked(text, find_secrets(text))
    return masked(clean, find(clean))


def redacted(record: TrafficRecord) -> TrafficRecord:
    """The record as it may be kept."""
    prompt = None if record.prompt is None else tuple(_redacted_turn(turn) for turn in record.prompt)
    completion = None if record.completion is None else redacted_text(record.completion)
    tags = {redacted_text(name): redacted_text(value) for name, value in record.tags.items()}
    return record.model_copy(update={"prompt": prompt, "completion": completion, "tags": tags, "redactor": REDACTOR})


def _redacted_turn(turn: Message) -> Message:
    calls = tuple(call.model_copy(update={"arguments": redacted_text(call.arguments)}) for call in turn.tool_calls)
    name = None if turn.name is None else redacted_text(turn.name)
    return turn.model_copy(update={"content": redacted_text(turn.content), "tool_calls": calls, "name": name})


class Salt:
    """Names of users as hashes that only the holder of the salt can make again; it lies beside the log, readable by its owner alone."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
                new.write(secrets.token_hex(32))
        except FileExistsError:
            pass
        self._salt = bytes.fromhex(file.read_text().strip())
        if len(self._salt) != 32:
            raise FolderError(f"{file}: found {len(self._salt)} bytes, wanted 32; restore it, or delete it to begin anew")

    def hashed(self, user: str) -> str:
        """The hash that stands for a user in the log; empty for nobody."""
        return hmac.new(self._salt, user.encode(), hashlib.sha256).hexdigest()[:24] if user else ""


@dataclass
class LogCounters:
    """What became of the lines so far; `alarm` is why the last write failed, None after one that succeeded."""

    written: int = 0
    dropped: int = 0
    alarm: str | None = None


@dataclass
class TrafficWriter:
    """Lines go into a bounded queue and from there, redacted, to the disk by a thread; one transaction, and one fsync, a batch.

    Nothing here waits for the disk: where the queue is full, or the file stays locked or full, lines are dropped and counted.
    """

    file: Path
    queued: int = QUEUED
    locked_s: float = LOCKED_S
    counters: LogCounters = field(default_factory=LogCounters)

    def __post_init__(self) -> None:
        self._queue: queue.Queue[TrafficRecord | Feedback | None] = queue.Queue(self.queued)
        self._thread = threading.Thread(target=self._work, name="traffic log", daemon=True)
        self._thread.start()

    def put(self, line: TrafficRecord | Feedback) -> bool:
        """Hand over a line; False where there is no room, and it is dropped."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self.counters.dropped += 1
            return False
        return True

    def close(self, seconds: float = 10.0) -> None:
        """Write what is queued, then end; gives up after so many seconds."""
        try:
            self._queue.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _work(self) -> None:
        while True:
            batch = [self._queue.get()]
            while len(batch) < BATCH and batch[-1] is not None:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            lines = [line for line in batch if line is not None]
            if lines:
                self._keep(lines)
            if batch[-1] is None:
                return

    def _keep(self, lines: Sequence[TrafficRecord | Feedback]) -> None:
        clean = [_clean(line) for line in lines]
        for attempt in range(ATTEMPTS):
            try:
                write(self.file, clean, self.locked_s)
            except (sqlite3.Error, OSError) as error:
                self.counters.alarm = f"{self.file}: {error}"
                time.sleep(min(0.1 * 2**attempt, self.locked_s))
            else:
                self.counters.written += len(clean)
                self.counters.alarm = None
                return
        self.counters.dropped += len(clean)


def _clean(line: TrafficRecord | Feedback) -> TrafficRecord | Feedback:
    if isinstance(line, TrafficRecord):
        return redacted(line)
    return line if line.correction is None else line.model_copy(update={"correction": redacted_text(line.correction)})


def write(file: Path, lines: Iterable[TrafficRecord | Feedback], locked_s: float = LOCKED_S) -> None:
    """Add lines that are redacted already, all or none; a request that is there is replaced. Raises sqlite3.Error or OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(_open(file, locked_s)) as connection, connection:
        for line in lines:
            if isinstance(line, TrafficRecord):
                numbers = line.model_dump_json(exclude={"prompt", "completion"})
                kept = line.prompt is not None or line.completion is not None
                text = line.model_dump_json(include={"prompt", "completion"}) if kept else None
                row = line.request_id, line.at, line.release, line.route, line.user, numbers, text
                connection.execute("INSERT OR REPLACE INTO traffic VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            else:
                said = line.request_id, line.at, line.model_dump_json()
                connection.execute("INSERT INTO feedback (request_id, at, content) VALUES (?, ?, ?)", said)


def _open(file: Path, locked_s: float) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=locked_s)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.executescript(_TABLES)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@dataclass(frozen=True)
class Window:
    """Which lines: from `since` up to but without `until`, of one release, of some routes; all where nothing is named."""

    since: datetime | None = None
    until: datetime | None = None
    release: str | None = None
    routes: tuple[str, ...] = ()

    def condition(self) -> tuple[str, list[str]]:
        """The same as SQL over the table of requests."""
        found = [("at >= ?", [moment(self.since)])] if self.since else []
        found += [("at < ?", [moment(self.until)])] if self.until else []
        found += [("release = ?", [self.release])] if self.release is not None else []
        found += [(f"route IN ({', '.join('?' * len(self.routes))})", list(self.routes))] if self.routes else []
        return " AND ".join(words for words, _ in found) or "1", [value for _, values in found for value in values]


class TrafficReader:
    """Reads a log that may be written at the same time; an absent file is an empty log."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def records(self, window: Window = Window()) -> Iterator[TrafficRecord]:
        """Requests, oldest first."""
        words, values = window.condition()
        for numbers, text in self._rows(f"SELECT numbers, text FROM traffic WHERE {words} ORDER BY at, request_id", values):
            kept = {"prompt": None, "completion": None} if text is None else json.loads(text)
            yield TrafficRecord.model_validate({**json.loads(numbers), **kept})

    def feedback(self) -> Iterator[Feedback]:
        """All feedback, in the order of its arrival, also on requests that are not in the log."""
        for (content,) in self._rows("SELECT content FROM feedback ORDER BY place", []):
            yield Feedback.model_validate_json(content)

    def judged(self, window: Window = Window()) -> Iterator[tuple[TrafficRecord, tuple[Feedback, ...]]]:
        """Requests with what was said about them (perhaps nothing), oldest request first."""
        said: dict[str, list[Feedback]] = {}
        for one in self.feedback():
            said.setdefault(one.request_id, []).append(one)
        for record in self.records(window):
            yield record, tuple(said.get(record.request_id, ()))

    def _rows(self, query: str, values: Sequence[str]) -> Iterator[tuple[str, ...]]:
        if not self.file.is_file():
            return
        try:
            with closing(_open(self.file, 30.0)) as connection:
                yield from connection.execute(query, values)
        except sqlite3.Error as error:
            raise FolderError(f"{self.file}: the traffic log cannot be read ({error}); move it away to begin a new one") from error


@dataclass(frozen=True)
class Retention:
    """Days that texts and numbers are kept."""

    text_days: float = 90.0
    numbers_days: float = 400.0


def expire(file: Path, keep: Retention = Retention(), now: datetime | None = None) -> tuple[int, int]:
    """Drop what is too old: (texts, whole requests with their feedback)."""
    if not file.is_file():
        return 0, 0
    at = now or datetime.now(UTC)
    text_end, numbers_end = (moment(at - timedelta(days=days)) for days in (keep.text_days, keep.numbers_days))
    with closing(_open(file, 30.0)) as connection:
        with connection:
            connection.execute("DELETE FROM feedback WHERE at < ?", (numbers_end,))
            gone = connection.execute("DELETE FROM traffic WHERE at < ?", (numbers_end,)).rowcount
            texts = connection.execute("UPDATE traffic SET text = NULL WHERE at < ? AND text IS NOT NULL", (text_end,)).rowcount
            connection.execute("UPDATE feedback SET content = json_remove(content, '$.correction') WHERE at < ?", (text_end,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return texts, gone


def erase_user(file: Path, user: str) -> int:
    """Delete every request of a user (as the salt hashes them) and its feedback, from the file's free pages too; how many requests."""
    if not file.is_file() or not user:
        return 0
    with closing(_open(file, 30.0)) as connection:
        with connection:
            connection.execute("DELETE FROM feedback WHERE request_id IN (SELECT request_id FROM traffic WHERE user = ?)", (user,))
            gone = connection.execute("DELETE FROM traffic WHERE user = ?", (user,)).rowcount
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone
