"""Gateways for tests: the tiny model behind a real server on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from provetune.models.live import LiveModel
from provetune.models.tokenizer import FolderTokenizer
from provetune.models.transformers import load_model
from provetune.records.candidate import Candidate, GenerationSettings, Prompt
from provetune.serving.app import application
from provetune.serving.bridge import Bridge
from provetune.serving.engine_backend import EngineBackend
from provetune.serving.fleet import Fleet, Lineup, Served
from provetune.serving.gateway import Gateway, GatewaySettings
from provetune.serving.server import GatewayServer

NAME = "tickets"


def candidate_named(name: str, **generation: Any) -> Candidate:
    """A prompt on the tiny model that adds nothing."""
    settings = {"max_new_tokens": 16, **generation}
    return Candidate(name=name, kind="prompt", prompt=Prompt(strategy="plain"), generation=GenerationSettings(**settings))


def served_from(folder: Path, name: str, **generation: Any) -> Served:
    """A candidate behind our engine."""
    backend = EngineBackend(LiveModel(load_model(folder), FolderTokenizer(folder)))
    return Served(name, name, candidate_named(name, **generation), "t", backend)


def gateway_over(served: Served, settings: GatewaySettings | None = None, **more: Any) -> Gateway:
    """A gateway whose champion this is."""
    return Gateway(Fleet(NAME, Lineup(served), "salt"), settings or GatewaySettings(), **more)


@dataclass
class Running:
    """A gateway that answers at `url`."""

    gateway: Gateway
    server: GatewayServer
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def http(self, **options: Any) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=60, **options)

    def raw(self, content: bytes, seconds: float = 10.0) -> bytes:
        """What comes back for these bytes until the connection is closed or nothing comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(content)
            found = b""
            try:
                while part := connection.recv(65536):
                    found += part
            except TimeoutError:
                found += b"(timeout)"
            return found


@contextmanager
def running(gateway: Gateway, bridge: Bridge | None = None, watch: Any = None) -> Iterator[Running]:
    """Serve until the block ends."""
    server = GatewayServer(gateway, application(gateway, bridge), watch=watch)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            yield Running(gateway, server, f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()
