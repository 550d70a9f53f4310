"""What the routes share: who is served, who may ask, what is counted and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from provetune.errors import ProvetuneError
from provetune.records.keys import Scope
from provetune.serving.fleet import Fleet, Served
from provetune.serving.keys import ANYBODY, Caller, KeyFile
from provetune.serving.limits import Admission
from provetune.serving.metrics import Figures
from provetune.serving.problems import Problem
from provetune.serving.tracing import Tracing
from provetune.traffic import Salt, TrafficWriter


@dataclass(frozen=True)
class GatewaySettings:
    """Caps and deadlines. `sampling_rate` is the share of requests whose text is kept, `mirrored` how many may be asked beside."""

    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    origins: tuple[str, ...] = ()
    body_bytes: int = 4_000_000
    file_bytes: int = 200_000_000
    body_s: float = 30.0
    header_s: float = 10.0
    answer_s: float = 300.0
    most_open: int = 256
    drain_s: float = 30.0
    sampling_rate: float = 1.0
    mirrored: int = 8


@dataclass
class Gateway:
    """One gateway in service. Without `keys` anybody on this machine may ask; without a `log` nothing is kept."""

    fleet: Fleet
    settings: GatewaySettings = GatewaySettings()
    keys: KeyFile | None = None
    log: TrafficWriter | None = None
    salt: Salt | None = None
    tracing: Tracing = Tracing()
    find_model: Callable[[str], Served | None] = lambda name: None
    figures: Figures = field(default_factory=Figures)
    healthy: bool = True
    feedback_seen: int = 0

    def __post_init__(self) -> None:
        self.admission = Admission(self.settings.most_open)
        self._loading = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    def caller(self, request: Request, scope: Scope) -> Caller:
        """Who asks; Problem 401 or 403."""
        found = ANYBODY if self.keys is None else self.keys.caller(request.headers.get("authorization"))
        found.need(scope)
        return found

    def beside(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do something that no client waits for; False where too much of that is under way."""
        if len(self._tasks) >= self.settings.mirrored or self.admission.draining:
            work.close()
            return False
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def tuned(self, name: str) -> Served | None:
        """The model of this name that a job tuned, loaded where it was not; Problem 503 where it cannot be."""
        if not name.startswith("ft:"):
            return None
        async with self._loading:
            try:
                return await asyncio.to_thread(self.find_model, name)
            except ProvetuneError as error:
                raise Problem(503, f"the model cannot be loaded: {error}", "model") from None

    @property
    def gauges(self) -> dict[str, float]:
        """What stands as it is now."""
        found = {"requests_open": float(self.admission.open), "ready": float(self.healthy), "swaps": float(self.fleet.swaps)}
        found["requests_refused"] = float(self.admission.refused)
        for served in self.fleet.lineup.all:
            for name, value in served.backend.gauges().items():
                found[name] = found.get(name, 0.0) + value
        if self.log is not None:
            found["log_lines_written"] = float(self.log.counters.written)
            found["log_lines_dropped"] = float(self.log.counters.dropped)
            found["log_alarm"] = float(self.log.counters.alarm is not None)
        return found
