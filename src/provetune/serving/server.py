"""Serving an application until it is told to stop: slow senders are cut off, what is under way is finished first."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from provetune.errors import SpecError
from provetune.serving.gateway import Gateway

HEALTH_EVERY_S, KEEP_ALIVE_S, LARGEST_HEAD = 15.0, 75, 32_768


class PatientProtocol(H11Protocol):
    """HTTP/1.1 whose request heads must be whole within `header_s` of their first byte (or of the connection)."""

    header_s = 10.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has come and owes a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Some bytes have come: perhaps a whole head, perhaps the next part of one."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._deadline is None and self.conn.trailing_data[0]:
            self._wait()

    def on_response_complete(self) -> None:
        """The next head may have begun already."""
        super().on_response_complete()
        if self._deadline is None and self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.header_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; SpecError where the port is taken or the address is none of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL) and not isinstance(error, socket.gaierror):
            raise
        raise SpecError(f"--host {host} --port {port}: {error.strerror}; take another, or port 0 for any free one") from error


class GatewayServer(uvicorn.Server):
    """Runs one gateway on a socket. A signal first makes it refuse new requests; then it waits for those under way."""

    def __init__(self, gateway: Gateway, app: ASGIApp, *, watch: Callable[[], Any] | None = None) -> None:
        self.gateway, self._watch = gateway, watch
        protocol = type("Protocol", (PatientProtocol,), {"header_s": gateway.settings.header_s})
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(gateway.settings.drain_s),
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )
        super().__init__(config)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A signal: new requests are refused from now on."""
        self.gateway.admission.draining = True
        super().handle_exit(sig, frame)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, looking after the models meanwhile."""
        async with _beside(self._look_after()):
            await super().serve(sockets)
        for served in self.gateway.fleet.lineup.all:
            await asyncio.to_thread(served.backend.close)
        if self.gateway.log is not None:
            await asyncio.to_thread(self.gateway.log.close)

    async def _look_after(self) -> None:
        checked = 0.0
        loop = asyncio.get_running_loop()
        while True:
            if self._watch is not None:
                await self._watch()
            if loop.time() - checked >= HEALTH_EVERY_S or not self.gateway.healthy:
                self.gateway.healthy = await self.gateway.fleet.lineup.champion.backend.healthy()
                checked = loop.time()
            await asyncio.sleep(1.0)


@contextlib.asynccontextmanager
async def _beside(work: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
