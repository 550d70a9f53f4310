"""The verbs. Everything heavy is imported inside them, so that `provetune --help` is quick."""

from __future__ import annotations

import json
import os
import sys
import warnings
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from provetune import __version__
from provetune.cli.session import Format, Session, shown_path
from provetune.errors import Notice

if TYPE_CHECKING:
    from provetune.protocols import Progress
    from provetune.workflow.project import Project
    from provetune.workflow.run import Outcome

app = typer.Typer(
    name="provetune",
    help="From a file of examples to a fine-tuned language model that is proven better than prompting.",
    epilog="Exit codes: 0 done or SHIP, 1 bug, 2 usage, 3 HOLD, 4 NOT ENOUGH EVIDENCE, 5 blocked by the audit, "
    "6 nothing can be trained here, 8 stopped with saved state, 130 interrupted. Global options may stand before or after the verb.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of provetune.yaml for this call, e.g. train.epochs=3. Repeatable."),
]


class Output(StrEnum):
    """Forms of the output."""

    human = "human"
    json = "json"
    quiet = "quiet"


class Task(StrEnum):
    """Tasks that `init` can be told."""

    classify = "classify"
    extract = "extract"
    generate = "generate"
    chat = "chat"


_FORMATS: dict[Output, Format] = {Output.human: "human", Output.json: "json", Output.quiet: "quiet"}
_TASKS: dict[Task, Literal["classify", "extract", "generate", "chat"]] = {
    Task.classify: "classify",
    Task.extract: "extract",
    Task.generate: "generate",
    Task.chat: "chat",
}


def _version(asked: bool) -> None:
    if asked:
        print(f"provetune {__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    ctx: typer.Context,
    project: Annotated[
        Path, typer.Option("-C", "--project", metavar="DIR", help="The project folder; the current one if not given.")
    ] = Path(),
    output: Annotated[
        Output, typer.Option("--format", help="json: one document on standard output, the rest on standard error.")
    ] = Output.human,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never ask the network; models come from folders and the local cache.")
    ] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Also show what the libraries say, and tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    session = ctx.ensure_object(Session)
    session.folder, session.format, session.verbose = project, _FORMATS[output], verbose
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    if not verbose:
        _quiet_libraries(keep_download_bars=sys.stderr.isatty() and session.format == "human")


