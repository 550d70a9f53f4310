"""Hours of training, from floating-point operations and the measured speed of the machine."""

from __future__ import annotations

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


def flops_per_token(shape: ModelShape, method: Method, *, row_tokens: float) -> float:
    """Operations of forward and backward per token of rows of `row_tokens` (Kaplan et al. 2020, arXiv 2001.08361).

    All weights that multiply (linear layers and LM head), and causal attention.
    """
    weights = shape.linear_parameters + shape.head_parameters
    attention = 3 * 4 * shape.layers * shape.heads * shape.head_dim * row_tokens / 2
    return FLOPS_PER_WEIGHT[method] * weights + attention


def training_hours(flops: float, flops_per_s: float | None) -> Estimate:
    """Hours for `flops` operations; value None where the speed is unknown."""
    if flops_per_s is None or flops_per_s <= 0:
        return Estimate(None, None, None, 0, 0.9, "unknown: the speed of this machine was not measured")
    slow, middle, fast = (flops / (flops_per_s * share) / 3600 for share in UTILISATION)
    low, mid, high = UTILISATION
    text = f"operations over measured speed; utilisation {mid:g} [{low:g}, {high:g}], a prior for packed rows"
    return Estimate(middle, fast, slow, 0, 0.9, text)
