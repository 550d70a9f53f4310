"""`launch`: from the plan to a job's spec for a cloud, Slurm or Kubernetes; handed over only where that is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from provetune.errors import HardwareTooSmall, SpecError
from provetune.launching import TARGETS, LaunchRequest, Target, check, instance_for
from provetune.launching.handing_over import commands
from provetune.launching.handing_over import submit as hand_over
from provetune.launching.request import OWN, Instance, hours_paid
from provetune.planning.gpus import gpus, named
from provetune.planning.outlook import HERE
from provetune.pricing import Price, current_prices, is_stale, load_prices
from provetune.records.launching import LaunchPlan
from provetune.records.planning import GpuOption
from provetune.spec.text import SPEC_FILE, load_spec
from provetune.store import write_atomic
from provetune.workflow.outlook import Wish, plan_outlook

CPU = "cpu"


@dataclass(frozen=True)
class LaunchWish:
    """Options of `launch`. `gpu` None takes the cheapest that fits and the target has; `cpu` none at all."""

    target: str
    gpu: str | None = None
    image: str = ""
    bucket: str = ""
    spot: bool = False
    account: Mapping[str, str] = field(default_factory=dict)
    prices: Path | None = None
    file: Path | None = None


def plan_launch(folder: Path, overrides: Sequence[str], wish: LaunchWish, now: datetime | None = None) -> LaunchPlan:
    """Choose machine and price by the plan, write the spec into a file; nothing is handed over.

    Raises SpecError or HardwareTooSmall for what cannot work.
    """
    now = now or datetime.now(UTC)
    target, spec = TARGETS[wish.target], load_spec(folder / SPEC_FILE, overrides)
    prices = load_prices(wish.prices) if wish.prices is not None else current_prices()
    option, instance = _machine(folder, overrides, wish, spec.train.devices)
    price = _price(target, instance, prices, spot=wish.spot)
    rate = 0.0 if target.name in OWN else None if price is None else price.usd_per_hour
    request = LaunchRequest(
        name=f"{_plain(spec.name)}-{now:%Y%m%d-%H%M%S}",
        project=_plain(spec.name),
        instance=instance,
        image=wish.image,
        max_hours=hours_paid(spec.budget, rate),
        bucket=wish.bucket,
        spot=wish.spot,
        account=wish.account,
    )
    check(target, request)
    file = wish.file or folder / f"launch-{target.name}{target.ending}"
    text = target.write(request)
    write_atomic(file, text)
    return LaunchPlan(
        target=target.name,
        name=request.name,
        file=str(file),
        method=option.method,
        gpu=instance.gpu or CPU,
        devices=instance.devices,
        instance=instance.name,
        spot=wish.spot,
        fits=option.fits,
        hours_on_one=option.duration_h.value,
        max_hours=request.max_hours,
        usd_per_hour=rate,
        usd_at_most=None if rate is None else rate * request.max_hours,
        price_from=_price_words(target, price),
        commands=commands(target, request, file),
        warnings=_warnings(target, option, request, price, now),
    )


def _plain(name: str) -> str:
    """A name that every vendor takes: small letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "provetune"


def _machine(folder: Path, overrides: Sequence[str], wish: LaunchWish, devices: int) -> tuple[GpuOption, Instance]:
    """What is trained on what: the named kind of GPU, or the cheapest on which a method surely fits one of them."""
    asked = None if wish.gpu == CPU else wish.gpu
    table = plan_outlook(folder, overrides, Wish(gpu=asked, prices=wish.prices))
    trained = [one for one in table.options if one.duration_h.n >= 0 and one.method in table.epochs]
    if wish.gpu == CPU:
        return min((one for one in trained if one.gpu == HERE), key=_rank), instance_for(wish.target, "", devices)
    kinds = named(asked) if asked is not None else gpus()
    if asked is not None and len(kinds) > 1:
        raise SpecError(f"--gpu: found {asked}, wanted one of {', '.join(kind.name for kind in kinds)}")
    found, refused = [], []
    for kind in kinds:
        try:
            instance = instance_for(wish.target, kind.name, devices)
        except SpecError as error:
            refused.append(error)
            continue
        found += [(one, instance) for one in trained if one.gpu == kind.name and one.fits in ("fits", "tight")]
    if found:
        return min(found, key=lambda pair: _rank(pair[0]))
    if refused and asked is not None:
        raise refused[0]
    raise HardwareTooSmall(
        f"nothing fits one {asked or 'GPU that ' + wish.target + ' has in machines of ' + str(devices)}: "
        "each GPU holds the whole model. Take a larger one with --gpu, a smaller base, or train.method: qlora"
    )


def _rank(option: GpuOption) -> tuple[bool, float, bool, float]:
    """What surely fits first, then what costs least, LoRA before QLoRA, then the smaller GPU."""
    usd = min((rent.cost_usd.value for rent in option.rents if rent.cost_usd.value is not None), default=float("inf"))
    return option.fits != "fits", usd, option.method != "lora", option.memory_available_gib


def _price(target: Target, instance: Instance, prices: Sequence[Price], *, spot: bool) -> Price | None:
    """The price of this machine, or, where the target looks for machines itself, the cheapest of such a one."""
    kind = next((one for one in gpus() if one.name == instance.gpu), None)
    same = [
        price
        for price in prices
        if price.provider in target.providers
        and price.count == instance.devices
        and (price.tier == "spot") == spot
        and kind is not None
        and kind.offered_by(price)
    ]
    exact = [price for price in same if price.sku == instance.name.removeprefix("ml.")]
    return min(exact or (same if target.name in ("sky", "hf-jobs") else []), key=lambda price: price.usd_per_hour, default=None)


def _price_words(target: Target, price: Price | None) -> str:
    if target.name in OWN:
        return "machines of your own: no rent"
    return "unknown" if price is None else f"{price.provider} {price.sku}, {price.tier}, {price.as_of}"


def _warnings(target: Target, option: GpuOption, request: LaunchRequest, price: Price | None, now: datetime) -> tuple[str, ...]:
    found = []
    if option.fits == "tight":
        found.append("the model may just fit: a probe first costs little, `provetune plan --probe` on such a machine")
    if option.duration_h.high is not None and option.duration_h.high > request.max_hours * request.instance.devices:
        found.append(
            f"training may take up to {option.duration_h.high:.1f} h on one, the job ends after {request.max_hours:.1f} h: raise the budget"
        )
    if price is None and target.name not in OWN:
        found.append("no price of this machine is known; look it up before you submit")
    if price is not None and is_stale(price, now.date()):
        found.append("the price is old: renew with `provetune plan --refresh-prices`")
    if target.name == "sagemaker":
        found.append("the price is that of the bare machine; SageMaker's own is higher, and so is what the hours may cost")
    return tuple(found)


def submit(plan: LaunchPlan) -> LaunchPlan:
    """Hand the job over: the only thing here that can cost money."""
    return hand_over(TARGETS[plan.target], plan)
