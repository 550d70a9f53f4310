"""What the tuned model brings in money, and what that was computed from."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from provetune.records.base import Frozen, Record
from provetune.stats.estimate import Estimate


class Expert(Frozen):
    """A person who does the same work: share done right, US dollars of 1,000 pieces."""

    quality: Estimate
    usd_per_1k: float


class Costs(Frozen):
    """What was said in the project file, and what was measured. What is absent is unknown.

    `metric` counts right completions. `usd_per_right` is what one right completion in place of a wrong one is worth. Prices and seconds
    of 1,000 requests are by candidate; `satisfaction` is the share of content users by candidate; `unknown` says what is missing, and why.
    """

    metric: str | None
    requests_per_month: float | None = None
    usd_per_right: float | None = None
    training_usd: float | None = None
    setup_usd: float = 0.0
    upkeep_usd_per_month: float = 0.0
    months: int = 12
    usd_per_1k: dict[str, Estimate] = Field(default_factory=dict)
    seconds_per_1k: dict[str, float] = Field(default_factory=dict)
    expert: Expert | None = None
    satisfaction: dict[str, Estimate] = Field(default_factory=dict)
    unknown: tuple[str, ...] = ()


class Reach(Frozen):
    """A volume or a time at which something is reached, between the ends of the gain's interval.

    `value` None: not reached at the observed gain; `high` None: at the low end of the interval it is never reached.
    """

    value: float | None
    low: float | None
    high: float | None


class Alternative(Frozen):
    """One way to do the work, beside the tuned model. Differences are tuned minus this, money in US dollars.

    `gain_usd_per_1k` is what the tuned model brings more for 1,000 requests, its running cost paid. `break_even_per_month` are the
    requests a month from which it also pays upkeep and, over the months asked for, what was spent once; `payback_months` the time in
    which it has paid that at the expected volume.
    """

    name: str
    kind: str
    quality: Estimate | None
    usd_per_1k: Estimate | None
    difference: Estimate | None = None
    gain_usd_per_1k: Estimate | None = None
    break_even_per_month: Reach | None = None
    payback_months: Reach | None = None


class ReturnReport(Record):
    """The tuned model beside the best prompt, every hosted model and, where given, a human expert."""

    SCHEMA: ClassVar[str] = "return_on_investment/1"
    costs: Costs
    candidate: str
    quality: Estimate | None
    usd_per_1k: Estimate | None
    alternatives: tuple[Alternative, ...]
    sentence: str
