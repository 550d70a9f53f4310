"""Progress on standard error, with the time left: bars on a terminal, else at most one line per 10 %."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from provetune.cli.session import Format
from provetune.protocols import Progress
from provetune.report.words import duration_text

PAUSE_S = 2.0
"""Two lines about the same work are at least this far apart, so that quick work says only that it is done."""


@contextmanager
def shown_progress(output: Format) -> Iterator[Progress]:
    """How progress is shown during the body: not at all when quiet."""
    if output == "quiet":
        yield lambda what, done, total: None
    elif sys.stderr.isatty():
        bars = Bars()
        try:
            yield bars
        finally:
            bars.stop()
    else:
        yield Lines(lambda line: print(line, file=sys.stderr, flush=True))


class Lines:
    """One line per 10 % of each piece of work; a `Progress`."""

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write, self._now = write, now
        self._what = ""
        self._since = self._said = 0.0
        self._first = self._tenth = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say something if a further tenth is done."""
        now = self._now()
        what, _, detail = what.partition(" | ")
        detail = f"; {detail}" if detail else ""
        if what != self._what:
            self._what, self._since, self._said, self._first = what, now, now, done
            self._tenth = done * 10 // max(1, total)
            if done < total:
                return
        elif done * 10 // max(1, total) <= self._tenth or (done < total and now - self._said < PAUSE_S):
            return
        self._tenth, self._said = done * 10 // max(1, total), now
        if done >= total:
            self._write(f"{what}: done" if total <= 1 else f"{what}: 100 % ({total:,} of {total:,}){detail}")
            return
        left = (now - self._since) / (done - self._first) * (total - done)
        self._write(f"{what}: {100 * done // total} % ({done:,} of {total:,}), about {duration_text(left)} left{detail}")


class Bars:
    """One bar for each piece of work; a `Progress`. Nothing is drawn before the first call."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
        detail = TextColumn("{task.fields[detail]}", markup=False)
        self._drawn = RichProgress(*columns, *times, detail, console=Console(stderr=True))
        self._rows: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move the bar of `what`."""
        what, _, detail = what.partition(" | ")
        if not self._rows:
            self._drawn.start()
        if what not in self._rows:
            self._rows[what] = self._drawn.add_task(what, total=total, completed=done, detail="")
        self._drawn.update(self._rows[what], completed=done, total=total, detail=detail)

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._rows:
            self._drawn.stop()
