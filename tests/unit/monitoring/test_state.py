"""The state on disk: every line counted once, whatever happens, and the same sample whatever the order."""

from __future__ import annotations

import json
import random as chance
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provetune.errors import DataError, FolderError
from provetune.monitoring.events import event_of
from provetune.monitoring.sources import Cursor, files_of, identity, new_lines
from provetune.monitoring.state import StateFile
from provetune.records.monitoring import Bets

NOW = datetime(2026, 6, 1, tzinfo=UTC)
READER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from provetune.monitoring import state as module
from provetune.monitoring.sources import files_of, identity, new_lines
module._BATCH = 20
held = module.StateFile(Path(sys.argv[2]))
for file in files_of(Path(sys.argv[1])):
    held.take(identity(file), new_lines(file, held.cursor(identity(file))), datetime(2026, 6, 1, tzinfo=UTC))
"""


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def requests(count: int) -> list[dict[str, object]]:
    return [
        {"id": f"q{k}", "text": f"question about {k % 97} {'abcdefghij'[k % 10] * (1 + k % 13)} thing", "prediction": "yes"}
        for k in range(count)
    ]


def read(state: Path, *files: Path, claim: float | None = 0.2) -> StateFile:
    held = StateFile(state)
    if held.state.harm is None and claim is not None:
        held.save(held.state.model_copy(update={"harm": Bets(claim=claim), "weak": Bets(claim=claim)}), next_window=False)
    for file in files:
        held.take(identity(file), new_lines(file, held.cursor(identity(file))), NOW)
    return held


def test_each_line_is_counted_once_however_often_it_is_read(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", requests(500))
    for _ in range(3):
        held = read(tmp_path / "s", log)
        assert held.state.counts["requests"] == 500 and held.state.counts["lines"] == 500
        held.close()
    with log.open("a", encoding="utf-8") as file:
        file.write('{"id": "q500", "text": "one mo')
    held = read(tmp_path / "s", log)
    assert held.state.counts["lines"] == 500  # half a line waits for its end
    held.close()
    with log.open("a", encoding="utf-8") as file:
        file.write('re"}\n')
    assert read(tmp_path / "s", log).state.counts["requests"] == 501


def test_order_copies_and_faults(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [*requests(300), *requests(20), {"id": "q1", "label": "no"}, {"id": "q2", "label": "YES "}]
    rows += [{"id": "q1", "label": "no"}, {"id": "nobody", "label": "x"}, {"text": ""}, {"text": "y" * 1_000_000}, {"n": 1}]
    rows += [{"id": "far", "text": "from the future", "at": "2031-01-01T00:00:00Z"}, {"id": "q5", "thumb": "down"}]
    first = read(tmp_path / "a", write(tmp_path / "a.jsonl", rows))
    counts = first.state.counts
    wanted = {"requests": 302, "sent again": 20, "labels": 2, "labelled again": 1, "weak labels": 1, "labels before their request": 1}
    assert {name: counts[name] for name in wanted} == wanted
    assert (counts["without text or label"], counts["cut to length"], counts["dated ahead"]) == (2, 1, 1)
    assert first.state.harm is not None and (first.state.harm.seen, first.state.harm.total) == (2, 1.0)
    chance.Random(4).shuffle(rows)
    second = read(tmp_path / "b", write(tmp_path / "b.jsonl", rows))
    assert [row.text for row in second.window().rows] == [row.text for row in first.window().rows]
    assert second.state.harm is not None and second.state.harm.seen == 2  # also where the label came before its request
    assert second.state.counts["requests"] == 302


def test_broken_lines_are_counted_and_stop_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b'{"text": "good one"}\nnot json\n[1, 2]\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"text": "good two"}\n')
    counts = read(tmp_path / "s", log).state.counts
    assert (counts["requests"], counts["unreadable"], counts["lines"]) == (2, 4, 6)


def test_a_rotated_and_a_shortened_file_lose_nothing(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", requests(10))
    read(tmp_path / "s", log).close()
    old = log.rename(tmp_path / "log.1.jsonl")
    write(log, [{"id": f"n{k}", "text": f"new {k}"} for k in range(7)])
    held = read(tmp_path / "s", *files_of(tmp_path))
    assert held.state.counts["requests"] == 17 and old.exists()
    held.close()
    log.write_text('{"id": "z", "text": "begun anew"}\n', encoding="utf-8")  # the same inode, shorter
    assert read(tmp_path / "s", *files_of(tmp_path)).state.counts["requests"] == 18


def test_csv_with_line_ends_in_a_cell(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes('\ufefftext;label;prediction\n"two\nlines";a;a\nplain;b;a\n"half'.encode())
    held = read(tmp_path / "s", log)
    assert held.state.counts["requests"] == 2 and held.state.harm is not None and held.state.harm.total == 1
    held.close()
    with log.open("ab") as file:
        file.write(b' no more";a;a\n')
    held = read(tmp_path / "s", log)
    assert sorted(row.text for row in held.window().rows) == ["half no more", "plain", "two\nlines"]


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="wanted a log to watch"):
        files_of(tmp_path / "missing.jsonl")
    (tmp_path / "s").write_bytes(b"not a database, but long enough to look at" * 9)
    with pytest.raises(FolderError, match="move it away"):
        StateFile(tmp_path / "s")


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = []
    for k, row in enumerate(requests(6000)):
        rows += [row, {"id": f"q{k - 50}", "label": "no" if k % 7 == 0 else "yes"}] if k > 50 else [row]
    log = write(tmp_path / "log.jsonl", rows)
    whole = read(tmp_path / "whole", log)
    kills = 0
    random = chance.Random(1)
    read(tmp_path / "killed", claim=0.2).close()
    command = [sys.executable, "-c", READER, str(log), str(tmp_path / "killed")]
    for _ in range(60):
        child = subprocess.Popen(command)
        time.sleep(random.uniform(0.2, 1.2))
        if child.poll() is not None:
            break
        child.send_signal(signal.SIGKILL)
        child.wait()
        kills += 1
    subprocess.run(command, check=True)
    killed = StateFile(tmp_path / "killed")
    assert kills >= 3
    assert killed.state.counts == whole.state.counts and killed.state.harm == whole.state.harm
    assert [row.id for row in killed.window().rows] == [row.id for row in whole.window().rows]


@pytest.mark.parametrize(
    ("line", "text", "prediction"),
    [
        ({"request": {"messages": [{"role": "user", "content": "a"}]}, "response": {"choices": [{"message": {"content": "b"}}]}}, "a", "b"),
        ({"custom_id": "1", "body": {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}}, "a", None),
        (
            {"messages": [{"role": "user", "content": "old"}, {"role": "assistant", "content": "x"}, {"role": "user", "content": "a"}]},
            "a",
            None,
        ),
        ({"prompt": "a", "choices": [{"text": "b"}]}, "a", "b"),
        ({"text": "a", "prediction": "b", "at": 1_780_000_000}, "a", "b"),
    ],
)
def test_shapes_of_requests(line: dict[str, object], text: str, prediction: str | None) -> None:
    event = event_of(line, NOW)
    assert event is not None and (event.row.text, event.row.prediction) == (text, prediction)


@pytest.mark.parametrize(
    "line", [{}, {"label": "x"}, {"id": "1"}, {"text": 7.5}, {"messages": "no"}, {"text": None, "id": []}, {"at": "x"}]
)
def test_what_holds_nothing_is_no_request(line: dict[str, object]) -> None:
    event = event_of(line, NOW)
    assert event is None or event.row.text == "7.5"


def test_a_cursor_begins_at_the_start() -> None:
    assert Cursor() == Cursor(0, "", 0, 0)
