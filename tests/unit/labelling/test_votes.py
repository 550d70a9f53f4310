"""Votes survive what happens to files: kills, several writers, moved and changed rows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from provetune.errors import DataError, FolderError
from provetune.labelling.rows import Row
from provetune.labelling.votes import VoteLog, attached, standing, votes_by_row
from provetune.records.labels import Vote
from tests.unit.labelling.desk import row, rows, vote

PLACE = {"a": row("a"), "b": row("b")}


def lines(path: Path) -> list[Vote]:
    return VoteLog(path).votes()


def test_votes_come_back_as_they_were_said(tmp_path: Path) -> None:
    log = VoteLog(tmp_path / "deep" / "votes.jsonl")
    said = [vote(PLACE["a"], "anna", "billing", comment="a\u2028b\n„ü”"), vote(PLACE["b"], "ben", None)]
    assert log.votes() == []
    log.append(said[:1])
    assert log.votes() == said[:1]
    log.append(said[1:])
    assert log.votes() == said == lines(log.path)
    assert len(log.path.read_bytes().splitlines()) == 2


def test_half_a_line_of_a_killed_writer_is_ignored_and_then_dropped(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    first, second = vote(PLACE["a"], "anna", "billing"), vote(PLACE["b"], "anna", "login")
    VoteLog(path).append([first])
    with path.open("ab") as file:
        file.write(b'{"example_id": "b", "ann')
    reader = VoteLog(path)
    assert reader.votes() == [first]
    VoteLog(path).append([second])
    assert reader.votes() == [first, second] == lines(path)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    VoteLog(path).append([vote(PLACE["a"], "anna", "billing")])
    with path.open("a") as file:
        file.write("{not a vote}\n")
    with pytest.raises(DataError, match=r"votes\.jsonl:2: found a damaged vote"):
        lines(path)


def _write_many(path: Path, annotator: str) -> None:
    log = VoteLog(path)
    for one in rows(50).values():
        log.append([vote(one, annotator, "billing")])


def test_two_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    writers = [threading.Thread(target=_write_many, args=(path, name)) for name in ("anna", "ben")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    found = standing(lines(path))
    assert len(found) == 100 and {name for name, _ in found} == {"anna", "ben"}


def test_a_full_or_closed_folder_is_an_error_and_not_a_lost_vote(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FolderError, match="could not be written"):
        VoteLog(tmp_path / "file" / "votes.jsonl").append([vote(PLACE["a"], "anna", "billing")])


def test_the_latest_line_holds_and_undo_takes_it_back() -> None:
    a = PLACE["a"]
    said = [vote(a, "anna", "billing"), vote(a, "ben", "login"), vote(a, "anna", "other")]
    assert {place: one.value for place, one in standing(said).items()} == {("ben", "a"): "login", ("anna", "a"): "other"}
    undone = vote(a, "anna", "other").model_copy(update={"action": "undo", "value": None})
    assert list(standing([*said, undone])) == [("ben", "a")]
    assert [one.annotator for one in votes_by_row(standing([*said, vote(a, "ben", None)]))["a"]] == ["anna"]  # a skip is no vote


def test_a_vote_holds_for_the_text_that_was_shown() -> None:
    said = [vote(row("r2", "one"), "anna", "billing"), vote(row("r3", "two"), "anna", "login"), vote(row("r4", "two"), "ben", "login")]
    # a line was added above: r2 says something new, its text is now r3; "two" occurs twice, and r9 is gone
    now: dict[str, Row] = {"r2": row("r2", "new"), "r3": row("r3", "one"), "r4": row("r4", "two"), "r5": row("r5", "two")}
    kept, aside = attached([*said, vote(row("r9", "gone"), "anna", "login")], now)
    assert [(one.example_id, one.annotator) for one in kept] == [("r3", "anna"), ("r4", "ben")] and aside == 2