def _quiet_libraries(*, keep_download_bars: bool) -> None:
    """Before any of them is imported; a setting of the user's own stands."""
    quiet = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_VERBOSITY": "error", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}
    if not keep_download_bars:
        quiet["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    for name, value in {**quiet, "HF_HUB_DISABLE_TELEMETRY": "1"}.items():
        os.environ.setdefault(name, value)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    warnings.simplefilter("once", Notice)


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
    task: Annotated[Task | None, typer.Option(help="What is to be written; guessed from the targets if not given.")] = None,
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
    wish = Wish(file, test, _TASKS[task] if task is not None else None, name, base, columns)
    started = start_project(session.folder, wish, asker(session), force=force)
    document = {"schema": "provetune.init/1", **asdict(started), "project_file": str(started.project_file)}
    session.result(
        started_lines(started, session.command("audit")),
        document=json.dumps(document, indent=2, ensure_ascii=False),
        essence=shown_path(started.project_file),
    )


@app.command()
def audit(
    ctx: typer.Context,
    overrides: Overrides = None,
    curve: Annotated[
        bool, typer.Option("--curve", help="Also train on growing parts of the rows, and say whether more examples would help.")
    ] = False,
    noise: Annotated[bool, typer.Option("--noise", help="With --curve: the same with 10 % and 20 % wrong targets, side by side.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="With --curve: a linear classifier stands in for the trainings.")] = False,
    label_errors: Annotated[
        bool, typer.Option("--label-errors", help="Look for wrong labels however many rows there are; up to 20,000 it is done anyway.")
    ] = False,
    fix: Annotated[bool, typer.Option("--fix", help="List what can be mended without judgement; only --yes writes it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: write the mended rows to a new file; yours stays as it is.")] = False,
) -> None:
    """Review the rows: what blocks, what to look at, how long they are. Exit code 5 if something blocks."""
    if (noise or quick) and not curve:
        raise typer.BadParameter("they belong to --curve: provetune audit --curve", param_hint="--noise, --quick")
    if yes and not fix:
        raise typer.BadParameter("it belongs to --fix: provetune audit --fix --yes", param_hint="--yes")
    if fix:
        return _fix(ctx.ensure_object(Session), overrides, write=yes)
    from provetune.cli.audit import claims_lines
    from provetune.cli.curve import curve_lines
    from provetune.cli.progress import shown_progress
    from provetune.cli.show import audit_lines
    from provetune.report.claims import claims_with
    from provetune.workflow.curve import curve_of
    from provetune.workflow.run import audit_project

    session = ctx.ensure_object(Session)
    with shown_progress(session.format) as progress:
        project = _opened(session, session.folder, overrides, progress)
        report = audit_project(project, label_errors=label_errors)
        measured = curve_of(project, quick=quick, noise=noise) if curve and not report.blockers else None
    sources = {example.id: example.source for example in project.examples}
    lines = audit_lines(report, sources, (session.command("audit"), session.command("run")))
    lines = [*lines[:-2], *claims_lines(claims_with(report, measured)), *lines[-2:]]
    if measured is not None:
        lines = [*lines[:-1], *curve_lines(measured), lines[-1]]
    session.result(lines, document=(measured or report).to_json(), essence=lines[-2][0])
    raise typer.Exit(5 if report.blockers else 0)


def _fix(session: Session, overrides: Overrides, *, write: bool) -> None:
    """The safe remedies: listed, or written to a new file."""
    from provetune.cli.audit import fix_lines
    from provetune.cli.progress import shown_progress
    from provetune.workflow.mend import plan_fixes, write_fixed

    with shown_progress(session.format) as progress:
        project = _opened(session, session.folder, overrides, progress)
        plan = write_fixed(project) if write else plan_fixes(project)[0]
    lines = fix_lines(plan, (session.command("audit --fix --yes"), session.command("audit")))
    session.result(lines, document=plan.to_json(), essence=plan.written.path if plan.written is not None else lines[-1][0])


@app.command()
def baseline(
    ctx: typer.Context,
    overrides: Overrides = None,
    templates: Annotated[
        bool,
        typer.Option("--templates", help="Only copy the texts of the prompts into prompts/, to edit; a file that is there stays."),
    ] = False,
) -> None:
    """What prompting reaches, on the validation rows; trains nothing, opens nothing. Says whether tuning is worth trying."""
    from provetune.cli.baseline import baseline_lines, templates_lines
    from provetune.cli.progress import shown_progress
    from provetune.workflow.baseline import baseline_project
    from provetune.workflow.prompts import copied_templates

    session = ctx.ensure_object(Session)
    if templates:
        written = copied_templates(session.folder)
        document = {"schema": "provetune.templates/1", "written": [str(file) for file in written]}
        lines = templates_lines(written, session.command("baseline"))
        return session.result(lines, document=json.dumps(document, indent=2), essence=lines[0][0])
    with shown_progress(session.format) as progress:
        report = baseline_project(_opened(session, session.folder, overrides, progress))
    lines = baseline_lines(report, session.command("run"))
    session.result(lines, document=report.to_json(), essence=report.sentence)


@app.command()
def run(
    ctx: typer.Context,
    overrides: Overrides = None,
    final: Annotated[bool, typer.Option("--final", help="With prove.folds: also train on all rows; nothing proves those weights.")] = False,
) -> None:
    """The whole flow to the verdict: audit, split, prompts, training, proof, report. The same command continues it.

    Exit code 0 SHIP, 3 HOLD, 4 NOT ENOUGH EVIDENCE.
    """
    session = ctx.ensure_object(Session)
    raise typer.Exit(_decided(session, overrides, train=True, final=final))


@app.command()
def prove(ctx: typer.Context, overrides: Overrides = None) -> None:
    """The verdict on what is already trained; trains nothing. Exit codes as for run."""
    session = ctx.ensure_object(Session)
    raise typer.Exit(_decided(session, overrides, train=False))


@app.command()
def report(
    ctx: typer.Context,
    verify: Annotated[Path | None, typer.Option(metavar="EVIDENCE.json", help="Compute the decision again from this file alone.")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show the report in the browser.")] = False,
    redact: Annotated[bool, typer.Option("--redact", help="Write a copy of report and evidence without any text of a row.")] = False,
) -> None:
    """Where the latest report is; or, with --verify, whether an evidence file gives the decision that it states."""
    from provetune.cli.show import DECISION_CODES, verified_lines
    from provetune.report.words import DECISION_WORDS

    session = ctx.ensure_object(Session)
    if verify is not None:
        from provetune.workflow.verify import verify as verified

        evidence, decision = verified(verify)
        essence = f"verified: {DECISION_WORDS[decision.outcome]}"
        session.result(verified_lines(evidence, verify), document=decision.to_json(), essence=essence)
        return
    from provetune.cli.latest import latest_report

    found, evidence_file, outcome = latest_report(session.folder, lambda run: _rebuilt(session, run))
    if redact:
        from provetune.cli.progress import shown_progress
        from provetune.workflow.redact import redact as redacted

        with shown_progress(session.format) as progress:
            found, evidence_file = redacted(_opened(session, session.folder, None, progress), evidence_file.parent)
    content = {
        "schema": "provetune.report/1",
        "report": str(found.resolve()),
        "evidence": str(evidence_file.resolve()),
        "decision": outcome,
    }
    lines = [
        (shown_path(found), ""),
        (f"The latest decision is {DECISION_WORDS[outcome]} (exit code {DECISION_CODES[outcome]} of `provetune run`).", "bold"),
        ("Next: open the report in a browser" + ("." if open_it else ", for example with " + session.command("report --open") + "."), ""),
    ]
    session.result(lines, document=json.dumps(content, indent=2, ensure_ascii=False), essence=shown_path(found))
    if open_it:
        _open_in_browser(session, found)


@app.command()
def demo(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where the demo project is put; one that is there is continued.")] = Path(
        "provetune-demo"
    ),
) -> None:
    """A whole run on bundled support tickets with the small starter model, for real, offline.

    Exit code 0 whatever is decided: SHIP, HOLD or NOT ENOUGH EVIDENCE (`provetune run` has codes for these).
    Without the training extra a recorded run is shown instead, and says so.
    """
    from provetune.workflow.demo import can_train, lay_out, lay_out_recording

    session = ctx.ensure_object(Session)
    if can_train():
        shown = Session(lay_out(folder), session.format, session.verbose)
        _decided(shown, None, train=True)
        return
    from provetune.cli.show import decision_lines, recording_line
    from provetune.report.words import DECISION_WORDS
    from provetune.workflow.verify import verify

    evidence_file, report_file = lay_out_recording(folder)
    evidence, decision = verify(evidence_file)
    word = f"{DECISION_WORDS[decision.outcome]} (recorded {evidence.made_at})"
    following = "`pip install 'provetune[train]'`, then `provetune demo` runs it on this machine."
    if session.format == "json":
        session.note(recording_line(evidence)[0])
    lines = decision_lines(evidence, {"report": report_file, "evidence": evidence_file}, following)
    session.result([recording_line(evidence), *lines], document=decision.to_json(), essence=word)


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


def _opened(session: Session, folder: Path, overrides: list[str] | None, progress: Progress) -> Project:
    from provetune.workflow.project import SPEC_FILE, open_project
    from provetune.workflow.start import need_writable

    if (folder / SPEC_FILE).is_file():
        need_writable(folder)
    return open_project(folder, overrides or (), progress)


def _outcome(session: Session, overrides: list[str] | None, *, train: bool, final: bool = False) -> Outcome:
    from provetune.cli.progress import shown_progress
    from provetune.workflow.run import run_project

    with shown_progress(session.format) as progress:
        return run_project(_opened(session, session.folder, overrides, progress), train=train, final=final)


def _decided(session: Session, overrides: list[str] | None, *, train: bool, final: bool = False) -> int:
    """Run, say the verdict, return its exit code."""
    outcome = _outcome(session, overrides, train=train, final=final)
    from provetune.cli.show import DECISION_CODES, decision_lines
    from provetune.report.words import DECISION_WORDS
    from provetune.workflow.verify import read_evidence

    weights = next((outcome.run / name for name in ("adapter", "model", "head") if (outcome.run / name).is_dir()), None)
    files = {"report": outcome.report, "evidence": outcome.evidence, **({weights.name: weights} if weights is not None else {})}
    lines = decision_lines(read_evidence(outcome.evidence), files, outcome.decision.next_step)
    session.result(lines, document=outcome.decision.to_json(), essence=DECISION_WORDS[outcome.decision.outcome])
    return DECISION_CODES[outcome.decision.outcome]


def _rebuilt(session: Session, run_folder: Path) -> Path:
    """The report of a run written again from its records; never a new opening of the test split."""
    from provetune.cli.progress import shown_progress
    from provetune.errors import FolderError
    from provetune.workflow.run import run_project

    session.note("the report is missing; it is written again from the records")
    with shown_progress(session.format) as progress:
        project = _opened(session, session.folder, None, progress)
        if not run_folder.name.endswith(project.key):
            raise FolderError(
                f"{run_folder / 'report.html'}: is missing, and provetune.yaml or the data changed since that run; "
                "undo the change and repeat, or make a new verdict with `provetune prove`"
            )
        return run_project(project, train=False).report


def _open_in_browser(session: Session, file: Path) -> None:
    import webbrowser

    if not webbrowser.open(file.resolve().as_uri()):
        session.warn(f"no browser could be started; open {file.resolve()} yourself")
