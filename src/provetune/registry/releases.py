"""Releases of a project: registered once, promoted by compare-and-swap, rolled back in one transaction, every change in the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from provetune import __version__
from provetune.errors import EvidenceError, FolderError, NotToShip, SpecError
from provetune.records.evaluation import DecisionOutcome
from provetune.records.release import LogEntry, ReferenceRow, RegistryListing, Release, ReleaseFile, Role, RoleOf, Standing, Waiver
from provetune.registry.database import START, Author, Database, append, read_log
from provetune.registry.files import Files
from provetune.registry.waivers import check_date, check_signature, read_key, signed
from provetune.store import lines_of

FOLDER = "registry"
CHAMPIONS_KEPT = 3
"""The champion and the two before it stay loadable whatever `gc` is told."""


@dataclass(frozen=True)
class Waived:
    """What a waiver is about: a candidate under the decision of one evidence file."""

    candidate: str
    decision: str
    evidence_sha256: str
    outcome: DecisionOutcome


class Registry:
    """The registry of a project folder. Every method may be called from any thread and any process.

    FolderError where there is no registry yet (all but `register`, `add_person` and `waive` need one) or where it is damaged.
    """

    def __init__(self, project: Path) -> None:
        self.folder = project / FOLDER
        self.database = Database(self.folder)
        self.files = Files(self.folder)

    # -- reading

    def standing(self) -> Standing:
        """Who does what now."""
        with self.database.reading() as db:
            return standing_of(db)

    def release(self, which: str | int) -> Release:
        """A release by its version (`3`, `v3`), its name (`tickets-v3`), a role (`champion`), or `previous` (what `rollback` goes to)."""
        with self.database.reading() as db:
            return release_of(db, version_of(db, str(which)))

    def champion(self) -> Release:
        """The release that answers; FolderError before the first promotion."""
        return self.release("champion")

    def champion_version(self) -> int | None:
        """The version that answers; None before the first promotion, and before there is a registry."""
        return self.standing().champion if self.database.exists() else None

    def has_waiver(self, about: Waived) -> bool:
        """Whether a waiver was signed for exactly this; whether it is in force is asked when it is used."""
        if not self.database.exists():
            return False
        with self.database.reading() as db:
            rows = db.execute("SELECT record FROM waiver WHERE evidence_sha256=? AND candidate=?", (about.evidence_sha256, about.candidate))
            return any(Waiver.model_validate_json(row[0]).decision == about.decision for row in rows)

    def listing(self) -> RegistryListing:
        """All releases, oldest first, and the log."""
        with self.database.reading() as db:
            versions = [row[0] for row in db.execute("SELECT version FROM release ORDER BY version")]
            return RegistryListing(
                standing=standing_of(db),
                releases=tuple(release_of(db, version) for version in versions),
                collected=tuple(row[0] for row in db.execute("SELECT version FROM release WHERE collected ORDER BY version")),
                log=read_log(db),
            )

    def folder_of(self, release: Release) -> Path:
        """The release's files under their names (`weights/`, `tokenizer/`, ...), each compared with its hash."""
        with self.files.changing():
            return self.files.lay_out(release.version, release.files)

    def reference_rows(self, release: Release) -> list[ReferenceRow]:
        """The held-out rows that watching compares live traffic with."""
        file = self.folder_of(release) / release.reference.file
        return [ReferenceRow.model_validate_json(line) for line in lines_of(file)]

    def check_servable(self, release: Release, now: datetime | None = None) -> None:
        """EvidenceError unless the release was decided to ship, or a waiver that is in force answers for it."""
        with self.database.reading() as db:
            check_decided(db, release, now)

    # -- changing

    def register(self, draft: Release, files: Mapping[str, Path], author: Author) -> Release:
        """Take in a release with its files; the version is given here. One that is there already is returned as it is.

        EvidenceError where the decision was not to ship and no waiver in force answers for it; ModelError on an unsafe file.
        """
        with self.files.changing():
            held = tuple(self.files.add(name, files[name]) for name in sorted(files))
            with self.database.writing() as db:
                key = (draft.candidate.fingerprint, draft.evidence_sha256)
                row = db.execute("SELECT version FROM release WHERE candidate=? AND evidence_sha256=?", key).fetchone()
                if row is not None:
                    return _again(db, release_of(db, row[0]), held, author)
                version = db.execute("SELECT COALESCE(MAX(version), 0) + 1 FROM release").fetchone()[0]
                made = {"made_at": datetime.now(UTC).isoformat(timespec="seconds"), "made_by": f"provetune {__version__}"}
                waiver = newest_waiver(db, draft)
                release = draft.model_copy(update={"version": version, "files": held, "waiver": waiver, **made})
                check_decided(db, release)
                values = (version, *key, release.to_json(), release.fingerprint)
                db.execute("INSERT INTO release(version, candidate, evidence_sha256, record, fingerprint) VALUES(?,?,?,?,?)", values)
                db.executemany("INSERT INTO release_file VALUES(?,?,?,?)", [(version, f.name, f.sha256, f.bytes) for f in held])
                append(db, "register", author, {"version": version, "release": release.fingerprint})
                return release

    def promote(self, version: int, author: Author, generation: int | None = None) -> Standing:
        """Make a release the champion; canary and challenger end. With a `generation`, only if nothing changed since that one.

        FolderError where something did, or the version's files were collected; EvidenceError where no waiver answers for it.
        """
        return self._change("promote", version, author, generation)

    def rollback(self, author: Author, generation: int | None = None) -> Standing:
        """Back to the champion before this one, in one transaction; again goes one further back."""
        return self._change("rollback", None, author, generation)

    def assign(self, role: Role, to: RoleOf | None, author: Author, generation: int | None = None) -> Standing:
        """Give a release a role beside the champion, with its share; None ends the role.

        SpecError where there is no champion, or where the shares are more than all requests.
        """
        if role == "champion":
            raise SpecError("the champion is changed by promote and rollback, wanted canary, challenger or shadow")
        with self.database.writing() as db:
            now = _swapped(db, generation)
            roles = {name: one for name, one in now.roles.items() if name != role}
            if to is not None:
                _check_promotable(db, to.version)
                roles[role] = to
            taken = sum(one.share for name, one in roles.items() if name in ("canary", "challenger"))
            if taken > 1 or "champion" not in now.roles:
                raise SpecError(f"found shares of {taken:g} beside the champion, wanted a champion and at most 1; promote a release first")
            content = {"role": role, "version": to and to.version, "share": to and to.share, "generation": now.generation + 1}
            append(db, "assign", author, content)
            return _written(db, now.generation + 1, roles)

    def _change(self, kind: str, version: int | None, author: Author, generation: int | None) -> Standing:
        with self.database.writing() as db:
            now = _swapped(db, generation)
            if version is None:
                version = version_of(db, "previous")
            _check_promotable(db, version)
            roles: dict[Role, RoleOf] = {"champion": RoleOf(version=version, share=1.0)}
            shadow = now.roles.get("shadow")
            if shadow is not None and shadow.version != version:
                roles["shadow"] = shadow
            append(db, kind, author, {"version": version, "before": now.champion, "generation": now.generation + 1})
            return _written(db, now.generation + 1, roles)

    # -- people

    def add_person(self, who: str, key: str, author: Author) -> None:
        """Register a person's public key; SpecError where another one is registered for this person."""
        with self.database.writing() as db:
            found = _key_of(db, who)
            if found == key:
                return
            if found is not None:
                raise SpecError(f"{who}: another key is registered for this person since before; register the new one under another name")
            db.execute("INSERT INTO person VALUES(?,?)", (who, key))
            append(db, "key", author, {"who": who, "public_key": key})

    def waive(self, about: Waived, author: Author, until: str, key: Path, passphrase: str | None = None) -> Waiver:
        """A waiver of `author` until the end of a day, signed with the private key in `key`, chained to the log.

        EvidenceError where the key is not the one registered for the person, or the day is over.
        """
        private = read_key(key, passphrase)
        with self.database.writing() as db:
            log = read_log(db)
            unsigned = Waiver(
                candidate=about.candidate,
                decision=about.decision,
                evidence_sha256=about.evidence_sha256,
                outcome=about.outcome,
                who=author.who,
                why=author.why,
                until=until,
                signed_at=datetime.now(UTC).isoformat(timespec="seconds"),
                after=log[-1].hash if log else START,
                public_key="",
            )
            made = signed(unsigned, private)
            check_signature(made, _key_of(db, author.who))
            check_date(made)
            entry = append(db, "waive", author, made.model_dump(mode="json"))
            values = (entry.number, made.evidence_sha256, made.candidate, made.model_dump_json())
            db.execute("INSERT INTO waiver VALUES(?,?,?,?)", values)
            return made


