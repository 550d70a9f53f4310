"""Dollars of training: nothing on the user's own machine, hours times a range of prices on a rented GPU."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from provetune.planning.request import Hardware
from provetune.pricing import LOCAL, PRICES, Price, as_of, cheapest
from provetune.stats.estimate import Estimate


def offers(hardware: Hardware, prices: Sequence[Price] = PRICES) -> list[Price]:
    """Prices that the hardware is compared with: own hardware for a CPU, else instances of one GPU with about its memory.

    Where the table has none of about its memory, all larger ones.
    """
    if hardware.kind == "cpu":
        return [LOCAL]
    # a driver reports a few percent less or more than the gigabytes on the label
    enough = [price for price in cheapest(0.9 * hardware.memory_gib, prices) if price.count == 1]
    return [price for price in enough if price.mem_gib <= 1.5 * hardware.memory_gib] or enough


def training_cost(hours: Estimate, offered: Sequence[Price]) -> Estimate:
    """US dollars for these hours: middle of the prices, and from fast and cheap to slow and dear."""
    if list(offered) == [LOCAL]:
        return Estimate(0.0, 0.0, 0.0, 1, 1.0, "local machine: no rental cost")
    if hours.value is None or hours.low is None or hours.high is None or not offered:
        return Estimate(None, None, None, len(offered), 0.9, "unknown: no hours" if offered else "unknown: no price for such a GPU")
    usd = [price.usd_per_hour for price in offered]
    text = f"if rented: hours times {min(usd):.2f} to {max(usd):.2f} $/h, prices of {as_of(offered)}"
    return Estimate(hours.value * median(usd), hours.low * min(usd), hours.high * max(usd), len(usd), 0.9, text)
