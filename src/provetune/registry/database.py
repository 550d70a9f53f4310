"""The registry's tables in SQLite, and its append-only log, each entry holding the hash of the one before."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provetune.errors import FolderError
from provetune.hashing import canonical_json
from provetune.records.release import LogEntry

BUSY_SECONDS = 30
COPIES_KEPT = 3
START = "0" * 64
"""The hash before the first entry."""
_TABLES_VERSION = 1
_TABLES = """
CREATE TABLE log(number INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, kind TEXT NOT NULL,
  content TEXT NOT NULL, before TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE);
CREATE TABLE release(version INTEGER PRIMARY KEY, candidate TEXT NOT NULL, evidence_sha256 TEXT NOT NULL, record TEXT NOT NULL,
  fingerprint TEXT NOT NULL UNIQUE, collected INTEGER NOT NULL DEFAULT 0, UNIQUE(candidate, evidence_sha256));
CREATE TABLE release_file(version INTEGER NOT NULL REFERENCES release, name TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY(version, name));
CREATE TABLE role(name TEXT PRIMARY KEY, version INTEGER NOT NULL REFERENCES release, share REAL NOT NULL);
CREATE TABLE generation(only INTEGER PRIMARY KEY CHECK(only = 1), number INTEGER NOT NULL);
CREATE TABLE person(who TEXT PRIMARY KEY, public_key TEXT NOT NULL);
CREATE TABLE waiver(number INTEGER PRIMARY KEY REFERENCES log, evidence_sha256 TEXT NOT NULL, candidate TEXT NOT NULL,
  record TEXT NOT NULL);
INSERT INTO generation VALUES(1, 0);
CREATE TRIGGER log_stays BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_keeps BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
"""


@dataclass(frozen=True)
class Author:
    """Who makes a change, and why."""

    who: str
    why: str


class Database:
    """`registry.sqlite` in `folder`, opened anew for each reading and each change: safe from any thread and any process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "registry.sqlite"
        self.copies = folder / "copies"

    def exists(self) -> bool:
        """Whether anything was ever written: a first change that never came about leaves an empty file."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) if self.file.is_file() else nullcontext() as db:
            return db is not None and db.execute("PRAGMA user_version").fetchone()[0] > 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A consistent view; FolderError where there is no registry or it cannot be read."""
        with self._errors_named():
            if not self.exists():
                raise FolderError(f"{self.folder}: found no registry, wanted one; `provetune ship` makes it with the first release")
        with self._errors_named(), closing(self._connect()) as db:
            db.execute("BEGIN")
            yield db
            db.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, whole or not at all; the registry is made where there is none. A copy is kept of each state."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._errors_named(), closing(self._connect()) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("BEGIN IMMEDIATE")
            try:
                if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _TABLES.strip().split(";\n"):
                        db.execute(statement)
                    db.execute(f"PRAGMA user_version={_TABLES_VERSION}")
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            self._keep_copy(db)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.file, timeout=BUSY_SECONDS, isolation_level=None)
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > _TABLES_VERSION:
            db.close()
            raise FolderError(f"{self.file}: found version {found}, wanted at most {_TABLES_VERSION}; update provetune")
        return db

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise FolderError(f"{self.file}: another change has gone on for {BUSY_SECONDS} s; try again when it is done") from error
            raise FolderError(f"{self.file}: {error}; `provetune registry verify` says more") from error
        except sqlite3.DatabaseError as error:
            raise FolderError(f"{self.file}: damaged ({error}); `provetune registry restore` puts the newest good copy in place") from error

    def _keep_copy(self, db: sqlite3.Connection) -> None:
        """The state after a change as a file of its own, from which a damaged registry is restored."""
        last = db.execute("SELECT COALESCE(MAX(number), 0) FROM log").fetchone()[0]
        self.copies.mkdir(exist_ok=True)
        target, partial = self.copies / f"{last:08d}.sqlite", self.copies / f".{last:08d}.{os.getpid()}.partial"
        partial.unlink(missing_ok=True)
        with closing(sqlite3.connect(partial)) as copy:
            db.backup(copy)
        sync(partial)
        partial.replace(target)
        sync(self.copies)
        for old in sorted(self.copies.glob("[0-9]*.sqlite"))[:-COPIES_KEPT]:
            old.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Force a file's content, or a folder's names, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def append(db: sqlite3.Connection, kind: str, author: Author, content: Mapping[str, Any]) -> LogEntry:
    """One more entry of the log, chained to the last, within the caller's transaction."""
    row = db.execute("SELECT number, hash FROM log ORDER BY number DESC LIMIT 1").fetchone()
    number, before = (1, START) if row is None else (row[0] + 1, row[1])
    entry = {
        "number": number,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "who": author.who,
        "why": author.why,
        "kind": kind,
        "content": dict(content),
        "before": before,
    }
    made = LogEntry.model_validate({**entry, "hash": entry_hash(entry)})
    values = (made.number, made.at, made.who, made.why, made.kind, canonical_json(made.content), made.before, made.hash)
    db.execute("INSERT INTO log VALUES(?,?,?,?,?,?,?,?)", values)
    return made


def entry_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256 over everything in an entry but its own hash."""
    return hashlib.sha256(canonical_json({key: value for key, value in entry.items() if key != "hash"}).encode()).hexdigest()


def read_log(db: sqlite3.Connection) -> tuple[LogEntry, ...]:
    """The whole log, oldest first."""
    names = ("number", "at", "who", "why", "kind", "content", "before", "hash")
    rows = db.execute("SELECT number, at, who, why, kind, content, before, hash FROM log ORDER BY number")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return tuple(LogEntry.model_validate({**row, "content": json.loads(row["content"])}) for row in found)