# -- what is read within a transaction


def standing_of(db: sqlite3.Connection) -> Standing:
    """Generation and roles."""
    roles = {name: RoleOf(version=version, share=share) for name, version, share in db.execute("SELECT name, version, share FROM role")}
    taken = sum(one.share for name, one in roles.items() if name in ("canary", "challenger"))
    if "champion" in roles:
        roles["champion"] = RoleOf(version=roles["champion"].version, share=max(0.0, 1 - taken))
    return Standing.model_validate({"generation": db.execute("SELECT number FROM generation").fetchone()[0], "roles": roles})


def release_of(db: sqlite3.Connection, version: int) -> Release:
    """A registered release with the newest waiver for it; FolderError where it was never registered."""
    row = db.execute("SELECT record FROM release WHERE version=?", (version,)).fetchone()
    if row is None:
        known = [str(one[0]) for one in db.execute("SELECT version FROM release ORDER BY version")]
        raise FolderError(f"version {version}: found no such release, wanted one of {', '.join(known) or 'none yet'}")
    try:
        release = Release.from_json(row[0])
    except (ValueError, KeyError) as error:
        raise FolderError(f"version {version}: its record is damaged; `provetune registry restore` puts a good copy in place") from error
    return release.model_copy(update={"waiver": newest_waiver(db, release)})


