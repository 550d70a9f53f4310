"""The verbs `export` and `import`: examples and jobs, to and from other tools."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from provetune.cli.session import Line, Session, shown_path
from provetune.cli.verbs import app


@app.command()
def export(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Examples in any format that is read; a folder; or hf:owner/name.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="chat, prompt-completion, preference, alpaca, sharegpt, csv, tsv, xlsx, parquet, label-studio, vertex or bedrock.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write; a name in .json gets one list, not lines.")],
    source: Annotated[
        str, typer.Option("--from", metavar="FORMAT", help="Format of the examples; found by looking at them if not given.")
    ] = "auto",
    prompt: Annotated[str | None, typer.Option(metavar="NAME", help="Column of the prompt.")] = None,
    target: Annotated[str | None, typer.Option(metavar="NAME", help="Column of the target.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write the file anew if it is there.")] = False,
) -> None:
    """Write examples in another format. What it cannot hold is refused, or counted and listed."""
    from provetune.cli.ask import asker
    from provetune.workflow.exchange import Export, export_file

    session = ctx.ensure_object(Session)
    named = {part: name for part, name in (("prompt", prompt), ("target", target)) if name is not None}
    done = export_file(Export(file, to, out, source, named, force), asker(session))
    document = {"schema": "provetune.export/1", **asdict(done), "out": str(done.out)}
    lines: list[Line] = [(f"Wrote {shown_path(done.out)}: {done.rows:,} rows as {done.format}.", "bold")]
    lines += [(line, "yellow") for line in done.left_out] or [("Nothing is left out.", "")]
    session.result(lines, document=json.dumps(document, indent=2, ensure_ascii=False), essence=shown_path(done.out))


@app.command("import")
def import_(
    ctx: typer.Context,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="openai (a fine-tuning job), axolotl or llama-factory.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The job object as JSON, or the configuration as YAML.")],
    files: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the data files; that of FILE if not given.")] = None,
    base: Annotated[str | None, typer.Option(help="Base model, whatever the job says: starter, a folder, or a hub name.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the project; the job's if not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write provetune.yaml anew if it is there.")] = False,
) -> None:
    """Make a project of a training job of another tool, and list what has no counterpart here."""
    from provetune.cli.ask import asker
    from provetune.cli.show import started_lines
    from provetune.workflow.imports import Source, import_job

    session = ctx.ensure_object(Session)
    done = import_job(session.folder, Source(tool, file, files, base, name), asker(session), force=force)
    started = {**asdict(done.started), "project_file": str(done.started.project_file)}
    document = {"schema": "provetune.import/1", **started, "train": done.train, "unmapped": done.unmapped}
    first, *rest = started_lines(done.started, session.command("audit"))
    taken = ", ".join(f"{key} {json.dumps(value)}" for key, value in done.train.items()) or "none"
    lines: list[Line] = [
        first,
        (f"Settings taken over: {taken}.", ""),
        *((f"not taken over: {line}", "yellow") for line in done.unmapped),
        *rest,
    ]
    essence = shown_path(done.started.project_file)
    session.result(lines, document=json.dumps(document, indent=2, ensure_ascii=False), essence=essence)
