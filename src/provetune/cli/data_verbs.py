"""The verbs `export` and `import`: examples, prompts and jobs, to and from other tools."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provetune.cli.compare import import_results, is_results
from provetune.cli.session import Line, Session, shown_path
from provetune.cli.verbs import app
from provetune.errors import SpecError

if TYPE_CHECKING:
    from provetune.workflow.exchange_prompts import PromptsExported


@app.command()
def export(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Examples in any format that is read; a folder; hf:owner/name; a record with prompts; "
            "or the word script: the training of the latest run as one plain script.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="chat, prompt-completion, preference, alpaca, sharegpt, csv, tsv, xlsx, parquet, datasets (a folder), "
            "label-studio, argilla, vertex or bedrock; "
            "of prompts: promptfoo or dspy.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file to write; a name in .json gets one list, not lines. For script: a folder."),
    ] = None,
    source: Annotated[
        str, typer.Option("--from", metavar="FORMAT", help="Format of the examples; found by looking at them if not given.")
    ] = "auto",
    prompt: Annotated[str | None, typer.Option(metavar="NAME", help="Column of the prompt; or which of several prompts.")] = None,
    target: Annotated[str | None, typer.Option(metavar="NAME", help="Column of the target.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write the file anew if it is there.")] = False,
) -> None:
    """Write examples or prompts in another format. What it cannot hold is refused, or counted and listed."""
    from provetune.cli.ask import asker
    from provetune.workflow.exchange import Export, export_file
    from provetune.workflow.exchange_prompts import WRITERS, export_prompts

    session = ctx.ensure_object(Session)
    if file == Path("script") and to is None:
        return _export_script(session, out or Path("training-script"), force=force)
    if to is None or out is None:
        raise SpecError(f"{file}: found no {'--to FORMAT' if to is None else '--out FILE'}, wanted both; see `provetune export --help`")
    if to in WRITERS:
        return _show_exported(session, export_prompts(file, to, out, prompt, force=force))
    named = {part: name for part, name in (("prompt", prompt), ("target", target)) if name is not None}
    done = export_file(Export(file, to, out, source, named, force), asker(session))
    document = {"schema": "provetune.export/1", **asdict(done), "out": str(done.out)}
    lines: list[Line] = [(f"Wrote {shown_path(done.out)}: {done.rows:,} rows as {done.format}.", "bold")]
    lines += [(line, "yellow") for line in done.left_out] or [("Nothing is left out.", "")]
    session.result(lines, document=json.dumps(document, indent=2, ensure_ascii=False), essence=shown_path(done.out))


@app.command("import")
def import_(
    ctx: typer.Context,
    tool: Annotated[
        str, typer.Argument(metavar="TOOL", help="openai (a fine-tuning job), axolotl, llama-factory; lm-eval, promptfoo; dspy.")
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The job object as JSON, the configuration as YAML, or the results.")],
    files: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the data files; that of FILE if not given.")] = None,
    base: Annotated[str | None, typer.Option(help="Base model, whatever the job says: starter, a folder, or a hub name.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the project, or of the file of prompts; the job's if not given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write provetune.yaml (or --out) anew if it is there.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE.jsonl", help="Of results: the prediction file to write.")] = None,
    metric: Annotated[str | None, typer.Option(help="Of lm-eval results: whose scores are taken; the first if not given.")] = None,
    filter_: Annotated[str | None, typer.Option("--filter", metavar="NAME", help="Of lm-eval results with several filters: which.")] = None,
) -> None:
    """Make a project of a training job of another tool, and list what has no counterpart here.

    Results of lm-eval (--log_samples) and promptfoo become files of predictions for `provetune compare`; prompts in configurations of
    promptfoo and saved programs of DSPy become a file for a search.
    """
    if is_results(tool, file):
        chosen = {key: value for key, value in (("metric", metric), ("filter", filter_)) if value is not None}
        return import_results(ctx.ensure_object(Session), (tool, file), out or Path(f"{file.stem}.predictions.jsonl"), chosen, force=force)
    from provetune.cli.ask import asker
    from provetune.cli.show import started_lines
    from provetune.workflow.exchange_prompts import READERS
    from provetune.workflow.imports import Source, import_job

    session = ctx.ensure_object(Session)
    if tool in READERS:
        return _import_prompts(session, tool, file, name, force)
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


def _show_exported(session: Session, done: PromptsExported) -> None:
    document = {"schema": "provetune.export_prompts/1", **asdict(done), "out": str(done.out)}
    lines: list[Line] = [(f"Wrote {shown_path(done.out)}: {', '.join(done.prompts)}, for {done.format}.", "bold")]
    lines += [(f"not written: {line}", "yellow") for line in done.left_out]
    session.result(lines, document=json.dumps(document, indent=2, ensure_ascii=False), essence=shown_path(done.out))


def _export_script(session: Session, out: Path, *, force: bool) -> None:
    from provetune.workflow.export_script import export_script
    from provetune.workflow.project import open_project

    done = export_script(open_project(session.folder, (), lambda *_: None), out, force=force)
    document = {"schema": "provetune.export_script/1", **asdict(done), "script": str(done.script)}
    lines: list[Line] = [
        (f"Wrote {shown_path(done.script)}, which repeats the training ({done.method}), and its {done.rows:,} rows.", "bold"),
        (f"To run it: python {shown_path(done.script)} (torch, transformers, peft and accelerate are all it needs).", ""),
    ]
    session.result(lines, document=json.dumps(document, indent=2, ensure_ascii=False), essence=shown_path(done.script))


def _import_prompts(session: Session, tool: str, file: Path, name: str | None, force: bool) -> None:
    from provetune.workflow.exchange_prompts import FOLDER, import_prompts

    out, found = import_prompts(session.folder, tool, file, name, force=force)
    lines: list[Line] = [(f"Wrote {shown_path(out)}: {len(found.prompts)} prompts.", "bold")]
    lines += [(f"not taken over: {line}", "yellow") for line in found.left_out]
    lines.append((f"To have them tried: name {FOLDER}/{out.name} under prompts.files of provetune.yaml.", ""))
    session.result(lines, document=found.to_json(), essence=shown_path(out))
