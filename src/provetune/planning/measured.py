"""A plan corrected by what was measured: a probe of this very training, or earlier trainings of the same model on the same machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provetune.errors import HardwareTooSmall
from provetune.planning.calibration import fits
from provetune.records.candidate import Method, Plan, PlanOption, TrainingRun
from provetune.records.probe import Probe
from provetune.stats.estimate import Estimate

PROBED_HOURS, PROBED_MEMORY = (0.85, 1.2), (0.9, 1.15)
"""Ends of the interval around a probe's prediction, as factors; the CPU runs of docs/probe.md lie inside."""
EARLIER_HOURS, EARLIER_MEMORY = (0.7, 1.4), (0.8, 1.15)
"""The same for an earlier training: its rows were others, and its process may have done more than train."""
SAME_SIZE = ("max_length", "batch_size")
"""What a training's memory depends on beside its model and method: only where these agree is an earlier peak taken over."""


@dataclass(frozen=True)
class Measured:
    """One measurement of a method: tokens of rows a second, and the peak in GiB where it is one of the same size; `said` for people."""

    method: Method
    tokens_per_s: float
    peak_gib: float | None
    hours_range: tuple[float, float]
    memory_range: tuple[float, float]
    steps: int
    said: str


def of_probe(probe: Probe) -> Measured:
    """What a probe says about the training that it was taken of."""
    said = f"a probe of {len(probe.steps)} optimizer steps on {probe.machine}"
    return Measured(
        probe.method, probe.tokens_per_s, probe.reserved_gib or probe.peak_gib, PROBED_HOURS, PROBED_MEMORY, len(probe.steps), said
    )


def of_run(run: TrainingRun, values: dict[str, float | int | str]) -> Measured | None:
    """What an earlier training says about one with these values; None where it took no time that could be measured."""
    if run.tokens_per_s <= 0 or run.duration_s <= 0:
        return None
    same = all(run.hyperparameters.get(key) == values.get(key) for key in SAME_SIZE)
    peak = run.peak_memory_gib if same and run.peak_memory_gib > 0 else None
    said = f"an earlier training of {run.tokens_seen:,} tokens ({run.duration_s:,.0f} s)"
    return Measured(run.method, run.tokens_per_s, peak, EARLIER_HOURS, EARLIER_MEMORY, len(run.losses), said)


def corrected(plan: Plan, probes: Sequence[Probe], runs: Sequence[TrainingRun]) -> Plan:
    """The plan with memory, hours and price of each method that was measured: by its newest probe, else by its newest training.

    Probes of other values, and both of other models, are passed over. Raises HardwareTooSmall where, measured, nothing fits any more.
    """
    options, why = [], dict(plan.why)
    for option in plan.options:
        found = _measured(plan, option.method, probes, runs)
        options.append(option if found is None else _option(plan, option, found))
        if found is not None:
            why[f"{option.method}.measured"] = f"hours{' and memory' if found.peak_gib else ''} by {found.said}"
    if not any(key.endswith(".measured") for key in why):
        return plan
    possible = {option.method for option in options if option.fits != "does not fit"}
    chosen = tuple(method for method in plan.chosen if method in possible)
    if not chosen:
        peaks = ", ".join(f"{o.method}: {o.memory_gib.value:.1f} GiB" for o in options if o.memory_gib.value is not None)
        raise HardwareTooSmall(
            f"measured, nothing fits into the {plan.memory_available_gib:.1f} GiB that are there ({peaks}); use a smaller base, "
            "or a lower train.max_length or train.batch_size"
        )
    return plan.model_copy(update={"options": tuple(options), "chosen": chosen, "why": why})


def _measured(plan: Plan, method: Method, probes: Sequence[Probe], runs: Sequence[TrainingRun]) -> Measured | None:
    values = plan.hyperparameters.get(method, {})
    mine = plan.model.weights_sha256
    probed = [probe for probe in probes if probe.method == method and probe.values == values and probe.model.weights_sha256 == mine]
    if probed:
        return of_probe(probed[-1])
    ran = [of_run(run, values) for run in runs if run.method == method and run.model.weights_sha256 == mine]
    return next((one for one in reversed(ran) if one is not None), None)


def _option(plan: Plan, option: PlanOption, found: Measured) -> PlanOption:
    epochs = float(plan.hyperparameters[option.method]["epochs"])
    hours = _around(plan.tokens_per_epoch * epochs / found.tokens_per_s / 3600, found.hours_range, found)
    update: dict[str, object] = {"duration_h": hours, "cost_usd": _rescaled(option, hours)}
    if found.peak_gib is not None:
        memory = _around(found.peak_gib, found.memory_range, found)
        p90 = memory.high if memory.high is not None else found.peak_gib
        update |= {"memory_gib": memory, "fits": fits(found.peak_gib, p90, plan.memory_available_gib)}
    return option.model_copy(update=update)


def _around(value: float, ends: tuple[float, float], found: Measured) -> Estimate:
    return Estimate(value, value * ends[0], value * ends[1], found.steps, 0.9, f"measured by {found.said}")


def _rescaled(option: PlanOption, hours: Estimate) -> Estimate:
    """The price at the hourly prices that the plan's own estimate implies."""
    old, cost = option.duration_h, option.cost_usd
    ends = [(cost.value, old.value, hours.value), (cost.low, old.low, hours.low), (cost.high, old.high, hours.high)]
    if any(None in end or not end[1] for end in ends):
        return cost
    value, low, high = (float(usd) / float(before) * float(now) for usd, before, now in ends)  # type: ignore[arg-type]
    return Estimate(value, low, high, cost.n, cost.confidence, f"{cost.method}; measured hours")
