"""`serve`: who is served (a run's champion, or what the registry says), the gateway over it, and its swaps while it runs."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from provetune.errors import FolderError, Notice, ProvetuneError, SpecError
from provetune.records.candidate import Candidate
from provetune.records.release import RoleOf
from provetune.records.traffic import Route
from provetune.registry import Author, Registry
from provetune.serving.app import application
from provetune.serving.bridge import BRIDGE_FOLDER, Bridge
from provetune.serving.fleet import RETURNED, Fleet, Lineup, Served
from provetune.serving.gateway import Gateway, GatewaySettings
from provetune.serving.guards import LOOPBACK as LOOPBACK_NAMES
from provetune.serving.halting import trial
from provetune.serving.keys import KEYS_FILE, KeyFile
from provetune.serving.loading import Endpoint, ToServe, load_served
from provetune.serving.server import GatewayServer, listening
from provetune.traffic import TRAFFIC_FILE, Salt, TrafficReader, TrafficWriter, Window, expire
from provetune.workflow.verify import read_evidence

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SALT_FILE = Path(".provetune/salt")
LOOK_S = 2.0
JOB_MODELS = 2
"""Models tuned by jobs that are held loaded at a time."""


@dataclass(frozen=True)
class ServeWish:
    """What is to be served, and how. Without a `run` it is what the registry says, else the latest run that reached a decision."""

    folder: Path
    run: Path | None = None
    canary: tuple[Path, float] | None = None
    endpoint: Endpoint | None = None
    settings: GatewaySettings = GatewaySettings()
    host: str = "127.0.0.1"
    log: bool = True
    jobs: bool = False
    bases: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Opened:
    """A gateway that is ready to run; `outcome` is the champion's decision."""

    gateway: Gateway
    server: GatewayServer
    name: str
    outcome: str


def candidate_of_run(folder: Path, run: Path) -> tuple[ToServe, str, str]:
    """A run's champion, the project's name, and the decision; a run's `adapter` or `model` folder names it too."""
    run = run.resolve()
    run = run.parent if run.name in ("adapter", "model") and not (run / "evidence.json").exists() else run
    evidence = read_evidence(run / "evidence.json")
    candidate = next(one.candidate for one in evidence.evaluations if one.candidate.name == evidence.champion)
    return ToServe(run.name, "", candidate, folder, _weights(candidate, run)), evidence.project, evidence.decision.outcome


def _weights(candidate: Candidate, run: Path) -> Path | None:
    if candidate.kind not in ("adapter", "full"):
        return None
    found = run / ("model" if candidate.kind == "full" else "adapter")
    if not found.is_dir():
        raise FolderError(f"{found}: the champion's weights are gone; `provetune run` makes them again")
    return found


def open_gateway(wish: ServeWish) -> Opened:
    """Load who is served and build the gateway. Raises where anything is not what was measured, or what was asked for is not safe."""
    keys = KeyFile(wish.folder / KEYS_FILE)
    locked = any(key.revoked_at is None for key in keys.ring.keys)
    if not locked and wish.host not in LOOPBACK:
        raise SpecError(f"--host {wish.host}: others could reach it, and there is no key; make one with `provetune keys create NAME`")
    source = _Source(wish)
    lineup = source.lineup()
    log = TrafficWriter(wish.folder / TRAFFIC_FILE) if wish.log else None
    salt = Salt(wish.folder / SALT_FILE)
    if log is not None:
        expire(wish.folder / TRAFFIC_FILE)
    fleet = Fleet(source.name, lineup, salt.hashed("who gets whose answers"))
    gateway = Gateway(fleet, wish.settings, keys if locked else None, log, salt)
    bridge = Bridge(wish.folder / BRIDGE_FOLDER, {**wish.bases}) if wish.jobs else None
    if bridge is not None:
        gateway.find_model = _JobModels(bridge).find
    watcher = _Watcher(source, gateway, wish)
    return Opened(gateway, GatewayServer(gateway, application(gateway, bridge), watch=watcher.look), source.name, source.outcome)


def gateway_settings(hosts: tuple[str, ...], origins: tuple[str, ...], most_open: int, sampling_rate: float) -> GatewaySettings:
    """The usual caps and deadlines, with these names of the gateway beside those of this machine."""
    return replace(GatewaySettings(), hosts=(*LOOPBACK_NAMES, *hosts), origins=origins, most_open=most_open, sampling_rate=sampling_rate)


