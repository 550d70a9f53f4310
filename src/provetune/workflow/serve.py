"""`serve`: who is served, and the gateway over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from provetune.errors import SpecError
from provetune.serving.app import application
from provetune.serving.bridge import BRIDGE_FOLDER, Bridge
from provetune.serving.fleet import Fleet
from provetune.serving.gateway import Gateway, GatewaySettings
from provetune.serving.guards import LOOPBACK as LOOPBACK_NAMES
from provetune.serving.job_models import JobModels
from provetune.serving.keys import KEYS_FILE, KeyFile
from provetune.serving.loading import Endpoint as Endpoint
from provetune.serving.server import GatewayServer, listening
from provetune.serving.source import Named, Source
from provetune.serving.watching import Watcher
from provetune.traffic import TRAFFIC_FILE, Salt, TrafficWriter, expire

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SALT_FILE = Path(".provetune/salt")


@dataclass(frozen=True)
class ServeWish:
    """What is to be served, and how: at `host`, with a `log`, with fine-tuning `jobs` over these `bases`."""

    named: Named
    settings: GatewaySettings = GatewaySettings()
    host: str = "127.0.0.1"
    log: bool = True
    jobs: bool = False
    bases: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The project folder."""
        return self.named.folder


@dataclass
class Opened:
    """A gateway that is ready to run; `outcome` is the champion's decision."""

    gateway: Gateway
    server: GatewayServer
    name: str
    outcome: str


def open_gateway(wish: ServeWish) -> Opened:
    """Load who is served and build the gateway. Raises where anything is not what was measured, or what was asked for is not safe."""
    keys = KeyFile(wish.folder / KEYS_FILE)
    locked = any(key.revoked_at is None for key in keys.ring.keys)
    if not locked and wish.host not in LOOPBACK:
        raise SpecError(f"--host {wish.host}: others could reach it, and there is no key; make one with `provetune keys create NAME`")
    source = Source(wish.named)
    lineup = source.lineup()
    log = TrafficWriter(wish.folder / TRAFFIC_FILE) if wish.log else None
    salt = Salt(wish.folder / SALT_FILE)
    if log is not None:
        expire(wish.folder / TRAFFIC_FILE)
    fleet = Fleet(source.name, lineup, salt.hashed("who gets whose answers"))
    gateway = Gateway(fleet, wish.settings, keys if locked else None, log, salt)
    bridge = Bridge(wish.folder / BRIDGE_FOLDER, {**wish.bases}) if wish.jobs else None
    if bridge is not None:
        gateway.find_model = JobModels(bridge).find
    watcher = Watcher(source, gateway)
    return Opened(gateway, GatewayServer(gateway, application(gateway, bridge), watch=watcher.look), source.name, source.outcome)


def wish_of(folder: Path, run: Path | None, canary: tuple[Path, float] | None, endpoint: Endpoint | None) -> ServeWish:
    """A wish with what is served, and the rest as usual."""
    return ServeWish(Named(folder, run, canary, endpoint))


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
