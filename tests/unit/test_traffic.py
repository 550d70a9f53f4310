from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provetune.errors import FolderError
from provetune.records.data import Message, ToolCall
from provetune.records.traffic import Feedback, TrafficRecord
from provetune.traffic import Retention, Salt, TrafficReader, TrafficWriter, Window, erase_user, expire, moment, redacted

PLANTED = ("jo.planted@example.org", "4111 1111 1111 1111", "GB82 WEST 1234 5698 7654 32", "sk-proj-Zx9Qw8Er7Ty6Ui5Op4As3Df2Gh1Jk0LmNbVc")
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def line(number: int = 0, at: datetime = NOW, **changes: Any) -> TrafficRecord:
    fields: dict[str, Any] = {
        "request_id": f"r{number}",
        "at": moment(at),
        "model": "tickets",
        "release": "v1",
        "candidate": "c" * 16,
        "template": "t" * 16,
        "route": "champion",
        "prompt": (Message(role="user", content=f"question {number}"),),
        "completion": "billing",
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "latency_s": 0.1,
        "first_token_s": 0.05,
        "finish": "stop",
    }
    return TrafficRecord(**{**fields, **changes})


def written(file: Path, *lines: TrafficRecord | Feedback) -> TrafficWriter:
    writer = TrafficWriter(file)
    for one in lines:
        assert writer.put(one)
    writer.close()
    return writer


def test_what_is_written_is_read_again_joined_with_what_was_said(tmp_path: Path) -> None:
    file = tmp_path / "state" / "traffic.sqlite"
    lines = [line(k, NOW + timedelta(minutes=k), route="canary" if k % 2 else "champion") for k in range(300)]
    said = Feedback(request_id="r3", at=moment(NOW), thumb="down"), Feedback(request_id="gone", at=moment(NOW), outcome="resolved")
    writer = written(file, *reversed(lines), *said)
    assert (writer.counters.written, writer.counters.dropped, writer.counters.alarm) == (302, 0, None)
    found = list(TrafficReader(file).records())
    assert [one.model_copy(update={"redactor": ""}) for one in found] == lines
    window = Window(NOW + timedelta(minutes=2), NOW + timedelta(minutes=6), "v1", ("canary",))
    assert [(record.request_id, len(feedback)) for record, feedback in TrafficReader(file).judged(window)] == [("r3", 1), ("r5", 0)]
    assert [one.request_id for one in TrafficReader(file).feedback()] == ["r3", "gone"]


def test_no_planted_personal_data_reaches_the_disk(tmp_path: Path) -> None:
    text = " and ".join(PLANTED)
    turns = (
        Message(role="user", content=text, name=PLANTED[0]),
        Message(role="assistant", content="", tool_calls=(ToolCall(name="send", arguments=f'{{"to": "{PLANTED[0]}"}}'),)),
    )
    salt = Salt(tmp_path / "salt")
    record = line(prompt=turns, completion=f"Write to {text}", tags={"who": PLANTED[0]}, user=salt.hashed(PLANTED[0]))
    written(tmp_path / "traffic.sqlite", record, Feedback(request_id="r0", at=moment(NOW), correction=text))
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"[EMAIL]" in held and not [word for word in PLANTED if word.encode() in held]
    assert redacted(redacted(record)) == redacted(record)


def test_old_texts_go_first_and_then_the_numbers(tmp_path: Path) -> None:
    file = tmp_path / "traffic.sqlite"
    ages = {"new": 89, "old": 91, "gone": 401}
    lines = [line(request_id=name, at=NOW - timedelta(days=days), completion=f"secretly {name}") for name, days in ages.items()]
    said = [
        Feedback(request_id=name, at=moment(NOW - timedelta(days=days)), correction=f"said {name}", thumb="up")
        for name, days in ages.items()
    ]
    written(file, *lines, *said)
    assert expire(file, Retention(), NOW) == (1, 1)
    assert {one.request_id: one.completion for one in TrafficReader(file).records()} == {"new": "secretly new", "old": None}
    assert [(one.request_id, one.correction) for one in TrafficReader(file).feedback()] == [("old", None), ("new", "said new")][::-1]
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secretly new" in held and b"secretly old" not in held and b"said old" not in held and b"gone" not in held


def test_one_user_is_erased_with_what_they_said(tmp_path: Path) -> None:
    file, salt = tmp_path / "traffic.sqlite", Salt(tmp_path / "salt")
    assert Salt(tmp_path / "salt").hashed("anna") == salt.hashed("anna") != Salt(tmp_path / "other").hashed("anna")
    assert oct((tmp_path / "salt").stat().st_mode)[-3:] == "600"
    mine = [line(k, user=salt.hashed("anna"), completion="anna's answer") for k in range(5)]
    said = Feedback(request_id="r2", at=moment(NOW), correction="anna's words")
    written(file, *mine, line(9, user=salt.hashed("ben")), said)
    assert erase_user(file, salt.hashed("anna")) == 5
    assert [one.request_id for one in TrafficReader(file).records()] == ["r9"]
    assert b"anna's" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert erase_user(file, "") == 0 and erase_user(tmp_path / "none", "x") == 0


def test_a_locked_log_is_written_later_and_nobody_waits(tmp_path: Path) -> None:
    file = tmp_path / "traffic.sqlite"
    written(file, line(0))
    writer = TrafficWriter(file, queued=50, locked_s=0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        kept = sum(writer.put(line(k)) for k in range(1, 500))
        assert time.monotonic() - started < 1.0 and kept < 499
        other.execute("ROLLBACK")
    writer.close()
    assert writer.counters.dropped == 499 - kept and writer.counters.written == kept and writer.counters.alarm is None
    assert len(list(TrafficReader(file).records())) == kept + 1


def test_a_log_that_cannot_be_written_raises_an_alarm_and_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = TrafficWriter(tmp_path / "file" / "traffic.sqlite", locked_s=0.001)
    assert writer.put(line())
    writer.close()
    assert writer.counters.dropped == 1 and writer.counters.alarm is not None and "traffic.sqlite" in writer.counters.alarm


def test_a_damaged_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "traffic.sqlite").write_text("no database " * 100)
    with pytest.raises(FolderError, match="move it away"):
        list(TrafficReader(tmp_path / "traffic.sqlite").records())
    assert list(TrafficReader(tmp_path / "absent").records()) == []


def test_what_feedback_says_about_an_answer() -> None:
    said = {"request_id": "r", "at": moment(NOW)}
    assert Feedback(**said, correction=" Billing ", thumb="down").loss("billing") == 0.0
    assert Feedback(**said, correction="access").loss("billing") == 1.0 and Feedback(**said, correction="access").loss(None) is None
    assert Feedback(**said, thumb="up", outcome="escalated").loss("x") == 0.0
    assert Feedback(**said, outcome="escalated").loss("x") == 1.0 and Feedback(**said, seconds_spent=3.0).loss("x") is None
