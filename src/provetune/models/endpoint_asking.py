"""Asking an endpoint for many completions at a time, through its faults."""

from __future__ import annotations

import asyncio
import os
import random
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import httpx2

from provetune.errors import EndpointError, Notice
from provetune.models.endpoint_journal import Journal, Request
from provetune.models.endpoint_limits import Pace, Spending
from provetune.models.endpoint_reply import Reply, read_reply, short
from provetune.models.endpoint_request import Body, request_body, tokens_at_most
from provetune.models.responses import ResponseCache
from provetune.protocols import Completion
from provetune.records.candidate import GenerationSettings
from provetune.records.data import Message
from provetune.spec.endpoint import EndpointSpec, is_loopback

LARGEST_RESPONSE = 8_000_000
"""Bytes of a response, unpacked, above which it is not read on."""
GIVE_UPS = 8
"""Prompts given up in a row, without an answer in between, after which the endpoint is taken to be broken."""
BACKOFF_S, LONGEST_BACKOFF_S = 1.0, 60.0
"""A wait before another try is drawn from 0 to `BACKOFF_S` doubled at each try (full jitter), up to the longest."""
CONNECT_S = 30.0
_TOKENS_PER_BYTE = 0.3  # until the endpoint has counted some
CONTINUES = "All answers so far are kept; the same command continues"


@dataclass(frozen=True)
class Endpoint:
    """Whom to ask; `usd` is the price of (prompt tokens, completion tokens), None where it is unknown."""

    spec: EndpointSpec
    model: str
    usd: Callable[[int, int], float] | None = None


@dataclass(frozen=True)
class Ask:
    """One prompt, and the key under which its answer is kept."""

    key: str
    messages: Sequence[Message]
    settings: GenerationSettings


