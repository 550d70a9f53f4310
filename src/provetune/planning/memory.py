"""Memory of this package's own loop, from first principles, with an interval from published measurements.

On a GPU it is a `Job` like any other. On a CPU: weights and optimizer state in 32 bits, no activation checkpointing, rows
packed without padding, cross-entropy in chunks, and a copy of the best trained weights. The sum of the parts is
taken as the peak, which errs on the safe side: gradients and activations are not at their largest together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from provetune.errors import SpecError
from provetune.planning.calibration import CONTEXT_GIB, RESERVED, Peak, fits, peak, shipped
from provetune.planning.footprint import BYTES, Job
from provetune.planning.request import ModelShape, PlanRequest
from provetune.planning.stacks import DROPPED
from provetune.records.candidate import PREFERENCE, Method
from provetune.stats.estimate import Estimate

Precision = Literal["fp32", "bf16"]

BYTES_PER_TRAINED = {"fp32": 16, "bf16": 8}
"""Weight, gradient and AdamW's two states, per trained parameter."""

PACK_TOKENS = 1024
"""Most tokens that the training loop sends through the model at once."""

LOSS_CHUNK = 2**22
"""Logits that the training loop holds at once."""

WIDEST = (0.75, 1.12, 1.37, 1.41)
"""Measured over estimated memory (5th, 50th, 90th, 95th percentile) of published full tuning on one GPU."""


def lora_parameters(shape: ModelShape, r: int, targets: str) -> int:
    """Adapter parameters: r (inputs + outputs) per adapted layer (Hu et al. 2021, arXiv 2106.09685).

    `targets` is `all-linear` or names with commas; raises SpecError on a name that the model lacks.

    >>> llama_2_7b = ModelShape(4096, 32, 32, 32, 128, 11008, 3, 32000, False)
    >>> lora_parameters(llama_2_7b, r=8, targets="q_proj,v_proj")
    4194304
    """
    return shape.layers * sum(r * sum(shape.linear_layers[name]) for name in _adapted(shape, targets))


