"""What is remembered on disk: how far each file was read, the open window's sample, the bets.

One transaction a batch, so that a kill at any moment neither loses an event nor counts one twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from provetune.errors import FolderError
from provetune.monitoring.events import Event, event_of
from provetune.monitoring.harm import after, same_answer
from provetune.monitoring.sample import POOL, Row, Sample, draw, priority
from provetune.monitoring.sources import Cursor, Line
from provetune.records.monitoring import Bets, MonitorState

REMEMBERED = 13
"""Looks for which ids are remembered: a label may come that much later, and a copy is known as one that long."""
_BATCH = 5_000
_TABLES = """
CREATE TABLE IF NOT EXISTS cursor (file TEXT PRIMARY KEY, position INTEGER, head TEXT, seen INTEGER, feedback INTEGER);
CREATE TABLE IF NOT EXISTS known (id INTEGER PRIMARY KEY, answer TEXT, label TEXT, marks INTEGER, look INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sample (priority INTEGER PRIMARY KEY, content TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, content TEXT);
"""
_ANSWER = 200
_ASKED, _LABELLED, _WEAK = 1, 2, 4


@dataclass
class _Known:
    """What is known under one id: the answer, a label that came before its request, and what of it has come."""

    answer: str | None = None
    label: str | None = None
    marks: int = 0


@dataclass
class _Window:
    """The rows with the smallest priorities so far, and which of them are not on disk yet."""

    rows: dict[int, Row]
    threshold: int
    fresh: set[int]


class StateFile:
    """The state of one watch. Raises FolderError where the file is damaged or cannot be written."""

    def __init__(self, path: Path, seed: int = 7) -> None:
        self.path, self.seed = path, seed
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_TABLES)
            kept = self._db.execute("SELECT content FROM kept WHERE name = 'state'").fetchone()
            rows = {place: _row(content) for place, content in self._db.execute("SELECT priority, content FROM sample")}
        except (sqlite3.Error, OSError) as error:
            raise FolderError(f"{path}: the state of watching cannot be used ({error}); move it away to begin anew") from error
        self.state = MonitorState.from_json(kept[0]) if kept else MonitorState()
        self._window = _Window(rows, _threshold(rows), set())

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._db.close()

    def cursor(self, file: str) -> Cursor:
        """How far a file was read."""
        found = self._db.execute("SELECT position, head, seen, feedback FROM cursor WHERE file = ?", (file,)).fetchone()
        return Cursor(*found) if found else Cursor()

    def take(self, file: str, lines: Iterable[tuple[Line, Cursor]], now: datetime) -> int:
        """Count, join and sample the lines of a file, batch by batch; returns how many there were."""
        taken = 0
        for batch in _batches(lines):
            self._take_batch(file, batch, now)
            taken += len(batch)
        return taken

    def window(self) -> Sample:
        """The drawn rows of the open window."""
        return draw(self._window.rows.values(), self.seed)

    def save(self, state: MonitorState, *, next_window: bool) -> None:
        """Remember a new state; `next_window` empties the sample and forgets ids that are too old."""
        with self._transaction():
            self._keep(state)
            if next_window:
                self._db.execute("DELETE FROM sample")
                self._db.execute("DELETE FROM known WHERE look <= ?", (state.looks - REMEMBERED,))
        self.state = state
        if next_window:
            self._window = _Window({}, _threshold({}), set())

    def _take_batch(self, file: str, batch: Sequence[tuple[Line, Cursor]], now: datetime) -> None:
        counts = Counter[str](lines=len(batch))
        events: list[Event] = []
        for line, _ in batch:
            event = None if line is None else event_of(line, now)
            if event is None:
                counts["unreadable" if line is None else "without text or label"] += 1
                continue
            counts["cut to length"] += event.cut
            counts["dated ahead"] += event.dated_ahead
            events.append(event)
        known = self._known([event.row.id for event in events if event.row.id])
        strong, weak = self._join(events, known, counts)
        state = self._after(counts, strong, weak)
        cursor = batch[-1][1]
        written = [(key, one.answer, one.label, one.marks, self.state.looks) for key, one in known.items() if one.marks or one.label]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?)", written)
            self._store_sample()
            place = (file, cursor.position, cursor.head, cursor.seen, cursor.feedback)
            self._db.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?, ?)", place)
            self._keep(state)
        self.state = state

    def _join(self, events: Sequence[Event], known: dict[int, _Known], counts: Counter[str]) -> tuple[list[float], list[float]]:
        """Losses of people and weak ones in order of arrival; `known` is brought up to date, requests go to the sample."""
        strong: list[float] = []
        weak: list[float] = []
        for event in events:
            row = event.row
            one = known[_key(row.id)] if row.id else _Known()
            if row.text and one.marks & _ASKED:
                counts["sent again"] += 1
            elif row.text:
                counts["requests"] += 1
                self._sample(row)
                one.answer = None if row.prediction is None else row.prediction[:_ANSWER]
                one.marks |= _ASKED
            label = row.label if row.label is not None else one.label
            loss = event.loss
            if loss is None and label is not None and one.answer is not None:
                loss = float(not same_answer(label[:_ANSWER], one.answer))
            if loss is not None and one.marks & _LABELLED:
                counts["labelled again"] += row.label is not None or event.loss is not None
            elif loss is not None:
                strong.append(loss)
                one.marks |= _LABELLED
            elif label is not None and not one.marks & _ASKED:
                counts["labels before their request"] += 1
                one.label = label[:_ANSWER]
            if event.weak is not None and not one.marks & _WEAK:
                weak.append(event.weak)
                one.marks |= _WEAK
        counts["labels"], counts["weak labels"] = len(strong), len(weak)
        return strong, weak

    def _after(self, counts: Counter[str], strong: list[float], weak: list[float]) -> MonitorState:
        def bet(bets: Bets | None, losses: list[float]) -> Bets | None:
            return after(bets, losses) if bets is not None and losses else bets

        state = self.state
        sums = {name: dict(Counter(before) + counts) for name, before in (("counts", state.counts), ("totals", state.totals))}
        return state.model_copy(update={**sums, "harm": bet(state.harm, strong), "weak": bet(state.weak, weak)})

    def _sample(self, row: Row) -> None:
        window, place = self._window, priority(row.text, self.seed)
        if place > window.threshold:
            return
        before = window.rows.get(place)
        if before is None or (row.id, row.text) < (before.id, before.text):
            window.rows[place] = row
            window.fresh.add(place)
        if len(window.rows) > 2 * POOL:
            self._trim()

    def _trim(self) -> None:
        window = self._window
        window.rows = {place: window.rows[place] for place in sorted(window.rows)[:POOL]}
        window.threshold = _threshold(window.rows)
        window.fresh &= window.rows.keys()

    def _store_sample(self) -> None:
        window = self._window
        if window.fresh:
            new = [(place, json.dumps(dataclasses.asdict(window.rows[place]))) for place in window.fresh]
            self._db.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?)", new)
            self._db.execute("DELETE FROM sample WHERE priority > ?", (window.threshold,))
            window.fresh.clear()

    def _known(self, ids: Sequence[str]) -> dict[int, _Known]:
        found = {_key(one): _Known() for one in ids}
        keys = list(found)
        for low in range(0, len(keys), 500):
            part = keys[low : low + 500]
            marks = ",".join("?" * len(part))
            for key, *values in self._db.execute(f"SELECT id, answer, label, marks FROM known WHERE id IN ({marks})", part):
                found[key] = _Known(*values)
        return found

    def _keep(self, state: MonitorState) -> None:
        self._db.execute("INSERT OR REPLACE INTO kept VALUES ('state', ?)", (state.to_json(),))

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """All or nothing, and alone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def _batches(lines: Iterable[tuple[Line, Cursor]]) -> Iterator[list[tuple[Line, Cursor]]]:
    batch: list[tuple[Line, Cursor]] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") >> 1


def _row(content: str) -> Row:
    return Row(**json.loads(content))


def _threshold(rows: dict[int, Row]) -> int:
    """The largest priority that can still enter: none is too large while there is room."""
    return sorted(rows)[POOL - 1] if len(rows) >= POOL else (1 << 63) - 1
