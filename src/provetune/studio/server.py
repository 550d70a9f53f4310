"""Serving the studio until it is interrupted. What it started goes on without it."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from provetune.errors import SpecError
from provetune.local_page import listening
from provetune.studio.app import Studio, guarded
from provetune.studio.workspace import Workspace


@dataclass(frozen=True)
class Bind:
    """Where the studio listens; elsewhere than on the loopback interface it needs a `token`. `allowed`: further Host names (a proxy's)."""

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    allowed: Sequence[str] = ()

    def checked(self) -> Bind:
        """Itself; SpecError where it would be open to others without a token, or with one that can be guessed."""
        if self.token is not None and len(self.token) < 16:
            raise SpecError("--token: found fewer than 16 characters, wanted a random text, for example from `openssl rand -hex 16`")
        if not is_loopback(self.host) and self.token is None:
            raise SpecError(f"--host {self.host}: others could reach the studio there; wanted --token TEXT beside it, or --host 127.0.0.1")
        return self

    def hosts(self, port: int) -> frozenset[str]:
        """Accepted values of the Host header."""
        names = ["127.0.0.1", "localhost", "[::1]"] if is_loopback(self.host) else ["localhost", "127.0.0.1", self.host]
        plain = [name if ":" in name.rpartition("]")[2] else f"{name}:{port}" for name in (*names, *self.allowed)]
        return frozenset(name.lower() for name in (*plain, *self.allowed))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0"), is_loopback("example.com")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(folder: Path, bind: Bind, opened: Callable[[str], None], environment: Mapping[str, str] | None = None) -> None:
    """Serve the studio over `folder` and call `opened(address)` when it answers; returns when interrupted.

    `environment` is what started commands see, this process's own if None. The web process itself asks no network: what is not in the
    local cache is fetched by the commands. Raises SpecError where the port is taken or the bind is refused.
    """
    bind = bind.checked()
    if not folder.is_dir():
        raise SpecError(f"{folder}: found no folder, wanted one that holds projects; make it, or name another with -C")
    given = dict(os.environ if environment is None else environment)
    os.environ["HF_HUB_OFFLINE"] = "1"
    with listening(bind.port, bind.host) as socket:
        port = socket.getsockname()[1]
        app = guarded(Studio(Workspace(folder), given), bind.hosts(port), bind.token)
        config = uvicorn.Config(app, log_level="error", access_log=False, server_header=False, lifespan="off", timeout_graceful_shutdown=2)
        name = "127.0.0.1" if bind.host in ("0.0.0.0", "localhost") else bind.host
        opened(f"http://{name}:{port}/" + (f"?token={bind.token}" if bind.token else ""))
        try:
            uvicorn.Server(config).run(sockets=[socket])
        except KeyboardInterrupt:
            return  # all state is on the disk
