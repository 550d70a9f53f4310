"""What the hours of a plan cost with each provider that rents out such GPUs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

from provetune.planning.gpus import Gpu
from provetune.pricing import Price, is_stale
from provetune.records.planning import Rent
from provetune.stats.estimate import Estimate

BILLED_S = {"aws": 1, "gcp": 1, "azure": 1, "runpod": 1, "vast": 1, "nebius": 1, "lambda": 60, "huggingface-jobs": 60, "hyperstack": 60}
"""Seconds in which providers count; hours where a provider is not listed, which is never too little."""
REPEATS = {"spot": 0.30}
USUAL_REPEATS = 0.05
"""Share of the work that is done again: after an interruption, a mistake, a lost machine."""


def rents(hours: tuple[Estimate, Estimate], gpu: Gpu, count: int, prices: Sequence[Price], today: date) -> tuple[Rent, ...]:
    """Every offer of exactly `count` such GPUs, cheapest first. The middle is the likely cost, the high end the slow one."""
    found = [_rent(hours, price, today) for price in prices if price.count == count and gpu.offered_by(price)]
    return tuple(sorted(found, key=lambda one: (one.cost_usd.value if one.cost_usd.value is not None else math.inf, one.provider, one.sku)))


def _rent(hours: tuple[Estimate, Estimate], price: Price, today: date) -> Rent:
    billed, repeats = BILLED_S.get(price.provider, 3600), REPEATS.get(price.tier, USUAL_REPEATS)

    def usd(parts: tuple[float | None, float | None]) -> float | None:
        if parts[0] is None or parts[1] is None:
            return None
        seconds = 3600 * (parts[0] + parts[1]) * (1 + repeats)
        return math.ceil(seconds / billed) * billed / 3600 * price.usd_per_hour

    cost = Estimate(
        usd((hours[0].value, hours[1].value)),
        usd((hours[0].low, hours[1].low)),
        usd((hours[0].high, hours[1].high)),
        0,
        0.9,
        f"hours times {price.usd_per_hour:g} $/h of {price.as_of}, with {repeats:.0%} for repeats",
    )
    return Rent(
        provider=price.provider,
        sku=price.sku,
        gpus=price.count,
        tier=price.tier,
        region=price.region,
        usd_per_hour=price.usd_per_hour,
        as_of=price.as_of,
        stale=is_stale(price, today),
        cost_usd=cost,
    )
