"""The verbs `registry ...`: releases, who does what, waivers, checks. Every change says who and why, and stands in the log for ever."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from provetune.cli.session import Line, Session
from provetune.cli.ship import person
from provetune.cli.verbs import app

if TYPE_CHECKING:
    from provetune.records.release import Release, Standing

verbs = typer.Typer(help="Releases: list, show, promote, rollback, roles, waivers, verify, gc.", no_args_is_help=True)
app.add_typer(verbs, name="registry")


class Beside(StrEnum):
    """Roles beside the champion."""

    canary = "canary"
    challenger = "challenger"
    shadow = "shadow"


_BESIDE: dict[Beside, Literal["canary", "challenger", "shadow"]] = {
    Beside.canary: "canary",
    Beside.challenger: "challenger",
    Beside.shadow: "shadow",
}

Who = Annotated[str | None, typer.Option("--who", metavar="NAME", help="Who decides it, for the log; your user name if not given.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the log.")]
Which = Annotated[str, typer.Argument(metavar="RELEASE", help="A version (3, v3), a name (tickets-v3) or a role (champion, previous).")]
Seen = Annotated[
    int | None, typer.Option("--generation", metavar="N", help="Only if nothing changed since this generation, as `list` shows it.")
]


@verbs.command("list")
def list_releases(
    ctx: typer.Context, log: Annotated[bool, typer.Option("--log", help="Also every change: who, when, why.")] = False
) -> None:
    """All releases and what each does."""
    from provetune.registry import Registry

    session = ctx.ensure_object(Session)
    found = Registry(session.folder).listing()
    roles = {one.version: f"{name} {one.share:.0%}" for name, one in found.standing.roles.items()}
    lines: list[Line] = [(f"generation {found.standing.generation}", "")]
    for release in found.releases:
        gone = ", files collected" if release.version in found.collected else ""
        role = f", {roles[release.version]}" if release.version in roles else ""
        lines.append((f"{release.name}: {release.candidate.name}, {release.outcome}{role}{gone}", "bold" if role else ""))
        lines += _waiver_lines(release)
    for entry in found.log if log else ():
        lines.append((f"{entry.number} {entry.at} {entry.who}: {entry.kind} {_short(entry.content)} ({entry.why})", ""))
    session.result(lines, document=found.to_json(), essence=str(found.standing.champion or "no champion"))


@verbs.command()
def show(ctx: typer.Context, release: Which = "champion") -> None:
    """One release: decision, evidence, waiver, files."""
    from provetune.registry import Registry

    session = ctx.ensure_object(Session)
    found = Registry(session.folder).release(release)
    model = found.candidate.model
    lines: list[Line] = [
        (f"{found.name}: {found.candidate.name} on {model.name if model is not None else 'no base model'}", "bold"),
        (f"decision {found.outcome} ({found.decision}), evidence {found.evidence_sha256}", ""),
        *_waiver_lines(found),
        (f"registered {found.made_at}, {found.made_by}; takes the place of {found.parent or 'nothing'}; contact {found.owner}", ""),
        (f"error on test (1 minus {found.reference.metric}): {found.reference.error}", ""),
        (f"{found.reference.rows:,} held-out rows for watching", ""),
        *((f"{one.of}: {one.name}, licence {one.licence}", "") for one in found.licences),
        *((f"{file.sha256}  {file.name} ({file.bytes:,} bytes)", "") for file in found.files),
    ]
    session.result(lines, document=found.to_json(), essence=found.name)


@verbs.command()
def promote(ctx: typer.Context, release: Which, who: Who = None, why: Why = "promoted", generation: Seen = None) -> None:
    """Make a release the champion."""
    from provetune.registry import Author, Registry

    session = ctx.ensure_object(Session)
    registry = Registry(session.folder)
    found = registry.release(release)
    _standing(session, registry.promote(found.version, Author(who or person(), why), generation), found)


@verbs.command()
def rollback(ctx: typer.Context, who: Who = None, why: Why = "rolled back", generation: Seen = None) -> None:
    """Back to the champion before this one; again goes one further back."""
    from provetune.registry import Author, Registry

    session = ctx.ensure_object(Session)
    registry = Registry(session.folder)
    standing = registry.rollback(Author(who or person(), why), generation)
    _standing(session, standing, registry.champion())


@verbs.command()
def assign(
    ctx: typer.Context,
    role: Annotated[Beside, typer.Argument(help="What it does beside the champion.")],
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="A version or name; none ends the role.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Its share of the requests; of a shadow, how many are copied to it.")] = 0.05,
    who: Who = None,
    why: Why = "assigned",
) -> None:
    """Give a release a role beside the champion, or end it."""
    from provetune.records.release import RoleOf
    from provetune.registry import Author, Registry

    session = ctx.ensure_object(Session)
    registry, author = Registry(session.folder), Author(who or person(), why)
    wanted = None if release == "none" else RoleOf(version=registry.release(release).version, share=share)
    _standing(session, registry.assign(_BESIDE[role], wanted, author), registry.champion())


@verbs.command()
def key(
    ctx: typer.Context,
    who: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    file: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="A private key that is there (PEM or OpenSSH, Ed25519).")
    ] = None,
) -> None:
    """Make a person's key for waivers, or take one that is there, and register its public half."""
    from provetune.registry import Author, Registry
    from provetune.registry.waivers import key_file, make_key, public_key, read_key

    session = ctx.ensure_object(Session)
    place = file or key_file(who)
    public = public_key(read_key(place, _passphrase())) if place.is_file() else make_key(place)
    Registry(session.folder).add_person(who, public, Author(person(), "registers a key"))
    document = {"schema": "provetune.key/1", "who": who, "public_key": public, "file": str(place)}
    lines = [(f"{who}: {public}", "bold"), (f"The private half is in {place}: keep it to yourself; it is not part of the project.", "")]
    session.result(lines, document=json.dumps(document, indent=2), essence=public)


