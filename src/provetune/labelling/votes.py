"""Votes on disk: one line each, appended durably, read by several annotators at once."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from provetune.errors import DataError, FolderError
from provetune.hashing import canonical_json
from provetune.labelling.rows import Row
from provetune.records.labels import Vote

Standing = dict[tuple[str, str], Vote]
"""(annotator, example id) -> the line that holds, in the order of the log."""


def now() -> str:
    """The present moment as votes carry it: UTC to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class VoteLog:
    """`votes.jsonl` of one data set. A vote is on the disk when `append` returns; nothing is ever rewritten."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._votes: list[Vote] = []
        self._read = 0

    def append(self, votes: Sequence[Vote]) -> None:
        """Add lines, all or none, and flush them to the disk. Raises FolderError where the folder cannot be written."""
        text = "".join(canonical_json(vote.model_dump(mode="json")) + "\n" for vote in votes)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _drop_half_line(file)
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FolderError(
                f"{self.path}: the vote could not be written: {error.strerror}; free space or mend the permissions"
            ) from error

    def votes(self) -> list[Vote]:
        """All lines, oldest first, those of other running annotators too. Raises DataError with `file:line` on a damaged one."""
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")  # after it: a line that is just being written
        for line in whole.split(b"\n") if end else ():
            try:
                self._votes.append(Vote.model_validate_json(line))
            except ValueError:
                number = len(self._votes) + 1
                raise DataError(f"{self.path}:{number}: found a damaged vote, wanted one JSON object; restore or remove the line") from None
        self._read += len(whole) + len(end)
        return self._votes


def attached(votes: Iterable[Vote], rows: Mapping[str, Row]) -> tuple[list[Vote], int]:
    """Votes on rows as they are now, and how many are set aside because their row is gone or says something else.

    A vote whose row moved (a line was added above it) follows the text, where that text occurs once.
    """
    votes = list(votes)
    if all(_is_about(vote, rows) for vote in votes):
        return votes, 0
    places: dict[str, list[str]] = {}
    for row in rows.values():
        places.setdefault(row.key, []).append(row.id)
    kept = []
    for vote in votes:
        if _is_about(vote, rows):
            kept.append(vote)
        elif len(places.get(vote.row, ())) == 1:
            kept.append(vote.model_copy(update={"example_id": places[vote.row][0]}))
    return kept, len(votes) - len(kept)


def _is_about(vote: Vote, rows: Mapping[str, Row]) -> bool:
    return vote.example_id in rows and rows[vote.example_id].key == vote.row


def standing(votes: Iterable[Vote]) -> Standing:
    """The line that holds for each annotator and row: the latest, unless it takes the former back."""
    found: Standing = {}
    for vote in votes:
        place = (vote.annotator, vote.example_id)
        found.pop(place, None)  # a changed vote moves to the end: undo takes the latest back
        if vote.action != "undo":
            found[place] = vote
    return found


def votes_by_row(held: Standing) -> dict[str, list[Vote]]:
    """Votes that count (no skips), by example id."""
    found: dict[str, list[Vote]] = {}
    for vote in held.values():
        if vote.action == "vote":
            found.setdefault(vote.example_id, []).append(vote)
    return found


def _drop_half_line(file: BinaryIO) -> None:
    """A process that was killed while it wrote left half a line, of which nobody was told: drop it."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
