"""Garbage collection: the files of releases that no recent change reaches; their records and the log stay for ever."""

from __future__ import annotations

from dataclasses import dataclass

from provetune.records.release import LogEntry
from provetune.registry.database import Author, append, read_log
from provetune.registry.releases import CHAMPIONS_KEPT, Registry, champions, standing_of

CHANGES_KEPT = 10
_CHANGES = ("register", "promote", "rollback", "assign")


@dataclass(frozen=True)
class Collected:
    """What was (or, in a dry run, would be) collected: versions, and the objects and bytes that were removed."""

    versions: tuple[int, ...]
    objects: int = 0
    bytes: int = 0


def collect(registry: Registry, author: Author, keep: int = CHANGES_KEPT, *, dry: bool = False) -> Collected:
    """Remove what the last `keep` changes of the log do not reach, nor a role, nor the champion and the two before it.

    The log says it first: killed in between, the next collection removes what is left over.
    """
    with registry.files.changing():
        with registry.database.writing() as db:
            held = {row[0] for row in db.execute("SELECT version FROM release WHERE NOT collected")}
            log = read_log(db)
            reached = _reached(log, keep) | {one.version for one in standing_of(db).roles.values()}
            gone = sorted(held - reached)
            if dry:
                return Collected(tuple(gone))
            if gone:
                db.executemany("UPDATE release SET collected=1 WHERE version=?", [(version,) for version in gone])
                append(db, "gc", author, {"versions": gone, "keep": keep})
            rows = db.execute("SELECT sha256 FROM release_file JOIN release USING(version) WHERE NOT collected")
            kept = {row[0] for row in rows}
        removed, freed = registry.files.remove_all_but(kept, held - set(gone))
    return Collected(tuple(gone), removed, freed)


def _reached(log: tuple[LogEntry, ...], keep: int) -> set[int]:
    """Versions that the last `keep` changes name or came from, and the last champions."""
    changes = [entry for entry in log if entry.kind in _CHANGES]
    named = [entry.content.get(key) for entry in changes[max(0, len(changes) - keep) :] for key in ("version", "before")]
    return {version for version in named if isinstance(version, int)} | set(champions(log)[:CHAMPIONS_KEPT])
