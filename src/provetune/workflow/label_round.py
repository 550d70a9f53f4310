"""One annotator's round: which rows, the page or the file they are labelled in, and the answers back as votes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provetune.errors import DataError, SpecError
from provetune.formats.jsonl import objects
from provetune.labelling.argilla import read_responses, write_records
from provetune.labelling.consensus import labelled, undecided
from provetune.labelling.incoming import Expected, Incoming, votes_of
from provetune.labelling.label_studio import read_annotations, write_tasks
from provetune.labelling.queues import QUEUES, QueueRequest, adjudication_queue, hold_out
from provetune.labelling.round import Round
from provetune.labelling.rounds import finished, flagged_ids, newest
from provetune.labelling.spreadsheet import read_sheet, write_sheet
from provetune.labelling.votes import Standing, votes_by_row
from provetune.records.labels import LabelQueue, QueueKind, VoteSource
from provetune.report.words import visible
from provetune.store import write_atomic
from provetune.workflow.label import Labelling, need_plain

SHEETS = (".csv", ".xlsx")
Tool = Literal["label-studio", "argilla"]


@dataclass(frozen=True)
class RoundWish:
    """Which round: its kind, and for a new one how many rows (None takes the kind's own), how many of them shared, which are flagged."""

    kind: QueueKind = "random"
    size: int | None = None
    overlap: float = 0.2
    flagged: Path | None = None


def open_round(labelling: Labelling, annotator: str, wish: RoundWish) -> Round:
    """The unfinished round of this kind, or a new one; it has no rows where there is nothing to do.

    Adjudication is for a person who voted on none of the rows it shows: DataError where only such persons' rows are left.
    """
    need_plain([annotator], "--annotator")
    held, _ = labelling.held()
    queue = _adjudication(labelling, annotator, held) if wish.kind == "adjudicate" else _queue(labelling, held, wish)
    known = queue.model_copy(update={"rows": tuple(row for row in queue.rows if row.example_id in labelling.rows)})
    return Round(labelling.rows, known, annotator, labelling.labels, labelling.guideline, labelling.log, labelling.scale)


def serve_round(work: Round, port: int, opened: Callable[[str], None]) -> None:
    """Serve the page of a round on this machine until it is finished or interrupted; `opened` is told the address.

    Raises SpecError where the extra `studio` is not installed or the port is taken.
    """
    try:
        from provetune.labelling.server import serve
    except ModuleNotFoundError as error:
        raise SpecError(
            f"the page needs {error.name}: run `pip install 'provetune[studio]'`, or label in a spreadsheet with --to"
        ) from None
    serve(work, port, opened, visible)


def hand_out(work: Round, path: Path, tool: Tool) -> tuple[int, list[Path]]:
    """Write the rows that the annotator still has to label: a sheet, or a `.json` file for a tool. Returns their number and the files."""
    rows = [work.rows[queued.example_id] for queued in work.open_rows(work.held())]
    if path.suffix in SHEETS:
        write_sheet(path, rows, work.labels, work.guideline)
        return len(rows), [path]
    if path.suffix != ".json":
        raise SpecError(f"--to {path}: found the ending {path.suffix!r}, wanted {', '.join(SHEETS)} or .json")
    if tool == "label-studio":
        return len(rows), [path, write_tasks(path, rows, work.labels)]
    write_records(path, rows)
    return len(rows), [path]


def take_in(labelling: Labelling, path: Path, annotator: str | None) -> tuple[int, dict[str, int]]:
    """Append the answers of a sheet or an export as votes. Returns how many are new, and what was no vote, by reason."""
    need_plain([] if annotator is None else [annotator], "--annotator")
    source, incoming = _incoming(path, annotator)
    expected = Expected(labelling.rows, labelling.labels, labelling.guideline.version, labelling.held()[0])
    votes = votes_of(incoming, expected, source)
    if votes:
        labelling.log.append(votes)
    return len(votes), incoming.left_out


def _incoming(path: Path, annotator: str | None) -> tuple[VoteSource, Incoming]:
    if path.suffix in SHEETS:
        if annotator is None:
            raise SpecError(f"--from {path}: a sheet holds the labels of one person, wanted their name; add --annotator NAME")
        return "sheet", read_sheet(path, annotator)
    _, first = next(objects(path), (0, {}))
    if "annotations" in first or "data" in first:
        return "label-studio", read_annotations(path)
    return "argilla", read_responses(path)


def _queue(labelling: Labelling, held: Standing, wish: RoundWish) -> LabelQueue:
    """The unfinished round of this kind, unless it lacks rows that are to be reviewed; else a new one."""
    last, voted = newest(labelling.folder, wish.kind), votes_by_row(held).keys()
    flagged = flagged_ids(wish.flagged, labelling.project) if wish.kind == "review" else ()
    if last is not None and not finished(last, held) and {*flagged} <= {*voted, *(row.example_id for row in last.rows)}:
        return last
    held_out = frozenset(last.held_out) if last else hold_out(labelling.rows, seed=7)
    request = QueueRequest(
        rows=labelling.rows,
        labelled=labelled(labelling.rows, held),
        voted=voted,
        number=last.number + 1 if last else 1,
        size=wish.size,
        overlap=wish.overlap,
        flagged=flagged,
        held_out=held_out if wish.kind == "active" else frozenset(),
    )
    queue = QUEUES[wish.kind](request)
    if queue.rows:
        write_atomic(labelling.folder / "rounds" / f"{queue.kind}-{queue.number}.json", queue.to_json())
    return queue


def _adjudication(labelling: Labelling, annotator: str, held: Standing) -> LabelQueue:
    split = undecided(held)
    votes = votes_by_row(held)
    theirs = [row for row in split if all(vote.annotator != annotator for vote in votes[row])]
    if split and not theirs:
        raise DataError(f"{annotator} voted on all {len(split)} undecided rows; a third person adjudicates: name them with --annotator")
    return adjudication_queue(QueueRequest(rows=labelling.rows, labelled={}, voted=(), number=1), theirs)
