"""What a window is compared with: rows that were held out of training, frozen and named by their hash."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from provetune.errors import DataError
from provetune.hashing import file_sha256, fingerprint
from provetune.monitoring.events import event_of
from provetune.monitoring.harm import held_out_error
from provetune.monitoring.sample import Sample, draw
from provetune.monitoring.sources import Cursor, files_of, new_lines
from provetune.monitoring.text import MASKS
from provetune.records.monitoring import MonitoringReference


def read_rows(path: Path) -> Sample:
    """The distinct texts of a file of rows, drawn by seed. Raises DataError where there is none."""
    now = datetime.now(UTC)
    events = [event_of(line, now) for file in files_of(path) for line, _ in new_lines(file, Cursor()) if line is not None]
    rows = [event.row for event in events if event is not None and event.row.text]
    if not rows:
        raise DataError(f'{path}: found no row with a text, wanted rows like {{"text": ..., "label": ..., "prediction": ...}}')
    return draw(rows)


def reference_of(path: Path, sample: Sample, release: str = "") -> MonitoringReference:
    """The record of a reference; another file, another release or other masks make another one."""
    return MonitoringReference(
        release=release,
        path=path.name,
        rows_sha256=file_sha256(path) if path.is_file() else fingerprint([[row.text, row.label, row.prediction] for row in sample.rows]),
        rows=len(sample.rows),
        masks=MASKS,
        error=held_out_error(sample),
    )


def notes_on(sample: Sample, side: str) -> tuple[str, ...]:
    """What was left out of a side, one line a reason."""
    return tuple(f"{count:,} {side} rows left out: {reason}" for reason, count in sorted(sample.left_out.items()))
