"""What a gateway does beside answering: it follows the registry, and ends a trial that has become worse than the champion."""

from __future__ import annotations

import asyncio
import warnings
from datetime import UTC, datetime

from provetune.errors import Notice, ProvetuneError, SpecError
from provetune.records.traffic import Route
from provetune.registry import Author
from provetune.serving.fleet import RETURNED, Served
from provetune.serving.gateway import Gateway
from provetune.serving.halting import trial
from provetune.serving.source import Source
from provetune.traffic import TrafficReader, Window

LOOK_S = 2.0


class Watcher:
    """Looks, while the gateway runs, whether others should be served, and whether a trial must end."""

    def __init__(self, source: Source, gateway: Gateway) -> None:
        self._source, self._gateway = source, gateway
        self._next = 0.0
        self._judged = (-1, -1)
        self._since = datetime.now(UTC)

    async def look(self) -> None:
        """One look, at most every `LOOK_S` seconds."""
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        self._next = now + LOOK_S
        try:
            if self._source.from_registry:
                await self._swap()
            await self._judge()
        except ProvetuneError as error:  # whoever is served goes on
            self._gateway.figures.add("swap_failures")
            warnings.warn(f"the line-up stays as it is: {error}", Notice, stacklevel=2)

    async def _swap(self) -> None:
        standing = await asyncio.to_thread(self._source.registry.standing)
        if standing.generation == self._source.generation:
            return
        self._since = datetime.now(UTC)
        lineup = await asyncio.to_thread(self._source.lineup)
        if not await lineup.champion.backend.healthy():
            raise SpecError(f"{lineup.champion.name} gives no completion; the one before it is kept")
        self._gateway.fleet.swap(lineup)

    async def _judge(self) -> None:
        gateway = self._gateway
        seen = gateway.feedback_seen, 0 if gateway.log is None else gateway.log.counters.written
        if gateway.log is None or seen == self._judged:
            return
        self._judged = seen
        lineup = gateway.fleet.lineup
        for route in RETURNED:
            served = lineup.others.get(route)
            if served is None or route in gateway.fleet.halted:
                continue
            why = await asyncio.to_thread(self._worse, served, lineup.champion, route)
            if why is not None:
                gateway.fleet.halt(route, why)
                gateway.figures.add("halts", route=route)
                warnings.warn(f"{served.name} ({route}) is halted: {why}", Notice, stacklevel=2)
                if self._source.from_registry and route == "canary":
                    author = Author("provetune serve", why)
                    await asyncio.to_thread(self._source.registry.assign, "canary", None, author)

    def _worse(self, served: Served, champion: Served, route: Route) -> str | None:
        assert self._gateway.log is not None
        lines = TrafficReader(self._gateway.log.file).judged(Window(since=self._since))
        # folders outside the registry have no release: their candidates tell them apart
        return trial(lines, served.candidate.fingerprint, champion.candidate.fingerprint, route).worse
