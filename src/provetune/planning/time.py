"""Hours of training, from floating-point operations and the measured speed of the machine."""

from __future__ import annotations

from provetune.planning.footprint import Job
from provetune.planning.gpus import Gpu
from provetune.planning.request import ModelShape
from provetune.records.candidate import Method
from provetune.stats.estimate import Estimate

UTILISATION = (0.2, 0.4, 0.6)
"""Share of the speed of large matrix products that training on packed rows reaches: low, middle, high.

A prior from published runs (0.36 to 0.67 on one GPU), not a measurement of this machine.
"""

FLOPS_PER_WEIGHT: dict[Method, int] = {"full": 6, "lora": 4, "qlora": 8, "dpo": 12, "orpo": 8, "head": 2}
"""Per token: 2 forward, 2 for the gradient of the activations, 2 for that of the weights, which LoRA does not need.

QLoRA counts double: unfolding four bits makes it 1.4 to 3.3 times slower than LoRA in published runs. DPO and ORPO see two answers per
row; DPO also asks the base (2 forward) about both.
"""


def flops_per_token(shape: ModelShape, method: Method, *, row_tokens: float, checkpointing: bool = False) -> float:
    """Operations of forward and backward per token of rows of `row_tokens` (Kaplan et al. 2020, arXiv 2001.08361).

    All weights that multiply (linear layers and LM head), and causal attention. Checkpointing computes the forward pass twice.
    """
    weights = shape.linear_parameters + shape.head_parameters
    attention = 3 * 4 * shape.layers * shape.heads * shape.head_dim * row_tokens / 2
    again = 1 if checkpointing else 0
    return (FLOPS_PER_WEIGHT[method] + 2 * again) * weights + attention * (1 + again / 3)


GPU_UTILISATION = (0.25, 0.5, 0.7)
"""Share of a data sheet's dense 16-bit products that long packed rows reach: low, middle, high, of published runs."""
LAYER_S = (0.007, 0.0035, 0.002)
"""Seconds that starting the kernels of one layer takes, forward and backward, in a step however short: slow, middle, fast."""
UNFOLDED_S = 0.035
"""Seconds a step to unfold a billion 4-bit parameters, at the bandwidth of an A100 of 80 GB."""
A100_BYTES_PER_S = 2.039e12
TOGETHER = (0.4, 0.9, 1.0)
"""Share of their speed that several GPUs keep together: over a slow network, in one machine, at best. A guess."""


def step_seconds(job: Job, gpu: Gpu, row_tokens: float) -> tuple[float, float, float]:
    """Seconds (fast, middle, slow) of one micro-step of `job.tokens` on each of the job's GPUs.

    Arithmetic at a share of the data sheet's speed, the start of every kernel, and unfolding of four bits. The last two are read off
    Qwen's published seconds for 256 to 8,192 tokens; short steps consist of little else.
    """
    method: Method = "full" if job.method == "full" else "lora"
    per_token = flops_per_token(job.shape, method, row_tokens=row_tokens, checkpointing=job.checkpointing)
    if job.method == "lora+embeddings":
        per_token += 2 * job.shape.head_parameters
    layers = job.shape.layers * (4 / 3 if job.checkpointing else 1) * (0.5 if job.compiled else 1)
    four_bits = job.base not in ("fp32", "bf16", "int8")
    unfold = UNFOLDED_S * job.shape.linear_parameters / 1e9 * A100_BYTES_PER_S / gpu.bytes_per_s if four_bits else 0.0
    together = TOGETHER if job.gpus > 1 else (1.0, 1.0, 1.0)
    slow, middle, fast = (
        (job.tokens * per_token / (gpu.flops_per_s * share) + layers * start + unfold) / kept
        for share, start, kept in zip(GPU_UTILISATION, LAYER_S, together, strict=True)
    )
    return fast, middle, slow


def gpu_hours(job: Job, gpu: Gpu, tokens: float, row_tokens: float) -> Estimate:
    """Hours for `tokens` in micro-steps of `job.tokens` on each of the job's GPUs."""
    steps = tokens / (job.tokens * job.gpus)
    fast, middle, slow = (steps * seconds / 3600 for seconds in step_seconds(job, gpu, row_tokens))
    text = "operations at a share of the data sheet's speed, and the start of kernels; priors from published runs"
    return Estimate(middle, fast, slow, 0, 0.9, text)


def training_hours(flops: float, flops_per_s: float | None) -> Estimate:
    """Hours for `flops` operations; value None where the speed is unknown."""
    if flops_per_s is None or flops_per_s <= 0:
        return Estimate(None, None, None, 0, 0.9, "unknown: the speed of this machine was not measured")
    slow, middle, fast = (flops / (flops_per_s * share) / 3600 for share in UTILISATION)
    low, mid, high = UTILISATION
    text = f"operations over measured speed; utilisation {mid:g} [{low:g}, {high:g}], a prior for packed rows"
    return Estimate(middle, fast, slow, 0, 0.9, text)


CORE_FLOPS_PER_S = (1e10, 5e10, 2e11)
"""Of one processor core where nothing was measured: an old laptop's, a usual one, one with 16-bit products (94 to 446e9 were measured)."""


def guessed_hours(flops: float, cores: int) -> Estimate:
    """Hours for `flops` operations on processor cores whose speed was not measured: a wide guess, which a probe replaces."""
    pairs = zip(CORE_FLOPS_PER_S, UTILISATION, strict=True)
    slow, middle, fast = (flops / (cores * speed * share) / 3600 for speed, share in pairs)
    return Estimate(middle, fast, slow, 0, 0.9, f"guessed for {cores} cores of unknown speed; a probe measures it")


START_H = (0.03, 0.1, 0.3)
"""Hours until a rented machine runs: quick, usual, slow."""
LOADED_BYTES_PER_S = (1e9, 2e8, 5e7)
"""Bytes of weights a second, downloaded and loaded."""
CANDIDATES, ANSWERED_AT_ONCE = 3, 16
"""Candidates that answer all scored rows; rows that are answered together."""


def besides_hours(shape: ModelShape, scored: tuple[int, float, float], flops_per_s: float, bytes_per_s: float) -> Estimate:
    """Hours outside the training loop: start, weights, and answers to the scored (rows, mean tokens, mean tokens of an answer).

    Prompts are bound by arithmetic, answers by reading all 16-bit weights once for every token of a batch.
    """
    rows, tokens, answer = scored
    weights = 2.0 * shape.parameters
    prompts = CANDIDATES * rows * tokens * weights / flops_per_s
    answers = CANDIDATES * rows * answer / ANSWERED_AT_ONCE * weights / bytes_per_s
    low, middle, high = (
        start + (weights / loaded + (prompts + answers) / share) / 3600
        for start, loaded, share in zip(START_H, LOADED_BYTES_PER_S, reversed(UTILISATION), strict=True)
    )
    return Estimate(middle, low, high, 0, 0.9, "a prior for start, loading and scoring; not measured")
