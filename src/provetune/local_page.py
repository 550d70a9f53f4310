"""What every local page needs: one listening socket, bounded forms, headers that let nothing in from elsewhere."""

from __future__ import annotations

import errno
import socket
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request

from provetune.errors import SpecError

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
"""On every answer."""


def listening(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A socket that accepts connections; port 0 takes a free one. SpecError where the port is taken or the host is none of ours."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise SpecError(f"--port {port}: {error.strerror}; take another port, or 0 for any free one") from error
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise SpecError(f"--host {host}: {error.strerror}; wanted an address of this machine, such as 127.0.0.1") from error
        raise


def content_policy(nonce: str, **more: str) -> str:
    """Content-Security-Policy of a page whose style and script carry `nonce`; `more` adds directives, `_` standing for `-`."""
    added = "".join(f"{name.replace('_', '-')} {value}; " for name, value in more.items())
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; img-src data:; {added}"
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


async def form_of(request: Request, largest: int, most_fields: int = 10) -> dict[str, str] | None:
    """The fields of a posted form, the first of each name; None where it is larger than allowed (in bytes)."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > largest:
            return None
    try:
        fields: dict[Any, Any] = parse_qs(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=most_fields)
    except ValueError:
        return None
    return {name: values[0].replace("\r\n", "\n") for name, values in fields.items()}
