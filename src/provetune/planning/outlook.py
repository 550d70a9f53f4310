"""Every method on every GPU: does it fit, how long, how much; one recommendation."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from provetune.errors import DataError, SpecError
from provetune.planning.calibration import fits, shipped
from provetune.planning.footprint import BYTES, Job
from provetune.planning.gpus import Gpu
from provetune.planning.hyperparameters import Hyperparameters, choose_hyperparameters
from provetune.planning.memory import PACK_TOKENS, gpu_memory, own_job, training_memory
from provetune.planning.recommend import recommend
from provetune.planning.rent import rents
from provetune.planning.request import PlanRequest
from provetune.planning.time import besides_hours, flops_per_token, gpu_hours, guessed_hours, training_hours
from provetune.pricing import Price, as_of, staleness
from provetune.records.candidate import Method
from provetune.records.planning import CostPlan, GpuOption
from provetune.stats.estimate import Estimate
from provetune.stats.power import EXPECTED_DISCORDANCE, smallest_provable_gain

HERE = "this machine"
PROMPTING = "prompting only"
METHODS: tuple[Method, ...] = ("lora", "qlora", "full")
BATCH_OF_PROMPTS = 16
"""Prompts that are answered at once where only prompts are measured."""


@dataclass(frozen=True)
class Question:
    """What is asked: the request of the project (whose hardware is this machine), and what to look at beyond it.

    `gpus` are the kinds, each taken `count` at a time; `answer_tokens` is the mean length of a target, `scored_rows` those that
    candidates are measured on (validation and test). `project`: whether the rows are a project's own; `own_gpu`: what kind this
    machine's GPU is. `said` tells where the model's sizes
    and the rows' lengths come from.
    """

    request: PlanRequest
    gpus: Sequence[Gpu]
    prices: Sequence[Price]
    said: tuple[str, str]
    scored_rows: int
    answer_tokens: float
    today: date
    methods: Sequence[Method] = METHODS
    count: int = 1
    project: bool = True
    own_gpu: Gpu | None = None


def outlook(question: Question) -> CostPlan:
    """The whole table with its recommendation. DataError without training rows or where all are longer than the model's context."""
    request, model = question.request, question.request.model
    if not request.row_lengths or min(request.row_lengths) < 1:
        raise DataError(
            f"{'no training rows' if not request.row_lengths else 'rows without tokens'}: nothing can be planned; see 'provetune audit'"
        )
    if question.count < 1:
        raise SpecError(f"--gpus: found {question.count}, wanted 1 or more")
    kept = [length for length in request.row_lengths if length <= model.context_length]
    if not kept:
        raise DataError(
            f"every row is longer than the context of {model.name} ({min(request.row_lengths):,} tokens or more, "
            f"{model.context_length:,} are possible); shorten the rows, or use a base with a longer context"
        )
    settings = {method: choose_hyperparameters(request, method)[0] for method in question.methods}
    options = [_prompting(question, gpu) for gpu in question.gpus]
    options += [_here(question, method, values) for method, values in settings.items()] if question.count == 1 else []
    options += [_on_gpu(question, method, values, gpu) for method, values in settings.items() for gpu in question.gpus]
    gain = smallest_provable_gain(request.test_rows, EXPECTED_DISCORDANCE)
    sentence, reason = recommend(options, request, gain)
    offered = [price for price in question.prices if any(gpu.offered_by(price) for gpu in question.gpus)]
    longer = len(request.row_lengths) - len(kept)
    return CostPlan(
        base=model.name,
        parameters=model.parameters,
        context_length=model.context_length,
        shape_from=question.said[0],
        train_rows=len(kept),
        test_rows=request.test_rows,
        tokens_per_epoch=sum(kept),
        longest_row=max(kept),
        lengths_from=question.said[1],
        epochs={method: int(values["epochs"]) for method, values in settings.items()},
        options=tuple(options),
        smallest_provable_gain=gain,
        prices_as_of=as_of(offered),
        recommendation=sentence,
        reason=reason,
        assumptions=_assumptions(question),
        warnings=(
            *((f"{longer:,} rows are longer than the model's context of {model.context_length:,} tokens and left out",) if longer else ()),
            *((staleness(offered, question.today),) if staleness(offered, question.today) else ()),
        ),
        project=question.project,
    )


def _on_gpu(question: Question, method: Method, values: Hyperparameters, gpu: Gpu) -> GpuOption:
    """Without checkpointing where that fits, else with it; on several GPUs each with all weights where that fits, else sharded."""
    longest, batch = _largest(question.request, values)
    job = own_job(question.request, method, longest=longest, batch_size=batch)
    several = replace(job, gpus=question.count, sharding="ddp")
    jobs = [job] if question.count == 1 else [several, replace(several, sharding="fsdp")]
    chosen, need = gpu_memory(jobs, gpu.mem_gib)
    hours = _gpu_hours(question.request, chosen, values, gpu)
    besides = _besides(question, gpu)
    verdict = fits(need.memory_gib.value or math.inf, need.p90, gpu.mem_gib)
    notes = [] if gpu.bf16 else ["no bfloat16 and no FlashAttention 2: float16 with loss scaling, which this package's loop does not do"]
    notes += ["weights sharded over the GPUs (FSDP)"] if chosen.sharding == "fsdp" else []
    return GpuOption(
        method=method,
        gpu=gpu.name,
        gpus=question.count,
        memory_available_gib=gpu.mem_gib,
        memory_gib=need.memory_gib,
        fits=verdict,
        checkpointing=chosen.checkpointing,
        duration_h=hours,
        besides_h=besides,
        rents=() if verdict == "does not fit" else rents((hours, besides), gpu, question.count, question.prices, question.today),
        note="; ".join(notes),
    )


