"""The verb `vote`: a blind comparison by people, on a page, in the terminal or in a sheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from provetune.cli.session import Line, Session, shown_path
from provetune.cli.verbs import app

if TYPE_CHECKING:
    from provetune.records.blind_votes import VoteReport
    from provetune.workflow.vote import Voting

KEYS_TEXT = "1 or 2: this one is better; 3: both good; 0: both bad; s: skip; q: stop"


@app.command()
def vote(
    ctx: typer.Context,
    candidate: Annotated[
        Path | None, typer.Argument(metavar="A.jsonl", help="Predictions of the candidate; without files the latest run's tuned model.")
    ] = None,
    baseline: Annotated[Path | None, typer.Argument(metavar="B.jsonl", help="Predictions of the baseline for the same ids.")] = None,
    rater: Annotated[str | None, typer.Option(metavar="NAME", help="Who votes; without a name the result is shown.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="How many pairs are shown, drawn from those that differ.")] = 50,
    terminal: Annotated[bool, typer.Option("--terminal", help="Vote here with keys, not on a page.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page on this machine; 0 takes a free one.")] = 0,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the pairs as .csv or .xlsx.")] = None,
    from_: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Take votes from a filled-in sheet.")] = None,
) -> None:
    """Which completion is better? Blind and in random order; then the win rate with its interval and the agreement of the raters."""
    from provetune.errors import SpecError
    from provetune.workflow.vote import open_voting, tally

    session = ctx.ensure_object(Session)
    if (candidate is None) != (baseline is None):
        raise SpecError("vote: found one file of predictions, wanted two, or none for the latest run")
    if rater is None and (to is not None or from_ is not None or terminal):
        raise SpecError("vote: --to, --from and --terminal are for one rater; add --rater NAME")
    voting = open_voting(session.folder, None if candidate is None or baseline is None else (candidate, baseline), pairs)
    if rater is not None and (from_ is not None or to is not None):
        _by_sheet(session, voting, rater, (to, from_))
    elif rater is not None and terminal:
        _ask(voting, rater)
    elif rater is not None:
        _serve(voting, rater, port)
    found = tally(voting)
    files = "vote" if candidate is None else f"vote {candidate} {baseline}"
    last = candidate is None and len(found.raters) > 1
    lines = vote_lines(found, names=rater is None, following=session.command("prove" if last else f"{files} --rater NAME"))
    session.result(lines, document=found.to_json(), essence=str(found.win_rate))


def vote_lines(found: VoteReport, *, names: bool, following: str) -> list[Line]:
    """Win rate, counts, agreement. Names are shown only to somebody who is not voting."""
    who = ", ".join(f"{rater} {count:,}" for rater, count in found.raters.items()) or "nobody"
    lines: list[Line] = [(f"{found.rows:,} examples, {found.equal:,} with equal completions; {found.pairs:,} pairs. Votes: {who}.", "")]
    if found.set_aside:
        lines.append((f"set aside: {found.set_aside:,} votes on completions that are not among these pairs any more", "yellow"))
    if names and found.votes:
        wins, losses, ties, bad = (sum(pair[place] for pair in found.votes) for place in range(4))
        lines.append(
            (f"{found.candidate} against {found.baseline}: {wins:,} better, {losses:,} worse, {ties:,} both good, {bad:,} both bad", "")
        )
        lines.append((f"win rate {found.win_rate} pairs (ties count half): {preference(found)}.", "bold"))
        lines.append((f"agreement of the raters, Krippendorff's alpha: {found.agreement}", ""))
    lines.append((f"Next: {following} {'puts this into the report' if following.endswith('prove`') else 'asks one more person'}.", ""))
    return lines


def preference(found: VoteReport) -> str:
    """What the interval of the win rate says."""
    low, high = found.win_rate.low, found.win_rate.high
    if low is None or high is None:
        return "nothing was voted on"
    return "people prefer the candidate" if low > 0.5 else "people prefer the baseline" if high < 0.5 else "no preference is shown"


def _by_sheet(session: Session, voting: Voting, rater: str, files: tuple[Path | None, Path | None]) -> None:
    from provetune.workflow.vote import hand_out_pairs, round_of, take_in_votes

    (to, filled), work = files, round_of(voting, rater)
    if filled is not None:
        new, left_out = take_in_votes(work, filled)
        others = "".join(f", {count:,} {reason}" for reason, count in left_out.items())
        session.note(f"took {new:,} votes from {shown_path(filled)}{others}")
    elif to is not None:
        count = hand_out_pairs(work, to)
        session.note(f"wrote {count:,} pairs to {shown_path(to)}; the column 'label' takes {', '.join(work.labels)}")


def _serve(voting: Voting, rater: str, port: int) -> None:
    from provetune.workflow.label_round import serve_round
    from provetune.workflow.vote import round_of

    def opened(url: str) -> None:
        print(f"Open {url} in a browser on this machine; Ctrl-C ends. The address works once.", file=sys.stderr, flush=True)

    serve_round(round_of(voting, rater), port, opened)


def _ask(voting: Voting, rater: str) -> None:
    """One pair after the other on standard error, one key a line from standard input; `q` or the end of the input stops."""
    from provetune.report.words import visible
    from provetune.workflow.vote import round_of

    work = round_of(voting, rater)
    answers = dict(zip(work.keys, work.labels, strict=True))
    while (row := work.next_row(work.held())) is not None:
        for turn in row.prompt:
            print(f"\n{turn.role}: {visible(turn.text)}", file=sys.stderr)
        print(f"{KEYS_TEXT} > ", end="", file=sys.stderr, flush=True)
        key = sys.stdin.readline().strip()
        if key in answers:
            work.vote(row.id, answers[key])
        elif key == "s":
            work.skip(row.id)
        elif key in ("", "q"):
            return