@verbs.command()
def waive(
    ctx: typer.Context,
    who: Annotated[str, typer.Option(metavar="NAME", help="Who answers for it.")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why it is shipped all the same.")],
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Last day that it holds.")],
    file: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The person's private key, if it is elsewhere.")] = None,
) -> None:
    """A waiver for the latest run's model, where the decision is not to ship: signed, dated, shown everywhere after."""
    from datetime import date

    from provetune.errors import SpecError
    from provetune.registry import Author, Registry
    from provetune.registry.waivers import key_file
    from provetune.workflow.proven import latest_proven

    session = ctx.ensure_object(Session)
    try:
        date.fromisoformat(until)
    except ValueError as error:
        raise SpecError(f"--until: found {until!r}, wanted a day as YYYY-MM-DD") from error
    proven = latest_proven(session.folder)
    if proven.decision.outcome == "ship":
        raise SpecError(f"{proven.run}: the decision is to ship, which needs no waiver; {session.command('ship')}")
    made = Registry(session.folder).waive(proven.waived, Author(who, why), until, file or key_file(who), _passphrase())
    lines: list[Line] = [
        (f"{who} answers for {proven.candidate.name} until {until}, although the decision is {made.outcome}: {why}", "yellow"),
        (f"Next: {session.command('ship')}. The waiver is shown with the release wherever it goes.", ""),
    ]
    document = {"schema": "provetune.waiver/1", **made.model_dump(mode="json")}
    session.result(lines, document=json.dumps(document, indent=2, ensure_ascii=False), essence=made.signature)


@verbs.command()
def verify(ctx: typer.Context) -> None:
    """Read everything again: tables, log, signatures, every file. Exit code 8 where something is wrong."""
    from provetune.registry import Registry
    from provetune.registry import verify as verified

    session = ctx.ensure_object(Session)
    found = verified(Registry(session.folder))
    counts = f"{found.releases} releases, {found.files} files ({found.bytes / 2**20:,.1f} MiB), {found.entries} log entries"
    lines: list[Line] = [
        (f"{counts}; champion {found.champion or 'none'}: {'damaged' if found.faults else 'all as it was written'}.", "bold")
    ]
    lines += [(fault, "red") for fault in found.faults]
    if found.faults:
        lines.append((f"Next: {session.command('registry restore')} puts the newest good copy in place.", ""))
    session.result(lines, document=found.to_json(), essence="damaged" if found.faults else "ok")
    raise typer.Exit(8 if found.faults else 0)


@verbs.command()
def restore(ctx: typer.Context, who: Who = None, why: Why = "damaged") -> None:
    """Put the newest good copy of damaged tables in place, and find damaged files again in runs/. Exit code 8 if some are missing."""
    from dataclasses import asdict

    from provetune.registry import Author, Registry
    from provetune.registry import restore as restored

    session = ctx.ensure_object(Session)
    found = restored(Registry(session.folder), Author(who or person(), why))
    lines: list[Line] = [(f"tables: {'as they were' if found.copy is None else 'copy ' + found.copy + ' is in place'}", "")]
    lines += [(f"found again: {name}", "") for name in found.files] + [(f"not found anywhere: {name}", "red") for name in found.missing]
    session.result(lines, document=json.dumps({"schema": "provetune.restored/1", **asdict(found)}, indent=2), essence=found.copy or "ok")
    raise typer.Exit(8 if found.missing else 0)


@verbs.command()
def gc(
    ctx: typer.Context,
    keep: Annotated[int, typer.Option(min=0, help="Keep what the last so many changes reach; the last three champions always.")] = 10,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say which versions it would be.")] = False,
    who: Who = None,
    why: Why = "collected",
) -> None:
    """Remove the files of releases that no recent change reaches; records and log stay."""
    from dataclasses import asdict

    from provetune.registry import Author, Registry, collect

    session = ctx.ensure_object(Session)
    found = collect(Registry(session.folder), Author(who or person(), why), keep, dry=dry)
    named = ", ".join(map(str, found.versions)) or "none"
    lines = [(f"versions {'that would be ' if dry else ''}collected: {named}; {found.objects} files, {found.bytes / 2**20:,.1f} MiB", "")]
    session.result(lines, document=json.dumps({"schema": "provetune.collected/1", **asdict(found)}, indent=2), essence=named)


def _standing(session: Session, standing: Standing, champion: Release) -> None:
    roles = ", ".join(f"{name} v{one.version} ({one.share:.0%})" for name, one in standing.roles.items())
    lines: list[Line] = [(f"{champion.name} is the champion (generation {standing.generation}).", "bold"), (roles, "")]
    session.result([*lines, *_waiver_lines(champion)], document=standing.to_json(), essence=champion.name)


def _waiver_lines(release: Release) -> list[Line]:
    from provetune.registry.waivers import expired

    waiver = release.waiver
    if waiver is None:
        return []
    ended = "EXPIRED waiver" if expired(waiver) else "waiver"
    return [(f"  {ended} of {waiver.who} until {waiver.until}: {waiver.why}", "yellow")]


def _short(content: dict[str, object]) -> str:
    shown = ("version", "versions", "before", "role", "share", "who", "copy")
    return " ".join(f"{name} {content[name]}" for name in shown if content.get(name) is not None)


def _passphrase() -> str | None:
    return os.environ.get("PROVETUNE_KEY_PASSPHRASE")
