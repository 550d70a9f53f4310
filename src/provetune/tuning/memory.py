"""The memory that a piece of work takes, looked at while it runs: a process forgets what it held for a moment."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

SAMPLE_S = 0.004
STATUS = Path("/proc/self/status")


class MemoryWatch:
    """Peak memory in GiB from the beginning of a `with` block to its end.

    On a CPU: resident pages of this process (`idle`, `peak`), and those of no file (`anonymous_idle`, `anonymous_peak`), looked at every
    few milliseconds. With a GPU: what its allocator handed out (`peak`) and held (`reserved`). `seconds` is how long the block took.
    """

    idle = peak = seconds = 0.0
    anonymous_idle: float | None = None
    anonymous_peak: float | None = None
    reserved: float | None = None

    def __init__(self) -> None:
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._gpu = torch.cuda.is_available()

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        if self._gpu:
            torch.cuda.reset_peak_memory_stats()
        else:
            self.idle, self.anonymous_idle = self.peak, self.anonymous_peak = resident()
            self._sampler.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._started
        if self._gpu:
            self.peak, self.reserved = torch.cuda.max_memory_allocated() / 2**30, torch.cuda.max_memory_reserved() / 2**30
        else:
            self._over.set()
            self._sampler.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_S):
            every, anonymous = resident()
            self.peak, self.anonymous_peak = max(self.peak, every), max(self.anonymous_peak or 0.0, anonymous)


def resident() -> tuple[float, float]:
    """Resident memory of this process now, in GiB: all of it, and without pages of files."""
    found = {key: words for key, _, words in (line.partition(":") for line in STATUS.read_text().splitlines())}
    every, anonymous = (int(found[key].split()[0]) / 2**20 for key in ("VmRSS", "RssAnon"))
    return every, anonymous
