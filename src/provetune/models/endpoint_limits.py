"""How fast an endpoint is asked, and for how much money."""

from __future__ import annotations

import asyncio
import time


class Pace:
    """Requests evenly spaced, so that no minute holds more of them, or of their tokens, than allowed."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._per_request_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._per_token_s = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._next = self._held_until = 0.0

    async def turn(self, tokens: float) -> None:
        """Wait for the turn of a request of about this many tokens."""
        start = max(time.monotonic(), self._next)
        self._next = start + max(self._per_request_s, self._per_token_s * tokens)
        while (wait_s := max(start, self._held_until) - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)

    def hold(self, seconds: float) -> None:
        """Nobody's turn comes for so long."""
        self._held_until = max(self._held_until, time.monotonic() + seconds)


class Spending:
    """Dollars under a cap: the most that a request can cost is reserved before it is sent, and corrected when its cost is known.

    Where a request costs more than its reserve (an endpoint that counts hidden tokens), later reserves grow by the same factor.
    """

    def __init__(self, cap_usd: float | None, spent_usd: float) -> None:
        self.cap_usd, self.spent_usd = cap_usd, spent_usd
        self._reserved, self._open, self._factor = 0.0, 0, 1.0
        self._settled = asyncio.Condition()

    async def reserve(self, usd: float) -> float | None:
        """Reserve `usd` times what was underestimated so far; waits for open requests; None where the cap leaves no room."""
        async with self._settled:
            while self.cap_usd is not None and self.spent_usd + self._reserved + usd * self._factor > self.cap_usd:
                if not self._open:
                    return None
                await self._settled.wait()
            reserved = usd * self._factor
            self._reserved += reserved
            self._open += 1
            return reserved

    async def settle(self, reserved: float, usd: float, estimate: float) -> None:
        """Put what a request did cost in place of its reserve; `estimate` is what `reserve` was asked for."""
        async with self._settled:
            self._open -= 1
            self._reserved = self._reserved - reserved if self._open else 0.0
            self.spent_usd += usd
            if estimate > 0:
                self._factor = max(self._factor, usd / estimate)
            self._settled.notify_all()
