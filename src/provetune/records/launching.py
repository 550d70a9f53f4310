"""What a job somewhere else will be, before anything is handed over."""

from __future__ import annotations

from typing import ClassVar

from provetune.records.base import Record
from provetune.records.planning import Fits


class LaunchPlan(Record):
    """One job: where, on what, for how long and how much at most; its spec is in `file`.

    `usd_per_hour` is None where no price is known, 0 on machines of one's own; `usd_at_most` is the price of `max_hours`. `commands` are
    those to give, in their order: before, to submit, and after. `submitted` is what the vendor's program said, None before it.
    """

    SCHEMA: ClassVar[str] = "launch_plan/1"
    target: str
    name: str
    file: str
    method: str
    gpu: str
    devices: int
    instance: str
    spot: bool
    fits: Fits
    hours_on_one: float | None
    max_hours: float
    usd_per_hour: float | None
    usd_at_most: float | None
    price_from: str
    commands: tuple[str, ...]
    warnings: tuple[str, ...]
    submitted: str | None = None
