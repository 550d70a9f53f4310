"""The plan: which methods fit and can be paid for, with which settings, and what they will need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec

from provetune.errors import DataError, HardwareTooSmall
from provetune.planning.calibration import fits
from provetune.planning.hyperparameters import Hyperparameters, choose_hyperparameters
from provetune.planning.memory import trainable_parameters, training_memory
from provetune.planning.price import offers, training_cost
from provetune.planning.request import PlanRequest
from provetune.planning.time import flops_per_token, training_hours
from provetune.pricing import as_of
from provetune.records.candidate import PREFERENCE, Method, Plan, PlanOption
from provetune.stats.estimate import Estimate
from provetune.stats.power import EXPECTED_DISCORDANCE, smallest_provable_gain


@dataclass(frozen=True)
class _Draft:
    option: PlanOption
    values: Hyperparameters
    why: dict[str, str]
    obstacle: str


def plan(request: PlanRequest) -> Plan:
    """Decide what will be tried, and say why.

    `train.method: auto` chooses each of LoRA and full tuning that fits and that the budget still pays for, quickest
    first, and QLoRA only where LoRA does not fit: it is slower. Raises HardwareTooSmall where none fits the memory or the budget pays for
    not even one epoch; DataError without training rows, or without pairs of answers for DPO and ORPO.
    """
    if not request.row_lengths:
        raise DataError("no training rows are left; see 'provetune audit'")
    method = request.train.method
    if method in PREFERENCE and not request.pairs:
        raise DataError(f"train.method is {method}, but no training row has a rejected answer; use preference data, or another method")
    named: tuple[Method, ...] = ("lora", "full") if method == "auto" else (method,)
    drafts = [_draft(request, one) for one in named]
    if method == "auto" and drafts[0].option.fits == "does not fit":
        drafts.append(_draft(request, "qlora"))
    if request.train.head and method != "head":
        drafts.append(_draft(request, "head"))
    possible = [draft for draft in drafts if not draft.obstacle]
    if not possible:
        reasons = "; ".join(f"{draft.option.method}: {draft.obstacle}" for draft in drafts)
        raise HardwareTooSmall(
            f"nothing can be trained on {_hardware(request)}: {reasons}. Use a smaller base, a lower train.max_length or a larger budget"
        )
    chosen = _affordable(possible, request)
    return Plan(
        model=request.model,
        hardware=_hardware(request),
        memory_available_gib=request.hardware.memory_gib,
        tokens_per_epoch=_tokens(request, drafts[0].values),
        options=tuple(draft.option for draft in drafts),
        chosen=tuple(draft.option.method for draft in chosen),
        hyperparameters={draft.option.method: draft.values for draft in drafts},
        why=_reasons(drafts, chosen),
        assumptions=_assumptions(request),
        prices_as_of=as_of(offers(request.hardware)),
        smallest_provable_gain=smallest_provable_gain(request.test_rows, EXPECTED_DISCORDANCE),
    )


def _hardware(request: PlanRequest) -> str:
    return f"{request.hardware.name} ({request.hardware.kind}, {request.hardware.memory_gib:.1f} GiB)"


def _kept(request: PlanRequest, values: Hyperparameters) -> list[int]:
    return [length for length in request.row_lengths if length <= int(values["max_length"])]


def _tokens(request: PlanRequest, values: Hyperparameters) -> int:
    return sum(_kept(request, values))


def _draft(request: PlanRequest, method: Method) -> _Draft:
    values, why = choose_hyperparameters(request, method)
    lengths = _kept(request, values)
    if not lengths:
        raise DataError(f"no training row has at most {values['max_length']} tokens; raise train.max_length or shorten the rows")
    batch = min(int(values["batch_size"]), len(lengths))
    memory, p90 = training_memory(request, method, longest=max(lengths), batch_size=batch)
    # attention: the mean over tokens of the length of their row
    row_tokens = sum(length * length for length in lengths) / sum(lengths)
    per_epoch = sum(lengths) * flops_per_token(request.shape, method, row_tokens=row_tokens)
    hours = training_hours(per_epoch * int(values["epochs"]), request.hardware.flops_per_s)
    offered = offers(request.hardware)
    option = PlanOption(
        method=method,
        fits=fits(memory.value or math.inf, p90, request.hardware.memory_gib),
        memory_gib=memory,
        duration_h=hours,
        cost_usd=training_cost(hours, offered),
        trainable_parameters=trainable_parameters(request, method),
    )
    one_epoch = training_hours(per_epoch, request.hardware.flops_per_s)
    obstacle = _obstacle(request, option, one_epoch, training_cost(one_epoch, offered))
    return _Draft(option.model_copy(update={"note": obstacle}), values, why, obstacle)


def _obstacle(request: PlanRequest, option: PlanOption, hours: Estimate, usd: Estimate) -> str:
    """Why the method cannot be trained, judged by the lucky ends of one epoch's `hours` and `usd`; empty where it can."""
    budget, available = request.budget, request.hardware.memory_gib
    package, extra = {"qlora": ("bitsandbytes", "qlora"), "dpo": ("trl", "preference"), "orpo": ("trl", "preference")}.get(
        option.method, ("", "")
    )
    if package and find_spec(package) is None:
        return f"{package} is not installed; run `pip install 'provetune[{extra}]'`"
    if option.fits == "does not fit":
        return f"needs about {option.memory_gib.value:.1f} GiB, {available:.1f} GiB are there"
    if budget.max_hours is not None and hours.low is not None and hours.low > budget.max_hours:
        return f"one epoch takes at least {hours.low:.2g} h, budget.max_hours is {budget.max_hours:g}"
    if budget.max_usd is not None and usd.low is not None and usd.low > budget.max_usd:
        return f"one epoch costs at least {usd.low:.2g} $, budget.max_usd is {budget.max_usd:g}"
    return ""


