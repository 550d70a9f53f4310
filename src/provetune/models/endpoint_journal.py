"""Every request to an endpoint, one line before it is sent and one after: what it cost, how long it took, how it ended."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request for the answer kept under `key`.

    `usd` is what it cost, or at most may have cost where that is unknown; None without a price. `ended` is `answered`, a fault, or
    `unknown` where the process was killed meanwhile. `tokens` are those of prompt and completion, None where the endpoint does not say.
    """

    key: str
    usd: float | None
    ended: str = "unknown"
    latency_s: float | None = None
    tokens: tuple[int, int] | None = None


class Journal:
    """The requests of one endpoint and model in a file of JSON lines; half a line, left by a crash of the machine, is skipped."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def asked(self, key: str, usd: float | None) -> str:
        """Write that a request is about to be sent that costs at most `usd`; its number."""
        number = secrets.token_hex(6)
        self._append({"asked": number, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "key": key, "usd": usd})
        return number

    def ended(self, number: str, request: Request) -> None:
        """Write how it ended."""
        line = {"ended": number, "as": request.ended, "usd": request.usd, "latency_s": request.latency_s, "tokens": request.tokens}
        self._append(line)

    def lacking(self, parameter: str) -> None:
        """Write that the endpoint does not take a parameter."""
        self._append({"lacks": parameter})

    @property
    def lacks(self) -> frozenset[str]:
        """Parameters that it does not take, as far as it was asked."""
        return frozenset(str(line["lacks"]) for line in self._lines() if "lacks" in line)

    def requests(self) -> list[Request]:
        """All requests in the order in which they were sent."""
        found: dict[str, Request] = {}
        for line in self._lines():
            if "asked" in line:
                found[line["asked"]] = Request(line["key"], line["usd"])
            elif line.get("ended") in found:
                tokens = line["tokens"]
                found[line["ended"]] = replace(
                    found[line["ended"]],
                    usd=line["usd"],
                    ended=line["as"],
                    latency_s=line["latency_s"],
                    tokens=None if tokens is None else (tokens[0], tokens[1]),
                )
        return list(found.values())

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self.file.is_file():
            for line in self.file.read_text(encoding="utf-8", errors="replace").split("\n"):
                try:
                    found = json.loads(line)
                except ValueError:
                    continue
                if isinstance(found, dict):
                    yield found

    def _append(self, line: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+b") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - 1))
            begun = file.read(1) not in (b"", b"\n")  # half a line: the next one begins below it
            file.write(b"\n" * begun + json.dumps(line).encode() + b"\n")
