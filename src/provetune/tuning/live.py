"""What can be seen of a training while it runs: one line of progress, events, and the trackers that were asked for."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from accelerate.tracking import LOGGER_TYPE_TO_CLASS

from provetune.errors import SpecError
from provetune.protocols import Progress
from provetune.tuning.state import LoopState, ValidationPoint

DETAIL = " | "
"""What stands behind it in a line of progress changes from call to call."""
EVENT_EVERY_S = 10.0
Event = Callable[..., None]


def peak_memory_gib() -> float:
    """The most memory that was held: the GPU's where there is one, else that of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def open_trackers(names: Sequence[str], folder: Path, run: str, settings: Mapping[str, Any]) -> list[Any]:
    """The trackers of accelerate, told the settings of the run; SpecError where the package of one is not installed."""
    opened = []
    for name in names:
        if find_spec(name) is None:
            raise SpecError(f"tracking: {name} is not installed; run `pip install {name}`, or take it out of tracking")
        kind = LOGGER_TYPE_TO_CLASS[name]
        tracker = kind(run, logging_dir=str(folder)) if kind.requires_logging_directory else kind(run)
        tracker.start() if hasattr(tracker, "start") else None
        tracker.store_init_configuration(dict(settings))
        opened.append(tracker)
    return opened


class Live:
    """Tells everybody who watches: `progress` at each step, `event` every EVENT_EVERY_S and at each look, trackers at both."""

    def __init__(self, what: str, progress: Progress, event: Event, usd_per_hour: float | None, trackers: Sequence[Any] = ()) -> None:
        self.what, self.progress, self.event, self.usd_per_hour, self.trackers = what, progress, event, usd_per_hour, trackers
        self._said = time.monotonic()

    def step(self, state: LoopState, total: int) -> None:
        """After an optimizer step."""
        values = self._values(state)
        self.progress(f"{self.what}{DETAIL}{self._shown(values)}", state.step, total)
        self._log({key: value for key, value in values.items() if value is not None}, state.step)
        now = time.monotonic()
        if now - self._said > EVENT_EVERY_S or state.step == total:
            self._said = now
            self.event("training", what=self.what, step=state.step, steps=total, **values)

    def look(self, point: ValidationPoint) -> None:
        """After a look at validation."""
        self.event("validated", what=self.what, step=point.step, loss=point.loss, score=point.score)
        self._log({"validation_loss": point.loss, "validation_score": point.score}, point.step)

    def close(self) -> None:
        """Let the trackers finish what they write."""
        for tracker in self.trackers:
            tracker.finish()

    def _log(self, values: dict[str, float], step: int) -> None:
        for tracker in self.trackers:
            tracker.log(values, step=step)

    def _values(self, state: LoopState) -> dict[str, float | None]:
        hours = (state.seconds + state.validation_seconds) / 3600
        return {
            "loss": state.losses[-1][1],
            "tokens_per_s": state.tokens / max(state.seconds, 1e-9),
            "memory_gib": peak_memory_gib(),
            "usd": None if self.usd_per_hour is None else hours * self.usd_per_hour,
        }

    @staticmethod
    def _shown(values: Mapping[str, float | None]) -> str:
        usd = values["usd"]
        cost = "" if not usd else f", {usd:.2f} $"
        return f"loss {values['loss']:.3f}, {values['tokens_per_s']:,.0f} tokens/s, {values['memory_gib']:.1f} GiB{cost}"
