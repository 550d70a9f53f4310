"""How much is taken at a time: per key a rate of requests and of tokens, for all a number of open requests."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from provetune.serving.keys import Caller
from provetune.serving.problems import Problem

BURST_S = 10.0
"""A key that was idle may take what so many seconds allow at once, and at least one request."""
KEPT = 10_000


@dataclass
class _Bucket:
    """What is left of a rate; below zero what was taken in advance."""

    left: float
    at: float

    def wait_s(self, per_minute: float, now: float, at_least: float) -> float:
        """Seconds until something is left."""
        full = max(at_least, per_minute * BURST_S / 60)
        self.left, self.at = min(full, self.left + (now - self.at) * per_minute / 60), now
        return max(0.0, (at_least - self.left) * 60 / per_minute)


@dataclass
class Admission:
    """Lets requests in, or says when to come again. `open` are being answered, at most `most_open` at a time."""

    most_open: int
    open: int = 0
    refused: int = 0
    draining: bool = False
    _requests: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)
    _tokens: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)

    @contextmanager
    def admitted(self, caller: Caller) -> Iterator[None]:
        """Hold a place while a request is answered; Problem 429 or 503 with the time to wait."""
        try:
            self._check(caller)
        except Problem:
            self.refused += 1
            raise
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def spent(self, caller: Caller, tokens: int) -> None:
        """Count tokens against the rate of a key."""
        if caller.limits.tokens_per_minute is not None:
            self._bucket(self._tokens, caller.id, caller.limits.tokens_per_minute, 1.0).left -= tokens

    def _check(self, caller: Caller) -> None:
        if self.draining:
            words = "this gateway is going down; ask again, another one answers"
            raise Problem(503, words, retry_after_s=1, headers={"connection": "close"})
        if self.open >= self.most_open:
            raise Problem(429, f"{self.open} requests are open already; ask again later", code="too_many_requests", retry_after_s=1)
        for what, buckets, rate in (
            ("requests", self._requests, caller.limits.requests_per_minute),
            ("tokens", self._tokens, caller.limits.tokens_per_minute),
        ):
            if rate is not None:
                wait_s = self._bucket(buckets, caller.id, rate, 1.0).wait_s(rate, time.monotonic(), 1.0)
                if wait_s > 0:
                    raise Problem(429, f"this key may take {rate:g} {what} a minute", code="rate_limit_exceeded", retry_after_s=wait_s)
        if caller.limits.requests_per_minute is not None:
            self._requests[caller.id].left -= 1

    @staticmethod
    def _bucket(buckets: OrderedDict[str, _Bucket], name: str, rate: float, at_least: float) -> _Bucket:
        if name not in buckets:
            buckets[name] = _Bucket(max(at_least, rate * BURST_S / 60), time.monotonic())
        buckets.move_to_end(name)
        while len(buckets) > KEPT:
            buckets.popitem(last=False)
        return buckets[name]
