"""A real HTTP server on loopback that speaks the chat-completions form, counts what it is asked, and fails on demand.

A fault is named by `fault(text, number)` for the `number`-th request (from 0) of a prompt's last turn, or for all by a name:
`429`, `429 for 0.2 s`, `503 for 0.2 s`, `500`, `stall`, `drip`, `cut`, `no json`, `no choices`, `error in 200`, `no length`, `huge`,
`withheld`, `too long`, `no usage`, `redirect`, `no credit`, `lacks NAME` (where the request holds that parameter).
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

KEY = "sk-test-0123456789abcdef"
MODEL = "some-large-model"
Fault = Callable[[str, int], str | None]


class Torn(Exception):
    """Ends a response in the middle."""


@dataclass
class FakeEndpoint:
    """Answers with `answer(text)`; `asked` and `answered` count requests by the text of their last turn."""

    url: str = ""
    fault: Fault = lambda text, number: None
    answer: Callable[[str], str] = lambda text: f"answer to {text}"
    key: str | None = KEY
    usage: Callable[[str], tuple[int, int]] = lambda text: (20, 5)
    delay_s: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    open: Counter[str] = field(default_factory=Counter)
    most_open: int = 0
    tokens: list[tuple[int, int]] = field(default_factory=list)

    def always(self, name: str) -> None:
        self.fault = lambda text, number: name

    def first(self, name: str, times: int = 1) -> None:
        self.fault = lambda text, number: name if number < times else None

    async def completions(self, request: Request) -> Response:
        body = await request.json()
        text = body["messages"][-1]["content"]
        number = self.asked[text]
        self.asked[text] += 1
        self.bodies.append(body)
        self.arrivals.append(time.monotonic())
        self.open[text] += 1
        self.most_open = max(self.most_open, self.open.total())
        try:
            refused = self._refusal(request, body)
            if refused is not None:
                return refused
            await asyncio.sleep(self.delay_s)
            return await self._respond(body, text, self.fault(text, number) or "")
        finally:
            self.open[text] -= 1

    def _refusal(self, request: Request, body: dict[str, Any]) -> Response | None:
        given = request.headers.get("authorization")
        if self.key is not None and given != f"Bearer {self.key}":
            return _error(401, f"Incorrect API key provided: {given}", "invalid_api_key")
        if body["model"] != MODEL:
            return _error(404, f"The model `{body['model']}` does not exist", "model_not_found")
        return None

    async def _respond(self, body: dict[str, Any], text: str, fault: str) -> Response:
        name, _, rest = fault.partition(" for ")
        if name in ("429", "500", "503"):
            headers = {"retry-after": rest.removesuffix(" s")} if rest else {}
            return _error(int(name), "busy", "rate_limit_exceeded", headers)
        if name == "no credit":
            return _error(429, "You exceeded your current quota", "insufficient_quota")
        if name == "too long":
            return _error(400, "This model's maximum context length is 20 tokens; reduce max_tokens", "context_length_exceeded")
        if name.startswith("lacks ") and name.removeprefix("lacks ") in body:
            return _error(400, f"Unsupported parameter: {name.removeprefix('lacks ')!r} is not supported with this model", "unsupported")
        if name == "redirect":
            return RedirectResponse("http://elsewhere.example/v1/chat/completions", 307)
        if name == "stall":
            await asyncio.sleep(30)
        if name == "no json":
            return Response("<html>502 Bad Gateway</html>", media_type="text/html")
        if name == "no choices":
            return JSONResponse({"object": "chat.completion"})
        if name == "error in 200":
            return JSONResponse({"error": {"message": "upstream failed", "code": 502}})
        if name == "huge":
            return StreamingResponse(_blanks(), media_type="application/json")
        return self._answer(body, text, name)

    def _answer(self, body: dict[str, Any], text: str, name: str) -> Response:
        written = self.answer(text)
        if "response_format" in body and "label" in body["response_format"]["json_schema"]["schema"].get("properties", {}):
            written = json.dumps({"label": written})
        prompt, completion = self.usage(text)
        self.tokens.append((prompt, completion))
        usage = None if name == "no usage" else {"prompt_tokens": prompt, "completion_tokens": completion}
        finish = "content_filter" if name == "withheld" else "length" if name == "no length" else "stop"
        if body.get("stream"):
            return StreamingResponse(self._events(text, written, usage, name), media_type="text/event-stream")
        whole = {"choices": [{"message": {"role": "assistant", "content": written}, "finish_reason": finish}], "usage": usage}
        return StreamingResponse(self._whole(text, json.dumps(whole).encode(), name), media_type="application/json")

    async def _whole(self, text: str, content: bytes, name: str) -> AsyncIterator[bytes]:
        yield content[:20]
        if name == "cut":
            raise Torn
        for place in range(20, len(content), len(content) if name != "drip" else 1):
            yield content[place : None if name != "drip" else place + 1]
            await asyncio.sleep(0.05 if name == "drip" else 0)
        self.answered[text] += 1

    async def _events(self, text: str, written: str, usage: dict[str, int] | None, name: str) -> AsyncIterator[bytes]:
        half = len(written) // 2
        yield _event({"choices": [{"delta": {"role": "assistant", "content": written[:half]}, "finish_reason": None}]})
        if name == "cut":
            raise Torn
        if name == "ends early":
            return
        yield b": a comment\r\n\r\n"
        yield _event({"choices": [{"delta": {"content": written[half:]}, "finish_reason": "stop"}]})
        yield _event({"choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"
        self.answered[text] += 1

    @contextmanager
    def running(self) -> Iterator[FakeEndpoint]:
        """Serve until the block ends; `url` is where."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
            app = Starlette(routes=[Route("/v1/chat/completions", self.completions, methods=["POST"])])
            config = uvicorn.Config(app, log_level=60, access_log=False, lifespan="off", timeout_graceful_shutdown=0)
            server = _Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            try:
                while not server.started and thread.is_alive():
                    time.sleep(0.005)
                yield self
            finally:
                server.should_exit = server.force_exit = True
                thread.join()


class _Server(uvicorn.Server):
    async def main_loop(self) -> None:
        while not self.should_exit:  # uvicorn looks ten times a second: too seldom for many short tests
            await asyncio.sleep(0.01)


def _error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "type": "error", "code": code}}, status, headers)


def _event(chunk: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\r\n\r\n".encode()


async def _blanks() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 100_000
        await asyncio.sleep(0.001)
