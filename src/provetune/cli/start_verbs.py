"""The verbs `init`, `schema` and `doctor`: what comes before the first look at the rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from provetune.cli.session import Session, shown_path
from provetune.cli.verbs import app

TaskName = Literal["classify", "extract", "generate", "chat"]


@app.command()
def init(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Examples: JSON of OpenAI, Alpaca, ShareGPT, Label Studio ...; CSV, xlsx, Parquet; hf:owner/name."
        ),
    ],
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="A test file of your own, sealed as it is.")] = None,
    task: Annotated[TaskName | None, typer.Option(help="What is to be written; guessed from the targets if not given.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the project; the file's if not given.")] = None,
    base: Annotated[str, typer.Option(help="Base model: starter, a folder, or a hub name such as Qwen/Qwen3-0.6B.")] = "starter",
    prompt: Annotated[str | None, typer.Option(metavar="NAME", help="Column of the prompt; guessed from the names if not given.")] = None,
    target: Annotated[str | None, typer.Option(metavar="NAME", help="Column of the target; guessed from the names if not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write provetune.yaml anew if it is there.")] = False,
) -> None:
    """Look at a file of examples and write provetune.yaml."""
    from provetune.cli.ask import asker
    from provetune.cli.show import started_lines
    from provetune.workflow.start import Wish, start_project

    session = ctx.ensure_object(Session)
    columns = {part: column for part, column in (("prompt", prompt), ("target", target)) if column is not None}
    wish = Wish(file, test, task, name, base, columns)
    started = start_project(session.folder, wish, asker(session), force=force)
    document = {"schema": "provetune.init/1", **asdict(started), "project_file": str(started.project_file)}
    session.result(
        started_lines(started, session.command("audit")),
        document=json.dumps(document, indent=2, ensure_ascii=False),
        essence=shown_path(started.project_file),
    )


@app.command()
def doctor(
    ctx: typer.Context,
    online: Annotated[bool, typer.Option("--online", help="Also ask whether the model hub can be reached.")] = False,
) -> None:
    """What this machine has and lacks. Exit code 6 if nothing can be trained here."""
    from provetune.cli.show import diagnosis_lines
    from provetune.workflow.doctor import examine

    session = ctx.ensure_object(Session)
    found = examine(session.folder, online=online)
    document = json.dumps({"schema": "provetune.doctor/1", **asdict(found)}, indent=2, ensure_ascii=False)
    lines = diagnosis_lines(found)
    session.result(lines, document=document, essence=lines[-2][0])
    raise typer.Exit(6 if found.cannot_train else 0)


@app.command()
def schema(ctx: typer.Context) -> None:
    """The JSON Schema of provetune.yaml, for editors."""
    from provetune.spec import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    ctx.ensure_object(Session)
    print(text)