def _lengths(request: PlanRequest, values: Hyperparameters) -> list[int]:
    return [length for length in request.row_lengths if length <= int(values["max_length"])]


def _largest(request: PlanRequest, values: Hyperparameters) -> tuple[int, int]:
    """Tokens of the longest row that is trained on, and rows of a step."""
    lengths = _lengths(request, values)
    return max(lengths), min(int(values["batch_size"]), len(lengths))


def _flops(request: PlanRequest, method: Method, values: Hyperparameters) -> float:
    lengths = _lengths(request, values)
    per_row = sum(length * length for length in lengths) / sum(lengths)
    per_token = flops_per_token(request.shape, method, row_tokens=per_row)
    return per_token * sum(lengths) * int(values["epochs"])


def _gpu_hours(request: PlanRequest, job: Job, values: Hyperparameters, gpu: Gpu) -> Estimate:
    """Hours of all epochs, in packs as they are on average: a row, or as many as a pack may hold."""
    lengths = _lengths(request, values)
    mean, squares = sum(lengths) / len(lengths), sum(length * length for length in lengths)
    pack = max(mean, min(PACK_TOKENS, mean * min(int(values["batch_size"]), len(lengths))))
    usual = replace(job, tokens=round(pack))
    return gpu_hours(usual, gpu, sum(lengths) * int(values["epochs"]), squares / sum(lengths))


def _here(question: Question, method: Method, values: Hyperparameters) -> GpuOption:
    """This machine, as the run would plan it."""
    request, here = question.request, question.request.hardware
    longest, batch = _largest(request, values)
    checkpointing = False
    if here.kind == "gpu":
        job, need = gpu_memory([own_job(request, method, longest=longest, batch_size=batch)], here.memory_gib)
        checkpointing, memory, p90 = job.checkpointing, need.memory_gib, need.p90
        known = question.own_gpu
        hours = training_hours(0.0, None) if known is None else _gpu_hours(request, job, values, known)
        unmeasured = f"{here.name}; hours are {'unknown' if known is None else 'those of published runs'}"
    else:
        memory, p90 = training_memory(request, method, longest=longest, batch_size=batch)
        hours = guessed_hours(_flops(request, method, values), os.cpu_count() or 1)
        unmeasured = "hours are a guess"
    return GpuOption(
        method=method,
        gpu=HERE,
        gpus=1,
        memory_available_gib=here.memory_gib,
        memory_gib=memory,
        fits=fits(memory.value or math.inf, p90, here.memory_gib),
        checkpointing=checkpointing,
        duration_h=hours,
        besides_h=Estimate(None, None, None, 0, 0.9, "unknown: not measured on this machine"),
        rents=(),
        note=f"{unmeasured}; `provetune plan --probe` in a project measures them",
    )


def _prompting(question: Question, gpu: Gpu) -> GpuOption:
    """No tuning: the base in 16 bits and a cache for some prompts at a time; measuring candidates is all that takes time."""
    request, shape = question.request, question.request.shape
    longest = min(max(request.row_lengths), request.model.context_length)
    cache = 2 * 2 * shape.layers * shape.kv_heads * shape.head_dim * longest * BATCH_OF_PROMPTS
    whole = shipped().all_runs
    gib = (BYTES["bf16"] * shape.parameters + cache) * 1.06 / 2**30 / question.count + 0.6
    memory = Estimate(
        gib, gib * whole.p05, gib * whole.p95, 0, 0.9, "weights and cache; interval as of trainings, not measured for prompts"
    )
    verdict = fits(gib, gib * whole.p90, gpu.mem_gib)
    besides = _besides(question, gpu)
    nothing = Estimate(0.0, 0.0, 0.0, 0, 1.0, "nothing is trained")
    return GpuOption(
        method=PROMPTING,
        gpu=gpu.name,
        gpus=question.count,
        memory_available_gib=gpu.mem_gib,
        memory_gib=memory,
        fits=verdict,
        checkpointing=False,
        duration_h=nothing,
        besides_h=besides,
        rents=() if verdict == "does not fit" else rents((nothing, besides), gpu, question.count, question.prices, question.today),
    )


def _besides(question: Question, gpu: Gpu) -> Estimate:
    request = question.request
    mean = sum(request.row_lengths) / len(request.row_lengths)
    return besides_hours(request.shape, (question.scored_rows, mean, question.answer_tokens), gpu.flops_per_s, gpu.bytes_per_s)


def _assumptions(question: Question) -> tuple[str, ...]:
    several = question.count > 1
    return (
        "no GPU was measured by this project: memory is calibrated on published runs of others, speed is a prior from them",
        "hours of training count all epochs; early stopping makes them fewer",
        "besides training: a start, download and loading of the weights, and answering all rows that are scored with three candidates",
        "costs are hours times price, rounded up as the provider bills, with a share for repeats: 5 %, on spot offers 30 %",
        f"smallest provable gain: {EXPECTED_DISCORDANCE:.0%} of test examples right for exactly one of two candidates, "
        "power 80%, confidence 95%",
        *(("several GPUs: 90 % of their speed together, 40 % over a slow network",) if several else ()),
    )
