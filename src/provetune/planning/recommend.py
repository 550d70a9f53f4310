"""One sentence: what to do, where, what it takes, and why not the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from provetune.planning.request import PlanRequest
from provetune.records.planning import GpuOption, Rent

NAMES = {"lora": "LoRA", "qlora": "QLoRA", "full": "full tuning"}
NO_BF16 = "no bfloat16"
PATIENCE_H = 12.0
"""Hours that a machine which costs no rent may take before a rented one is recommended."""
MUCH_CHEAPER = 0.5
"""QLoRA is recommended before LoRA where it costs less than this share: it is slower and a little coarser."""


def recommend(options: Sequence[GpuOption], request: PlanRequest, gain: float | None) -> tuple[str, str]:
    """(sentence, reason). LoRA where it fits, QLoRA where only that fits or costs half; here where it takes no half day, else rented."""
    if gain is None:
        return (
            "Collect more test rows first: with these no gain could be proven, so tuning would end without a verdict.",
            f"{request.test_rows:,} test rows; about 100 show a gain of 12 points",
        )
    here = [one for one in options if one.gpu == "this machine" and one.fits == "fits" and one.method in NAMES]
    quick = [one for one in here if one.duration_h.high is not None and one.duration_h.high <= PATIENCE_H]
    if quick:
        best = min(quick, key=lambda one: (one.method == "qlora", one.duration_h.value or 0.0))
        return _sentence(
            best, None
        ), f"{NAMES[best.method]} fits here and takes at most about {_time(best.duration_h.high)}, so nothing need be rented"
    rented = {name: one for name in NAMES if (one := _cheapest([o for o in options if o.method == name])) is not None}
    if not rented:
        return _nothing(options)
    choice = "lora" if "lora" in rented else next(iter(rented))
    if choice == "lora" and "qlora" in rented and _usd(rented["qlora"][1]) < MUCH_CHEAPER * _usd(rented["lora"][1]):
        choice = "qlora"
    option, offer = rented[choice]
    others = [f"{NAMES[name]} would cost about {_money(_usd(rent))}" for name, (_, rent) in rented.items() if name != choice]
    missing = [NAMES[name] for name in NAMES if name not in rented]
    age = "; no offer has a recent price: renew them first, with --refresh-prices" if offer.stale else " with a recent price"
    why = [f"the cheapest offer on which {NAMES[choice]} fits{age}", *others]
    why += [f"{name} fits on none of these with an offer" for name in missing]
    return _sentence(option, offer), "; ".join(why)


def _nothing(options: Sequence[GpuOption]) -> tuple[str, str]:
    tight = [one for one in options if one.method in NAMES and one.fits == "tight"]
    if tight:
        one = min(tight, key=lambda o: o.memory_gib.high or math.inf)
        return (
            f"Probe before you pay: {NAMES[one.method]} may just fit on {_where(one)}, and nothing surely fits.",
            f"needs {one.memory_gib.low:.0f} to {one.memory_gib.high:.0f} GiB, {one.memory_available_gib:.0f} are there",
        )
    fitting = [one for one in options if one.method in NAMES and one.fits == "fits"]
    if fitting and all(one.note.startswith(NO_BF16) for one in fitting):
        return "Take a GPU with bfloat16: the memory of these is enough, the arithmetic is not what this package trains in.", fitting[
            0
        ].note
    if fitting:
        return "Use a machine of your own: it fits, but no price for such GPUs is known.", "see --prices FILE and --refresh-prices"
    return "Use a smaller base or more GPUs (--gpus N): nothing fits.", "every method needs more memory than these GPUs have"


def _cheapest(options: Sequence[GpuOption]) -> tuple[GpuOption, Rent] | None:
    offers = [
        (one, rent)
        for one in options
        if one.fits == "fits" and not one.note.startswith(NO_BF16)
        for rent in one.rents
        if rent.tier != "spot"
    ]
    return min(offers, key=lambda pair: (pair[1].stale, _usd(pair[1])), default=None)


def _usd(rent: Rent) -> float:
    return math.inf if rent.cost_usd.value is None else rent.cost_usd.value


def _where(option: GpuOption) -> str:
    return option.gpu if option.gpu == "this machine" else f"{option.gpus} x {option.gpu}"


def _sentence(option: GpuOption, offer: Rent | None) -> str:
    hours = option.duration_h
    took = "" if hours.value is None else f", {_time(hours.value)} of training [{_time(hours.low)}, {_time(hours.high)}]"
    text = f"Tune with {NAMES[option.method]} on {_where(option)}"
    if offer is None:
        return f"{text}{took}, no rent."
    cost, dated = offer.cost_usd, f"price of {offer.as_of}" if offer.as_of != "unknown" else "date of the price unknown"
    return (
        f"{text} ({offer.provider}, {offer.usd_per_hour:.2f} $/h, {dated}){took}, "
        f"about {_money(cost.value)} [{_money(cost.low)}, {_money(cost.high)}] in all."
    )


def _time(hours: float | None) -> str:
    """Minutes below an hour.

    >>> _time(0.001), _time(0.5), _time(2.55)
    ('1 min', '30 min', '2.5 h')
    """
    return "unknown" if hours is None else f"{max(1, round(60 * hours))} min" if hours < 1 else f"{hours:.1f} h"


def _money(usd: float | None) -> str:
    return "unknown" if usd is None else f"{usd:.2f} $" if usd < 100 else f"{usd:,.0f} $"
