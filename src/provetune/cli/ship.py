"""The verb `ship`: the proven model registered as a release, and a package of it built."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from provetune.cli.session import Line, Session, shown_path
from provetune.cli.verbs import Overrides, app

if TYPE_CHECKING:
    from provetune.records.package import Package
    from provetune.records.release import Release


class Form(StrEnum):
    """Forms of the weights."""

    adapter = "adapter"
    merged = "merged"
    gguf = "gguf"


_FORMS: dict[Form, Literal["adapter", "merged", "gguf"]] = {Form.adapter: "adapter", Form.merged: "merged", Form.gguf: "gguf"}


def person() -> str:
    """Who is at the keyboard, as the system says it."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@app.command()
def ship(
    ctx: typer.Context,
    overrides: Overrides = None,
    form: Annotated[Form | None, typer.Option(help="Form of the weights; ship.form of the project file if not given.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the package goes; packages/ of the project if not given.")] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Also push it to this repository of the hub; ship.push_to_hub otherwise.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="With a push: make the repository for everybody to see. It is private if not.")
    ] = False,
    who: Annotated[str | None, typer.Option(metavar="NAME", help="Who ships it, for the log; your user name if not given.")] = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the log.")] = "shipped",
) -> None:
    """Register the proven model as a release and build its package; only after SHIP, or under a waiver. Promotes nothing.

    Exit code 3 after HOLD, 4 after NOT ENOUGH EVIDENCE, where no waiver is in force.
    """
    from provetune.cli.progress import shown_progress
    from provetune.registry import Author
    from provetune.workflow.project import need_torch, open_project
    from provetune.workflow.ship import pushed
    from provetune.workflow.ship import ship as shipped

    session = ctx.ensure_object(Session)
    need_torch()
    with shown_progress(session.format) as progress:
        project = open_project(session.folder, overrides or (), progress)
        release, package = shipped(project, None if form is None else _FORMS[form], Author(who or person(), why), out)
        folder = out or session.folder / "packages" / package.folder
        repository = push or project.spec.ship.push_to_hub
        if repository:
            package = pushed(package, folder, repository, public=public)
    lines = ship_lines(release, package, folder, session.command(f"registry promote {release.version}"))
    session.result(lines, document=package_json(release, package), essence=shown_path(folder))


def ship_lines(release: Release, package: Package, folder: Path, following: str) -> list[Line]:
    """Release, package, checks, waiver, next step."""
    lines: list[Line] = [(f"{release.name} is registered ({release.outcome}).", "bold")]
    if release.waiver is not None:
        waiver = release.waiver
        lines.append((f"Under a waiver of {waiver.who} until {waiver.until}: {waiver.why}", "yellow"))
    lines.append((f"package: {shown_path(folder)} ({package.form}, {package.files} files, {package.bytes / 2**20:,.1f} MiB)", ""))
    kind = "as it was measured" if package.golden_kind == "evaluated" else "as the same weights write it freely"
    lines.append((f"{package.golden_equal} of {package.golden_prompts} golden prompts give the text {kind}, in a fresh process.", ""))
    lines += [(note, "") for note in package.notes]
    if package.pushed_to:
        lines.append((f"pushed to {package.pushed_to}", ""))
    lines.append((f"Next: {following} makes it the champion; README.md in the package says how to run it.", ""))
    return lines


def package_json(release: Release, package: Package) -> str:
    """What `provetune ship --format json` prints: both records."""
    content = {"schema": "provetune.ship/1", "release": json.loads(release.to_json()), "package": json.loads(package.to_json())}
    return json.dumps(content, indent=2, ensure_ascii=False)
