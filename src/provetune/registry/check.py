"""Everything in a registry read again and compared: tables, chain, signatures, roles, files; and what restores a damaged one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provetune.errors import EvidenceError, FolderError, SpecError
from provetune.hashing import file_sha256
from provetune.records.release import LogEntry, RegistryCheck, Release, ReleaseFile, Waiver
from provetune.registry.database import START, Author, append, entry_hash, read_log, sync
from provetune.registry.releases import Registry, standing_of
from provetune.registry.waivers import check_signature


@dataclass(frozen=True)
class Restored:
    """What was put in place: the copy of the tables (None where they were good), files found elsewhere, files that were not."""

    copy: str | None
    files: tuple[str, ...]
    missing: tuple[str, ...]


def verify(registry: Registry) -> RegistryCheck:
    """Read all of it again. Faults are listed, not raised; FolderError only where there is no registry."""
    if not registry.database.file.is_file():
        raise FolderError(f"{registry.folder}: found no registry, wanted one; `provetune ship` makes it with the first release")
    try:
        with closing(_opened(registry.database.file)) as db:
            faults = list(table_faults(db))
            if faults:
                return RegistryCheck(releases=0, files=0, bytes=0, entries=0, champion=None, faults=tuple(faults))
            files = _files(db)
            champion, entries = standing_of(db).champion, len(read_log(db))
            releases = db.execute("SELECT COUNT(*) FROM release").fetchone()[0]
    except (sqlite3.DatabaseError, ValueError, EvidenceError, FolderError) as error:
        fault = f"{registry.database.file.name} cannot be read: {error}"
        return RegistryCheck(releases=0, files=0, bytes=0, entries=0, champion=None, faults=(fault,))
    bad = [f"version {version}: {file.name} is missing or damaged" for version, file in files if not registry.files.intact(file)]
    counts = {"releases": releases, "files": len(files), "bytes": sum(file.bytes for _, file in files), "entries": entries}
    return RegistryCheck(**counts, champion=champion, faults=tuple(bad))


def table_faults(db: sqlite3.Connection) -> Iterator[str]:
    """What is wrong within the tables: SQLite's own check, then chain, releases, waivers and roles against the log."""
    found = [row[0] for row in db.execute("PRAGMA integrity_check")]
    broken = [str(row) for row in db.execute("PRAGMA foreign_key_check")]
    if found != ["ok"] or broken:
        yield f"the tables are damaged: {'; '.join([*found, *broken][:3])}"
        return
    log = read_log(db)
    yield from _chain_faults(log)
    yield from _release_faults(db, log)
    yield from _waiver_faults(db, log)
    yield from _role_faults(db, log)


def restore(registry: Registry, author: Author) -> Restored:
    """Put the newest good copy of damaged tables in place, and look for damaged files in `runs/` by their hash.

    The damaged tables are set aside in `damaged/`. FolderError where no copy is good.
    """
    with registry.files.changing():
        copy = _restore_tables(registry, author)
        with registry.database.reading() as db:
            wrong = [(version, file) for version, file in _files(db) if not registry.files.intact(file)]
        places = _by_size(registry.folder.parent, {file.bytes for _, file in wrong})
        mended, missing = [], []
        for version, file in wrong:
            named = f"version {version}: {file.name}"
            source = next((path for path in places.get(file.bytes, ()) if file_sha256(path) == file.sha256), None)
            if source is None:
                missing.append(named)
            else:
                registry.files.place(file.sha256).unlink(missing_ok=True)
                registry.files.add(file.name, source)
                mended.append(named)
    return Restored(copy, tuple(mended), tuple(missing))


def _restore_tables(registry: Registry, author: Author) -> str | None:
    """The name of the copy that was put in place; None where the tables are good."""
    database = registry.database
    if _good(database.file):
        return None
    copy = next((path for path in sorted(database.copies.glob("[0-9]*.sqlite"), reverse=True) if _good(path)), None)
    if copy is None:
        raise FolderError(f"{database.copies}: found no copy that is whole, wanted one; restore the folder {registry.folder} from a backup")
    aside = registry.folder / "damaged" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    aside.mkdir(parents=True)
    for ending in ("", "-wal", "-shm"):
        damaged = database.file.with_name(database.file.name + ending)
        if damaged.exists():
            damaged.rename(aside / damaged.name)
    partial = database.file.with_name(".restored.partial")
    shutil.copyfile(copy, partial)
    sync(partial)
    partial.replace(database.file)
    sync(registry.folder)
    with database.writing() as db:
        append(db, "restore", author, {"copy": copy.name})
    return copy.name


