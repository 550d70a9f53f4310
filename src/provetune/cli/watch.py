"""The verb `watch`: compare two files once, or look at a log that grows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provetune.cli.session import Line, Session, shown_path
from provetune.cli.verbs import app

if TYPE_CHECKING:
    from provetune.records.monitoring import DriftSignal
    from provetune.spec.parts import WatchSpec
    from provetune.workflow.watch import Look, WatchWish

_ALARM, _UNKNOWN = 7, 4
_WORDS = {"drift": "DRIFT", "slight": "SLIGHT DIFFERENCE", "none": "NO DRIFT", "not comparable": "NOT COMPARABLE"}


@app.command()
def watch(
    ctx: typer.Context,
    reference: Annotated[Path | None, typer.Option(metavar="FILE", help="Rows held out of training: text, label, prediction.")] = None,
    window: Annotated[Path | None, typer.Option(metavar="FILE", help="Compare these rows once, without any state.")] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE|DIR", help="The log to watch: traffic log, JSONL, CSV, or a folder.")] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the state is kept; `watch` in the project.")] = None,
    every: Annotated[float | None, typer.Option(min=1.0, metavar="SECONDS", help="Stay, and read the log this often.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Look now, whether a look is due or not; it uses up one of the looks.")] = False,
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.5, help="Level of a single comparison.")] = 0.05,
    simulate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Plant drift into these labelled rows and show delays and false alarms.")
    ] = None,
) -> None:
    """Has what users ask moved away from what the model was proven on, and has it become worse?

    Exit code 0 nothing to do, 7 alarm (drift, harm or a proposal to tune again), 4 not comparable.
    """
    session = ctx.ensure_object(Session)
    if simulate is not None:
        _simulate(session, simulate)
        return
    if window is not None:
        _once(session, reference, window, alpha)
        return
    wish = _wish(session, source, reference, state)
    while True:
        code = _look(session, wish, force=now)
        if every is None:
            raise typer.Exit(code)
        time.sleep(every)


def _once(session: Session, reference: Path | None, window: Path, alpha: float) -> None:
    from provetune.errors import SpecError
    from provetune.workflow.watch import Look
    from provetune.workflow.watch_once import compare_windows

    if reference is None:
        raise SpecError("--window needs --reference: a file of rows that were held out of training")
    report = compare_windows(reference, window, alpha)
    look = Look(report)
    session.result(report_lines(look), document=report.to_json(), essence=_WORDS[report.found])
    raise typer.Exit(_code(look))


def _wish(session: Session, source: Path | None, reference: Path | None, state: Path | None) -> WatchWish:
    from provetune.errors import SpecError
    from provetune.spec.parts import WatchSpec
    from provetune.workflow.watch import WatchWish

    spec = _project_spec(session.folder)
    if spec is None and source is None:
        raise SpecError("nothing to watch; name a log with --source, or write a section `watch:` with `source` into provetune.yaml")
    given = {"source": source, "reference": reference}
    named = {key: str(value) for key, value in given.items() if value is not None}
    base = {} if spec is None else spec.model_dump()
    for key in ("source", "reference", "embedding"):
        if base.get(key) and key not in named:
            base[key] = str(session.folder / base[key])
    return WatchWish(WatchSpec.model_validate({**base, **named}), state or session.folder / "watch")


def _project_spec(folder: Path) -> WatchSpec | None:
    from provetune.spec.text import load_spec

    file = folder / "provetune.yaml"
    return load_spec(file, ()).watch if file.is_file() else None


def _look(session: Session, wish: WatchWish, *, force: bool) -> int:
    from provetune.workflow.watch import watch as take_a_look

    look = take_a_look(wish, force=force)
    if look is None:
        document = '{"schema": "provetune.no_look/1"}'
        session.result([("Nothing to look at yet: read on, no look is due. --now looks all the same.", "")], document=document, essence="")
        return 0
    session.result(report_lines(look), document=look.report.to_json(), essence=_WORDS[look.report.found])
    return _code(look)


def _code(look: Look) -> int:
    return _ALARM if look.alarm else _UNKNOWN if look.report.found == "not comparable" else 0


def report_lines(look: Look) -> list[Line]:
    """The verdict, new words first; then signals, labels, clock, and what to do."""
    report = look.report
    lines: list[Line] = [(f"{_WORDS[report.found]}. {report.sentence}", "bold")]
    lines += [(_signal(one), "") for one in report.signals if one.found in ("drift", "slight")]
    if report.harm is not None:
        harm = report.harm
        worse = "WORSE than promised" if harm.alarm else f"about {harm.needed:,} more labels would show a rise of 10 points"
        lines.append(
            (f"{harm.labels:,} labels, error {harm.error}, tested against {harm.claim:.3f}: {worse}", "bold" if harm.alarm else "")
        )
    if report.clock is not None and report.clock.is_due:
        lines.append((f"The next evaluation has been due since {report.clock.due_at[:10]}.", "yellow"))
    lines += [(f"{name}: {count:,}", "") for name, count in report.counts.items()]
    lines += [(note, "yellow") for note in report.notes]
    if look.proposal is not None:
        lines.append((f"{look.proposal.sentence} Next: `provetune retune`.", "bold"))
    elif report.to_label and report.found != "none" and look.page is not None:
        rows = shown_path(look.page.parent.parent / "to-label.jsonl")
        lines.append((f"Next: have {len(report.to_label):,} rows labelled: `provetune label {rows}`.", ""))
    if look.page is not None:
        lines.append((f"Page: {shown_path(look.page)}", ""))
    return lines


def _signal(one: DriftSignal) -> str:
    p = "" if one.adjusted is None else f" (p {one.adjusted:.4f} after Holm, level {one.level:.4f})"
    return f"{one.found}: {one.sentence}{p}"


def _simulate(session: Session, rows: Path) -> None:
    from provetune.workflow.watch_once import simulate_file

    found = simulate_file(rows)
    lines: list[Line] = [
        (f"{found.runs} runs of {found.weeks} weeks with {found.requests:,} requests and {found.labels:,} labels a week each;", ""),
        (f"drift is planted from week {found.planted_week} on, in {found.share:.0%} of the requests.", ""),
    ]
    for one in found.plants:
        seen = "never" if one.requests_to_notice is None else f"after {one.requests_to_notice:,} requests (median)"
        worse = "never" if one.labels_to_harm is None else f"after {one.labels_to_harm:,} labels (median)"
        lines.append((f"{one.plant}: noticed in {one.noticed:.0%} of runs, {seen}; harm in {one.harmed:.0%}, {worse}", ""))
        lines.append((f"    before anything was planted: {one.false_notices} notices, {one.false_harms} harm alarms", ""))
    session.result(lines, document=found.to_json(), essence=f"{len(found.plants)} plants")
