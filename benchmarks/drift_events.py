"""Events through the reader: parsed, validated, counted, joined and sampled, with what memory they take."""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.drift_data import labelled_banking
from provetune.monitoring.sources import identity, new_lines
from provetune.monitoring.state import StateFile
from provetune.records.monitoring import Bets

PIECE = 100_000
YEAR = 10_000_000


def throughput(folder: Path, pieces: int = 5) -> Iterator[dict[str, Any]]:
    """One line a piece of 100,000 events: events a second of one process, and its resident memory."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    held = StateFile(folder / "state.sqlite")
    held.save(held.state.model_copy(update={"harm": Bets(claim=0.13), "weak": Bets(claim=0.18)}), next_window=False)
    spent = 0.0
    for piece in range(pieces):
        log = _written(folder / f"{piece}.jsonl", piece)
        cpu, wall = time.process_time(), time.monotonic()
        held.take(identity(log), new_lines(log, held.cursor(identity(log))), datetime.now(UTC))
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        spent += cpu
        log.unlink()
        if piece % 2:  # a look would be due: the window is closed
            held.save(held.state.model_copy(update={"looks": held.state.looks + 1, "counts": {}}), next_window=True)
        yield {
            "goal": "events",
            "piece": piece + 1,
            "events a CPU-second": round(PIECE / cpu),
            "events a second": round(PIECE / wall),
            "resident MiB": psutil.Process(os.getpid()).memory_info().rss >> 20,
            "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
            "state MiB": round((folder / "state.sqlite").stat().st_size / 2**20, 1),
        }
    assert held.state.totals["lines"] == pieces * PIECE
    per_event = spent / (pieces * PIECE)
    yield {"goal": "events", "what": f"{YEAR:,} events, reckoned from {pieces * PIECE:,}", "CPU-minutes": round(per_event * YEAR / 60, 1)}


def _written(path: Path, piece: int) -> Path:
    """Requests of a bank with ids, users and one label in fifty; every text is a little different."""
    random = np.random.default_rng([piece, 11])
    rows = labelled_banking()
    words = [word for text, _ in rows[:2000] for word in text.split()]
    with path.open("w", encoding="utf-8") as file:
        for number, place in enumerate(random.integers(0, len(rows), PIECE)):
            text, label = rows[place]
            extra = words[int(random.integers(len(words)))]
            row = {"id": f"{piece}-{number}", "text": f"{text} {extra}", "prediction": label, "user": f"u{place % 999}"}
            row |= {"at": "2026-05-01T10:00:00Z"} | ({"label": label} if number % 50 == 0 else {})
            file.write(json.dumps(row) + "\n")
    return path
