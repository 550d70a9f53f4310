"""What every request passes first: whose address it used, which page sent it, whether its framing can be read in two ways."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provetune.serving.problems import Problem

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ALWAYS = {"x-content-type-options": "nosniff", "cache-control": "no-store", "referrer-policy": "no-referrer"}


@dataclass(frozen=True)
class Guard:
    """ASGI middleware.

    `hosts` are the names under which clients may reach the gateway (against DNS rebinding); a browser's page may ask only from
    one of these `origins`. `count` is told the status of every answer.
    """

    app: ASGIApp
    hosts: tuple[str, ...] = LOOPBACK
    origins: tuple[str, ...] = ()
    count: Callable[[Scope, int], None] = lambda scope, status: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = name = f"req_{secrets.token_hex(16)}"

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = name
                for key, value in _ALWAYS.items():
                    headers.setdefault(key, value)
                self.count(scope, message["status"])
            await send(message)

        problem = self._refusal(Headers(scope=scope))
        if problem is not None:
            await problem.response()(scope, receive, named)
        else:
            await self.app(scope, receive, named)

    def _refusal(self, headers: Headers) -> Problem | None:
        if len(headers.getlist("host")) != 1 or _host(headers["host"]) not in self.hosts:
            return Problem(421, "this Host is not served here; name it with --allowed-host", code="host_not_allowed")
        if "transfer-encoding" in headers and "content-length" in headers:
            return Problem(400, "found Transfer-Encoding and Content-Length, wanted one of them", headers={"connection": "close"})
        if len(headers.getlist("authorization")) > 1:
            return Problem(400, "found several Authorization headers, wanted one")
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins:
            return Problem(403, "pages of this Origin may not ask here; name it with --allowed-origin", code="origin_not_allowed")
        return None


def _host(value: str) -> str:
    """The name without its port."""
    try:
        parts = urlsplit(f"//{value}")
        name, _ = parts.hostname or "", parts.port
    except ValueError:
        return ""
    return f"[{name}]" if ":" in name else name
