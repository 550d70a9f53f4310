"""The verbs `audit` and `baseline`: what the rows are like and what prompting reaches, before anything is trained."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from provetune.cli.session import Session
from provetune.cli.verbs import Overrides, app, opened


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
        project = opened(session, session.folder, overrides, progress)
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
        project = opened(session, session.folder, overrides, progress)
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
        report = baseline_project(opened(session, session.folder, overrides, progress))
    lines = baseline_lines(report, session.command("run"))
    session.result(lines, document=report.to_json(), essence=report.sentence)
