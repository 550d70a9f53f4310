"""Answers from other places (a spreadsheet, another tool) as votes: which row is meant, and whether the label is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from provetune.errors import DataError
from provetune.formats.text import did_you_mean
from provetune.labelling.rows import Row
from provetune.labelling.votes import Standing, now
from provetune.records.labels import Vote, VoteSource


@dataclass(frozen=True)
class Answer:
    """One answer as a file gives it. `where` is `file:line`; the row is named by `example_id`, and by `text` or `key` where given."""

    where: str
    annotator: str
    value: str
    example_id: str | None = None
    text: str | None = None
    key: str | None = None
    comment: str = ""
    decides: bool = False


@dataclass
class Incoming:
    """The answers of a file, and what it holds that is no vote, by reason."""

    answers: list[Answer] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        """Count something that is no vote."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


@dataclass(frozen=True)
class Expected:
    """What the answers are about: rows, labels (none for free text), the guideline's version, and what stands already."""

    rows: Mapping[str, Row]
    labels: Sequence[str]
    guideline: str
    held: Standing


def votes_of(incoming: Incoming, expected: Expected, source: VoteSource) -> list[Vote]:
    """Votes to append; an answer that stands already is counted as unchanged, so that a file may be read twice.

    Raises DataError with `file:line` on an answer about an unknown or changed row, or with an unknown label.
    """
    by_text: dict[str, list[str]] = {}
    for row in expected.rows.values():
        by_text.setdefault(row.text, []).append(row.id)
    votes = []
    for answer in incoming.answers:
        row = _row(answer, expected.rows, by_text)
        value = answer.value.strip()
        if expected.labels and value not in expected.labels:
            tail = did_you_mean(value, expected.labels)
            raise DataError(f"{answer.where}: found the label {value!r}, wanted one of the {len(expected.labels)} labels{tail}")
        before = expected.held.get((answer.annotator, row.id))
        if before is not None and (before.value, before.comment, before.decides) == (value, answer.comment, answer.decides):
            incoming.leave_out("unchanged")
            continue
        votes.append(
            Vote(
                example_id=row.id,
                row=row.key,
                annotator=answer.annotator,
                action="vote",
                value=value,
                comment=answer.comment,
                guideline=expected.guideline,
                at=now(),
                source=source,
                decides=answer.decides,
            )
        )
    return votes


def texts_of(rows: Iterable[Row]) -> list[tuple[str, str, str]]:
    """(id, key, text) of each row, as the other places are sent it."""
    return [(row.id, row.key, row.text) for row in rows]


def _row(answer: Answer, rows: Mapping[str, Row], by_text: Mapping[str, Sequence[str]]) -> Row:
    """The row that is meant: that of the id if it says the same, else the only one with this text."""
    row = rows.get(answer.example_id or "")
    if row is not None and answer.key in (None, row.key) and (answer.text is None or answer.text == row.text):
        return row
    found = by_text.get(answer.text or "", ())
    if len(found) == 1:
        return rows[found[0]]
    told = "says something else now" if row is not None else "is not in the data"
    raise DataError(
        f"{answer.where}: the row {answer.example_id!r} {told}; name the file that was labelled, or write it out again with --to"
    )
