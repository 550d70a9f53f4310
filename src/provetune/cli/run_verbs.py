"""The verbs `run`, `prove`, `demo` and `report`: the way to the verdict, and where it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from provetune.cli.session import Session, shown_path
from provetune.cli.verbs import Overrides, app, opened


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
    from provetune.store import Store
    from provetune.workflow.verify import read_evidence

    run_folder = Store(session.folder).decided_run()
    found, evidence_file = run_folder / "report.html", run_folder / "evidence.json"
    outcome = read_evidence(evidence_file).decision.outcome
    found = found if found.is_file() else _rebuilt(session, run_folder)
    if redact:
        from provetune.cli.progress import shown_progress
        from provetune.workflow.redact import redact as redacted

        with shown_progress(session.format) as progress:
            found, evidence_file = redacted(opened(session, session.folder, None, progress), evidence_file.parent)
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


def _decided(session: Session, overrides: list[str] | None, *, train: bool, final: bool = False) -> int:
    """Run, say the verdict, return its exit code."""
    from provetune.cli.progress import shown_progress
    from provetune.cli.show import DECISION_CODES, decision_lines
    from provetune.report.words import DECISION_WORDS
    from provetune.workflow.run import run_project
    from provetune.workflow.verify import read_evidence

    with shown_progress(session.format) as progress:
        outcome = run_project(opened(session, session.folder, overrides, progress), train=train, final=final)

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
        project = opened(session, session.folder, None, progress)
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