def _adapted(shape: ModelShape, targets: str) -> list[str]:
    known = list(shape.linear_layers)
    names = known if targets == "all-linear" else [name.strip() for name in targets.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SpecError(f"train.lora.targets: found {unknown[0]!r}, wanted all-linear or some of {', '.join(known)}")
    return names


def state_bytes(parameters: int, trained: int, *, method: Method, precision: Precision, quantized: int = 0) -> float:
    """Weights, gradients, AdamW's states and the best weights so far; under bf16 also the cast weights.

    `quantized` of the parameters are kept in four bits; what one of their layers is unfolded to is not counted.
    """
    frozen = 0 if method == "full" else parameters - quantized
    best_copy = BYTES["fp32"] * trained
    cast = BYTES["bf16"] * (frozen + trained) if precision == "bf16" else 0.0
    folded = BYTES["nf4-dq"] * quantized
    return BYTES["fp32"] * frozen + folded + BYTES_PER_TRAINED["fp32"] * trained + best_copy + cast


def activation_bytes(shape: ModelShape, tokens: int, *, method: Method, precision: Precision, adapted_inputs: int = 0) -> float:
    """What the forward pass of one pack keeps for the backward pass, all layers and the last norm; loss not included.

    Per token and layer: two norms (input and normalised value in 32 bits; under bf16 a copy for each of the three and
    two layers that read them),
    queries, keys, values and the attended values, a log-sum for each head, the four (plain
    MLPs: two) MLP activations. `adapted_inputs` is the summed input width of LoRA's layers, which under bf16 keep
    a copy of their own.
    """
    width = BYTES[precision]
    norm = (4 + 4 + 4 * (precision == "fp32" and method == "full")) * shape.hidden
    read = width * (3 + shape.mlp_matrices - 1) * shape.hidden if precision == "bf16" else 0.0
    attention = width * 2 * (shape.heads + shape.kv_heads) * shape.head_dim + 4 * shape.heads
    mlp = width * (4 if shape.mlp_matrices == 3 else 2) * shape.mlp
    adapters = width * adapted_inputs if method != "full" and precision == "bf16" else 0.0
    return tokens * (shape.layers * (2 * norm + read + attention + mlp + adapters) + norm)


def loss_bytes(shape: ModelShape, tokens: int, *, method: Method) -> float:
    """Logits, probabilities and their gradient of one chunk, hidden states; for full tuning the head's gradient.

    Preference methods hold the logits of all tokens.
    """
    head = 2 * 4 * shape.head_parameters if method == "full" else 0
    logits = max(tokens, 1) * shape.vocabulary
    return 3 * 4 * (logits if method in PREFERENCE else min(LOSS_CHUNK, logits)) + 2 * 4 * tokens * shape.hidden + head


def pack_tokens(longest: int, batch_size: int) -> int:
    """Tokens of the largest pack: bounded by the loop's limit beside a shared prefix, and by the rows of a step.

    >>> pack_tokens(100, 16), pack_tokens(5000, 16), pack_tokens(1000, 16)
    (1124, 6024, 2024)
    """
    return min(PACK_TOKENS + longest, longest * batch_size)


def trainable_parameters(request: PlanRequest, method: Method) -> int:
    """Parameters that the method trains."""
    lora = request.train.lora
    if method == "head":
        return (request.shape.hidden + 1) * max(1, request.labels)
    return request.model.parameters if method == "full" else lora_parameters(request.shape, lora.r, lora.targets)


def own_job(request: PlanRequest, method: Method, *, longest: int, batch_size: int) -> Job:
    """This package's loop on a GPU: 32-bit trained weights beside a 16-bit or 4-bit frozen base, a copy of the best weights so far.

    One pack of rows at a time, logits in chunks, no activation checkpointing. Preference methods hold all logits of two answers.
    """
    shape, lora, full, pairs = request.shape, request.train.lora, method == "full", method in PREFERENCE
    dropped = DROPPED if lora.dropout > 0 else 0.0
    return Job(
        shape=shape,
        method="full" if full else "qlora" if method == "qlora" else "lora",
        trained=trainable_parameters(request, method),
        tokens=2 * longest if pairs else pack_tokens(longest, batch_size),
        longest=longest,
        base="fp32" if full else "nf4-dq" if method == "qlora" else "bf16",
        weight=4.0,
        gradient=4.0,
        states=8.0,
        master=4.0 + (2.0 if full else 0.0),  # the best weights so far; of full tuning also those cast to 16 bits
        kept=26.0 if full else 12.0,  # norms of 32-bit weights work in 32 bits and are read as 16-bit copies
        loss="full-fp32" if pairs else "chunked",
        chunk=max(1, LOSS_CHUNK // shape.vocabulary),
        adapter_inputs=0.0 if full else dropped * sum(shape.linear_layers[name][0] for name in _adapted(shape, lora.targets)),
    )


def gpu_memory(jobs: Sequence[Job], available_gib: float) -> tuple[Job, Peak]:
    """The first of the jobs that fits, without or with checkpointing, which the loop uses as memory asks; else the smallest."""
    ways = [(one, peak(one, "device", shipped())) for job in jobs for one in (job, replace(job, checkpointing=True))]
    fitting = (way for way in ways if fits(way[1].memory_gib.value or math.inf, way[1].p90, available_gib) == "fits")
    return next(fitting, min(ways, key=lambda way: way[1].p90))


def training_memory(request: PlanRequest, method: Method, *, longest: int, batch_size: int) -> tuple[Estimate, float]:
    """Peak memory in GiB with rows of up to `longest` tokens, and its 90th percentile, by which "fits" is judged.

    On a CPU the precision is chosen when training starts, so the larger of both is taken.
    """
    if request.hardware.kind == "gpu":
        job = own_job(request, method, longest=longest, batch_size=batch_size)
        found = gpu_memory([job], request.hardware.memory_gib)[1]
        return found.memory_gib, found.p90
    shape, trained = request.shape, trainable_parameters(request, method)
    tokens = 2 * longest if method in PREFERENCE else pack_tokens(longest, batch_size)
    quantized = shape.linear_parameters if method == "qlora" else 0
    unfolded = 4 * max(ins * outs for ins, outs in shape.linear_layers.values()) if quantized else 0
    inputs = sum(shape.linear_layers[name][0] for name in _adapted(shape, request.train.lora.targets))
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    allocated = max(
        state_bytes(request.model.parameters, trained, method=method, precision=precision, quantized=quantized)
        + unfolded
        + activation_bytes(shape, tokens, method=method, precision=precision, adapted_inputs=inputs)
        + loss_bytes(shape, tokens, method=method)
        for precision in precisions
    )
    gib = RESERVED * allocated / 2**30 + CONTEXT_GIB
    p05, p50, p90, p95 = WIDEST
    text = "sum of weights, gradients, optimizer, activations, loss; the widest interval, as no runs on a CPU are published"
    return Estimate(gib * p50, gib * p05, gib * p95, 0, 0.9, text), gib * p90
