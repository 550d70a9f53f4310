"""Two annotators on one round: shared rows for both, others for one; skip, undo, adjudication."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provetune.errors import DataError
from provetune.labelling.queues import QueueRequest, adjudication_queue
from provetune.labelling.round import LONGEST_ANSWER, LONGEST_COMMENT, Guideline, Progress, Round
from provetune.labelling.votes import votes_by_row
from tests.unit.labelling.desk import work


def label_all(one: Round, value: str, most: int = 1_000) -> list[str]:
    """Vote the same on every row that is shown."""
    seen: list[str] = []
    while (row := one.next_row(one.held())) is not None and len(seen) < most:
        one.vote(row.id, value)
        seen.append(row.id)
    return seen


def test_every_row_is_seen_and_only_shared_ones_twice(tmp_path: Path) -> None:
    anna, ben = (work(tmp_path, name, count=50, overlap=0.2) for name in ("anna", "ben"))
    while anna.next_row(anna.held()) or ben.next_row(ben.held()):
        label_all(anna, "billing", most=1)
        label_all(ben, "login", most=1)
    votes = votes_by_row(anna.held())
    shared = {queued.example_id for queued in anna.queue.rows if queued.shared}
    assert len(votes) == 50 and {row for row, said in votes.items() if len(said) == 2} == shared and len(shared) == 10


def test_annotators_at_work_at_once_seldom_meet_on_a_row_that_is_not_shared(tmp_path: Path) -> None:
    anna, ben = (work(tmp_path, name, count=200, overlap=0.0) for name in ("anna", "ben"))
    met = 0
    for _ in range(90):
        ours, theirs = anna.next_row(anna.held()), ben.next_row(ben.held())
        assert ours is not None and theirs is not None
        met += ours.id == theirs.id
        anna.vote(ours.id, "billing")
        ben.vote(theirs.id, "billing")
    assert met < 25  # without the window it would be all 90


def test_skip_undo_and_skipped_rows_again(tmp_path: Path) -> None:
    anna = work(tmp_path, "anna", count=3)
    first = anna.next_row(anna.held())
    assert first is not None
    anna.skip(first.id, "unreadable")
    label_all(anna, "billing")
    assert anna.progress(anna.held()) == Progress(voted=2, skipped=1, left=0)
    latest = anna.last(anna.held())
    assert latest is not None and latest.value == "billing"
    anna.undo(anna.held())
    shown = anna.next_row(anna.held())
    assert shown is not None and shown.id == latest.example_id
    anna.show_skipped(anna.held())
    assert anna.progress(anna.held()) == Progress(voted=1, skipped=0, left=2)
    anna.undo(anna.held())
    anna.undo(anna.held())  # nothing left to take back: no error, no line
    assert anna.last(anna.held()) is None and anna.progress(anna.held()).left == 3


def test_a_vote_says_under_which_guideline_it_was_given(tmp_path: Path) -> None:
    anna = work(tmp_path, "anna")
    anna.vote("r1", " billing ", " so \n")
    changed = replace(anna, guideline=Guideline("**billing**: money only"))
    changed.vote("r2", "login")
    first, second = anna.log.votes()
    assert (first.value, first.comment) == ("billing", "so") and len(first.guideline) == 16 and first.at.endswith("+00:00")
    assert second.guideline == changed.guideline.version != first.guideline
    assert Guideline(" \n").version == ""


@pytest.mark.parametrize(
    ("row", "value", "comment", "words"),
    [
        ("r1", "refund", "", "found 'refund', wanted one of the 3 labels"),
        ("r1", "", "", "wanted one of the 3 labels"),
        ("r77", "login", "", "'r77', which is not in this round"),
        ("r1", "login", "x" * (LONGEST_COMMENT + 1), "at most"),
    ],
)
def test_what_a_round_does_not_ask_is_refused(tmp_path: Path, row: str, value: str, comment: str, words: str) -> None:
    anna = work(tmp_path, "anna")
    with pytest.raises(DataError, match=words):
        anna.vote(row, value, comment)
    assert anna.log.votes() == []


def test_free_text_wants_a_text_of_sensible_length(tmp_path: Path) -> None:
    anna = work(tmp_path, "anna", labels=())
    for answer, words in (("  ", "found no answer"), ("x" * (LONGEST_ANSWER + 1), "at most 20,000 characters")):
        with pytest.raises(DataError, match=words):
            anna.vote("r1", answer)
    anna.vote("r1", "any words\nin lines")
    assert anna.log.votes()[0].value == "any words\nin lines"


def test_a_third_person_decides_and_sees_no_names(tmp_path: Path) -> None:
    anna, ben = (work(tmp_path, name, count=2) for name in ("anna", "ben"))
    label_all(anna, "login")
    label_all(ben, "billing")
    queue = adjudication_queue(QueueRequest(rows=anna.rows, labelled={}, voted=(), number=1), ["r0", "r1"])
    cleo, dan = (replace(anna, annotator=name, queue=queue) for name in ("cleo", "dan"))
    shown = cleo.next_row(cleo.held())
    assert shown is not None and [vote.value for vote in cleo.opinions(shown, cleo.held())] == ["billing", "login"]
    assert anna.opinions(shown, anna.held()) == []  # in an ordinary round nobody sees the others
    cleo.vote(shown.id, "other")
    assert cleo.log.votes()[-1].decides
    left = dan.next_row(dan.held())
    assert left is not None and left.id != shown.id and dan.progress(dan.held()).left == 1
