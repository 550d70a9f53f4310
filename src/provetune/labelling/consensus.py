"""From votes to one label per row: majority, else a third person; and the data file with the votes beside the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from provetune.formats import WRITERS, Notes
from provetune.labelling.rows import Row
from provetune.labelling.votes import Standing, votes_by_row
from provetune.records.data import Example
from provetune.records.labels import Vote
from provetune.spec import ColumnsSpec

DecidedBy = Literal["one vote", "majority", "adjudication", "nobody", "file"]


@dataclass(frozen=True)
class Consensus:
    """The label of one row, None where nobody could decide, and who decided."""

    label: str | None
    by: DecidedBy


@dataclass(frozen=True)
class Exported:
    """Rows written and labels changed; rows left out, as their votes are split or they have no label; columns that did not fit."""

    train: int
    test: int
    changed: int
    undecided: int
    unlabelled: int
    notes: tuple[str, ...] = ()


def consensus(votes: Sequence[Vote]) -> Consensus:
    """What the votes on one row say; at least one vote.

    The latest deciding vote (adjudication, ground truth) stands; else a single vote, or what more than half of the annotators chose.
    """
    deciding = [vote for vote in votes if vote.decides]
    if deciding:
        return Consensus(deciding[-1].value, "adjudication")
    if len(votes) == 1:
        return Consensus(votes[0].value, "one vote")
    value, count = Counter(vote.value for vote in votes).most_common(1)[0]
    return Consensus(value, "majority") if 2 * count > len(votes) else Consensus(None, "nobody")


def undecided(held: Standing) -> list[str]:
    """Ids of the rows on which annotators disagree without a majority and nobody has adjudicated."""
    return [row for row, votes in votes_by_row(held).items() if consensus(votes).by == "nobody"]


def labelled(rows: Mapping[str, Row], held: Standing) -> dict[str, str]:
    """The label of each row that has one: by its votes, else of the file."""
    decided = {row: consensus(votes) for row, votes in votes_by_row(held).items()}
    found = {}
    for row in rows.values():
        label = decided[row.id].label if row.id in decided else row.label
        if label is not None:
            found[row.id] = label
    return found


def export(rows: Mapping[str, Row], held: Standing, reasons: Mapping[str, str], held_out: Collection[str], path: Path) -> Exported:
    """Write every row with a label as OpenAI chat lines with its votes; rows held out go to a test file beside it.

    A row without votes keeps the label of its file. Rows whose votes are split, and rows without any label, are left out and counted.
    `reasons` says of a row why it was chosen for labelling.
    """
    votes, labels = votes_by_row(held), labelled(rows, held)
    train: list[Example] = []
    test: list[Example] = []
    for row in rows.values():
        if row.id in labels:
            said = votes.get(row.id, [])
            extra: dict[str, JsonValue] = {
                "decided_by": consensus(said).by if said else "file",
                "chosen_by": reasons.get(row.id, "nobody"),
                "votes": [_said(vote) for vote in said],
            }
            (test if row.id in held_out else train).append(row.example(labels[row.id], extra))
    notes = Notes()
    _write(path, train, notes)
    if held_out:
        _write(held_out_file(path), test, notes)
    split = sum(consensus(said).by == "nobody" for said in votes.values())
    changed = sum(rows[row].label not in (None, label) for row, label in labels.items())
    return Exported(len(train), len(test), changed, split, len(rows) - len(labels) - split, tuple(notes.lines()))


def held_out_file(path: Path) -> Path:
    """Where the rows of the test split go: `x.jsonl` -> `x.test.jsonl`."""
    return path.with_name(f"{path.stem}.test{path.suffix}")


def _said(vote: Vote) -> dict[str, JsonValue]:
    shown: dict[str, JsonValue] = {"annotator": vote.annotator, "label": vote.value, "at": vote.at, "guideline": vote.guideline}
    return {**shown, **({"comment": vote.comment} if vote.comment else {}), **({"decides": True} if vote.decides else {})}


def _write(path: Path, examples: Sequence[Example], notes: Notes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    WRITERS["chat"](partial, examples, ColumnsSpec(), notes)
    partial.replace(path)