def newest_waiver(db: sqlite3.Connection, release: Release) -> Waiver | None:
    """The last waiver that was signed for this candidate under this evidence."""
    row = db.execute(
        "SELECT record FROM waiver WHERE evidence_sha256=? AND candidate=? ORDER BY number DESC LIMIT 1",
        (release.evidence_sha256, release.candidate.fingerprint),
    ).fetchone()
    return None if row is None else Waiver.model_validate_json(row[0])


def check_decided(db: sqlite3.Connection, release: Release, now: datetime | None = None) -> None:
    """EvidenceError unless the decision was to ship, or a waiver answers for exactly this release, rightly signed and in force."""
    if release.outcome == "ship":
        return
    waiver = newest_waiver(db, release)
    if waiver is None:
        raise NotToShip(
            f"{release.candidate.name}: the decision is {release.outcome}, wanted ship, or a waiver of a person who answers for it; "
            "`provetune registry waive` signs one",
            release.outcome,
        )
    if (waiver.decision, waiver.outcome) != (release.decision, release.outcome):
        raise EvidenceError(f"waiver of {waiver.who}: signed for another decision; sign anew with `provetune registry waive`")
    check_signature(waiver, _key_of(db, waiver.who))
    check_date(waiver, now)


def version_of(db: sqlite3.Connection, which: str) -> int:
    """A version by its number, its name or its role; FolderError where nothing has that name."""
    roles = {name: version for name, version in db.execute("SELECT name, version FROM role")}
    if which in roles:
        return int(roles[which])
    if which == "previous":
        before = champions(read_log(db))[1:2]
        if not before:
            raise FolderError("found no champion before this one, wanted one to go back to; `provetune registry list` shows all")
        return before[0]
    project, _, number = which.rpartition("v")
    if not number.isdigit() or (project and f"{project}v{number}" != release_of(db, int(number)).name):
        raise FolderError(f"{which!r}: found no release or role of this name; `provetune registry list` shows all")
    return int(number)


def champions(log: tuple[LogEntry, ...]) -> list[int]:
    """Champions, the present one first; a rollback takes the last away, so that the next goes one further back.

    >>> champions(())
    []
    """
    found: list[int] = []
    for entry in log:
        if entry.kind == "promote":
            found = [entry.content["version"], *(version for version in found if version != entry.content["version"])]
        elif entry.kind == "rollback":
            found = found[1:]
    return found


def _again(db: sqlite3.Connection, release: Release, held: tuple[ReleaseFile, ...], author: Author) -> Release:
    """A release that is registered already; where its files were collected they are here again, if they are the same."""
    if db.execute("SELECT collected FROM release WHERE version=?", (release.version,)).fetchone()[0]:
        if held != release.files:
            raise FolderError(f"version {release.version}: its files were collected, and these are others; prove them as a new run")
        db.execute("UPDATE release SET collected=0 WHERE version=?", (release.version,))
        append(db, "register", author, {"version": release.version, "release": release.fingerprint})
    return release


def _key_of(db: sqlite3.Connection, who: str) -> str | None:
    row = db.execute("SELECT public_key FROM person WHERE who=?", (who,)).fetchone()
    return None if row is None else str(row[0])


def _swapped(db: sqlite3.Connection, generation: int | None) -> Standing:
    """The standing to be changed; FolderError where it is not the one that the change was decided on."""
    now = standing_of(db)
    if generation is not None and now.generation != generation:
        raise FolderError(
            f"generation {generation}: something changed since ({now.generation} now, champion {now.champion or 'none'}); "
            "look with `provetune registry list` and decide again"
        )
    return now


def _check_promotable(db: sqlite3.Connection, version: int) -> None:
    check_decided(db, release_of(db, version))
    if db.execute("SELECT collected FROM release WHERE version=?", (version,)).fetchone()[0]:
        raise FolderError(f"version {version}: its files were collected by gc; `provetune ship` from its run registers them again")


def _written(db: sqlite3.Connection, generation: int, roles: Mapping[Role, RoleOf]) -> Standing:
    db.execute("DELETE FROM role")
    db.executemany("INSERT INTO role VALUES(?,?,?)", [(name, one.version, one.share) for name, one in roles.items()])
    db.execute("UPDATE generation SET number=?", (generation,))
    return standing_of(db)


def plain_name(name: str) -> str:
    """A project's name as it stands in names of models and folders.

    >>> plain_name("Support: Tickets / 2026")
    'Support--Tickets---2026'
    """
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in name)
    return plain.strip("-.") or "model"
