"""The verb `label`: a local page for one annotator, spreadsheets and other tools' files, agreement, consensus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from provetune.cli.session import Line, Session, shown_path
from provetune.cli.verbs import app

if TYPE_CHECKING:
    from provetune.records.labels import Agreement
    from provetune.workflow.label import Labelling
    from provetune.workflow.label_round import RoundWish


Queue = Literal["random", "review", "active", "adjudicate"]
LabelScale = Literal["nominal", "ordinal", "interval", "ratio"]
Tool = Literal["label-studio", "argilla"]
_WORST_LABELS = 5


@app.command()
def label(
    ctx: typer.Context,
    source: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A data file, with or without labels; the project's own rows if not given.")
    ] = None,
    annotator: Annotated[str | None, typer.Option(metavar="NAME", help="Who labels; without a name the state is shown.")] = None,
    queue: Annotated[
        Queue, typer.Option(help="Random rows, rows the audit flagged, mostly random and partly informative ones, or undecided ones.")
    ] = "random",
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of a new round; all of them, or 100 for active, if not given.")] = None,
    overlap: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of a new round that every annotator gets.")] = 0.2,
    ids: Annotated[Path | None, typer.Option(metavar="FILE", help="For review: an audit as JSON, or one id a line.")] = None,
    guidelines: Annotated[Path | None, typer.Option(metavar="FILE.md", help="What annotators are told; shown beside each row.")] = None,
    labels: Annotated[str | None, typer.Option(metavar="A,B,...", help="The labels; those of the data if not given.")] = None,
    scale: Annotated[LabelScale | None, typer.Option(help="What differences between labels mean, for Krippendorff's alpha.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page on this machine; 0 takes a free one.")] = 0,
    open_it: Annotated[bool, typer.Option("--open", help="Show the page in the browser.")] = False,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the round as .csv or .xlsx, or as .json for another tool.")] = None,
    from_: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Take votes from a filled-in sheet or an export.")] = None,
    tool: Annotated[Tool, typer.Option("--as", help="The tool of a .json file that is written.")] = "label-studio",
    consensus: Annotated[Path | None, typer.Option(metavar="FILE.jsonl", help="Write the rows with one label each and all votes.")] = None,
) -> None:
    """Label rows with two or more people: a page on this machine or a spreadsheet, agreement with intervals, one label per row.

    Votes are appended to FILE.labels/votes.jsonl (of a project: labels/votes.jsonl); the same command continues.
    """
    from provetune.workflow.label import LabelWish, open_labelling, summary
    from provetune.workflow.label_round import RoundWish

    session = ctx.ensure_object(Session)
    named = tuple(dict.fromkeys(word.strip() for word in labels.split(",") if word.strip())) if labels else ()
    labelling = open_labelling(LabelWish(source or session.folder, named, scale, guidelines))
    for note in labelling.notes:
        session.warn(note)
    wish = RoundWish(queue, rows, overlap, ids)
    if from_ is not None:
        _take_in(session, labelling, from_, annotator)
    elif to is not None:
        _hand_out(session, labelling, (annotator or "everyone", wish), (to, tool))
    elif annotator is not None:
        _serve(session, labelling, (annotator, wish), (port, open_it))
    found = summary(labelling)
    written = _write_consensus(labelling, consensus) if consensus else []
    following = _next(found, session, source, consensus) if to is None or from_ is not None else _fill_in(session, source, annotator, to)
    lines = [*agreement_lines(found), *written, (f"Next: {following}", "")]
    session.result(lines, document=found.to_json(), essence=found.level)


def _serve(session: Session, labelling: Labelling, who: tuple[str, RoundWish], page: tuple[int, bool]) -> None:
    """Serve the page until the annotator finishes or presses Ctrl-C."""
    from provetune.workflow.label_round import open_round, serve_round

    annotator, wish = who
    work = open_round(labelling, annotator, wish)
    queue = work.queue
    if not queue.rows:
        session.warn(f"there is nothing to label in the queue {wish.kind!r}")
        return
    if wish.kind != "adjudicate" and (queue.overlap != wish.overlap or len(queue.rows) > (wish.size or len(queue.rows))):
        session.warn(f"this round was begun with overlap {queue.overlap:g} and keeps its rows; --rows and --overlap are for a new one")
    shared = sum(row.shared or wish.kind == "adjudicate" for row in queue.rows)
    answers = f"{len(work.labels)} labels" if work.labels else "free text, as no labels are known (--labels names them)"
    session.note(f"round {queue.kind} {queue.number}: {len(queue.rows):,} rows, {shared:,} of them for every annotator; {answers}")

    def opened(url: str) -> None:
        print(f"Open {url} in a browser on this machine; Ctrl-C ends. The address works once.", file=sys.stderr, flush=True)
        if page[1]:
            import webbrowser

            webbrowser.open(url)

    serve_round(work, page[0], opened)


def _hand_out(session: Session, labelling: Labelling, who: tuple[str, RoundWish], file: tuple[Path, Tool]) -> None:
    from provetune.workflow.label_round import hand_out, open_round

    count, files = hand_out(open_round(labelling, *who), *file)
    session.note(f"wrote {count:,} rows to {' and '.join(map(shown_path, files))}")


def _take_in(session: Session, labelling: Labelling, file: Path, annotator: str | None) -> None:
    from provetune.workflow.label_round import take_in

    new, left_out = take_in(labelling, file, annotator)
    others = "".join(f", {count:,} {reason}" for reason, count in left_out.items())
    session.note(f"took {_votes(new)} from {shown_path(file)}{others}")


def _write_consensus(labelling: Labelling, path: Path) -> list[Line]:
    from provetune.workflow.label import write_consensus

    done = write_consensus(labelling, path)
    test = f", {done.test:,} rows of the test split beside it" if done.test else ""
    left_out = f"left out: {done.undecided:,} undecided, {done.unlabelled:,} without a label"
    return [
        (f"Wrote {shown_path(path)}: {done.train:,} rows{test}; {done.changed:,} labels of the file changed; {left_out}.", "bold"),
        *((note, "yellow") for note in done.notes),
    ]


def agreement_lines(found: Agreement) -> list[Line]:
    """Who voted on what, agreement of all, of each pair, and of the labels that agree least."""
    lines: list[Line] = [
        (f"{one.annotator}: {_votes(one.votes)}{f', {one.skips:,} skipped' if one.skips else ''}", "") for one in found.annotators
    ]
    lines.append((f"{found.voted:,} of {found.rows:,} rows have a vote, {found.shared:,} two or more; {found.undecided:,} undecided", ""))
    if found.set_aside:
        lines.append((f"set aside: {_votes(found.set_aside)} whose row is gone or says something else now", "yellow"))
    if len(found.guidelines) > 1:
        lines.append((f"votes were given under {len(found.guidelines)} versions of the guideline", "yellow"))
    for pair in found.pairs:
        if pair.equal.n:
            name, beyond = ("ROUGE-L", pair.rouge_l) if pair.kappa is None else ("Cohen's kappa", pair.kappa)
            lines.append((f"{pair.first} and {pair.second}: equal {pair.equal}; {name} {beyond}", ""))
    if found.fleiss is not None:
        lines.append((f"Fleiss' kappa {found.fleiss}", ""))
    shared = [one for one in found.classes if one.agreement.value is not None]
    for one in sorted(shared, key=lambda one: one.agreement.value or 0.0)[:_WORST_LABELS]:
        lines.append((f"label {one.label}: agreement {one.agreement}; prevalence {one.prevalence}", ""))
    if found.alpha is not None and not found.shared:
        lines.append(("Agreement is not measured: no row has two votes yet.", "bold"))
    elif found.alpha is not None:
        lines.append((f"Krippendorff's alpha ({found.scale}) {found.alpha}: {found.level}.", "bold"))
    return lines


def _next(found: Agreement, session: Session, source: Path | None, consensus: Path | None) -> str:
    """What to do now, as a sentence with a command."""
    named = f"label {source}" if source else "label"
    if not found.voted:
        return f"{session.command(f'{named} --annotator NAME')} opens the page."
    if found.shared == 0:
        return f"a second person labels the shared rows: {session.command(f'{named} --annotator OTHER')}."
    if found.level == "revise the guideline":
        return f"mend the guideline where labels are confused, then label a new round: {session.command(f'{named} --guidelines FILE.md')}."
    if found.undecided:
        return f"a third person decides: {session.command(f'{named} --annotator THIRD --queue adjudicate')}."
    if consensus is None:
        return f"{session.command(f'{named} --consensus labelled.jsonl')} writes one label per row."
    return f"{session.command(f'init {consensus}')} makes a project of it."


def _fill_in(session: Session, source: Path | None, annotator: str | None, file: Path) -> str:
    """What becomes of a round that was written to a file."""
    named = f"label {source}" if source else "label"
    if file.suffix == ".json":
        return f"label the rows in the other tool, export them as JSON, then take them in: {session.command(f'{named} --from EXPORT')}."
    words = f"{named} --from {file} --annotator {annotator or 'NAME'}"
    return f"fill in the column 'label', then take it in: {session.command(words)}."


def _votes(count: int) -> str:
    return "1 vote" if count == 1 else f"{count:,} votes"
