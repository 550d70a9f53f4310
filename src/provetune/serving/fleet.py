"""Who is served: the champion and, beside it, canary, challenger and shadow; swapped without dropping a request."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from provetune.records.candidate import Candidate
from provetune.records.traffic import Route
from provetune.serving.backend import Backend
from provetune.serving.problems import Problem

RETURNED: tuple[Route, ...] = ("canary", "challenger")
"""Roles whose answers a share of the users gets."""


@dataclass(eq=False)
class Served:
    """One candidate behind the gateway; `name` is what clients may call it, `open` counts requests that it is answering."""

    name: str
    release: str
    candidate: Candidate
    template: str
    backend: Backend
    open: int = 0
    retired: bool = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep it from being closed meanwhile."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
            if self.retired and not self.open:
                self._close()

    def retire(self) -> None:
        """Close it when its last request is answered."""
        self.retired = True
        if not self.open:
            self._close()

    def _close(self) -> None:
        """Beside everything else: the last step of decoding may take a while."""
        threading.Thread(target=self.backend.close, daemon=True).start()


@dataclass(frozen=True)
class Lineup:
    """Who does what: `shares` (0 to 1) of those beside the champion."""

    champion: Served
    others: Mapping[Route, Served] = field(default_factory=dict)
    shares: Mapping[Route, float] = field(default_factory=dict)

    @property
    def all(self) -> list[Served]:
        """Everybody, once."""
        return list(dict.fromkeys([self.champion, *self.others.values()]))


def place_of(unit: str, salt: str) -> float:
    """Where a user (or key) stands between 0 and 1: the same at every request, independent of other salts' places.

    >>> place_of("anna", "1") == place_of("anna", "1") != place_of("anna", "2")
    True
    """
    return int.from_bytes(hashlib.sha256(f"{salt}\n{unit}".encode()).digest()[:7], "big") / 2**56


class Fleet:
    """The line-up in service under one public `name`; `salt` decides who gets whose answers."""

    def __init__(self, name: str, lineup: Lineup, salt: str) -> None:
        self.name, self.lineup, self.salt = name, lineup, salt
        self.swaps = 0
        self.halted: dict[Route, str] = {}

    def swap(self, lineup: Lineup) -> None:
        """Serve another line-up from the next request on; who left it finishes what it has begun."""
        before, self.lineup = self.lineup, lineup
        self.halted = {route: why for route, why in self.halted.items() if lineup.others.get(route) is before.others.get(route)}
        self.swaps += 1
        for served in before.all:
            if served not in lineup.all:
                served.retire()

    def halt(self, route: Route, why: str) -> None:
        """Give the users of a canary or challenger back to the champion, at once."""
        self.halted[route] = why

    def choose(self, model: str, unit: str) -> tuple[Route, Served]:
        """Who answers a request for `model` by `unit`; a release's own name is answered by that release. Problem 404."""
        lineup = self.lineup
        if model == self.name:
            place = place_of(unit, self.salt)
            for route in RETURNED:
                share = lineup.shares.get(route, 0.0)
                if route in lineup.others and route not in self.halted and place < share:
                    return route, lineup.others[route]
                place -= share
            return "champion", lineup.champion
        if model == lineup.champion.name:
            return "champion", lineup.champion
        for route, served in lineup.others.items():
            if model == served.name:
                return route, served
        raise Problem(404, f"the model {model[:100]!r} is not served here; GET /v1/models lists those that are", "model", "model_not_found")

    @property
    def names(self) -> list[str]:
        """What may be asked for."""
        return list(dict.fromkeys([self.name, *(served.name for served in self.lineup.all)]))