def endpoint_of(url: str, model: str, key: str | None) -> Endpoint:
    """Somebody else's engine. SpecError for an address that is none."""
    if not url.startswith(("http://", "https://")):
        raise SpecError(f"--endpoint {url}: wanted an address such as http://127.0.0.1:8001/v1")
    return Endpoint(url, model, key)


def run_gateway(opened: Opened, host: str, port: int, listens: Callable[[str], None]) -> None:
    """Serve until a signal comes; what is under way then is finished first. `listens(url)` is called once it takes requests."""
    with listening(host, port) as socket:
        shown = f"[{host}]" if ":" in host else host
        listens(f"http://{shown}:{socket.getsockname()[1]}")
        with suppress(KeyboardInterrupt):  # a signal is the way to end it
            opened.server.run(sockets=[socket])


class _Source:
    """Says who should be served now, and loads them."""

    def __init__(self, wish: ServeWish) -> None:
        self.wish, self.registry = wish, Registry(wish.folder)
        self.offline = bool(os.environ.get("HF_HUB_OFFLINE"))
        self.from_registry = wish.run is None and self.registry.standing().champion is not None
        self.generation = -1
        self.name, self.outcome = "", ""
        self._loaded: dict[int, Served] = {}

    def lineup(self) -> Lineup:
        """Everybody who should be served, loaded; who is loaded already is kept."""
        if self.from_registry:
            return self._registered()
        wish = self.wish
        run = wish.run or _latest(wish.folder)
        wanted, self.name, self.outcome = candidate_of_run(wish.folder, run)
        champion = load_served(wanted, wish.endpoint, offline=self.offline)
        if wish.canary is None:
            return Lineup(champion)
        beside = load_served(candidate_of_run(wish.folder, wish.canary[0])[0], offline=self.offline)
        return Lineup(champion, {"canary": beside}, {"canary": wish.canary[1]})

    def _registered(self) -> Lineup:
        standing = self.registry.standing()
        roles: dict[Any, RoleOf] = dict(standing.roles)
        loaded = {role: self._release(one.version) for role, one in roles.items()}
        self._loaded = {one.version: loaded[role] for role, one in roles.items()}
        self.generation = standing.generation
        champion = loaded.pop("champion")
        return Lineup(champion, loaded, {role: roles[role].share for role in loaded})

    def _release(self, version: int) -> Served:
        if version in self._loaded:
            return self._loaded[version]
        release = self.registry.release(version)
        self.registry.check_servable(release)
        self.name, self.outcome = release.project, release.outcome
        weights = self.registry.folder_of(release) / "weights"
        wanted = ToServe(release.name, release.name, release.candidate, self.wish.folder, weights if weights.is_dir() else None)
        return load_served(wanted, self.wish.endpoint, offline=self.offline)


def _latest(folder: Path) -> Path:
    runs = folder / "runs"
    found = [run for run in (runs / "latest", *sorted(runs.glob("[0-9]*-*"), reverse=True)) if (run / "evidence.json").is_file()]
    if not found:
        raise FolderError(f"{folder}: found no run with a decision and no release, wanted one to serve; `provetune run` makes it")
    return found[0]


class _Watcher:
    """Looks, while the gateway runs, whether others should be served, and whether a trial must end."""

    def __init__(self, source: _Source, gateway: Gateway, wish: ServeWish) -> None:
        self._source, self._gateway, self._wish = source, gateway, wish
        self._next = 0.0
        self._judged = (-1, -1)
        self._since = datetime.now().astimezone()

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
        self._since = datetime.now().astimezone()
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
        lines = TrafficReader(self._wish.folder / TRAFFIC_FILE).judged(Window(since=self._since))
        # folders outside the registry have no release: their candidates tell them apart
        return trial(lines, served.candidate.fingerprint, champion.candidate.fingerprint, route).worse


class _JobModels:
    """Models that jobs have tuned, loaded when they are first asked for."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._held: dict[str, Served] = {}

    def find(self, name: str) -> Served | None:
        """The model of this name; None where no job has tuned one."""
        if name not in self._held:
            found = self._bridge.run_of_model(name) if name.startswith("ft:") else None
            if found is None:
                return None
            project, run = found
            wanted, _, _ = candidate_of_run(project, run)
            self._held[name] = load_served(ToServe(name, "", wanted.candidate, project, wanted.weights))
            for old in list(self._held)[:-JOB_MODELS]:
                self._held.pop(old).retire()
        self._held[name] = self._held.pop(name)
        return self._held[name]