class Asking:
    """One call's requests. An answer goes to the cache as soon as it is there; then, and where a prompt is given up, `done` is called.

    Raises EndpointError where no request can succeed, where `GIVE_UPS` prompts in a row failed, or nothing came for `stall_s`.
    """

    def __init__(self, endpoint: Endpoint, journal: Journal, cache: ResponseCache, done: Callable[[str, Completion], None]) -> None:
        self.spec, self.model, self._usd = endpoint.spec, endpoint.model, endpoint.usd
        self._journal, self._cache, self._done = journal, cache, done
        self._unwritten: dict[str, Completion] = {}
        self._writing = asyncio.Lock()
        self._lacks = journal.lacks
        spent = sum(request.usd or 0.0 for request in journal.requests())
        self._spending = Spending(self.spec.max_usd, spent)
        self._pace = Pace(self.spec.requests_per_minute, self.spec.tokens_per_minute)
        self._bytes = self._tokens = 0
        self._failed, self._said_capped = 0, False
        self._last_answer = time.monotonic()
        if os.environ.get("HF_HUB_OFFLINE") and not is_loopback(self.spec.url):
            raise self._error("cannot be asked offline; leave out --offline and unset HF_HUB_OFFLINE")
        self._key = _key(self.spec)
        self._client: httpx2.AsyncClient

    async def all(self, asks: Sequence[Ask]) -> None:
        """Ask for all, `concurrency` at a time; the first alone, so that what is wrong with all of them is found by one request."""
        first, *rest = asks
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx2.Limits(max_connections=self.spec.concurrency)
        timeout = httpx2.Timeout(self.spec.request_s, connect=min(CONNECT_S, self.spec.request_s))
        # a proxy of the surroundings has no business between two programs of one machine
        proxies = not is_loopback(self.spec.url)
        async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=timeout, trust_env=proxies) as self._client:
            left = iter(rest)

            async def worker() -> None:
                for ask in left:
                    await self._one(ask)

            try:
                await self._one(first)
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.spec.concurrency, len(rest))):
                        group.create_task(worker())
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None  # the others were cancelled for it
            finally:
                self._cache.write(self._unwritten)

    async def _one(self, ask: Ask) -> None:
        """Ask until there is an answer, or a reason to give up."""
        tries = waits = 0
        began = float("inf")
        while True:
            body = request_body(self.model, ask.messages, ask.settings, stream=self.spec.stream, lacks=self._lacks)
            reply = await self._request(ask, body)
            if reply.kind == "stop":
                raise self._error(reply.reason)
            if reply.kind == "lacks":
                self._learn(reply.reason)
                continue
            if reply.completion is not None:
                return
            tries, waits = tries + (reply.kind == "again"), waits + 1
            until = time.monotonic() + reply.wait_s
            began = min(began, time.monotonic())
            if reply.kind != "withheld" and until - self._last_answer > self.spec.stall_s:
                raise self._error(f"has answered nothing for {time.monotonic() - self._last_answer:,.0f} s ({_asked(reply)})")
            if reply.kind == "withheld" or tries >= self.spec.tries or until - began > self.spec.stall_s:
                self._give_up(ask, reply, waits)
                return
            if reply.kind == "later":
                self._pace.hold(reply.wait_s)
            await asyncio.sleep(reply.wait_s + random.uniform(0, min(LONGEST_BACKOFF_S, BACKOFF_S * 2**waits)))

    async def _request(self, ask: Ask, body: Body) -> Reply:
        """One request, written to the journal before and after; `withheld` where the spending cap leaves no room for it."""
        most = tokens_at_most(body)
        estimate = self._usd(*most) if self._usd else 0.0
        reserved = await self._spending.reserve(estimate)
        if reserved is None:
            return self._capped()
        share = self._tokens / self._bytes if self._bytes else _TOKENS_PER_BYTE
        await self._pace.turn(most[0] * share + most[1])
        number = self._journal.asked(ask.key, reserved if self._usd else None)
        began = time.monotonic()
        reply = await self._send(body, ask.settings.choices)
        took = time.monotonic() - began
        usd = None
        if self._usd is not None:
            usd = self._usd(*reply.tokens) if reply.tokens else reserved if reply.billed else 0.0
        await self._spending.settle(reserved, usd or 0.0, estimate)
        if reply.completion is not None:
            self._last_answer, self._failed = time.monotonic(), 0
            await self._write(ask.key, reply.completion)
        if reply.tokens is not None:
            self._bytes, self._tokens = self._bytes + most[0], self._tokens + reply.tokens[0]
        self._journal.ended(number, Request(ask.key, usd, "answered" if reply.completion else reply.reason, took, reply.tokens))
        return reply

    async def _write(self, key: str, completion: Completion) -> None:
        """Return when the answer is in the cache: one write takes all that came during the one before."""
        self._unwritten[key] = completion
        async with self._writing:
            written, self._unwritten = self._unwritten, {}
            if written:
                await asyncio.to_thread(self._cache.write, written)
        self._done(key, completion)

    def _capped(self) -> Reply:
        cap = f"the spending cap of ${self.spec.max_usd:g} is reached (${self._spending.spent_usd:.4f} spent)"
        if not self._said_capped:
            self._said_capped = True
            warnings.warn(Notice(f"{self.spec.url}: {cap}; what is left is not measured. Raise max_usd to go on"), stacklevel=2)
        return Reply("withheld", cap, billed=False, own=True)

    async def _send(self, body: Body, choices: Sequence[str]) -> Reply:
        try:
            async with (
                asyncio.timeout(self.spec.request_s),
                self._client.stream("POST", f"{self.spec.url}/chat/completions", json=body) as got,
            ):
                content = bytearray()
                async for part in got.aiter_bytes():
                    content += part
                    if len(content) > LARGEST_RESPONSE:
                        return Reply("again", f"more than {LARGEST_RESPONSE:,} bytes")
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            return Reply("again", f"no connection ({short(str(error)) or type(error).__name__})", billed=False)
        except (TimeoutError, httpx2.TimeoutException):
            return Reply("again", f"no answer within {self.spec.request_s:g} s")
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            return Reply("again", f"the connection broke off ({short(self._redacted(str(error)))})")
        plain = bytes(content).replace(self._key.encode(), b"[key]") if self._key else bytes(content)
        reply = read_reply(got.status_code, {name.lower(): value for name, value in got.headers.items()}, plain, body, choices)
        return replace(reply, reason=self._redacted(reply.reason))

    def _redacted(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text

    def _learn(self, parameter: str) -> None:
        """Ask without this parameter from now on, and say so once."""
        if parameter not in self._lacks:
            self._lacks |= {parameter}
            self._journal.lacking(parameter)
            means = "; completions are written freely and read" if parameter == "response_format" else ""
            warnings.warn(Notice(f"{self.spec.url}: {self.model} does not take {parameter}; it is asked without it{means}"), stacklevel=2)

    def _give_up(self, ask: Ask, reply: Reply, tries: int) -> None:
        reason = f"{reply.reason}, {tries} times" if tries > 1 and reply.kind != "withheld" else reply.reason
        self._done(ask.key, Completion(None, 0, 0, False, reason))
        self._failed += not reply.own
        if self._failed >= GIVE_UPS:
            raise self._error(f"failed on {self._failed} prompts one after the other ({reason})")

    def _error(self, reason: str) -> EndpointError:
        return EndpointError(f"{self.spec.url}: the endpoint {reason}. {CONTINUES}")


def _asked(reply: Reply) -> str:
    return f"{reply.reason}; it asks to wait {reply.wait_s:,.0f} s" if reply.wait_s else reply.reason


def _key(spec: EndpointSpec) -> str:
    """The key from the environment; empty where none is wanted. Raises EndpointError, which never shows it."""
    if spec.key_from is None:
        return ""
    key = os.environ.get(spec.key_from, "").strip()
    if key and key.isascii() and key.isprintable() and " " not in key:
        return key
    found = "characters that no key has" if key else "nothing"
    raise EndpointError(f"{spec.url}: found {found} in the environment variable {spec.key_from}, wanted the key. Set it. {CONTINUES}")
