"""What a rented GPU costs: a small dated table, kept in the package. Prices move; every use shows their date.

And what the tokens of a hosted model cost, at prices that the user gives.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path

import numpy as np

from provetune.errors import DataError
from provetune.hashing import seed_of
from provetune.stats.estimate import Estimate
from provetune.stats.resampling import mean_interval
from provetune.stats.units import Resampling

COLUMNS = ("provider", "sku", "gpu", "mem_gb", "count", "usd_per_hour", "region", "tier", "as_of", "source_url")
USD_PER_GPU_HOUR = (0.05, 20.0)
"""What one GPU can plausibly cost; anything else is a mistake of unit."""


@dataclass(frozen=True)
class Price:
    """One row: `usd_per_hour` is for the whole instance of `count` GPUs with `mem_gb` (10^9 bytes) each.

    `as_of` is a date, a year, or `unknown`.
    """

    provider: str
    sku: str
    gpu: str
    mem_gb: float
    count: int
    usd_per_hour: float
    region: str
    tier: str
    as_of: str
    source_url: str

    @property
    def mem_gib(self) -> float:
        """Memory of one GPU in GiB."""
        return self.mem_gb * 1e9 / 2**30


LOCAL = Price("local", "own hardware: no rental cost", "", math.inf, 1, 0.0, "", "owned", "", "")
"""Hardware that is already there; electricity and purchase are not counted."""


def load_prices(path: Path | None = None) -> tuple[Price, ...]:
    """The packaged prices, or those of a CSV file with the same columns (contract prices).

    Raises DataError, naming file and line, on missing columns, numbers that are none, and implausible prices.
    """
    name = str(path) if path else "prices.csv"
    try:
        text = path.read_text(encoding="utf-8-sig") if path else files("provetune").joinpath("prices.csv").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: cannot be read as a text file ({error})") from error
    reader = csv.DictReader(io.StringIO(text))
    missing = set(COLUMNS) - set(reader.fieldnames or ())
    if missing:
        raise DataError(f"{name}:1: columns {', '.join(sorted(missing))} are missing; wanted {','.join(COLUMNS)}")
    return tuple(_price(row, f"{name}:{reader.line_num}") for row in reader)


def _price(row: dict[str, str | None], where: str) -> Price:
    text = {column: (row[column] or "").strip() for column in COLUMNS}
    try:
        mem_gb, count, usd_per_hour = float(text["mem_gb"]), int(text["count"]), float(text["usd_per_hour"])
    except ValueError as error:
        raise DataError(f"{where}: mem_gb, count and usd_per_hour must be numbers ({error})") from error
    low, high = USD_PER_GPU_HOUR
    if not (count >= 1 and 0 < mem_gb < math.inf and low <= usd_per_hour / count <= high):
        raise DataError(f"{where}: {usd_per_hour:g} $/h for {count} GPUs of {mem_gb:g} GB; wanted {low:g} to {high:g} $ per GPU and hour")
    return Price(
        provider=text["provider"],
        sku=text["sku"],
        gpu=text["gpu"],
        mem_gb=mem_gb,
        count=count,
        usd_per_hour=usd_per_hour,
        region=text["region"],
        tier=text["tier"],
        as_of=text["as_of"] or "unknown",
        source_url=text["source_url"],
    )


PRICES = load_prices()
"""The packaged table."""


def cache_file() -> Path:
    """Where renewed prices are kept, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "provetune" / "prices.csv"


def current_prices() -> tuple[Price, ...]:
    """The renewed prices where there are any, else the packaged ones. A damaged cache is as none."""
    try:
        return load_prices(cache_file()) if cache_file().is_file() else PRICES
    except DataError:
        return PRICES


def cheapest(mem_gib: float, prices: Sequence[Price] = PRICES) -> list[Price]:
    """Instances of which ONE GPU holds `mem_gib`, cheapest whole instance first.

    Spot offers are left out: they may end at any moment, so an hour on them is no promise.

    >>> cheapest(30)[0].gpu
    'L40S'
    """
    fitting = [price for price in prices if price.mem_gib >= mem_gib and price.tier != "spot"]
    return sorted(fitting, key=lambda price: (price.usd_per_hour, price.provider, price.sku))


def as_of(prices: Sequence[Price]) -> str:
    """The dates of the prices: oldest and newest, and how many rows carry no full date.

    >>> as_of([LOCAL])
    'own hardware: no rental cost'
    """
    rented = [price for price in prices if price.tier != LOCAL.tier]
    if not rented:
        return LOCAL.sku if prices else "no prices"
    dates = sorted(price.as_of for price in rented if re.fullmatch(r"\d{4}-\d\d-\d\d", price.as_of))
    undated = len(rented) - len(dates)
    span = "date unknown" if not dates else dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return f"{span} ({undated} of {len(rented)} prices without a date)" if undated and dates else span


STALE_DAYS = 60


def is_stale(price: Price, today: date) -> bool:
    """Whether a price is older than 60 days, or of no known day."""
    found = _day(price.as_of)
    return price.tier != LOCAL.tier and (found is None or (today - found).days > STALE_DAYS)


def staleness(prices: Sequence[Price], today: date) -> str:
    """A warning where prices are old or of unknown date; empty where all are fresh.

    >>> staleness([LOCAL], date(2026, 11, 1))
    ''
    """
    old = [price for price in prices if is_stale(price, today)]
    if not old:
        return ""
    undated = sum(_day(price.as_of) is None for price in old)
    return (
        f"{len(old)} of {len(prices)} prices are stale: {undated} without a date, {len(old) - undated} older than {STALE_DAYS} days; "
        "renew them with `provetune plan --refresh-prices`"
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


@dataclass(frozen=True)
class TokenPrice:
    """US dollars of a million tokens that a hosted model reads, and writes. Discounts (cached prompts, batches) are not known to it."""

    usd_per_million_prompt: float
    usd_per_million_completion: float

    def __call__(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars of one request.

        >>> TokenPrice(0.5, 1.5)(2_000, 100)
        0.00115
        """
        return (prompt_tokens * self.usd_per_million_prompt + completion_tokens * self.usd_per_million_completion) / 1e6


def usd_per_thousand(usd: Sequence[float], confidence: float = 0.95) -> Estimate:
    """US dollars of 1,000 requests from those of single ones, with a bootstrap interval of their mean.

    >>> str(usd_per_thousand([0.001, 0.002, 0.003, 0.002]).value)
    '2.0'
    """
    most = 2 * max(usd, default=0.0) or 1.0  # an unseen request may well be longer than those seen
    per_thousand = 1000 * np.asarray(usd, dtype=np.float64)
    return mean_interval(per_thousand, None, Resampling(seed_of("usd per thousand"), confidence), bounds=(0.0, 1000 * most))
