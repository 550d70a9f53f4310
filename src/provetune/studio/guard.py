"""Who may come in: whose address was used, which page sent it, who knows the token."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provetune.local_page import HEADERS

CSRF_COOKIE = "provetune_studio_form"
"""Its value must come back in every form: a page of another origin cannot read it."""
CSRF_HEADER = "x-provetune-form"


@dataclass(frozen=True)
class Guard:
    """ASGI middleware. `hosts` are the accepted values of the Host header; without the `token`, if there is one, nobody comes in."""

    app: ASGIApp
    hosts: frozenset[str]
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no websocket is served

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        answer = self._refusal(request) or self._without_token(request)
        await (answer or self.app)(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return _refused("The studio answers to its own address only; a proxy's name is allowed with --allowed-host.", 421)
        if request.method not in ("GET", "HEAD", "POST"):
            return _refused("Only GET, HEAD and POST are served.", 405)
        if request.method == "POST" and request.headers.get("origin", "").lower() not in (f"http://{hosts[0]}", f"https://{hosts[0]}"):
            return _refused("An action must come from a page of the studio itself.", 403)
        return None

    def _without_token(self, request: Request) -> Response | None:
        """None where no token is wanted or a cookie holds it; with the right `?token=` the way to the same page without it."""
        if self.token is None or _equal(request.cookies.get(self._cookie(request), ""), self.token):
            return None
        if request.method == "GET" and _equal(request.query_params.get("token", ""), self.token):
            left = urlencode([pair for pair in parse_qsl(request.url.query) if pair[0] != "token"])
            response = RedirectResponse(f"{request.url.path}?{left}" if left else request.url.path, 303)
            response.set_cookie(self._cookie(request), self.token, httponly=True, samesite="lax")
            return response
        return _refused("Open the whole address that the terminal shows; it holds the token.", 403)

    @staticmethod
    def _cookie(request: Request) -> str:
        return f"provetune_studio_{request.url.port or 80}"  # cookies are shared by all ports of a host


def form_key(request: Request) -> str:
    """What the forms of this browser must send back; a new one where it has none yet."""
    return request.cookies.get(CSRF_COOKIE) or secrets.token_urlsafe(24)


def is_own_form(request: Request, sent: str) -> bool:
    """Whether a form was made by the studio for this browser."""
    return bool(sent) and _equal(sent, request.cookies.get(CSRF_COOKIE, ""))


def _equal(sent: str, wanted: str) -> bool:
    return secrets.compare_digest(sent.encode(), wanted.encode())


def _refused(reason: str, status: int) -> Response:
    return PlainTextResponse(f"{reason}\n", status)