def _good(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        with closing(_opened(file)) as db:
            return not list(table_faults(db))
    except (sqlite3.DatabaseError, ValueError, EvidenceError, FolderError):
        return False


def _opened(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=30, isolation_level=None)
    try:
        db.execute("BEGIN")
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            raise FolderError(f"{file}: holds no registry")
    except BaseException:
        db.close()
        raise
    return db


def _files(db: sqlite3.Connection) -> list[tuple[int, ReleaseFile]]:
    rows = db.execute("SELECT version, name, sha256, bytes FROM release_file JOIN release USING(version) WHERE NOT collected ORDER BY 1, 2")
    return [(version, ReleaseFile(name=name, sha256=sha256, bytes=size)) for version, name, sha256, size in rows]


def _chain_faults(log: tuple[LogEntry, ...]) -> Iterator[str]:
    before = START
    for number, entry in enumerate(log, start=1):
        if entry.number != number or entry.before != before:
            yield f"log: entry {number} does not follow the one before it"
            return
        if entry_hash(entry.model_dump(mode="json")) != entry.hash:
            yield f"log: entry {number} ({entry.kind} by {entry.who}) was changed"
            return
        before = entry.hash


def _release_faults(db: sqlite3.Connection, log: tuple[LogEntry, ...]) -> Iterator[str]:
    logged = {entry.content["version"]: entry.content["release"] for entry in log if entry.kind == "register"}
    gone: set[int] = set()
    for entry in log:
        if entry.kind == "gc":
            gone |= set(entry.content["versions"])
        elif entry.kind == "register":
            gone.discard(entry.content["version"])
    seen = set()
    for version, record, collected in db.execute("SELECT version, record, collected FROM release"):
        seen.add(version)
        release = Release.from_json(record)
        files = [(f.name, f.sha256, f.bytes) for f in sorted(release.files, key=lambda f: f.name)]
        rows = db.execute("SELECT name, sha256, bytes FROM release_file WHERE version=? ORDER BY name", (version,)).fetchall()
        if release.fingerprint != logged.get(version) or files != rows or bool(collected) != (version in gone):
            yield f"version {version}: its record is not the one that was registered"
    yield from (f"version {version}: registered, and its record is gone" for version in sorted(logged.keys() - seen))


def _waiver_faults(db: sqlite3.Connection, log: tuple[LogEntry, ...]) -> Iterator[str]:
    keys = {entry.content["who"]: entry.content["public_key"] for entry in log if entry.kind == "key"}
    if keys != dict(db.execute("SELECT who, public_key FROM person")):
        yield "the registered keys are not those of the log"
    hashes = {START, *(entry.hash for entry in log)}
    stored = dict(db.execute("SELECT number, record FROM waiver"))
    for entry in log:
        if entry.kind != "waive":
            continue
        waiver = Waiver.model_validate(entry.content)
        row = stored.pop(entry.number, None)
        if row is None or Waiver.model_validate_json(row) != waiver or waiver.after not in hashes:
            yield f"waiver of {waiver.who}: it is not the one of the log"
        try:
            check_signature(waiver, keys.get(waiver.who))
        except (EvidenceError, SpecError) as error:
            yield str(error)
    yield from (f"waiver {number}: it is not in the log" for number in stored)


def _role_faults(db: sqlite3.Connection, log: tuple[LogEntry, ...]) -> Iterator[str]:
    roles: dict[str, int] = {}
    generation = 0
    for entry in log:
        if entry.kind in ("promote", "rollback"):
            champion = entry.content["version"]
            shadow = {name: version for name, version in roles.items() if name == "shadow" and version != champion}
            roles = {"champion": champion, **shadow}
        elif entry.kind == "assign":
            roles.pop(entry.content["role"], None)
            if entry.content["version"] is not None:
                roles[entry.content["role"]] = entry.content["version"]
        generation = entry.content.get("generation", generation)
    standing = standing_of(db)
    if {str(name): one.version for name, one in standing.roles.items()} != roles or standing.generation != generation:
        yield "the roles are not those of the log"


def _by_size(project: Path, sizes: set[int]) -> dict[int, list[Path]]:
    """Files under `runs/` and the laid-out releases that could hold what is looked for."""
    found: dict[int, list[Path]] = {}
    for root in (project / "runs", project / "registry" / "releases") if sizes else ():
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_size in sizes:
                found.setdefault(path.stat().st_size, []).append(path)
    return found