def _affordable(possible: list[_Draft], request: PlanRequest) -> list[_Draft]:
    """The quickest method always (of a head last, as it only stands beside), the next as long as all together stay within the budget."""
    budget = request.budget
    ordered = sorted(possible, key=lambda draft: (draft.option.method == "head", draft.option.duration_h.value or 0.0))
    chosen: list[_Draft] = []
    hours = usd = 0.0
    for draft in ordered:
        hours += draft.option.duration_h.value or 0.0
        usd += draft.option.cost_usd.value or 0.0
        too_long = budget.max_hours is not None and hours > budget.max_hours
        too_dear = budget.max_usd is not None and usd > budget.max_usd
        if not chosen or not (too_long or too_dear):
            chosen.append(draft)
    return chosen


def _reasons(drafts: list[_Draft], chosen: list[_Draft]) -> dict[str, str]:
    why = {f"{draft.option.method}.{key}": reason for draft in drafts for key, reason in draft.why.items()}
    for draft in drafts:
        if draft in chosen:
            text = {"fits": "fits the memory", "tight": "may just fit the memory"}[draft.option.fits]
            why[f"{draft.option.method}.chosen"] = f"{text} and the budget pays for at least one epoch"
        else:
            why[f"{draft.option.method}.chosen"] = f"left out: {draft.obstacle or 'together with the others it exceeds the budget'}"
    return why


def _assumptions(request: PlanRequest) -> tuple[str, ...]:
    left_out = sum(length > request.model.context_length for length in request.row_lengths)
    return (
        "hours are those of the training loop; scoring, which can take as long, comes on top",
        "what is trained in 32 bits, no padding; on a GPU layers are computed again where memory asks for it",
        "all epochs are counted; early stopping makes training shorter",
        f"smallest provable gain: {EXPECTED_DISCORDANCE:.0%} of test examples right for exactly one of two candidates, "
        "power 80%, confidence 95%",
        *((f"{left_out} training rows longer than the model's context are left out",) if left_out else ()),
        *(("the speed of this machine was not measured: hours are unknown",) if request.hardware.flops_per_s is None else ()),
        *(("a GPU of your own costs no rent; the price is that of renting one like it",) if request.hardware.kind == "gpu" else ()),
    )
