"""One annotator at work on one round: the next row, the progress, votes, skips and undo."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from provetune.errors import DataError
from provetune.labelling.rows import Row
from provetune.labelling.votes import Standing, VoteLog, attached, now, standing, votes_by_row
from provetune.records.labels import LabelQueue, QueuedRow, Vote, VoteAction
from provetune.stats.agreement import Scale

LONGEST_ANSWER = 20_000
LONGEST_COMMENT = 2_000
"""Characters."""
WINDOW = 24
"""Annotators who work at the same time begin at different rows among so many, so that they seldom meet on one that is not shared."""


@dataclass(frozen=True)
class Guideline:
    """What annotators are told, in Markdown; `version` is the hash that each vote carries, empty without a guideline."""

    text: str = ""

    @property
    def version(self) -> str:
        """First 16 hex digits of the text's SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16] if self.text.strip() else ""


@dataclass(frozen=True)
class Progress:
    """Rows of this round that the annotator has voted on, has skipped, and still has to see."""

    voted: int
    skipped: int
    left: int


@dataclass(frozen=True)
class Round:
    """A queue, the annotator who works through it, and the log. `labels` is empty where answers are free text.

    With `keys`, one for each label, the round compares without names: what the others said is not shown.
    """

    rows: Mapping[str, Row]
    queue: LabelQueue
    annotator: str
    labels: tuple[str, ...]
    guideline: Guideline
    log: VoteLog
    scale: Scale = "nominal"
    keys: tuple[str, ...] = ()
    question: str = "Which label fits?"

    def held(self) -> Standing:
        """What stands now, with the votes of annotators who are at work elsewhere."""
        return standing(attached(self.log.votes(), self.rows)[0])

    def next_row(self, held: Standing) -> Row | None:
        """The row to show, None when there is none left."""
        open_rows = self.open_rows(held)
        if not open_rows:
            return None
        first = open_rows[0]
        if not first.shared and self.queue.kind != "adjudicate":
            window = [queued for queued in open_rows[:WINDOW] if not queued.shared]
            first = min(window, key=lambda queued: hashlib.sha256(f"{self.annotator}\n{queued.example_id}".encode()).digest())
        return self.rows[first.example_id]

    def progress(self, held: Standing) -> Progress:
        """How far this annotator is."""
        actions = [held[place].action for queued in self.queue.rows if (place := (self.annotator, queued.example_id)) in held]
        return Progress(actions.count("vote"), actions.count("skip"), len(self.open_rows(held)))

    def vote(self, example_id: str, value: str, comment: str = "") -> None:
        """Write down a label or an answer. Raises DataError on what this round does not ask."""
        answer = value.strip()
        if self.labels and answer not in self.labels:
            raise DataError(f"found {answer[:100]!r}, wanted one of the {len(self.labels)} labels")
        if not answer:
            raise DataError("found no answer, wanted a text; or skip the row")
        self._write(example_id, "vote", answer, comment)

    def skip(self, example_id: str, comment: str = "") -> None:
        """Put the row aside."""
        self._write(example_id, "skip", None, comment)

    def last(self, held: Standing) -> Vote | None:
        """The annotator's latest vote or skip in this round that still holds."""
        queued = {row.example_id for row in self.queue.rows}
        mine = [vote for (annotator, row), vote in held.items() if annotator == self.annotator and row in queued]
        return mine[-1] if mine else None

    def undo(self, held: Standing) -> None:
        """Take the latest vote or skip back; nothing where there is none."""
        last = self.last(held)
        if last is not None:
            self._write(last.example_id, "undo")

    def show_skipped(self, held: Standing) -> None:
        """Take all skips of this round back, so that the rows are shown again."""
        for queued in self.queue.rows:
            vote = held.get((self.annotator, queued.example_id))
            if vote is not None and vote.action == "skip":
                self._write(queued.example_id, "undo")

    def opinions(self, row: Row, held: Standing) -> list[Vote]:
        """For the person who adjudicates: what the others said, in an order that tells no names."""
        said = votes_by_row(held).get(row.id, []) if self.queue.kind == "adjudicate" else []
        return sorted(said, key=lambda vote: (vote.value or "", vote.comment))

    def open_rows(self, held: Standing) -> list[QueuedRow]:
        """Rows that this annotator still has to see: not seen by them, and shared or seen by nobody else."""
        seen_by: dict[str, list[Vote]] = {}
        for vote in held.values():
            seen_by.setdefault(vote.example_id, []).append(vote)
        return [
            queued for queued in self.queue.rows if queued.example_id not in seen_by or self._is_open(queued, seen_by[queued.example_id])
        ]

    def _is_open(self, queued: QueuedRow, seen: list[Vote]) -> bool:
        if any(vote.annotator == self.annotator for vote in seen):
            return False
        if self.queue.kind == "adjudicate":
            return not any(vote.decides for vote in seen)
        return queued.shared or not any(vote.action == "vote" for vote in seen)

    def _write(self, example_id: str, action: VoteAction, value: str | None = None, comment: str = "") -> None:
        if example_id not in {queued.example_id for queued in self.queue.rows}:
            raise DataError(f"found the row {example_id[:100]!r}, which is not in this round; load the page again")
        if len(value or "") > LONGEST_ANSWER or len(comment.strip()) > LONGEST_COMMENT:
            raise DataError(f"wanted at most {LONGEST_ANSWER:,} characters of answer and {LONGEST_COMMENT:,} of comment; shorten it")
        vote = Vote(
            example_id=example_id,
            row=self.rows[example_id].key,
            annotator=self.annotator,
            action=action,
            value=value,
            comment=comment.strip(),
            guideline=self.guideline.version,
            at=now(),
            decides=self.queue.kind == "adjudicate" and action == "vote",
        )
        self.log.append([vote])
